"""Values of a request as text: matrix interpolation makes text of all of them, so all are compared as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from tenantry.core.errors import InvalidParameter, quoted
from tenantry.core.values import NoText, number_text

_WRITTEN_BY_GO = re.compile(r"-?[1-9](\.[0-9]+)?e\+[0-9]{2}")
"""A float from a million up, as Go's `%v` has it: one digit before the point, two of the exponent."""

_FIRST_INEXACT = 1 << 53
"""From here on a float stands for several whole numbers, so nobody knows which one was meant."""


def text_of(name: str, value: object) -> str:
    """Write a scalar as a field of the answer is written; raises InvalidParameter for no scalar."""
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


def forms(text: str) -> Iterator[str]:
    """Yield a text, and the whole number that Go writes as that text: a matrix makes `1e+06` of 1000000.

    Otherwise such a row would ask for nobody, and an empty answer deletes.
    """
    yield text
    if _WRITTEN_BY_GO.fullmatch(text) and abs(number := Decimal(text)) < _FIRST_INEXACT and number == int(number):
        yield str(int(number))
