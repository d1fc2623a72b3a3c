"""Warnings about a request: what no tenant meets is no error, since that depends on the rows of the moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tenantry.core.columns import Kind
from tenantry.core.errors import listed, nearest, quoted
from tenantry.core.layout import dotted
from tenantry.core.selection import Condition, Matching, Selection
from tenantry.core.snapshot import Snapshot
from tenantry.core.values import values_at
from tenantry.core.vocabulary import Place


def warnings_of(snapshot: Snapshot, selection: Selection) -> Iterator[str]:
    """Warn of names that lead to no text in any tenant."""
    if not snapshot.tenants:
        return
    asked: list[Condition | Matching] = [*selection.conditions, *selection.matchings]
    places = {clause.place.name: clause.place for clause in asked}
    for name, place in places.items():
        if place.make is not None or snapshot.fields[place.position].kind is not Kind.JSON:
            continue
        column = snapshot.fields[place.position].name
        tree = snapshot.tree.get(column, {})
        leaves = dotted(column, tree) if tree else [column]
        yield from _warning(name, list(_standing_at(snapshot, place)), leaves)


def _standing_at(snapshot: Snapshot, place: Place) -> Iterator[object]:
    """Return what each tenant has at a place of a JSON field."""
    for tenant in snapshot.tenants.values():
        value = tenant.values[place.position]
        yield from values_at(value, place.leaf) if place.leaf else [value]


def _warning(name: str, found: Sequence[object], leaves: Sequence[str]) -> Iterator[str]:
    if not found:
        yield f"no tenant has a leaf {quoted(name)} now, so none matches.{nearest(name, leaves)}"
    elif all(isinstance(value, str) for value in found) or any(isinstance(value, str) and value for value in found):
        return
    elif any(isinstance(value, dict) for value in found):
        below = [leaf for leaf in leaves if leaf.startswith(f"{name}.")]
        told = f" Its leaves: {listed(below)}." if below else ""
        yield f"{quoted(name)} is an object in JSON, which equals no text.{told}"
    else:
        yield f"{quoted(name)} is a list in JSON, which equals no text. Name an item by its number, as in {name}.0."
