"""The common shape of JSON columns, so that every parameter set has the same keys.

A leaf is text or a list; an object is never a leaf. Each JSON value contributes the paths of its leaves; the
layout is the union of all paths. `null` and `{}` fit a leaf and an object alike. Which rows' paths fit together is
`fitting`'s concern.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from tenantry.core.values import BooleanText, Json, Nested, NoText, NumberText

Path: TypeAlias = tuple[str, ...]
"""The keys from a column down to a value; the column's name comes first."""

End: TypeAlias = tuple[Path, bool]
"""Where a value ends: the path, and whether a leaf (rather than null or `{}`) stands there."""

Paths: TypeAlias = frozenset[End]
"""All ends of a row's JSON values."""

Tree: TypeAlias = "dict[str, Tree]"
"""A layout: keys to what is below them; an empty mapping is a leaf."""

MOST_PATHS_OF_A_ROW = 500
"""Leaves that the JSON of one row may have: each becomes a key of every parameter set."""

KEEP_LESS = "keep in it only what templates need"
"""What to do about JSON with too many leaves."""


def paths_of(column: str, value: Json) -> Paths:
    """Return where a JSON value ends; raises NoText if it has too many leaves."""
    found: list[End] = []
    _collect((column,), value, found)
    if len(found) > MOST_PATHS_OF_A_ROW:
        raise NoText(f"has more than {MOST_PATHS_OF_A_ROW} leaves: {KEEP_LESS}")
    return frozenset(found)


def _collect(path: Path, value: Json, found: list[End]) -> None:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            _collect((*path, key), below, found)
    else:
        found.append((path, not (value is None or value == {})))


def tree_of(ends: Iterable[End]) -> Tree:
    """Merge ends that fit together into one layout, its keys in order."""
    tree: Tree = {}
    for path, _ in sorted(ends):
        below = tree
        for key in path:
            below = below.setdefault(key, {})
    return tree


def leaves_of(tree: Tree, above: Path = ()) -> Iterator[Path]:
    """Give the paths of a layout's leaves."""
    for key, below in tree.items():
        if below:
            yield from leaves_of(below, (*above, key))
        else:
            yield (*above, key)


def dotted(prefix: str, tree: Tree) -> list[str]:
    """Return the names of a layout's leaves, as Argo CD flattens them."""
    return [".".join(path) for path in leaves_of(tree, (prefix,))]


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
            # Without the type that it has in JSON, which encoders do not know.
            return value if type(value) is str else str(value)
        case list():
            return [_leaf(item) for item in value] or "[]"
        case dict():
            return {key: _leaf(item) for key, item in sorted(value.items())} or "{}"


def laid_out_natively(value: Json, tree: Tree) -> object:
    """Do as `laid_out`, for an encoder: leaves keep their JSON type, and empty lists and objects stay."""
    if not tree:
        return _native_leaf(value)
    found = value if isinstance(value, dict) else {}
    return {key: laid_out_natively(found.get(key), below) for key, below in tree.items()}


def _native_leaf(value: Json) -> object:
    match value:
        case None:
            return ""
        case NumberText():
            return native_number(value)
        case BooleanText():
            return value == "true"
        case str():
            return value
        case list():
            return [_native_leaf(item) for item in value]
        case dict():
            return {key: _native_leaf(item) for key, item in sorted(value.items())}


def native_number(text: str) -> object:
    """Return a number of JSON, every digit as it is."""
    return msgspec.Raw(text.encode())
