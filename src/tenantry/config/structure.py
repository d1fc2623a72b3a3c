"""The sections of the file that are no flat settings: fields, defaults and views, which only a file can say.

Each key of theirs is told by its line, as everything else; what they mean for the columns is found at the first read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenantry.config.reading import Reading, checked
from tenantry.config.wording import told_name, unknown
from tenantry.core.allowing import pattern_of
from tenantry.core.columns import OVERWRITTEN, Kind
from tenantry.core.defaults import Layer
from tenantry.core.errors import InvalidParameter, quoted
from tenantry.core.fields import FieldShape
from tenantry.core.labels import selector_of
from tenantry.core.selection import OF_A_VIEW, RESERVED
from tenantry.core.values import DEEPEST, BooleanText, Json, NumberText

TYPES = {
    "text": Kind.TEXT,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "timestamp": Kind.TIMESTAMP,
    "json": Kind.JSON,
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a field or layer, for reader and reference alike."""

    name: str
    takes: str
    help: str


FIELD_KEYS = (
    Key("column", "a name", "The column it is made from, where that is called otherwise."),
    Key(
        "type",
        ", ".join(TYPES),
        "What its text is read as, where the column does not say; a row with another value is quarantined. `text` may "
        "have line breaks, which other fields refuse.",
    ),
    Key("native", "true or false", "Whether a number, boolean or JSON keeps its JSON type rather than being text."),
    Key("default", "a text, whole number or boolean", "What NULL means."),
    Key(
        "leaves",
        "a mapping",
        "Of a JSON field: the leaves that are always there, with their defaults. A request may then name no other.",
    ),
    Key(
        "allow",
        "a pattern or a list",
        "What it may be: `*` is any text. A row with another value, or none, is quarantined. Under a dotted name it is "
        "about a leaf of a JSON field.",
    ),
)
"""What can be said of a field under `fields`."""

LAYER_KEYS = (
    Key("when", "a mapping", "Fields or dotted leaves, and the value, or list of values, of which each has one."),
    Key("set", "a mapping", "The defaults of fields for those tenants; JSON is merged key by key."),
)
"""What an item of `defaults` has."""

_WHAT = "a text, a whole number or a boolean; write other numbers and dates in quotes"


class _Wrong(ValueError):
    """A problem, and the mapping and key that it is about."""

    def __init__(self, mapping: object, key: object, path: str, why: str) -> None:
        super().__init__(why)
        self.mapping, self.key, self.path = mapping, key, path


def take_structure(reading: Reading, section: str, content: object, origin: Callable[[object, object], str]) -> None:
    """Take a section of the file, or every problem with it; `origin` tells where a key of a mapping stands."""
    if content is None:
        return
    found = []
    for item in _ITEMS[section](content):
        if isinstance(item, _Wrong):
            reading.problems.append(f"{origin(item.mapping, item.key)}: {item.path}: {item}")
            reading.wrong.add(section)
        else:
            found.append(item)
    reading.values[section] = tuple(found)
    reading.origins[section] = origin(content, next(iter(content), None) if isinstance(content, dict) else 0)


def _each(content: object, section: str, read: Callable[[Any, Any], object]) -> Iterator[object]:
    """Read every entry of a section; what is wrong with one does not hide another."""
    if not isinstance(content, dict):
        yield _Wrong({}, None, section, "It is a mapping of names.")
        return
    for name in content:
        try:
            yield read(content, name)
        except _Wrong as wrong:
            yield wrong


def _fields(content: object) -> Iterator[object]:
    yield from _each(content, "fields", _field)


