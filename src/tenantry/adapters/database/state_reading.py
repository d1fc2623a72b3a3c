"""Reading the state database: all of it, or what was written since it was read last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Connection, Row, Select, false, select, true

from tenantry.adapters.database.state_documents import event_of, origin_of, set_ledger, whole_of
from tenantry.adapters.database.state_tables import (
    APPLICATION_SET,
    CONFIGURATION,
    EVENT,
    INPUT,
    LEDGER,
    RELEASED,
)
from tenantry.adapters.database.state_writing import Numbers
from tenantry.core.errors import StateDamaged
from tenantry.core.history import Event
from tenantry.core.ledger import Input, SetLedger, SetName
from tenantry.core.position import ReleasedFrom
from tenantry.service.state import EventQuery, Remembered

ROWS_AT_ONCE = 5000

_LATEST = 253_402_300_800.0
"""The end of the year 9999, in seconds of the ledger's clock."""

_MOST_NAMED = 2000
"""Rows that a statement names one by one; where there are more, all are read."""


class Known(NamedTuple):
    """What was read or written last."""

    writes: int
    """How often it had been written to then."""

    sets: Mapping[SetName, SetLedger]
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class _InputRow:
    number: int
    owner: int
    text: Input
    written: int
    origin: ReleasedFrom | None


LedgerRow: TypeAlias = Row[int, float, str, int, int, int]


def ledger_row(connection: Connection) -> LedgerRow | None:
    """Return the ledger's only row, and let nobody write until the transaction ends.

    So what is read in several statements is of one moment; other readers are let in.
    """
    columns = LEDGER.c
    wanted = select(columns.writes, columns.clock, columns.document, columns.marked, columns.unmarked, columns.stamp)
    return connection.execute(wanted.with_for_update(read=True)).one_or_none()


def remembered(connection: Connection, row: LedgerRow, known: Known | None) -> tuple[Remembered, Numbers]:
    """Return everything but the history, and by which numbers it is known; `known` is what need not be read again."""
    if not 0 <= row.clock < _LATEST:
        raise StateDamaged
    if known is not None and not (row.marked == row.writes >= known.writes == known.numbers.writes >= row.unmarked):
        known = None  # A version before wrote, and left no stamp at what it changed; or the latest writes were lost.
    rows = connection.execute(
        select(APPLICATION_SET.c.id, APPLICATION_SET.c.consumer, APPLICATION_SET.c.name, APPLICATION_SET.c.written)
    ).all()
    names = {number: SetName(consumer, name) for number, consumer, name, _ in rows}
    stamps = {number: written for number, _, _, written in rows}
    changed = {
        number
        for number, name in names.items()
        if known is None or stamps[number] != known.numbers.stamps_of_sets.get(number) or name not in known.sets
    }
    everything = known is None
    inputs = _inputs(connection, changed, everything=everything)
    anew = [one for one in inputs if known is None or _is_to_be_read(one, names[one.owner], known)]
    released = _released(connection, anew, everything=everything)
    by_set: dict[int, dict[Input, Mapping[str, bytes]]] = {}
    origins: dict[int, dict[Input, ReleasedFrom]] = {}
    for one in inputs:
        by_set.setdefault(one.owner, {})[one.text] = (
            released[one.number]
            if known is None or one.number in released
            else known.sets[names[one.owner]].baselines[one.text].released
        )
        if one.origin is not None:
            origins.setdefault(one.owner, {})[one.text] = one.origin
    documents = select(APPLICATION_SET.c.id, APPLICATION_SET.c.document).where(
        _among(APPLICATION_SET.c.id, changed, everything=everything)
    )
    read = {
        number: set_ledger(document, by_set.get(number, {}), origins.get(number, {}))
        for number, document in connection.execute(documents)
        if number in changed
    }
    sets = {name: read[number] if number in read else _unchanged(known, name) for number, name in names.items()}
    # One that somebody only looked at was never answered from.
    found_now = Remembered(
        row.writes, row.clock, whole_of(row.document), sets, _configurations(connection), is_new=not row.writes
    )
    numbers = _numbers(names, inputs, changed, known)
    numbers.writes, numbers.stamp, numbers.stamps_of_sets = row.writes, row.stamp, stamps
    return found_now, numbers


