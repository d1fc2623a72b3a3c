"""What an operator sees of the tenants: which there are, which are served and why, and which rows cannot be used.

A read model: it looks at the latest snapshot, whether it is answered from or not, and changes nothing. Unlike answers'
messages it names tenants, since only operators are let in.
"""

from __future__ import annotations

import difflib
import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TypeAlias

from tenantry.core.errors import InvalidQuery, NoSuchTenant, NotReady, listed, nearest, quoted
from tenantry.core.mapping import EVERY_OTHER, RowMapping, TableShape
from tenantry.core.sharding import shard_of
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import Steps, sliced
from tenantry.core.tenant import Row, Tenant, Unusable
from tenantry.core.values import NoText, plain_text
from tenantry.service.driving import driven
from tenantry.service.facts import (
    Quarantine,
    QuarantinedRow,
    QuarantinePage,
    ShardOf,
    SnapshotFacts,
    TenantApplication,
    TenantFound,
    TenantPage,
    TenantView,
)
from tenantry.service.masking import masked_parameters, masked_text
from tenantry.service.snapshots import SnapshotHolder

MOST_OF_A_PAGE = 1000
"""Tenants or rows on one page."""

_LARGEST_PAGE = 1 << 20
"""Bytes of parameter sets after which a page ends, however few tenants it has."""

_LONGEST_CURSOR = 2048
"""Characters of an id by which a page may end: percent-encoded, a longer one does not fit into a URL."""

_LOOKED_AT = 10
"""Tenants between two pauses."""

_NEIGHBOURS = 1000
"""Ids on each side of one that there is not, among which the nearest is looked for."""

_LONGEST_COMPARED = 253


@dataclass(frozen=True, slots=True)
class TenantQuery:
    """Which tenants are wanted, and where the page before ended."""

    state: str | None = None
    quarantined: bool | None = None
    limit: int = 100
    after: str | None = None
    shards: int | None = None
    """A count of shards, of which to tell each tenant's."""


ApplicationsOf: TypeAlias = Callable[[str], Awaitable[Sequence[TenantApplication] | None]]


async def _unseen(tenant: str) -> None:  # noqa: ARG001 -- without access to a cluster
    return None


