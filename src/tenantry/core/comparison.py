"""Differences between our parameter sets and another plugin's, by tenant and field, as Argo CD would render them.

Argo CD decodes every JSON number into a float, which templates then print as Go does: 1000000 becomes `1e+06`. And
`false` is not the text "false": to `{{ if }}` the text is true. So only texts equal texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

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

_SMALLEST_PLAIN, _LARGEST_PLAIN = -4, 5
"""Exponents of ten between which Go's `%v` prints a float without one."""


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
        Difference(tenant, *found)
        for name in sorted((ours.keys() | theirs.keys()) - ignored)
        for found in _unlike(name, ours.get(name, _MISSING), theirs.get(name, _MISSING))
    ]


class _Missing:
    """In the place of a value that one side does not have."""


_MISSING = _Missing()


def _unlike(field: str, ours: object, theirs: object) -> Iterator[tuple[str, str, str]]:
    """Find where two values differ, down to the leaves that Argo CD would flatten them to."""
    if (isinstance(ours, dict) and isinstance(theirs, dict)) or (isinstance(ours, list) and isinstance(theirs, list)):
        our_steps, their_steps = _steps(ours), _steps(theirs)
        for key in dict.fromkeys((*our_steps, *their_steps)):
            yield from _unlike(f"{field}.{key}", our_steps.get(key, _MISSING), their_steps.get(key, _MISSING))
        return
    (our_text, our_kind), (their_text, their_kind) = _rendered(ours), _rendered(theirs)
    if our_text != their_text or our_kind != their_kind:
        yield field, our_text, their_text


def _steps(value: dict[str, object] | list[object]) -> dict[str, object]:
    """Return what lies below an object, in order of its keys, or below a list, in order."""
    if isinstance(value, dict):
        return dict(sorted(value.items()))
    return {str(n): item for n, item in enumerate(value)}


def _rendered(value: object) -> tuple[str, str]:
    """Write a value as Argo CD renders it, and the name of its type, which the text has for all but texts."""
    match value:
        case str():
            return value, "text"
        case _Missing():
            return ABSENT, "missing"
        case None:
            text, kind = "<nil>", "null"
        case bool():
            text, kind = text_of(value), "boolean"
        case int() | float():
            text, kind = _number(value), "number"
        case list():
            text, kind = text_of(value), "list"
        case _:
            text, kind = text_of(value), "object"
    return f"{text} ({kind})", kind


def _number(value: float) -> str:
    """Write a number as Go prints the float that it decodes to: shortest, with an exponent from a million up."""
    try:
        number = Decimal(repr(float(value))).normalize()
    except OverflowError:
        return "out of range"
    if not number or _SMALLEST_PLAIN <= number.adjusted() <= _LARGEST_PLAIN:
        return format(number, "f")
    mantissa = number.scaleb(-number.adjusted())
    return f"{mantissa:f}e{number.adjusted():+03d}"


def text_of(value: object) -> str:
    """Write a value by which tenants are matched: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
