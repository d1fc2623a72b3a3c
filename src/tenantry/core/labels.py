"""Kubernetes label selectors: read, match, write.

The text is read as `k8s.io/apimachinery/pkg/labels` reads it (`Parse` in its selector.go), which the scenarios hold
against the original, but for two things that are refused: `in ()`, which Kubernetes takes for `in ("")` and which would
empty an answer in silence, and a NUL, at which Kubernetes may stop to read.

In `matchLabels` and `matchExpressions` values are free text, as in Argo CD's own selector (its `utils/selector.go`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tenantry.core.asked import forms, text_of
from tenantry.core.errors import InvalidSelector, listed, nearest, quoted

MOST_REQUIREMENTS = 64
"""Requirements of one selector: each is held against every tenant."""


class Operator(enum.StrEnum):
    """What a requirement asks of a label's value."""

    IN = "in"
    NOT_IN = "notin"
    EQUALS = "="
    DOUBLE_EQUALS = "=="
    NOT_EQUALS = "!="
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    GREATER_THAN = ">"
    LESS_THAN = "<"


POSITIVE = (Operator.IN, Operator.EQUALS, Operator.DOUBLE_EQUALS)
"""A label must be there and have one of the values."""

NEGATIVE = (Operator.NOT_IN, Operator.NOT_EQUALS)
"""A label may have anything else, or not be there."""

_SETS = (Operator.IN, Operator.NOT_IN)
_COMPARISONS = (Operator.GREATER_THAN, Operator.LESS_THAN)
_OF_EXPRESSIONS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
    "Gt": Operator.GREATER_THAN,
    "Lt": Operator.LESS_THAN,
}
_KEYS_OF_AN_EXPRESSION = ("key", "operator", "values")
_KEYS_OF_A_SELECTOR = ("matchExpressions", "matchLabels")

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LONGEST_PREFIX = 253
_SURELY_INT64 = 19
"""Fewer digits are."""

_INT64 = re.compile(r"[+-]?[0-9]+")
_TOKEN = re.compile(r"[ \t\r\n]*(?:(==|!=|[=!(),<>])|([^ \t\r\n=!(),<>]+))")
_BLANKS = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One part of a selector; all must hold."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()
    """In order, none twice."""

    def matches(self, value: str | None) -> bool:
        """Tell whether a label's value meets it; None is a label that is not there."""
        return self.predicate()(value)

    def predicate(self) -> Callable[[str | None], bool]:
        """Return what `matches` tells, prepared for many values."""
        values = frozenset(self.values)
        match self.operator:
            case Operator.EXISTS:
                return lambda value: value is not None
            case Operator.DOES_NOT_EXIST:
                return lambda value: value is None
            case Operator.GREATER_THAN | Operator.LESS_THAN:
                return self._comparison()
            case Operator.NOT_IN | Operator.NOT_EQUALS:
                return lambda value: value not in values
        # None is in no set of texts.
        return lambda value: value in values

    def _comparison(self) -> Callable[[str | None], bool]:
        limit, greater = _int64(self.values[0]), self.operator is Operator.GREATER_THAN

        def holds(value: str | None) -> bool:
            number = None if value is None else _int64(value)
            if number is None or limit is None:
                return False
            return number > limit if greater else number < limit

        return holds

    def __str__(self) -> str:
        """Write it as Kubernetes does."""
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.DOES_NOT_EXIST:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator.value} ({','.join(self.values)})"
        return f"{self.key}{self.operator.value}{self.values[0]}"


def written(requirements: Sequence[Requirement]) -> str:
    """Write a selector as Kubernetes does."""
    return ",".join(map(str, requirements))


def _int64(text: str) -> int | None:
    """Read a number as Go's `strconv.ParseInt` does with base 10 and 64 bits; None where it would not."""
    if len(text) < _SURELY_INT64 and text.isascii() and text.isdigit():
        return int(text)
    # The longest has 19 digits; leading zeros may make it longer.
    if not _INT64.fullmatch(text):
        return None
    digits = text.lstrip("+-").lstrip("0")
    number = int(f"{'-' if text[0] == '-' else ''}{digits or '0'}") if len(digits) < 20 else 1 << 64
    return number if -(1 << 63) <= number < 1 << 63 else None


