"""Finding the tenants of a snapshot without looking at each of them.

A matrix asks hundreds of times for a value of the same field, a set of shards for each part of the same count. The
first request sorts the tenants by that value, in short steps; the others look theirs up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from tenantry.core.columns import Kind
from tenantry.core.selection import Condition, Matching, Selection
from tenantry.core.sharding import shard_of
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import Steps, sliced
from tenantry.core.tenant import Tenant
from tenantry.core.vocabulary import Place

MOST_PLACES = 4
"""Fields or leaves by whose values tenants are kept sorted; the one asked for longest ago is let go."""

MOST_COUNTS = 4
"""Numbers of shards by which they are."""

_TENANTS_OF_A_STEP = 500
"""Tenants that are looked at between two pauses: a quarter of a millisecond, or two in JSON."""

Groups: TypeAlias = "dict[str, list[Tenant]]"


class SnapshotIndex:
    """What has been sorted so far of one snapshot."""

    def __init__(self, snapshot: Snapshot, previous: SnapshotIndex | None = None) -> None:
        """Begin with nothing but the shards of the tenants that the `previous` snapshot had."""
        self.snapshot = snapshot
        self._by_place: OrderedDict[Place, Groups] = OrderedDict()
        self._by_count: OrderedDict[int, list[list[Tenant]]] = OrderedDict()
        self._shards_before = dict(previous.shards) if previous else {}
        self._shards: dict[int, Mapping[str, int]] = {}

    @property
    def shards(self) -> Mapping[int, Mapping[str, int]]:
        """The shards of tenants, by count and id: of this snapshot, or of the one before where nobody asked yet."""
        known = {**self._shards_before, **self._shards}
        return dict(list(known.items())[-MOST_COUNTS:])

    def chosen(self, selection: Selection) -> Steps[list[Tenant]]:
        """Return the tenants that a selection asks for, in order of id."""
        candidates = yield from self._candidates(selection)
        predicates = [clause.predicate() for clause in selection.clauses]
        found: list[Tenant] = []
        for some in sliced(candidates, _TENANTS_OF_A_STEP):
            chosen: Sequence[Tenant] = some
            for predicate in predicates:
                chosen = [tenant for tenant in chosen if predicate(tenant)]
                yield
            found += chosen
            yield
        return found

    def _candidates(self, selection: Selection) -> Steps[Sequence[Tenant]]:
        """Return all tenants that can meet a selection, as few as is cheap, in order."""
        tenants = self.snapshot.tenants
        exact: list[Condition | Matching] = [*selection.conditions, *selection.matchings]
        for clause in exact:
            if clause.exact is not None and self._is_id(clause.place):
                named = (tenants.get(text) for text in sorted(clause.exact))
                return [tenant for tenant in named if tenant is not None]
        if selection.shards:
            first = selection.shards[0]
            return (yield from self._parts(first.count))[first.index]
        for clause in exact:
            if clause.exact is not None:
                return _united((yield from self._groups(clause.place)), clause.exact)
        return list(tenants.values())

    def _is_id(self, place: Place) -> bool:
        """Tell whether the id stands there as it is; where it is not served, computed fields have its position."""
        mapping = self.snapshot.mapping
        if place.make is not None or place.position != mapping.position_of(mapping.shape.id):
            return False
        # The id is the text of JSON, its quotes included, and not the value or a leaf of it.
        return mapping.fields[place.position].kind is not Kind.JSON

    def _groups(self, place: Place) -> Steps[Groups]:
        groups = self._by_place.get(place)
        if groups is None:
            groups = {}
            sort = _sort if place.leaf or place.make is not None else _sort_by_column
            for some in sliced(list(self.snapshot.tenants.values()), _TENANTS_OF_A_STEP):
                sort(some, place, groups)
                yield
        _keep(self._by_place, place, groups, MOST_PLACES)
        return groups

    def _parts(self, count: int) -> Steps[list[list[Tenant]]]:
        shards = self._by_count.get(count)
        if shards is None:
            shards = [[] for _ in range(count)]
            known, numbers = self._shards_before.pop(count, {}), dict[str, int]()
            for some in sliced(list(self.snapshot.tenants.values()), _TENANTS_OF_A_STEP):
                for tenant in some:
                    number = known.get(tenant.id)
                    numbers[tenant.id] = number = shard_of(tenant.id, count) if number is None else number
                    shards[number].append(tenant)
                yield
            self._shards[count] = numbers
        _keep(self._by_count, count, shards, MOST_COUNTS)
        while len(self._shards) > MOST_COUNTS:
            self._shards.pop(next(iter(self._shards)))
        return shards


def _sort(tenants: Sequence[Tenant], place: Place, groups: Groups) -> None:
    for tenant in tenants:
        for text in place.texts(tenant):
            groups.setdefault(text, []).append(tenant)


def _sort_by_column(tenants: Sequence[Tenant], place: Place, groups: Groups) -> None:
    """Do the same in a third of the time, where one text is all that there can be."""
    position = place.position
    for tenant in tenants:
        text = tenant.values[position]
        if text.__class__ is not str:
            continue
        group = groups.get(text)
        if group is None:
            groups[text] = [tenant]
        else:
            group.append(tenant)


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)


def _united(groups: Groups, texts: Sequence[str]) -> Sequence[Tenant]:
    """Return the tenants of some groups, each once, in order."""
    if len(texts) == 1:
        # Odd keys of JSON may give a tenant two places of one name, and so the same text twice.
        return list({tenant.id: tenant for tenant in groups.get(texts[0], ())}.values())
    found = {tenant.id: tenant for text in texts for tenant in groups.get(text, ())}
    return [found[tenant] for tenant in sorted(found)]
