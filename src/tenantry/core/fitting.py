"""Which rows' JSON fits together, and how much of it a snapshot may have.

Two shapes exclude each other: an object where others have a leaf, and two paths that flatten to one dotted name. The
rows of the rarer shape are then quarantined, so that one odd row never stops the many. Leaves beyond the bounds are
treated alike, the rarest first, and those that the snapshot before did not have before those that it had.

Every tenant gets every leaf, so what takes memory is tenants times leaves. Beyond that bound the read fails, since
which tenant to do without is no question for a program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from tenantry.core.errors import TooManyLeaves, quoted
from tenantry.core.layout import KEEP_LESS, End, Path, Paths, Tree, leaves_of
from tenantry.core.steps import Steps

MOST_PATHS = 2000
"""Leaves that a snapshot may have in all."""

MOST_SEEN = 4 * MOST_PATHS
"""Different leaves that a read takes in, so that the rarest of them can be found."""

MOST_VALUES = 2_000_000
"""Tenants times leaves that a snapshot may have: a few hundred megabytes."""

Misfit: TypeAlias = tuple[str, str]
"""Why a row's JSON does not fit with the others': the column, and the reason."""

Mark: TypeAlias = tuple[Path, str]
"""A path that does not fit in some role: as a `leaf`, as an `object` on the way, or as any `end`."""


class Ends:
    """What a read has found so far: each end and each set of ends is kept once, and there is a bound to them."""

    def __init__(self, before: Tree) -> None:
        """Begin with none; leaves of the layout `before` are taken in whatever the bound."""
        self.settled = frozenset(leaves_of(before))
        self._ends: dict[End, End] = {}
        self._sets: dict[Paths, Paths] = {}

    def of_row(self, paths: Paths) -> Paths | Misfit:
        """Return the same paths, shared by all rows that have them, or why they cannot be taken in."""
        known = self._sets.get(paths)
        if known is not None:
            return known
        new = sorted(path for end in paths if (path := end[0]) not in self.settled and end not in self._ends)
        if new and len(self._ends) + len(new) > MOST_SEEN:
            return new[0][0], f"holds a leaf beyond the {MOST_SEEN} different ones of a read: {KEEP_LESS}"
        shared = frozenset(self._ends.setdefault(end, end) for end in paths)
        self._sets[shared] = shared
        return shared


class Census:
    """How many rows have each end, each object on the way, or either; many leaves of one row count once."""

    def __init__(self) -> None:
        """Begin to count."""
        self.ends: Counter[End] = Counter()
        self.objects: Counter[Path] = Counter()
        self.paths: Counter[Path] = Counter()

    def count(self, rows: Mapping[Paths, int]) -> Steps[None]:
        """Count, given how many rows have each set of paths."""
        for paths, number in rows.items():
            objects = _objects(paths)
            self.ends.update(dict.fromkeys(paths, number))
            self.objects.update(dict.fromkeys(objects, number))
            self.paths.update(dict.fromkeys(objects | {path for path, _ in paths}, number))
            yield


def _objects(ends: Iterable[End]) -> set[Path]:
    """Return the objects on the way to some ends."""
    return {path[:length] for path, _ in ends for length in range(1, len(path))}


def united(path_sets: Iterable[Paths]) -> Steps[set[End]]:
    """Return all ends of some path sets."""
    ends: set[End] = set()
    for paths in path_sets:
        ends |= paths
        yield
    return ends


def conflicts(rows: Mapping[Paths, int], settled: Collection[Path], most: int) -> Steps[dict[Paths, Misfit]]:
    """Return the path sets that do not fit with the others and why, given how many rows have each.

    Of more than the `most` paths that there may be, those that are `settled` stay before others.
    """
    ends = yield from united(rows)
    if _fit(ends, most):
        return {}
    census = Census()
    yield from census.count(rows)
    unfit = _names_that_clash(census)
    yield
    unfit |= _shapes_that_clash(census)
    yield
    unfit |= _beyond_the_bound(census, unfit, settled, most)
    misfits: dict[Paths, Misfit] = {}
    for paths in rows:
        if misfit := _misfit(paths, unfit):
            misfits[paths] = misfit
        yield
    return misfits


def _fit(ends: Collection[End], most: int) -> bool:
    """Tell whether nothing among all ends excludes anything else: the usual case."""
    objects = _objects(ends)
    paths = {path for path, _ in ends}
    places = objects | paths
    return (
        len(paths) <= most
        and not any(leaf and path in objects for path, leaf in ends)
        and len({".".join(path) for path in places}) == len(places)
    )


def _misfit(paths: Paths, unfit: Mapping[Mark, str]) -> Misfit | None:
    """Return why a path set does not fit: for one of its ends, or for an object on the way there."""
    for path, leaf in sorted(paths):
        marks: list[Mark] = [(path[:length], "object") for length in range(1, len(path))]
        marks += [(path, "end"), *([(path, "leaf")] if leaf else [])]
        for mark in marks:
            if mark in unfit:
                return path[0], unfit[mark]
    return None


def _shapes_that_clash(census: Census) -> dict[Mark, str]:
    """Find paths that are a leaf for some rows and an object for others."""
    leaves = {path: number for (path, leaf), number in census.ends.items() if leaf}
    unfit: dict[Mark, str] = {}
    for path in leaves.keys() & census.objects.keys():
        if leaves[path] >= census.objects[path]:
            unfit[path, "object"] = "holds an object where most rows hold a single value"
        else:
            unfit[path, "leaf"] = "holds a single value where most rows hold an object"
    return unfit


def _names_that_clash(census: Census) -> dict[Mark, str]:
    """Find paths that flatten to one dotted name, as a leaf or as an object: the one that most rows have wins."""
    by_name: dict[str, list[Path]] = {}
    for path in census.paths:
        by_name.setdefault(".".join(path), []).append(path)
    reason = "holds a key with a dot that flattens to the name of another value"
    losers = [
        path
        for paths in by_name.values()
        if len(paths) > 1
        for path in sorted(paths, key=lambda path: (census.paths[path], len(path), path))[:-1]
    ]
    return {(path, role): reason for path in losers for role in ("end", "object")}


def _beyond_the_bound(
    census: Census, unfit: Mapping[Mark, str], settled: Collection[Path], most: int
) -> dict[Mark, str]:
    """Find the rarest paths beyond what a snapshot may have."""
    totals: Counter[Path] = Counter()
    for (path, leaf), number in census.ends.items():
        if not _misfit(frozenset({(path, leaf)}), unfit):
            totals[path] += number
    ordered = sorted(totals, key=lambda path: (path not in settled, -totals[path], path))
    reason = f"holds a leaf beyond the {most} that all rows may have together: {KEEP_LESS}"
    return {(path, "end"): reason for path in ordered[most:]}


def room_for(tenants: int, settled: int) -> int:
    """Return how many leaves so many tenants may have, of which some were served before.

    Those stay in any case. At the start there are none, and rather than quarantine the rows of every tenant the
    read then fails.
    """
    return min(MOST_PATHS, max(settled, MOST_VALUES // max(1, tenants))) if settled else MOST_PATHS


def refuse_too_many(tree: Tree, tenants: int) -> None:
    """Raise TooManyLeaves if so many tenants may not have all leaves of a layout."""
    by_column = Counter(path[0] for path in leaves_of(tree))
    leaves = by_column.total()
    if leaves * tenants > MOST_VALUES:
        ((column, number),) = by_column.most_common(1)
        raise TooManyLeaves(
            f"The JSON of column {quoted(column)} has {number} different leaves, that of all columns {leaves}, and "
            f"each of {tenants} tenants gets them all: {leaves * tenants} values, where {MOST_VALUES} are the most."
        )
