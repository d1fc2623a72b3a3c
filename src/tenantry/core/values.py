"""Canonical text: one value, one text, whichever database it came from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from tenantry.core.columns import Kind

Nested: TypeAlias = "str | list[Nested] | dict[str, Nested]"
"""A value of a parameter: text, or JSON whose leaves are text."""

Json: TypeAlias = "str | list[Json] | dict[str, Json] | None"
"""Parsed JSON whose scalars are canonical text already; None is JSON's null."""

DEEPEST = 32
"""Levels of nesting that a JSON value may have."""

_LARGEST_EXPONENT = 400
_STAMP = re.compile(r"(\d{4,}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:\+00(?::?00)?|Z)?")


class NoText(Exception):
    """A value that has no canonical text: the reason why a row is quarantined, in words without data."""


def number_text(text: str) -> str:
    """Write a number without exponent, keeping its scale: `1.50` stays, `1e+20` is spelt out."""
    if not text.isascii():
        # Digits of other scripts are some to Python, and neither to JSON nor to a database.
        raise NoText("is not a number")
    if text.isdigit() or (text[:1] == "-" and text[1:].isdigit()):
        return text if text != "-0" else "0"
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise NoText("is not a number") from None
    if not number.is_finite():
        raise NoText("is not a finite number")
    if abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise NoText("is a number beyond 400 digits")
    return format(number or abs(number), "f")


def timestamp_text(text: str) -> str:
    """Write a moment as `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`; what is no plain moment (`infinity`) stays as it is."""
    found = _STAMP.fullmatch(text)
    if found:
        day, time, fraction = found.groups()
        return f"{day}T{time}{'.' + fraction.ljust(6, '0') if fraction and fraction.strip('0') else ''}Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if "T" not in text and " " not in text:
        return text
    in_utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return in_utc.isoformat().replace("+00:00", "Z")


def boolean_text(text: str) -> str:
    """Write `1`, `0` and the databases' words for them as `true` and `false`."""
    return {"1": "true", "t": "true", "true": "true", "0": "false", "f": "false", "false": "false"}.get(
        text.lower(), text
    )


class NumberText(str):
    """The digits of a JSON number, apart from a text that looks like one."""

    __slots__ = ()


class BooleanText(str):
    """`true` or `false` of JSON, apart from a text that looks like one."""

    __slots__ = ()


def parse_json(text: str) -> Json:
    """Parse JSON, its scalars as canonical text that knows its type; raises NoText with the reason."""
    try:
        value: Json = _spelt(
            json.loads(
                text,
                parse_int=NumberText,
                parse_float=_Float,
                parse_constant=_refuse_constant,
                object_pairs_hook=_object,
            ),
            0,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except NoText:
        raise
    except (ValueError, RecursionError):
        raise NoText("is not valid JSON") from None
    return value


class _Float(NumberText):
    """A JSON number that may have an exponent."""

    __slots__ = ()


def _refuse_constant(_: str) -> None:
    raise NoText("holds NaN or Infinity")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NoText("has a JSON key twice")
    return found


def _spelt(value: object, depth: int) -> Json:
    if depth > DEEPEST:
        raise NoText(f"is nested deeper than {DEEPEST} levels")
    match value:
        case None:
            return None
        case bool():
            return BooleanText("true" if value else "false")
        case _Float():
            return NumberText(number_text(str(value)))
        case str():
            return value
        case list():
            return [_spelt(item, depth + 1) for item in value]
        case dict():
            return {key: _spelt(item, depth + 1) for key, item in value.items()}
    raise NoText("is not valid JSON")


def plain_text(value: object) -> str:
    """Return a raw value as text: databases give text, but SQLite gives each value a type of its own."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return number_text(repr(value).removesuffix(".0"))
        case bytes():
            raise NoText("holds bytes that are not text")
    raise NoText(f"has a type that tenantry cannot write as text ({type(value).__name__})")


def declared_boolean(text: str) -> str:
    """Write what is declared to be a boolean as `true` or `false`; raises NoText if it is neither."""
    canonical = boolean_text(text)
    if canonical not in ("true", "false"):
        raise NoText("is not a boolean")
    return canonical


def declared_number(text: str) -> str:
    """Write what is declared to be a number as JSON has it, without leading zeros; raises NoText if it is none."""
    canonical = number_text(text.strip())
    return format(Decimal(canonical), "f") if canonical.lstrip("-").startswith("0") else canonical


DECLARED: dict[Kind, Callable[[str], str]] = {Kind.BOOLEAN: declared_boolean, Kind.NUMBER: declared_number}
"""How text is made canonical that the configuration, not the database, says to be of a kind."""

CANONICAL: dict[Kind, Callable[[str], str]] = {
    Kind.BOOLEAN: boolean_text,
    Kind.NUMBER: number_text,
    Kind.TIMESTAMP: timestamp_text,
}
"""How text of each kind is made canonical; text itself and dates are as the database writes them."""


_DIGITS = 10
"""Of the number of an item in a list, more than which no list has."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
CONTROL_REASON = "holds a line break or control character, which only a field that is declared as text may have"


def refuse_controls(text: str) -> None:
    """Raise NoText for line breaks and control characters: in a template they may begin a key of their own."""
    if not text.isprintable() and _CONTROL.search(text):
        raise NoText(CONTROL_REASON)


def refuse_beyond_float(value: Json, *, is_number: bool = False) -> None:
    """Raise NoText for a number that is to stay one and that no float holds: Go then reads nothing of the answer."""
    match value:
        case NumberText():
            _refuse_infinite(value)
        case str():
            if is_number:
                _refuse_infinite(value)
        case list():
            for item in value:
                refuse_beyond_float(item)
        case dict():
            for item in value.values():
                refuse_beyond_float(item)


def _refuse_infinite(text: str) -> None:
    if math.isinf(float(text)):
        raise NoText("is a number that no float holds, which a native field cannot be")


def values_at(value: object, path: str) -> list[object]:
    """Return what stands at a dotted path, named as Argo CD flattens it; a key may have dots of its own."""
    if isinstance(value, list):
        key, dot, rest = path.partition(".")
        if not (key.isascii() and key.isdigit() and len(key) < _DIGITS and str(int(key)) == key):
            return []
        items = value[int(key) : int(key) + 1]
        return items if not dot else [found for item in items for found in values_at(item, rest)]
    if not isinstance(value, dict):
        return []
    # A path may have more dots than there are keys: whoever asks chooses its length.
    few = path.count(".") < len(value)
    keys = [key for key in _beginnings(path) if key in value] if few else [key for key in value if _begins(path, key)]
    found: list[object] = []
    for key in keys:
        found += [value[key]] if len(key) == len(path) else values_at(value[key], path[len(key) + 1 :])
    return found


def _beginnings(path: str) -> list[str]:
    """Return what stands before each dot of a path, and the path."""
    ends = [number for number, character in enumerate(path) if character == "."]
    return [*(path[:end] for end in ends), path]


def _begins(path: str, key: str) -> bool:
    return path == key or (path.startswith(key) and path[len(key) : len(key) + 1] == ".")


def texts_in(value: object) -> list[str]:
    """Return all texts of a value, whatever is around them."""
    match value:
        case str():
            return [value]
        case list():
            return [text for item in value for text in texts_in(item)]
        case dict():
            return [text for item in value.values() for text in texts_in(item)]
    return []