# --- text ---


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """Read a selector; the empty one has no requirements. Raises InvalidSelector, which tells where."""
    if "\0" in text:
        raise InvalidSelector("The selector holds a NUL character.")
    return _Parser(text).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    position: int
    is_symbol: bool = False

    @property
    def told(self) -> str:
        where = f" at character {self.position + 1}"
        return f"the end{where}" if not self.text else f"{quoted(self.text)}{where}"


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0

    def parse(self) -> tuple[Requirement, ...]:
        found: list[Requirement] = []
        while self._peek().text or found:
            found.append(self._requirement())
            if len(found) > MOST_REQUIREMENTS:
                raise _too_many()
            token = self._take()
            if not token.text:
                break
            if not _is(token, ","):
                raise _unexpected(token, "',' or the end")
        return tuple(sorted(set(found)))

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        # The end stays the next token for ever.
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _requirement(self) -> Requirement:
        token = self._take()
        negated = _is(token, "!")
        if negated:
            token = self._take()
        if token.is_symbol or not token.text:
            raise _unexpected(token, "a key" if negated else "a key or '!'")
        key = _checked_key(token.text, f" at character {token.position + 1}")
        if negated:
            return Requirement(key, Operator.DOES_NOT_EXIST)
        if not self._peek().text or _is(self._peek(), ","):
            return Requirement(key, Operator.EXISTS)
        operator = self._operator()
        values = self._set(operator) if operator in _SETS else (self._value(operator),)
        return Requirement(key, operator, tuple(sorted(set(values))))

    def _operator(self) -> Operator:
        token = self._take()
        known = [operator.value for operator in (*POSITIVE, *NEGATIVE, *_COMPARISONS)]
        if token.text not in known:
            raise _unexpected(token, f"one of {', '.join(known)}")
        return Operator(token.text)

    def _value(self, operator: Operator) -> str:
        token = self._peek()
        if not token.text or _is(token, ","):
            value = ""
        elif token.is_symbol:
            raise _unexpected(token, "a value")
        else:
            value = _checked_value(self._take())
        if operator in _COMPARISONS and _int64(value) is None:
            raise InvalidSelector(f"The selector compares by {operator.value!r} with {token.told}: no whole number.")
        return value

    def _set(self, operator: Operator) -> list[str]:
        """Read `(a,b)`; nothing between two commas, or a comma and a bracket, is the empty text."""
        if not _is(token := self._take(), "("):
            raise _unexpected(token, "'('")
        if _is(self._peek(), ")"):
            if operator is Operator.IN:
                raise InvalidSelector(
                    f"The selector has an empty set before {self._peek().told}, which would match no tenant."
                )
            self._take()
            return [""]
        values: list[str] = []
        wants_value = True
        while True:
            token = self._take()
            if _is(token, ",") or _is(token, ")"):
                values += [""] if wants_value else []
                if token.text == ")":
                    return values
                wants_value = True
            elif token.text and not token.is_symbol and wants_value:
                values.append(_checked_value(token))
                wants_value = False
            else:
                raise _unexpected(token, "a value, ',' or ')'" if wants_value else "',' or ')'")


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while found := _TOKEN.match(text, position):
        symbol, word = found.groups()
        yield _Token(symbol or word, found.start(1 if symbol else 2), is_symbol=bool(symbol))
        position = found.end()
    yield _Token("", len(text))


def _is(token: _Token, symbol: str) -> bool:
    return token.is_symbol and token.text == symbol


def _unexpected(token: _Token, expected: str) -> InvalidSelector:
    return InvalidSelector(f"The selector has {token.told}, where {expected} belongs.")


def _too_many() -> InvalidSelector:
    return InvalidSelector(f"The selector has more than {MOST_REQUIREMENTS} requirements.")


def _checked_key(key: str, where: str = "") -> str:
    """Return a key that is a qualified name; raises InvalidSelector."""
    prefix, slash, name = key.rpartition("/")
    sound = bool(_NAME.fullmatch(name)) and (
        not slash or bool(len(prefix) <= _LONGEST_PREFIX and _PREFIX.fullmatch(prefix))
    )
    if not sound:
        raise InvalidSelector(
            f"The selector has the key {quoted(key)}{where}, which is no label key: letters, digits, '-', '_' and '.', "
            "at most 63, after at most one DNS prefix and '/'."
        )
    return key


def _checked_value(token: _Token) -> str:
    if not _NAME.fullmatch(token.text):
        raise InvalidSelector(
            f"The selector has {token.told}, which is no label value: letters, digits, '-', '_' and '.', at most 63. "
            "For other values give the selector as an object with matchExpressions."
        )
    return token.text


# --- objects ---


def selector_of(document: object) -> tuple[Requirement, ...]:
    """Read a selector as text, or as an object with `matchLabels` and `matchExpressions`; raises InvalidSelector.

    One without requirements is refused: it would select every tenant.
    """
    if isinstance(document, str):
        found = parse_selector(document)
    elif isinstance(document, Mapping):
        _refuse_unknown(document, _KEYS_OF_A_SELECTOR, "The selector")
        found = tuple(sorted({*_of_labels(document), *_of_expressions(document)}))
    else:
        raise InvalidSelector("The selector is neither a text nor an object.")
    if not found:
        raise InvalidSelector("The selector is empty, which would select every tenant: leave it out for that.")
    if len(found) > MOST_REQUIREMENTS:
        raise _too_many()
    return found