def _unchanged(known: Known | None, name: SetName) -> SetLedger:
    if known is None:
        raise StateDamaged
    return known.sets[name]


def _is_to_be_read(one: _InputRow, name: SetName, known: Known) -> bool:
    own = known.sets.get(name)
    is_known = one.written == known.numbers.stamps_of_inputs.get(one.number)
    return own is None or not is_known or one.text not in own.baselines


def _inputs(connection: Connection, owners: Collection[int], *, everything: bool) -> list[_InputRow]:
    columns = INPUT.c
    wanted = select(columns.id, columns.application_set, columns.text, columns.written, columns.origin)
    return [
        _InputRow(number, owner, given, written, origin_of(origin))
        for number, owner, given, written, origin in connection.execute(
            wanted.where(_among(columns.application_set, owners, everything=everything))
        )
        if everything or owner in owners
    ]


def _released(connection: Connection, inputs: Sequence[_InputRow], *, everything: bool) -> dict[int, dict[str, bytes]]:
    """Return the parameter sets of inputs, by the numbers of these."""
    by_input: dict[int, dict[str, bytes]] = {one.number: {} for one in inputs}
    wanted: Select[int, str, bytes] = select(RELEASED.c.input, RELEASED.c.tenant, RELEASED.c.parameters)
    wanted = wanted.where(_among(RELEASED.c.input, by_input, everything=everything))
    for number, tenant, parameters in connection.execution_options(yield_per=ROWS_AT_ONCE).execute(wanted):
        if everything or number in by_input:
            by_input[number][tenant] = parameters
    return by_input


def _among(column: ColumnElement[int], numbers: Collection[int], *, everything: bool) -> ColumnElement[bool]:
    """Return the condition that a column is one of these, as far as naming them is worth it."""
    if everything or len(numbers) > _MOST_NAMED:
        return true()
    return column.in_(sorted(numbers)) if numbers else false()


def _configurations(connection: Connection) -> tuple[str, ...]:
    wanted = select(CONFIGURATION.c.digest).order_by(CONFIGURATION.c.number)
    return tuple(connection.execute(wanted).scalars())


def _numbers(
    names: Mapping[int, SetName], inputs: Sequence[_InputRow], changed: Collection[int], known: Known | None
) -> Numbers:
    kept = {} if known is None else known.numbers.inputs
    by_owner = {number: dict(kept.get(number, {})) for number in names if number not in changed}
    for one in inputs:
        by_owner.setdefault(one.owner, {})[one.text] = one.number
    there = {number for of in by_owner.values() for number in of.values()}
    stamps = {} if known is None else {one: by for one, by in known.numbers.stamps_of_inputs.items() if one in there}
    stamps.update((one.number, one.written) for one in inputs)
    return Numbers({name: number for number, name in names.items()}, by_owner, {}, stamps)


def events_of(connection: Connection, asked: EventQuery) -> list[Event]:
    """Return a part of the history: looked for from the latest back, so that the latest few cost little."""
    wanted = select(EVENT.c.id, EVENT.c.body).order_by(EVENT.c.id.desc())
    if asked.set_name is not None:
        wanted = wanted.where(
            EVENT.c.application_set.in_((asked.set_name.application_set, "")),
            EVENT.c.consumer.in_((asked.set_name.consumer, "")),
        )
    if asked.since is not None:
        wanted = wanted.where(EVENT.c.at >= asked.since)
    if asked.until is not None:
        wanted = wanted.where(EVENT.c.at <= asked.until)
    found: list[Event] = []
    with connection.execution_options(yield_per=100).execute(wanted) as rows:
        for number, body in rows:
            event = event_of(body, number)
            if asked.tenant is None or event.is_about(asked.tenant):
                found.append(event)
            if asked.limit is not None and len(found) >= asked.limit:
                break
    return found[::-1]