def _field(content: Mapping[object, object], name: object) -> FieldShape:
    path = f"fields.{_printable(content, name, 'fields')}"
    told = content[name]
    if not isinstance(told, dict):
        raise _Wrong(content, name, path, f"It takes {_listed(FIELD_KEYS)} below it.")
    _refuse_unknown(told, path, FIELD_KEYS, "setting of a field")
    if str(name) in OVERWRITTEN:
        raise _Wrong(content, name, path, f"Argo CD overwrites a parameter called {quoted(str(name))}.")
    shape = FieldShape(
        name=str(name),
        column=_name(told, "column", path),
        kind=_kind(told, path),
        native=_flag(told, "native", path),
        default=_default(told, path),
        allow=_patterns(told, path),
    )
    if shape.allow and isinstance(shape.default, str) and not pattern_of(shape.allow).fullmatch(shape.default):
        raise _Wrong(told, "default", f"{path}.default", "Its own allow-list does not have it.")
    if shape.is_strict and shape.kind not in (None, Kind.JSON):
        raise _Wrong(told, "leaves", f"{path}.leaves", "Only JSON has leaves: its type is another one.")
    return shape


def _name(told: Mapping[object, object], key: str, path: str) -> str:
    if key not in told:
        return ""
    value = told[key]
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(told, key, f"{path}.{key}", "It takes a name.")
    return _text(told, key, f"{path}.{key}", value)


def _kind(told: Mapping[object, object], path: str) -> Kind | None:
    if "type" not in told:
        return None
    kind = TYPES.get(str(told["type"]))
    if kind is None:
        raise _Wrong(told, "type", f"{path}.type", _not_one(str(told["type"]), TYPES))
    return kind


def _flag(told: Mapping[object, object], key: str, path: str) -> bool:
    value = told.get(key, False)
    if not isinstance(value, bool):
        raise _Wrong(told, key, f"{path}.{key}", "It is true or false.")
    return value


def _default(told: Mapping[object, object], path: str) -> Json:
    if "leaves" in told:
        if "default" in told:
            raise _Wrong(told, "default", f"{path}.default", "With leaves, each of those has a default of its own.")
        leaves = told["leaves"]
        if not isinstance(leaves, dict) or not leaves:
            raise _Wrong(told, "leaves", f"{path}.leaves", "It is a mapping of leaves to their defaults.")
        return _json(told, "leaves", f"{path}.leaves")
    return _scalar(told, "default", f"{path}.default", told["default"]) if "default" in told else None


def _patterns(told: Mapping[object, object], path: str) -> tuple[str, ...]:
    if "allow" not in told:
        return ()
    given = told["allow"]
    patterns = list(given) if isinstance(given, list) else [given]
    if not patterns or not all(isinstance(one, str) and one for one in patterns):
        why = "It takes a pattern or a list of patterns, in which `*` is any text; a number in quotes."
        raise _Wrong(told, "allow", f"{path}.allow", why)
    return tuple(_text(told, "allow", f"{path}.allow", str(one)) for one in patterns)


def _layers(content: object) -> Iterator[object]:
    if not isinstance(content, list):
        yield _Wrong({}, None, "defaults", f"It is a list, each item with {_listed(LAYER_KEYS)}.")
        return
    for number in range(len(content)):
        try:
            yield _layer(content, number)
        except _Wrong as wrong:
            yield wrong


def _layer(content: Sequence[object], number: int) -> Layer:
    path, told = f"defaults[{number}]", content[number]
    if not isinstance(told, dict):
        raise _Wrong(content, number, path, f"It takes {_listed(LAYER_KEYS)} below it.")
    _refuse_unknown(told, path, LAYER_KEYS, "part of a default")
    for key in LAYER_KEYS:
        below = told.get(key.name)
        if not isinstance(below, dict) or not below:
            given = key.name in told
            why = f"It is a mapping. {key.help}"
            raise _Wrong(told if given else content, key.name if given else number, f"{path}.{key.name}", why)
    when, defaults = told["when"], told["set"]
    return Layer(
        tuple((str(name), frozenset(_texts(when, name, f"{path}.when.{name}"))) for name in when),
        tuple((str(name), _json(defaults, name, f"{path}.set.{name}")) for name in defaults),
    )


