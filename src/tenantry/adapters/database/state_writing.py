"""Writing to the state database: all changes of one moment, in statements that are put together once."""

from __future__ import annotations

import secrets
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

_BITS = 62
ONE = 1
"""The number of the ledger's only row."""

_COUNT = (
    update(LEDGER)
    .where(LEDGER.c.id == ONE, LEDGER.c.writes == bindparam("before"), LEDGER.c.stamp == bindparam("known"))
    .values(
        writes=bindparam("after"),
        clock=bindparam("now"),
        stamp=bindparam("anew"),
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


@dataclass(slots=True)
class Numbers:
    """By which numbers the tables know ApplicationSets and their inputs, and by which stamps they were written last."""

    sets: dict[SetName, int] = field(default_factory=dict)
    inputs: dict[int, dict[Input, int]] = field(default_factory=dict)
    stamps_of_sets: dict[int, int] = field(default_factory=dict)
    stamps_of_inputs: dict[int, int] = field(default_factory=dict)
    writes: int = -1
    stamp: int = 0
    """Of the last of so many writes."""

    def copy(self) -> Numbers:
        """Return one that can be changed, and thrown away where the transaction fails."""
        inputs = {number: dict(of) for number, of in self.inputs.items()}
        stamps = dict(self.stamps_of_sets), dict(self.stamps_of_inputs)
        return Numbers(dict(self.sets), inputs, *stamps, self.writes, self.stamp)


def write_changes(
    connection: Connection, parameters: Parameters, changes: Changes, writes: int, numbers: Numbers
) -> None:
    """Write all changes, and note new numbers; raises StateMoved unless it was written to `writes` times.

    Those have to be the very writes that are known here.
    """
    known, numbers.writes, numbers.stamp = numbers.stamp, writes + 1, secrets.randbits(_BITS)
    values: dict[str, object] = {
        "before": writes,
        "after": writes + 1,
        "now": changes.at,
        "known": known,
        "anew": numbers.stamp,
    }
    if changes.whole is None:
        counted = connection.execute(_COUNT, values)
    else:
        counted = connection.execute(_COUNT_AND_KEEP, {**values, "whole": whole_document(changes.whole)})
    if counted.rowcount != 1:
        raise StateMoved
    for change in changes.sets:
        _write_set(connection, parameters, change, numbers)
    if changes.configuration is not None:
        connection.execute(_FORMER_CONFIGURATION, {"known": changes.configuration})
        connection.execute(_NEWEST_CONFIGURATION, {"digest": changes.configuration, "number": writes + 1})
    parameters.name(connection, changes.names)
    if changes.events:
        connection.execute(_NEW_EVENT, [_event_row(event) for event in changes.events])


def _write_set(connection: Connection, parameters: Parameters, change: SetChange, numbers: Numbers) -> None:
    number, write = _number_of(connection, change, numbers), numbers.stamp
    inputs, baselines = numbers.inputs.setdefault(number, {}), change.ledger.baselines
    known = frozenset(inputs)
    changed = (change.put.keys() | change.dropped.keys()) & baselines.keys() & known
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
    numbers.stamps_of_inputs.update((inputs[given], write) for given in (baselines.keys() - known) | changed)
    for given, tenants in change.dropped.items():
        parameters.drop(connection, inputs[given], list(tenants))
    for given, put in change.put.items():
        parameters.put(connection, inputs[given], put)
    for given in change.dropped.keys() - change.ledger.baselines.keys():
        gone = inputs.pop(given)
        connection.execute(_NO_INPUT, {"number": gone})
        numbers.stamps_of_inputs.pop(gone, None)


def _number_of(connection: Connection, change: SetChange, numbers: Numbers) -> int:
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
        "now": numbers.stamp,
    }
    number = numbers.sets.get(name)
    if number is None:
        number = numbers.sets[name] = int(connection.execute(_NEW_SET, values).scalar_one())
    else:
        connection.execute(_SET, {**values, "number": number})
    numbers.stamps_of_sets[number] = numbers.stamp
    return number


def _event_row(event: Event) -> dict[str, object]:
    return {
        "at": event.at,
        "consumer": event.consumer,
        "application_set": event.application_set,
        "body": event_document(event),
    }