class Overview:
    """Shows what the holder holds, in steps that let requests through in between."""

    def __init__(self, snapshots: SnapshotHolder, counts: Callable[[], Collection[int]] = tuple) -> None:
        """Look at what `snapshots` holds; `counts` tells the counts of shards that are asked for."""
        self._snapshots = snapshots
        self._counts = counts
        self.applications_of: ApplicationsOf = _unseen
        """Tells the Applications of a tenant: set by whoever can see them."""

        self._census: _Census | None = None

    @property
    def fields(self) -> Collection[str] | None:
        """The names of all fields that parameter sets have; None before the first read."""
        latest = self._snapshots.latest
        return None if latest is None else latest.mapping.names

    async def tenants(self, query: TenantQuery) -> TenantPage:
        """Return a page of tenants; raises NotReady, or InvalidQuery for a state that nothing is configured for."""
        snapshot = self._snapshots.seen()
        _refuse_unknown_state(snapshot.mapping.shape, query.state)
        return await driven(self._page(snapshot, query))

    async def tenant(self, tenant: str, shards: int | None = None) -> TenantFound:
        """Return one tenant, and its part of `shards`; raises NotReady, or NoSuchTenant with the nearest id."""
        found = await driven(self._tenant(self._snapshots.seen(), tenant, shards))
        return replace(found, applications=await self.applications_of(tenant))

    async def quarantine(self, limit: int, after: int) -> QuarantinePage:
        """Return a page of the rows that cannot be used, those behind row `after`; raises NotReady."""
        snapshot = self._snapshots.seen()
        start = bisect_right(snapshot.quarantined, after, key=lambda row: row.row)
        shown = snapshot.quarantined[start : start + limit]
        more = start + limit < len(snapshot.quarantined)
        return QuarantinePage(self._facts(snapshot), [self._row(row) for row in shown], shown[-1].row if more else None)

    def _census_of(self, snapshot: Snapshot) -> Steps[_Census]:
        """Return who there is, found out once for each snapshot."""
        if self._census is None or self._census.snapshot is not snapshot:
            self._census = yield from _census(snapshot)
        return self._census

    def _page(self, snapshot: Snapshot, query: TenantQuery) -> Steps[TenantPage]:
        census = yield from self._census_of(snapshot)
        parts = self._parts(snapshot, query.shards)
        found: list[TenantView] = []
        following: str | None = None
        size = 0
        for number, tenant in enumerate(census.ids(query)):
            if not number % _LOOKED_AT:
                yield
            if query.quarantined not in (None, tenant in census.unusable):
                continue
            if query.state is not None and _state_of(snapshot, tenant) != query.state:
                continue
            if (len(found) >= query.limit or size > _LARGEST_PAGE) and len(found[-1].id) <= _LONGEST_CURSOR:
                following = found[-1].id
                break
            found.append(self._view(snapshot, tenant, census.unusable.get(tenant), parts))
            size += len(snapshot.tenants[tenant].encoded) if tenant in snapshot.tenants else 0
        return TenantPage(self._facts(snapshot), found, following)

    def _tenant(self, snapshot: Snapshot, tenant: str, shards: int | None) -> Steps[TenantFound]:
        census = yield from self._census_of(snapshot)
        if tenant in snapshot.tenants or tenant in snapshot.retired or tenant in census.unusable:
            view = self._view(snapshot, tenant, census.unusable.get(tenant), self._parts(snapshot, shards))
            return TenantFound(self._facts(snapshot), view, None)
        near = yield from _nearest(census.kinds, tenant)
        raise NoSuchTenant(f"There is no tenant with the id {quoted(tenant)}.{near}")

    def _parts(self, snapshot: Snapshot, shards: int | None) -> _Parts:
        return _Parts(snapshot, {*self._counts(), *(() if shards is None else (shards,))})

    def _view(self, snapshot: Snapshot, tenant: str, unusable: Unusable | None, parts: _Parts) -> TenantView:
        """Return what is told of one tenant: the one place where that is decided."""
        served = snapshot.tenants.get(tenant)
        naming = snapshot.mapping.shape.naming
        return TenantView(
            id=tenant,
            state=_state_of(snapshot, tenant),
            served=served is not None,
            why=_why(snapshot, tenant, unusable),
            name=naming.name_of(tenant) if naming.name_field else None,
            label=naming.label_of(tenant) if naming.label_field else None,
            views=[] if served is None else parts.views_of(served),
            shards=parts.shards_of(tenant),
            parameters=None if served is None else masked_parameters(served.encoded),
            source_row=None if served is None else _shown(served.row, snapshot.mapping),
            quarantined=None if unusable is None else self._quarantined(unusable),
            in_doubt=tenant in snapshot.in_doubt,
        )

    def _quarantined(self, row: Unusable) -> Quarantine:
        return Quarantine(row.reason, row.column or None, row.row, self._since(row), row.kept)

    def _row(self, row: Unusable) -> QuarantinedRow:
        return QuarantinedRow(row.row, row.column or None, row.reason, self._since(row), row.tenant, row.kept)

    def _since(self, row: Unusable) -> datetime:
        return self._snapshots.sightings.since(row).replace(microsecond=0)

    def snapshot(self) -> SnapshotFacts:
        """Return what the tenants were read from; raises NoSnapshot before the first read."""
        return self._facts(self._snapshots.seen())

    def _facts(self, snapshot: Snapshot) -> SnapshotFacts:
        problem = None
        try:
            self._snapshots.current()
        except NotReady as error:
            problem = error.message
        return SnapshotFacts(
            revision=snapshot.revision,
            age_seconds=round(self._snapshots.age or 0.0, 3),
            tenants=len(snapshot.tenants),
            retired=len(snapshot.retired),
            quarantined=len(snapshot.quarantined),
            in_doubt=len(snapshot.in_doubt),
            problem=problem,
        )


class _Parts:
    """Which parts of all tenants one belongs to: the views, and its shard of each count."""

    def __init__(self, snapshot: Snapshot, counts: Collection[int]) -> None:
        self._views = {
            name: [clause.predicate() for clause in selection.clauses] for name, selection in snapshot.views.items()
        }
        self._counts = sorted(counts)

    def views_of(self, tenant: Tenant) -> list[str]:
        return sorted(name for name, holds in self._views.items() if all(clause(tenant) for clause in holds))

    def shards_of(self, tenant: str) -> list[ShardOf]:
        return [ShardOf(shard_of(tenant, count), count) for count in self._counts]


