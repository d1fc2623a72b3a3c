"""Kinds of values: between the text that people write and the value that the code uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenantry.config.quantities import parse_duration, parse_size, show_duration, show_size
from tenantry.config.wording import told
from tenantry.core.columns import OVERWRITTEN
from tenantry.core.errors import nearest, quoted
from tenantry.core.guard import RemovalLimit


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: how its text is read, and how it is shown to people."""

    label: str
    read: Callable[[Sequence[str]], object]
    """From what was written, one text or the items of a list; raises ValueError with the rest of a sentence."""

    show: Callable[[Any], str] = str
    allowed: str = ""
    many: bool = False
    literal: bool = False
    """In a file it must be text: YAML's numbers, dates and booleans lose how they were written."""
    secret: bool = False
    keys: tuple[str, ...] = ()
    """In a file each item of a list may be a mapping with these keys, in the place of a text with colons."""


def _bounded(label: str, read: Callable[[str], Any], show: Callable[[Any], str], least: str, most: str) -> Kind:
    def within(given: Sequence[str]) -> object:
        value = read(given[0])
        if not read(least) <= value <= read(most):
            raise ValueError(f"{quoted(given[0])} is out of bounds: allowed is {least} to {most}.")
        return value

    return Kind(label, within, show, allowed=f"{least} to {most}")


def duration(least: str, most: str) -> Kind:
    """A duration within bounds, both allowed."""
    return _bounded("duration", parse_duration, show_duration, least, most)


def number(least: str, most: str) -> Kind:
    """A whole number within bounds, both allowed."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text):
            raise ValueError(f"{told(text)} is no whole number: allowed is {least} to {most}.")
        return int(text)

    return _bounded("number", read, str, least, most)


def choice(*allowed: str) -> Kind:
    """One of a few words."""

    def read(given: Sequence[str]) -> str:
        if given[0] not in allowed:
            raise ValueError(f"{told(given[0])} is not allowed: {', '.join(allowed)}.{nearest(given[0], allowed)}")
        return given[0]

    return Kind("choice", read, allowed=", ".join(allowed))


def _text(given: Sequence[str]) -> str:
    if not given[0].strip():
        raise ValueError("It must not be empty.")
    return given[0]


def _names(given: Sequence[str]) -> tuple[str, ...]:
    if not all(name.strip() for name in given):
        raise ValueError("A name in the list is empty.")
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(map(told, twice))} is listed twice.")
    return tuple(given)


def _states(given: Sequence[str]) -> tuple[str, ...]:
    if "*" in given:
        raise ValueError("'*' is for source.retire only: leave source.serve out to deploy every state.")
    return _some_names(given)


def _parameters(given: Sequence[str]) -> tuple[str, ...]:
    overwritten = [quoted(name) for name in given if name in OVERWRITTEN]
    if overwritten:
        raise ValueError(f"Argo CD overwrites a parameter called {' or '.join(overwritten)}: serve another column.")
    return _some_names(given)


def _some_names(given: Sequence[str]) -> tuple[str, ...]:
    if not given:
        raise ValueError("The list is empty: name at least one, or leave the setting out.")
    return _names(given)


def _field(given: Sequence[str]) -> str:
    name = _text(given)
    if name in OVERWRITTEN:
        raise ValueError(f"Argo CD overwrites a parameter called {quoted(name)}.")
    if "." in name:
        raise ValueError("A dot would make it a leaf of something else.")
    return name


def _limits(given: Sequence[str]) -> tuple[RemovalLimit, ...]:
    if not given:
        raise ValueError("The list is empty: name at least one limit, or give guard.mode as off.")
    return tuple(map(_limit, given))


def _limit(text: str) -> RemovalLimit:
    parts = text.split(":")
    if len(parts) != len(_LIMIT_KEYS):
        raise ValueError(f"{told(text)} is no limit: write window, max_percent and min, such as 1h:5:2.")
    try:
        window, percent, least = (
            kind.read([part.strip().removesuffix("%" if kind is _PERCENT else "")])
            for kind, part in zip((_WINDOW, _PERCENT, _LEAST), parts, strict=True)
        )
    except ValueError as wrong:
        raise ValueError(f"In {told(text)}: {wrong}") from None
    return RemovalLimit(window, percent, least)  # type: ignore[arg-type]


def _show_limits(limits: Sequence[RemovalLimit]) -> str:
    return ", ".join(f"{show_duration(limit.window)}:{limit.max_percent}:{limit.min}" for limit in limits)


_LIMIT_KEYS = ("window", "max_percent", "min")
_WINDOW, _PERCENT, _LEAST = duration("1m", "90d"), number("0", "100"), number("0", "1000000")

LIMITS = Kind("list of limits", _limits, _show_limits, many=True, keys=_LIMIT_KEYS)
FIELD = Kind("field name", _field, literal=True)
TEXT = Kind("text", _text, literal=True)
NAMES = Kind("list of texts", _names, ", ".join, many=True, literal=True)
STATES = Kind("list of texts", _states, ", ".join, many=True, literal=True)
PARAMETERS = Kind("list of texts", _parameters, ", ".join, many=True, literal=True)
SOME_NAMES = Kind("list of texts", _some_names, ", ".join, many=True, literal=True)
PATH = Kind("path", lambda given: Path(_text(given)), literal=True)
SIZE = _bounded("size", parse_size, show_size, "1KiB", "64MiB")
TIMEOUT, WAIT = duration("1ms", "1h"), duration("100ms", "1h")
