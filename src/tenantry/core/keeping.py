"""Released parameter sets in the layout of today: all parameter sets of an answer have the same keys.

A tenant that is kept has what was released last. Where a field is new since, it has no value: it is empty there, as
NULL is. Where a field is gone, it is gone for everybody.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.core.columns import Kind
from tenantry.core.layout import Tree, laid_out
from tenantry.core.lens import digest_of
from tenantry.core.snapshot import Snapshot

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()
_EMPTY = msgspec.Raw(b'""')


def layout_of(snapshot: Snapshot) -> str:
    """Return the digest of the keys that a snapshot's parameter sets have, nested ones included."""
    return digest_of([snapshot.mapping.names, sorted(snapshot.mapping.native_names), snapshot.tree])


class Fitting:
    """Gives released parameter sets the keys of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Fit to the layout of `snapshot`."""
        self._names = snapshot.mapping.names
        self._native = snapshot.mapping.native_names
        self._tree: Tree = snapshot.tree
        self._json = {this.name for this in snapshot.mapping.fields if this.kind is Kind.JSON}

    def __call__(self, encoded: bytes) -> bytes:
        """Return a parameter set with the same values, as far as the layout has a place for them."""
        before = _RAW.decode(encoded)
        return _ENCODER.encode({name: self._value(name, before.get(name, _EMPTY)) for name in self._names})

    def _value(self, name: str, raw: msgspec.Raw) -> object:
        if name in self._json:
            below = self._tree.get(name, {})
            if name in self._native:
                return _laid_out_raw(raw, below)
            return laid_out(_as_text(msgspec.json.decode(raw)), below)
        if name in self._native or bytes(raw).startswith(b'"'):
            return raw
        value = msgspec.json.decode(raw)
        # A field that was native, or JSON, and is text today.
        return bytes(raw).decode() if isinstance(value, dict | list | int | float | bool) else ""


def _as_text(value: Any) -> Any:  # noqa: ANN401 -- JSON
    """Return JSON of which every leaf is text."""
    match value:
        case dict():
            return {key: _as_text(below) for key, below in value.items()}
        case list():
            return [_as_text(below) for below in value]
        case str():
            return value
        case None:
            return None
    return msgspec.json.encode(value).decode()


def _laid_out_raw(raw: msgspec.Raw, tree: Tree) -> object:
    """Do as `laid_out_natively` with what was released: every digit of a number as it is."""
    if not tree:
        return raw
    try:
        found = _RAW.decode(raw)
    except msgspec.ValidationError:
        found = {}
    return {key: _laid_out_raw(found.get(key, _EMPTY), below) for key, below in tree.items()}
