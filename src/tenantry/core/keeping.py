"""Released parameter sets in the layout of today: all parameter sets of an answer have the same keys.

A tenant that is kept has what was released last. Where a field is new since, it has no value: it is empty there, as
NULL is. Leaves of JSON that only those have who are kept stay for everybody, empty for all others, as they were so far.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tenantry.core.columns import Kind
from tenantry.core.layout import Path, Tree, laid_out
from tenantry.core.lens import digest_of
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import Steps, sliced
from tenantry.core.tenant import Tenant

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()
_EMPTY = msgspec.Raw(b'""')
_FITTED_AT_ONCE = 50
"""Parameter sets between two pauses: each is decoded and encoded."""


class Fitting:
    """Gives released parameter sets the keys of a snapshot, and a few more."""

    def __init__(self, snapshot: Snapshot, tree: Tree | None = None) -> None:
        """Fit to the layout of `snapshot`, or to a `tree` that has more."""
        self._names = snapshot.mapping.names
        self._native = snapshot.mapping.native_names
        self._tree: Tree = snapshot.tree if tree is None else tree
        self.is_of_snapshot = tree is None or tree == snapshot.tree
        self._json = frozenset(this.name for this in snapshot.mapping.fields if this.kind is Kind.JSON)
        self._tenants = snapshot.tenants.values()
        self._fitted: dict[str, bytes] = {}
        self.layout = digest_of([self._names, sorted(self._native), self._tree])
        """The digest of the keys that parameter sets have, nested ones included."""

    def __call__(self, encoded: bytes) -> bytes:
        """Return a parameter set with the same values, as far as the layout has a place for them."""
        before = _RAW.decode(encoded)
        return _ENCODER.encode({name: self._value(name, before.get(name, _EMPTY)) for name in self._names})

    def candidate(self, chosen: Sequence[Tenant]) -> Steps[dict[str, bytes]]:
        """Return the parameter sets of tenants of the snapshot, by id; each is fitted once."""
        if self.is_of_snapshot:
            return {tenant.id: tenant.encoded for tenant in chosen}
        for some in sliced(chosen, _FITTED_AT_ONCE):
            for tenant in some:
                if tenant.id not in self._fitted:
                    self._fitted[tenant.id] = self(tenant.encoded)
            yield
        return {tenant.id: self._fitted[tenant.id] for tenant in chosen}

    def with_leaves_of(self, released: Iterable[bytes]) -> Steps[Tree]:
        """Return the layout, with the leaves of JSON that these parameter sets have besides."""
        tree = self._tree
        if not self._json:
            return tree
        leaves = {path for paths in {tenant.paths for tenant in self._tenants} for path, leaf in paths if leaf}
        yield
        seen: set[bytes] = set()
        for encoded in released:
            values = _RAW.decode(encoded)
            for name in self._json & values.keys():
                shape = bytes(values[name])
                if shape not in seen:
                    seen.add(shape)
                    tree = _merged(tree, {name: _tree_of(msgspec.json.decode(shape))}, leaves)
            if len(seen) % _FITTED_AT_ONCE == 0:
                yield
        return tree

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


def _tree_of(value: object) -> Tree:
    return {key: _tree_of(below) for key, below in value.items()} if isinstance(value, dict) else {}


def _merged(tree: Tree, more: Mapping[str, Tree], leaves: Collection[Path], above: Path = ()) -> Tree:
    """Add keys; where some tenant of today has one of the `leaves`, it stays a leaf."""
    merged = dict(tree)
    for key, below in more.items():
        path = (*above, key)
        if path not in leaves:
            merged[key] = _merged(merged.get(key, {}), below, leaves, path)
    return dict(sorted(merged.items()))


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
