"""Differences between our parameter sets and another plugin's, by tenant and field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

ParameterSet = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Difference:
    """One tenant, or one field of a tenant, that is not the same on both sides."""

    tenant: str
    field: str
    """Empty where the whole tenant is on one side only."""

    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two answers to one question have in common and what not."""

    tenants: int
    """Tenants on both sides."""

    differences: tuple[Difference, ...]
    only_ours: tuple[str, ...]
    """Fields that only we have: listed, not counted, since templates cannot use them yet."""


ABSENT = "(absent)"
PRESENT = "(present)"


def compare(ours: Sequence[ParameterSet], theirs: Sequence[ParameterSet], id_field: str) -> Comparison:
    """Compare two answers by the text of `id_field`; tenants are matched by id, wherever they stand in the list."""
    our_tenants, twice_ours = _by_id(ours, id_field)
    their_tenants, twice_theirs = _by_id(theirs, id_field)
    our_fields = {name for item in ours for name in item}
    their_fields = {name for item in theirs for name in item}
    only_ours = tuple(sorted(our_fields - their_fields)) if theirs else ()
    found = [Difference(tenant, "", "once", "twice") for tenant in twice_theirs]
    found += [Difference(tenant, "", "twice", "once") for tenant in twice_ours]
    for tenant in sorted(our_tenants.keys() | their_tenants.keys()):
        found += _differences(tenant, our_tenants.get(tenant), their_tenants.get(tenant), set(only_ours))
    return Comparison(len(our_tenants.keys() & their_tenants.keys()), tuple(found), only_ours)


def _by_id(items: Sequence[ParameterSet], id_field: str) -> tuple[dict[str, ParameterSet], list[str]]:
    counts = Counter(text_of(item.get(id_field)) for item in items)
    twice = sorted(tenant for tenant, number in counts.items() if number > 1)
    return {text_of(item.get(id_field)): item for item in items}, twice


def _differences(
    tenant: str, ours: ParameterSet | None, theirs: ParameterSet | None, ignored: set[str]
) -> list[Difference]:
    if ours is None:
        return [Difference(tenant, "", ABSENT, PRESENT)]
    if theirs is None:
        return [Difference(tenant, "", PRESENT, ABSENT)]
    return [
        Difference(tenant, name, _shown(ours, name), _shown(theirs, name))
        for name in sorted((ours.keys() | theirs.keys()) - ignored)
        if _shown(ours, name) != _shown(theirs, name)
    ]


def _shown(item: ParameterSet, name: str) -> str:
    return text_of(item[name]) if name in item else ABSENT


def text_of(value: object) -> str:
    """Write a value as a template would see it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
