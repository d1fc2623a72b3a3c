"""What a value is where a row has NULL: a field's default, then layers by other values, then the tenant's own.

JSON is merged key by key, so that a row, a layer and the default of a field may each say a part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenantry.core.columns import Kind
from tenantry.core.fields import Field
from tenantry.core.values import DECLARED, Json, NoText, refuse_controls, values_at


@dataclass(frozen=True, slots=True)
class Layer:
    """Defaults for the tenants that have some values, such as those of a tier."""

    when: tuple[tuple[str, frozenset[str]], ...]
    """Fields or dotted leaves, and the texts of which each must have one."""

    defaults: tuple[tuple[str, Json], ...]
    """By field."""


def merged(below: Json, above: Json) -> Json:
    """Return `above` where it says something, `below` elsewhere; raises NoText where only one of them is an object."""
    if above is None or above == {}:
        return above if below is None else below
    if below is None or below == {}:
        return above
    if isinstance(below, dict) != isinstance(above, dict):
        kind = "a single value" if isinstance(below, dict) else "an object"
        other = "an object" if isinstance(below, dict) else "a single value"
        raise NoText(f"holds {kind} where its default is {other}")
    if isinstance(below, dict) and isinstance(above, dict):
        return {key: merged(below.get(key), above.get(key)) for key in (*below, *(above.keys() - below.keys()))}
    return above


class Defaults:
    """The defaults of some fields, in the order of a row's values."""

    def __init__(self, fields: Sequence[Field], own: Mapping[str, Json], layers: Sequence[Layer]) -> None:
        """Take each field's default and the layers; raises NoText if those do not fit together or with the fields."""
        self._names = tuple(this.name for this in fields)
        self._positions = {name: position for position, name in enumerate(self._names)}
        self._base = tuple(_fitting(this, own.get(this.name)) for this in fields)
        self._layers: list[tuple[list[tuple[str, frozenset[str]]], list[tuple[int, Json]]]] = []
        for layer in layers:
            for name, _ in layer.when:
                self._place(name, fields)
            given = [(self._known(name), value) for name, value in layer.defaults]
            fitting = [(position, _fitting(fields[position], value)) for position, value in given]
            for position, value in fitting:
                merged(self._base[position], value)
            self._layers.append((list(layer.when), fitting))
        layered = {position for _, given in self._layers for position, _ in given}
        self._touched = sorted({*layered, *(n for n, value in enumerate(self._base) if value is not None)})

    def __bool__(self) -> bool:
        """Tell whether there is any default."""
        return bool(self._touched)

    def applied(self, own: list[Json]) -> list[Json]:
        """Return a tenant's values, NULL replaced; raises NoText as NotMerged, which tells the field."""
        below = list(self._base)
        for when, given in self._layers:
            if all(self._is_one_of(name, texts, own, below) for name, texts in when):
                for position, value in given:
                    below[position] = merged(below[position], value)
        for position in self._touched:
            try:
                own[position] = merged(below[position], own[position])
            except NoText as reason:
                raise NotMerged(self._names[position], str(reason)) from None
        return own

    def _is_one_of(self, name: str, texts: frozenset[str], own: Sequence[Json], below: Sequence[Json]) -> bool:
        field, leaf = self._place(name)
        position = self._positions[field]
        value = below[position] if own[position] is None else own[position]
        if not leaf:
            return isinstance(value, str) and value in texts
        found = values_at(own[position], leaf) or values_at(below[position], leaf)
        return any(isinstance(text, str) and text in texts for text in found)

    def _known(self, name: str) -> int:
        if name not in self._positions:
            raise NoText(f"is given to {name!r}, which is no field ({', '.join(self._names)})")
        return self._positions[name]

    def _place(self, name: str, fields: Sequence[Field] = ()) -> tuple[str, str]:
        """Return the field and the dotted leaf that a name means; raises NoText if there is no such field."""
        if name in self._positions:
            return name, ""
        for field in self._names:
            if name.startswith(f"{field}.") and (not fields or fields[self._positions[field]].kind is Kind.JSON):
                return field, name[len(field) + 1 :]
        raise NoText(f"depends on {name!r}, which is neither a field nor a leaf of a JSON field")


def _fitting(this: Field, value: Json) -> Json:
    """Return a default as the field can have it: only JSON knows of types and leaves."""
    if this.kind is Kind.JSON or value is None:
        return value
    if not isinstance(value, str):
        raise NoText(f"of {this.name!r} has leaves, but the field is no JSON")
    try:
        if not this.shape.is_free:
            refuse_controls(value)
        canonical = DECLARED.get(this.kind)
        return canonical(str(value)) if canonical else str(value)
    except NoText as reason:
        raise NoText(f"of {this.name!r} {reason}") from None


class NotMerged(NoText):
    """A value does not fit its default; tells of which field."""

    def __init__(self, field: str, reason: str) -> None:
        """Take the field and the reason."""
        super().__init__(reason)
        self.field = field
