"""What Argo CD's own selectors leave of an answer: whoever they leave out has no Application, whatever we answer.

A selector is held against a parameter set as Argo CD flattens it: keys joined by dots, values as Go's `%v` writes them
(its `utils/selector.go` and `generators/generator_spec_processor.go`, which flatten also where templates are Go's).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from tenantry.core.labels import Requirement

Parameters: TypeAlias = Mapping[str, Any]

_VALUES = msgspec.json.Decoder(dict[str, Any])
_LEAST, _MOST = -4, 6
"""The powers of ten from which on, and up to which, Go's `%v` writes a float without an exponent."""


class Layer(msgspec.Struct, frozen=True):
    """One selector between a plugin's answer and Applications; a tenant has to get through all of a generator's."""

    requirements: tuple[Requirement, ...]
    is_whole: bool = True
    """Whether it sees our parameters alone: those of a matrix or merge come from others too."""

    is_sure: bool = True
    """Whether a field of ours is there what we say: another generator of a matrix or merge may overwrite it."""

    def is_met_by(self, parameters: Parameters) -> bool:
        """Tell whether a parameter set gets through, as far as its own fields tell."""
        for one in self.requirements:
            value = flat_value(parameters, one.key)
            if value is None and (not self.is_whole or is_of_argo_cd(one.key)):
                continue
            if not one.matches(value):
                return False
        return True

    def may_be_met_by(self, parameters: Parameters) -> bool:
        """Tell whether a parameter set may get through, whatever others make of it."""
        return not self.is_sure or self.is_met_by(parameters)


Layers: TypeAlias = tuple[Layer, ...]


def is_of_argo_cd(key: str) -> bool:
    """Tell whether a key is one that Argo CD adds to every parameter set by itself."""
    return key.partition(".")[0] in ("generator", "values")


def is_within(key: str, field: str) -> bool:
    """Tell whether a dotted key is a field, or stands below it."""
    return key == field or key.startswith(f"{field}.")


class Sight:
    """Who has an Application of those that an input is answered with, by the selectors of all that ask for it."""

    def __init__(self, selectors: Collection[Layers], *, is_current: bool = True) -> None:
        """Look through each of some generators' layers; without any, everybody is seen.

        `is_current` tells whether the generators are those of this moment, or what is remembered of them.
        """
        self._selectors = tuple(dict.fromkeys(selectors))
        self.sees_all = not any(any(layer.requirements for layer in layers) for layers in self._selectors)
        self.is_current = is_current
        self._is_sure = all(layer.is_sure for layers in self._selectors for layer in layers)
        self._known: dict[bytes, tuple[bool, ...]] = {}

    def _seen(self, encoded: bytes) -> tuple[bool, ...]:
        found = self._known.get(encoded)
        if found is None:
            parameters = _VALUES.decode(encoded)
            found = tuple(all(one.is_met_by(parameters) for one in layers) for layers in self._selectors)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[encoded] = found
        return found

    def sees(self, encoded: bytes) -> bool:
        """Tell whether any generator has an Application for a parameter set."""
        return self.sees_all or any(self._seen(encoded))

    def may_see(self, encoded: bytes) -> bool:
        """Tell whether any generator may have an Application for a parameter set, whatever others make of it."""
        if self._is_sure:
            return self.sees(encoded)
        parameters = _VALUES.decode(encoded)
        return any(all(one.may_be_met_by(parameters) for one in layers) for layers in self._selectors)

    def loses(self, before: bytes, after: bytes) -> bool:
        """Tell whether some generator has an Application for one parameter set, and none for another in its place."""
        if self.sees_all or before == after:
            return False
        return any(was and not is_now for was, is_now in zip(self._seen(before), self._seen(after), strict=True))

    def unseen(self, released: Mapping[str, bytes]) -> frozenset[str]:
        """Return the tenants of an answer who have no Application."""
        if self.sees_all:
            return frozenset()
        return frozenset(tenant for tenant, encoded in released.items() if not any(self._seen(encoded)))


_MOST_KNOWN = 200_000
"""Parameter sets whose sight is remembered."""

SEES_ALL = Sight(())


def flat_value(parameters: Parameters, key: str) -> str | None:
    """Return what stands at a dotted key of a parameter set, as Argo CD's selector sees it; None if nothing does."""
    return next(_flat_values(parameters, key), None)


def _flat_values(value: object, key: str) -> Iterator[str]:
    """Walk down by every way in which a key can be cut at its dots: a field's own name may have some."""
    items: Mapping[str, object]
    match value:
        case Mapping():
            items = value
        case list():
            items = {str(number): item for number, item in enumerate(value)}
        case _:
            return
    for name, below in items.items():
        if name == key:
            if not isinstance(below, Mapping | list):
                yield go_text(below)
        elif key.startswith(f"{name}."):
            yield from _flat_values(below, key[len(name) + 1 :])


def go_text(value: object) -> str:
    """Write a scalar of JSON as Go's `%v` does, for which every number is a float."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _go_float(float(value))
    return str(value)


def _go_float(number: float) -> str:
    """Write the shortest digits that mean a number, with an exponent below 0.0001 and from a million on."""
    sign, digits, tail = Decimal(repr(number)).as_tuple()
    assert isinstance(tail, int)  # noqa: S101 -- JSON has no infinity
    text, minus = "".join(map(str, digits)).rstrip("0") or "0", "-" if sign else ""
    exponent = len(digits) + tail - 1 if number else 0
    if not _LEAST <= exponent < _MOST:
        rest = f".{text[1:]}" if len(text) > 1 else ""
        return f"{minus}{text[0]}{rest}e{exponent:+03}"
    if exponent < 0:
        return f"{minus}0.{'0' * (-exponent - 1)}{text}"
    text = text.ljust(exponent + 1, "0")
    rest = text[exponent + 1 :]
    return f"{minus}{text[: exponent + 1]}{f'.{rest}' if rest else ''}"