def live_selector_of(document: object) -> tuple[Requirement, ...]:
    """Read the selector of an ApplicationSet's generator as Argo CD does; raises InvalidSelector where it would fail.

    The empty one selects all. Values are texts, which are compared as they stand.
    """
    if not isinstance(document, Mapping):
        raise InvalidSelector("The selector is no object.")
    labels, expressions = document.get("matchLabels") or {}, document.get("matchExpressions") or []
    if not isinstance(labels, Mapping) or not isinstance(expressions, list):
        raise InvalidSelector("The selector has matchLabels that are no object, or matchExpressions that are no list.")
    found = [Requirement(_checked_key(key), Operator.IN, (str(value),)) for key, value in labels.items()]
    for expression in expressions:
        if not isinstance(expression, Mapping):
            raise InvalidSelector("The selector has an expression that is no object.")
        values = expression.get("values") or []
        read = _of_expression({**expression, "values": values})
        if read.operator in _COMPARISONS:
            raise InvalidSelector(f"The selector's expression on {quoted(read.key)} compares, which Argo CD does not.")
        found.append(Requirement(read.key, read.operator, tuple(sorted(map(str, values)))))
    return tuple(sorted(found))


def _of_labels(document: Mapping[str, object]) -> Iterator[Requirement]:
    labels = document.get("matchLabels", {})
    if not isinstance(labels, Mapping):
        raise InvalidSelector("The selector's matchLabels is no object.")
    for key, value in labels.items():
        _checked_key(key)
        yield Requirement(key, Operator.IN, _texts(key, [value]))


def _of_expressions(document: Mapping[str, object]) -> Iterator[Requirement]:
    expressions = document.get("matchExpressions", [])
    if not isinstance(expressions, list):
        raise InvalidSelector("The selector's matchExpressions is no list.")
    for expression in expressions:
        if not isinstance(expression, Mapping):
            raise InvalidSelector("The selector has an expression that is no object.")
        yield _of_expression(expression)


def _of_expression(expression: Mapping[str, object]) -> Requirement:
    _refuse_unknown(expression, _KEYS_OF_AN_EXPRESSION, "An expression of the selector")
    key, name, values = expression.get("key"), expression.get("operator"), expression.get("values", [])
    if not isinstance(key, str):
        raise InvalidSelector("The selector has an expression without a key.")
    _checked_key(key)
    operator = _OF_EXPRESSIONS.get(name) if isinstance(name, str) else None
    if operator is None:
        told = f"the operator {quoted(name)}" if isinstance(name, str) else "no operator"
        known = list(_OF_EXPRESSIONS)
        alike = [one for one in known if isinstance(name, str) and one.lower() == name.lower()]
        meant = nearest(alike[0], known) if alike else nearest(name, known) if isinstance(name, str) else ""
        raise InvalidSelector(f"The selector's expression on {quoted(key)} has {told}. Known: {listed(known)}.{meant}")
    if not isinstance(values, list):
        raise InvalidSelector(f"The selector's expression on {quoted(key)} has values that are no list.")
    _refuse_number_of(values, key, operator)
    requirement = Requirement(key, operator, _texts(key, values))
    if operator in _COMPARISONS and (len(requirement.values) != 1 or _int64(requirement.values[0]) is None):
        raise InvalidSelector(f"The selector's expression on {quoted(key)} compares with no whole number.")
    return requirement


def _refuse_number_of(values: Sequence[object], key: str, operator: Operator) -> None:
    wanted = "no" if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) else ""
    wanted = "exactly one" if operator in _COMPARISONS else wanted or "at least one"
    fits = {"no": not values, "exactly one": len(values) == 1, "at least one": bool(values)}[wanted]
    if not fits:
        raise InvalidSelector(
            f"The selector's expression on {quoted(key)} has {len(values)} values; its operator takes {wanted}."
        )


def _texts(key: str, values: Sequence[object]) -> tuple[str, ...]:
    """Return values as text, and a whole number that a matrix wrote with an exponent also as that number."""
    return tuple(sorted({text for value in values for text in forms(text_of(key, value))}))


def _refuse_unknown(document: Mapping[str, object], known: Sequence[str], what: str) -> None:
    for key in document:
        if key not in known:
            raise InvalidSelector(
                f"{what} has an unknown key {quoted(key)}. Known: {listed(known)}.{nearest(key, known)}"
            )
