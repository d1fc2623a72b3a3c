"""Which tenants an ApplicationSet asks for: its input parameters as one predicate over a snapshot.

Whether a request is an error depends on the names of the columns, never on the rows of the moment: offboarding
the last tenant that has some JSON leaf must not freeze the ApplicationSets that ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tenantry.core.columns import Column, Kind
from tenantry.core.errors import InvalidParameter, UnknownParameter, UnsupportedParameter, listed, nearest, quoted
from tenantry.core.steps import Steps, sliced_by_size
from tenantry.core.tenant import Tenant, size_of
from tenantry.core.values import Nested, NoText, number_text

RESERVED = frozenset({"selector", "view", "shard", "allowEmpty"})
"""Input parameters with a meaning of their own, which this version does not serve yet."""

_WRITTEN_BY_GO = re.compile(r"-?[1-9](\.[0-9]+)?e\+[0-9]{2}")
"""A float from a million up, as Go's `%v` has it: one digit before the point, two of the exponent."""

_FIRST_INEXACT = 1 << 53
"""From here on a float stands for several whole numbers, so nobody knows which one was meant."""


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A field, or a leaf of a JSON column, whose text must be one of some values."""

    field: str
    position: int
    leaf: str
    values: frozenset[str]

    def holds(self, tenant: Tenant) -> bool:
        """Tell whether a tenant meets the condition; a leaf that it does not have meets none."""
        value = tenant.values[self.position]
        if not self.leaf:
            return isinstance(value, str) and value in self.values
        return any(isinstance(leaf, str) and leaf in self.values for leaf in values_at(value, self.leaf))


@dataclass(frozen=True, slots=True)
class Selection:
    """All conditions of a request; a tenant must meet every one."""

    conditions: tuple[Condition, ...] = ()

    def of(self, tenants: Sequence[Tenant]) -> Steps[list[Tenant]]:
        """Return the tenants that meet the conditions, in their order."""
        found: list[Tenant] = []
        for some in sliced_by_size(tenants, size_of):
            chosen: Sequence[Tenant] = some
            for condition in self.conditions:
                chosen = [tenant for tenant in chosen if condition.holds(tenant)]
            found += chosen
            yield
        return found


def parse_selection(parameters: Mapping[str, object], fields: Sequence[Column], application_set: str) -> Selection:
    """Understand input parameters against the fields that there are; raises RequestRefused."""
    conditions = [_condition(name, value, fields, application_set) for name, value in sorted(parameters.items())]
    return Selection(tuple(conditions))


def _condition(name: str, value: object, fields: Sequence[Column], application_set: str) -> Condition:
    if name in RESERVED:
        raise UnsupportedParameter(f"Input parameter {quoted(name)} is not served by this version of tenantry.")
    for position, column in enumerate(fields):
        if name == column.name:
            return Condition(name, position, "", _texts(name, value))
        if column.kind is Kind.JSON and name.startswith(f"{column.name}.") and len(name) > len(column.name) + 1:
            return Condition(name, position, name[len(column.name) + 1 :], _texts(name, value))
    known = [column.name for column in fields]
    dotted = [column.name for column in fields if column.kind is Kind.JSON]
    hint = f" (dots reach into {listed(dotted)})" if dotted else ""
    raise UnknownParameter(
        f"Unknown input parameter {quoted(name)} from ApplicationSet {quoted(application_set)}. "
        f"Known: {listed(known)}{hint}.{nearest(name, known)}"
    )


def _texts(name: str, value: object) -> frozenset[str]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise InvalidParameter(f"Input parameter {quoted(name)} is an empty list, which would match no tenant.")
    return frozenset(text for one in values for text in _forms(_text(name, one)))


def _forms(text: str) -> Iterator[str]:
    """Yield a text, and the whole number that Go writes as that text: a matrix makes `1e+06` of 1000000.

    Otherwise such a row would ask for nobody, and an empty answer deletes.
    """
    yield text
    if _WRITTEN_BY_GO.fullmatch(text) and abs(number := Decimal(text)) < _FIRST_INEXACT and number == int(number):
        yield str(int(number))


def _text(name: str, value: object) -> str:
    """Write a value of the request as a field of the answer is written: matrix interpolation makes all of them text."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            try:
                return number_text(str(value))
            except NoText as reason:
                raise InvalidParameter(f"Input parameter {quoted(name)} {reason}.") from None
    kind = "null" if value is None else "an object" if isinstance(value, dict) else "a list in a list"
    raise InvalidParameter(f"Input parameter {quoted(name)} is {kind}, which no field can equal.")


def values_at(value: Nested, path: str) -> list[Nested]:
    """Return what stands at a dotted path, named as Argo CD flattens it; a key may have dots of its own."""
    if isinstance(value, str):
        return []
    found: list[Nested] = []
    for key, below in value.items() if isinstance(value, dict) else ((str(n), item) for n, item in enumerate(value)):
        if path == key:
            found.append(below)
        elif path.startswith(f"{key}."):
            found += values_at(below, path[len(key) + 1 :])
    return found
