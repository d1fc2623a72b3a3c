"""The common shape of JSON columns, so that every parameter set has the same keys.

A leaf is text or a list; an object is never a leaf. Each JSON value contributes the paths of its leaves; the
layout is the union of all paths. `null` and `{}` fit a leaf and an object alike. Two shapes exclude each other:
an object where others have a leaf, and two paths that flatten to one dotted name. The rows of the rarer shape
are then quarantined, so that one odd row never stops the many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from tenantry.core.values import Json, Nested, NoText

Path: TypeAlias = tuple[str, ...]
"""The keys from a column down to a value; the column's name comes first."""

End: TypeAlias = tuple[Path, bool]
"""Where a value ends: the path, and whether a leaf (rather than null or `{}`) stands there."""

Paths: TypeAlias = frozenset[End]
"""All ends of a row's JSON values."""

Mark: TypeAlias = tuple[Path, str]
"""A path that does not fit in some role: as a `leaf`, as an `object` on the way, or as any `end`."""

Misfit: TypeAlias = tuple[str, str]
"""Why a row's JSON does not fit with the others': the column, and the reason."""

Tree: TypeAlias = "dict[str, Tree]"
"""A layout: keys to what is below them; an empty mapping is a leaf."""

MOST_PATHS_OF_A_ROW = 500
"""Leaves that the JSON of one row may have: each becomes a key of every parameter set."""

MOST_PATHS = 2000
"""Leaves that a snapshot may have in all."""


def paths_of(column: str, value: Json) -> Paths:
    """Return where a JSON value ends; raises NoText if it has too many leaves."""
    found: list[End] = []
    _collect((column,), value, found)
    if len(found) > MOST_PATHS_OF_A_ROW:
        raise NoText(f"has more than {MOST_PATHS_OF_A_ROW} leaves")
    return frozenset(found)


def _collect(path: Path, value: Json, found: list[End]) -> None:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            _collect((*path, key), below, found)
    else:
        found.append((path, not (value is None or value == {})))


class Census:
    """How many rows have each end, each object on the way, or either; many leaves of one row count once."""

    def __init__(self, rows: Mapping[Paths, int]) -> None:
        """Count, given how many rows have each set of paths."""
        self.ends: Counter[End] = Counter()
        self.objects: Counter[Path] = Counter()
        self.paths: Counter[Path] = Counter()
        for paths, number in rows.items():
            objects = {path[:length] for path, _ in paths for length in range(1, len(path))}
            self.ends.update(dict.fromkeys(paths, number))
            self.objects.update(dict.fromkeys(objects, number))
            self.paths.update(dict.fromkeys(objects | {path for path, _ in paths}, number))


def conflicts(rows: Mapping[Paths, int]) -> dict[Paths, Misfit]:
    """Return the path sets that do not fit with the others and why, given how many rows have each."""
    census = Census(rows)
    unfit = _names_that_clash(census) | _shapes_that_clash(census)
    unfit |= _beyond_the_bound(census, unfit)
    if not unfit:
        return {}
    return {paths: misfit for paths in rows if (misfit := _misfit(paths, unfit))}


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
    for path in sorted(census.paths, key=lambda path: (census.paths[path], len(path), path)):
        by_name.setdefault(".".join(path), []).append(path)
    reason = "holds a key with a dot that flattens to the name of another value"
    losers = [path for paths in by_name.values() for path in paths[:-1]]
    return {(path, role): reason for path in losers for role in ("end", "object")}


def _beyond_the_bound(census: Census, unfit: Mapping[Mark, str]) -> dict[Mark, str]:
    """Find the rarest paths beyond what a snapshot may have."""
    totals: Counter[Path] = Counter()
    for (path, leaf), number in census.ends.items():
        if not _misfit(frozenset({(path, leaf)}), unfit):
            totals[path] += number
    ordered = sorted(totals, key=lambda path: (-totals[path], path))
    return {
        (path, "end"): f"holds a leaf beyond the {MOST_PATHS} that a snapshot may have" for path in ordered[MOST_PATHS:]
    }


def tree_of(path_sets: Iterable[Paths]) -> Tree:
    """Merge path sets that fit together into one layout, its keys in order."""
    tree: Tree = {}
    for path, _ in sorted(set().union(*path_sets)):
        below = tree
        for key in path:
            below = below.setdefault(key, {})
    return tree


def dotted(prefix: str, tree: Tree) -> list[str]:
    """Return the names of a layout's leaves, as Argo CD flattens them."""
    return [name for key, below in tree.items() for name in (dotted(f"{prefix}.{key}", below) or [f"{prefix}.{key}"])]


def laid_out(value: Json, tree: Tree) -> Nested:
    """Return `value` with every leaf of the layout: what is missing or null is the empty text."""
    if not tree:
        return _leaf(value)
    found = value if isinstance(value, dict) else {}
    return {key: laid_out(found.get(key), below) for key, below in tree.items()}


def _leaf(value: Json) -> Nested:
    """Return a leaf; an empty list or object as the text `[]` or `{}`, since flattening would drop its key."""
    match value:
        case None:
            return ""
        case str():
            return value
        case list():
            return [_leaf(item) for item in value] or "[]"
        case dict():
            return {key: _leaf(item) for key, item in sorted(value.items())} or "{}"