@dataclass(frozen=True, slots=True)
class _Census:
    """Who there is in a snapshot, in order."""

    snapshot: Snapshot
    unusable: Mapping[str, Unusable]
    """Rows that cannot be used, by the tenant whose they are."""

    kinds: Sequence[Sequence[str]]
    """The ids of those who are served, of those who are not, and of those of whom nothing else is known."""

    quarantined: Sequence[str]

    def ids(self, query: TenantQuery) -> Iterator[str]:
        """Return the ids behind `query.after` in order; if only the quarantined count, only those are looked at."""
        kinds = (self.quarantined,) if query.quarantined else self.kinds
        starts = [0 if query.after is None else bisect_right(ids, query.after) for ids in kinds]
        return heapq.merge(*(islice(ids, start, None) for ids, start in zip(kinds, starts, strict=True)))


def _census(snapshot: Snapshot) -> Steps[_Census]:
    unusable: dict[str, Unusable] = {}
    for some in sliced(snapshot.quarantined):
        unusable.update((row.tenant, row) for row in some if row.tenant is not None)
        yield
    quarantined = sorted(unusable)
    yield
    unknown = [tenant for tenant in quarantined if tenant not in snapshot.tenants]
    yield
    return _Census(snapshot, unusable, (list(snapshot.tenants), list(snapshot.retired), unknown), quarantined)


def _state_of(snapshot: Snapshot, tenant: str) -> str | None:
    served = snapshot.tenants.get(tenant)
    return snapshot.retired.get(tenant) if served is None else snapshot.mapping.state_of(served.row)


def _why(snapshot: Snapshot, tenant: str, unusable: Unusable | None) -> str:
    served = tenant in snapshot.tenants
    if unusable is not None:
        unknown = "Not served: its row cannot be used, and its last good parameters are not known."
        return f"{'Served with its last good parameters.' if served else unknown} {unusable.sentence}"
    if tenant in snapshot.in_doubt:
        return (
            "Served with its last good parameters. No row that is served has its id, but some row that cannot be used "
            "may be its own."
        )
    if served:
        return "Served."
    state = snapshot.retired[tenant]
    told = "NULL, which is" if state is None else f"{quoted(state)}, which is"
    return f"Not served: its state is {told} not in source.serve."


def _shown(row: Row, mapping: RowMapping) -> dict[str, str | None]:
    return {
        column.name: None if value is None else masked_text(column.name, _told(value))
        for column, value in zip(mapping.columns, row, strict=True)
    }


def _told(value: object) -> str:
    try:
        return plain_text(value)
    except NoText as reason:
        return f"({reason})"


def _refuse_unknown_state(shape: TableShape, state: str | None) -> None:
    """Refuse a state that no row can have: an empty list would say that all is well."""
    if state is None:
        return
    if shape.state is None:
        raise InvalidQuery(
            "Tenants cannot be listed by state: source.state is not set.", remedy="Name the column that holds it there."
        )
    known = (*(shape.serve or ()), *shape.retire)
    if shape.serve is not None and EVERY_OTHER not in known and state not in known:
        raise InvalidQuery(
            f"There is no state {quoted(state)}. Known: {listed(known)}.{nearest(state, known)}",
            remedy="source.serve and source.retire list the states.",
        )


def _nearest(kinds: Sequence[Sequence[str]], wanted: str) -> Steps[str]:
    """Ask whether the closest of the ids around it was meant, looking at a few of them in each step."""
    if len(wanted) > _LONGEST_COMPARED:
        return ""
    best: list[str] = []
    for ids in kinds:
        place = bisect_left(ids, wanted)
        around = [tenant for tenant in ids[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS] if _is_short(tenant)]
        for some in sliced(around, _LOOKED_AT // 5):
            best = difflib.get_close_matches(wanted, [*best, *some], n=1, cutoff=0.6)
            yield
    return nearest(wanted, best)


def _is_short(tenant: str) -> bool:
    return len(tenant) <= _LONGEST_COMPARED