def _texts(mapping: Mapping[object, object], key: object, path: str) -> Iterator[str]:
    value = mapping[key]
    if value == []:
        raise _Wrong(mapping, key, path, "The list is empty.")
    for one in value if isinstance(value, list) else [value]:
        yield str(_scalar(mapping, key, path, one))


def _views(content: object) -> Iterator[object]:
    yield from _each(content, "views", _view)


def _view(content: Mapping[object, object], name: object) -> tuple[str, Mapping[str, object]]:
    path = f"views.{_printable(content, name, 'views')}"
    told = content[name]
    if not isinstance(told, dict) or not told:
        why = "It takes what a request takes: fields with their values, selector, shard."
        raise _Wrong(content, name, path, why)
    if unfit := [key for key in told if key in RESERVED and key not in OF_A_VIEW]:
        raise _Wrong(told, unfit[0], f"{path}.{unfit[0]}", "A view cannot have it; a request can.")
    if "selector" in told:
        _refuse_selector(told, path)
    return str(name), {str(key): _plain(told, key, f"{path}.{key}") for key in told}


def _refuse_selector(told: Mapping[object, object], path: str) -> None:
    try:
        selector_of(_plain(told, "selector", f"{path}.selector"))
    except InvalidParameter as wrong:
        raise _Wrong(told, "selector", f"{path}.selector", wrong.message) from None


def _plain(mapping: Any, key: Any, path: str, depth: int = 0) -> object:  # noqa: ANN401 -- what the parser gives
    """Return what a request would hold: texts, whole numbers, booleans, lists and objects of them."""
    value = mapping[key]
    if depth > DEEPEST:
        raise _Wrong(mapping, key, path, "It is nested too deep.")
    if isinstance(value, dict):
        return {str(name): _plain(value, name, f"{path}.{name}", depth + 1) for name in value}
    if isinstance(value, list):
        return [_plain(value, number, path, depth + 1) for number in range(len(value))]
    scalar = _scalar(mapping, key, path, value)
    return scalar == "true" if isinstance(scalar, BooleanText) else str(scalar)


def _json(mapping: Any, key: Any, path: str, depth: int = 0) -> Json:  # noqa: ANN401 -- what the parser gives
    """Return a default as JSON whose scalars are text that knows its type."""
    value = mapping[key]
    if depth > DEEPEST:
        raise _Wrong(mapping, key, path, "It is nested too deep.")
    if isinstance(value, dict):
        return {str(name): _json(value, name, f"{path}.{name}", depth + 1) for name in value}
    if isinstance(value, list):
        return [_json(value, number, path, depth + 1) for number in range(len(value))]
    return _scalar(mapping, key, path, value)


def _scalar(mapping: object, key: object, path: str, value: object) -> str:
    if isinstance(value, bool):
        return BooleanText("true" if value else "false")
    if isinstance(value, int):
        return NumberText(int(value))
    if isinstance(value, str):
        return _text(mapping, key, path, value)
    raise _Wrong(mapping, key, path, "It has no value." if value is None else f"It takes {_WHAT}.")


def _text(mapping: object, key: object, path: str, value: str) -> str:
    try:
        return str(checked([value])[0])
    except ValueError as wrong:
        raise _Wrong(mapping, key, path, str(wrong)) from None


def _refuse_unknown(told: Mapping[object, object], path: str, keys: Sequence[Key], what: str) -> None:
    known = [key.name for key in keys]
    for key in told:
        if key not in known:
            raise _Wrong(told, key, path, unknown(str(key), what, known))


def _printable(content: Mapping[object, object], name: object, section: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise _Wrong(content, name, section, "A name is text: write it in quotes.")
    return told_name(name).strip("'")


def _not_one(given: str, known: Mapping[str, object]) -> str:
    return unknown(given, "type", known)


def _listed(keys: Sequence[Key]) -> str:
    return ", ".join(key.name for key in keys)


_ITEMS: dict[str, Callable[[object], Iterator[object]]] = {"defaults": _layers, "fields": _fields, "views": _views}
STRUCTURES = tuple(_ITEMS)
"""The names of these sections."""
