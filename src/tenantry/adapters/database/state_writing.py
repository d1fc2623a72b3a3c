"""Writing to the state database: all changes of one moment, in statements that are put together once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection, bindparam, case, delete, insert, update

from tenantry.adapters.database.state_documents import event_document, origin_document, set_document, whole_document
from tenantry.adapters.database.state_tables import APPLICATION_SET, CONFIGURATION, EVENT, INPUT, LEDGER
from tenantry.core.errors import StateMoved
from tenantry.core.history import Event
from tenantry.core.ledger import Input, SetName
from tenantry.service.state import Changes, SetChange

ONE = 1
"""The number of the ledger's only row."""

_COUNT = (
    update(LEDGER)
    .where(LEDGER.c.id == ONE, LEDGER.c.writes == bindparam("before"))
    .values(
        writes=bindparam("after"),
        clock=bindparam("now"),
        marked=bindparam("after"),
        # Whoever wrote before without a mark is a version that knows of none: of its writes all is to be read.
        unmarked=case((LEDGER.c.marked == bindparam("before"), LEDGER.c.unmarked), else_=bindparam("before")),
    )
)
_COUNT_AND_KEEP = _COUNT.values(document=bindparam("whole"))
_NEW_SET = (
    insert(APPLICATION_SET)
    .values(consumer=bindparam("whose"), name=bindparam("called"), document=bindparam("kept"), written=bindparam("now"))
    .returning(APPLICATION_SET.c.id)
)
_SET = (
    update(APPLICATION_SET)
    .where(APPLICATION_SET.c.id == bindparam("number"))
    .values(consumer=bindparam("whose"), name=bindparam("called"), document=bindparam("kept"), written=bindparam("now"))
)
_NEW_INPUT = (
    insert(INPUT)
    .values(
        application_set=bindparam("number"),
        text=bindparam("given"),
        written=bindparam("now"),
        origin=bindparam("whence"),
    )
    .returning(INPUT.c.id)
)
_INPUT = (
    update(INPUT).where(INPUT.c.id == bindparam("number")).values(written=bindparam("now"), origin=bindparam("whence"))
)
_FORMER_CONFIGURATION = delete(CONFIGURATION).where(CONFIGURATION.c.digest == bindparam("known"))
_NEWEST_CONFIGURATION = insert(CONFIGURATION)
_NO_INPUT = delete(INPUT).where(INPUT.c.id == bindparam("number"))
_ANOTHER_CONSUMER = (
    update(EVENT)
    .where(EVENT.c.consumer == bindparam("before"), EVENT.c.application_set == bindparam("called"))
    .values(consumer=bindparam("after"))
)
_NEW_EVENT = insert(EVENT)


class Parameters(Protocol):
    """How parameter sets and names are written, which differs between the databases."""

    def put(self, connection: Connection, given: int, parameters: Mapping[str, bytes]) -> None:
        """Put parameter sets into an input."""
        ...

    def drop(self, connection: Connection, given: int, tenants: Sequence[str]) -> None:
        """Take parameter sets out of an input."""
        ...

    def name(self, connection: Connection, names: Mapping[str, str]) -> None:
        """Keep names that are released for the first time."""
        ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """By which numbers the tables know ApplicationSets and their inputs."""

    sets: dict[SetName, int] = field(default_factory=dict)
    inputs: dict[int, dict[Input, int]] = field(default_factory=dict)

    def copy(self) -> Numbers:
        """Return one that can be changed, and thrown away where the transaction fails."""
        return Numbers(dict(self.sets), {number: dict(of) for number, of in self.inputs.items()})


def write_changes(
    connection: Connection, parameters: Parameters, changes: Changes, writes: int, numbers: Numbers
) -> None:
    """Write all changes, and note new numbers; raises StateMoved unless it was written to `writes` times."""
    values: dict[str, object] = {"before": writes, "after": writes + 1, "now": changes.at}
    if changes.whole is None:
        counted = connection.execute(_COUNT, values)
    else:
        counted = connection.execute(_COUNT_AND_KEEP, {**values, "whole": whole_document(changes.whole)})
    if counted.rowcount != 1:
        raise StateMoved
    for change in changes.sets:
        _write_set(connection, parameters, change, numbers, writes + 1)
    if changes.configuration is not None:
        connection.execute(_FORMER_CONFIGURATION, {"known": changes.configuration})
        connection.execute(_NEWEST_CONFIGURATION, {"digest": changes.configuration, "number": writes + 1})
    parameters.name(connection, changes.names)
    if changes.events:
        connection.execute(_NEW_EVENT, [_event_row(event) for event in changes.events])


def _write_set(connection: Connection, parameters: Parameters, change: SetChange, numbers: Numbers, write: int) -> None:
    number = _number_of(connection, change, numbers, write)
    inputs, baselines = numbers.inputs.setdefault(number, {}), change.ledger.baselines
    changed = (change.put.keys() | change.dropped.keys()) & baselines.keys() & inputs.keys()
    for given in baselines.keys() - inputs.keys():
        values = {"number": number, "given": given, "now": write, "whence": origin_document(baselines[given].origin)}
        inputs[given] = connection.execute(_NEW_INPUT, values).scalar_one()
    if changed:
        connection.execute(
            _INPUT,
            [
                {"number": inputs[given], "now": write, "whence": origin_document(baselines[given].origin)}
                for given in sorted(changed)
            ],
        )
    for given, tenants in change.dropped.items():
        parameters.drop(connection, inputs[given], list(tenants))
    for given, put in change.put.items():
        parameters.put(connection, inputs[given], put)
    for given in change.dropped.keys() - change.ledger.baselines.keys():
        connection.execute(_NO_INPUT, {"number": inputs.pop(given)})


def _number_of(connection: Connection, change: SetChange, numbers: Numbers, write: int) -> int:
    """Write the ApplicationSet's own row, and return its number."""
    name = change.name
    if change.formerly is not None:
        numbers.sets[name] = numbers.sets.pop(change.formerly)
        whose = {"before": change.formerly.consumer, "after": name.consumer, "called": name.application_set}
        connection.execute(_ANOTHER_CONSUMER, whose)
    values = {
        "whose": name.consumer,
        "called": name.application_set,
        "kept": set_document(change.ledger),
        "now": write,
    }
    number = numbers.sets.get(name)
    if number is None:
        number = numbers.sets[name] = int(connection.execute(_NEW_SET, values).scalar_one())
    else:
        connection.execute(_SET, {**values, "number": number})
    return number


def _event_row(event: Event) -> dict[str, object]:
    return {
        "at": event.at,
        "consumer": event.consumer,
        "application_set": event.application_set,
        "body": event_document(event),
    }
