"""What a value may be: allow-lists, and text without control characters.

Whoever can write the table decides what a template renders. Where a value becomes a project, a repository, a server
or a namespace, an allow-list keeps a tenant from being pointed at another one's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tenantry.core.columns import Kind
from tenantry.core.fields import Field, FieldShape
from tenantry.core.values import Json, NoText, refuse_controls, texts_in, values_at


class Allowing:
    """What the configuration allows fields, and leaves of JSON fields, to be."""

    def __init__(self, fields: Sequence[Field], shapes: Sequence[FieldShape]) -> None:
        """Know the fields in the order of a row's values."""
        self._patterns: dict[int, list[tuple[str, re.Pattern[str]]]] = {}
        self._free: dict[str, list[str]] = {}
        for position, this in enumerate(fields):
            for shape, leaf in _of_field(this, shapes):
                if shape.allow:
                    self._patterns.setdefault(position, []).append((leaf, pattern_of(shape.allow)))
                if shape.is_free:
                    self._free.setdefault(this.name, []).append(leaf)
        self.positions = tuple(self._patterns)

    def __bool__(self) -> bool:
        """Tell whether anything has an allow-list."""
        return bool(self.positions)

    def check(self, position: int, value: Json) -> None:
        """Raise NoText if a value, NULL included, is not one that its allow-list has."""
        for leaf, pattern in self._patterns[position]:
            where = f" under {leaf!r}" if leaf else ""
            found = values_at(value, leaf) if leaf else [value]
            texts = [text for one in found for text in texts_in(one)]
            if not texts:
                raise NoText(f"has no value{where}, which its allow-list does not have")
            if not all(pattern.fullmatch(text) for text in texts):
                raise NoText(f"has a value{where} that its allow-list does not have")

    def refuse_controls_in(self, field: str, raw: str, value: Json) -> None:
        """Raise NoText if text of a JSON value has control characters where none may be."""
        if "\\" in raw or not raw.isprintable():
            self._walk(value, "", self._free.get(field, []))

    def _walk(self, value: Json, path: str, free: Sequence[str]) -> None:
        if path in free:
            return
        match value:
            case str():
                refuse_controls(value)
            case list():
                for number, item in enumerate(value):
                    self._walk(item, _joined(path, str(number)), free)
            case dict():
                for key, item in value.items():
                    refuse_controls(key)
                    self._walk(item, _joined(path, key), free)


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _of_field(this: Field, shapes: Sequence[FieldShape]) -> list[tuple[FieldShape, str]]:
    """Return what is said of a field, and of its leaves by their dotted path below it."""
    said = [(this.shape, "")]
    if this.kind is Kind.JSON:
        prefix = f"{this.name}."
        said += [(shape, shape.name[len(prefix) :]) for shape in shapes if shape.name.startswith(prefix)]
    return said


def pattern_of(allowed: Sequence[str]) -> re.Pattern[str]:
    """Return what matches one of some patterns as a whole; `*` is any text, everything else itself."""
    parts = (".*".join(re.escape(part) for part in one.split("*")) for one in allowed)
    return re.compile("|".join(f"(?:{part})" for part in parts), re.DOTALL)
