"""The answer for one selection: parameter sets in canonical order, encoded once, checked before it may leave.

Argo CD takes any 2xx whose first JSON value decodes for the whole truth and deletes what is missing, so the
bytes that will be sent are decoded again and held against the promise of the answer, item by item.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tenantry.core.errors import InvalidAnswer
from tenantry.core.index import SnapshotIndex
from tenantry.core.selection import Selection
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import Steps, sliced_by_size
from tenantry.core.tenant import Kept, Sent, size_of

HEAD = b'{"output":{"parameters":['
TAIL = b"]}}"

WORTH_COMPRESSING = 1024
"""Bytes: below it an answer fits into one packet, compressed or not."""

_COMPRESSED_AT_ONCE = 1 << 16
_DECODER = msgspec.json.Decoder(list[dict[str, object]])
_ENVELOPE = msgspec.json.Decoder(dict[str, dict[str, list[object]]])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent for one selection of one snapshot."""

    revision: str
    """Of the snapshot that it comes from: exactly one."""

    tenants: int
    body: bytes
    compressed: bytes | None
    """The body as gzip, where that is worth it."""

    checksum: int
    """CRC-32 of the body."""

    @property
    def size(self) -> int:
        """Bytes that it takes to keep."""
        return len(self.body) + len(self.compressed or b"")


def make_answer(index: SnapshotIndex, selection: Selection) -> Steps[Answer]:
    """Select, encode, check and compress; raises InvalidAnswer rather than return what fails its check."""
    chosen = yield from index.chosen(selection)
    return (yield from encoded_answer(chosen, index.snapshot))


def encoded_answer(chosen: Sequence[Sent], snapshot: Snapshot) -> Steps[Answer]:
    """Encode, check and compress the answer that has these tenants, in order of id; raises InvalidAnswer."""
    mapping = snapshot.mapping
    return (yield from _made(chosen, snapshot.revision, mapping.names, mapping.native_names))


def answer_as_released(released: Mapping[str, bytes], revision: str) -> Steps[Answer]:
    """Encode again what was released, under the layout that it had then; raises InvalidAnswer."""
    chosen = [Kept(tenant, released[tenant]) for tenant in sorted(released)]
    names = tuple(_FIELDS.decode(chosen[0].encoded)) if chosen else ()
    yield
    return (yield from _made(chosen, revision, names, frozenset(names)))


def _made(chosen: Sequence[Sent], revision: str, names: Sequence[str], native: Collection[str]) -> Steps[Answer]:
    parts: list[bytes] = []
    checksum = 0
    last = ""
    for some in sliced_by_size(chosen, size_of):
        part = b",".join(tenant.encoded for tenant in some)
        last = _checked(part, some, names, native, last)
        parts += (b"," if parts else HEAD, part)
        checksum = zlib.crc32(part, zlib.crc32(parts[-2], checksum))
        yield
    body = b"".join((*parts, TAIL) if parts else (HEAD, TAIL))
    checksum = zlib.crc32(TAIL, checksum if parts else zlib.crc32(HEAD))
    yield
    compressed = (yield from _gzipped(body)) if len(body) >= WORTH_COMPRESSING else None
    return Answer(revision, len(chosen), body, compressed, checksum)


def _checked(part: bytes, tenants: Sequence[Sent], names: Sequence[str], native: Collection[str], last: str) -> str:
    """Hold encoded parameter sets against the promise of the answer; returns the last id, for the order."""
    try:
        decoded = _DECODER.decode(b"[" + part + b"]")
    except msgspec.DecodeError:
        raise InvalidAnswer from None
    if len(decoded) != len(tenants):
        raise InvalidAnswer
    for item, tenant in zip(decoded, tenants, strict=True):
        if tenant.id <= last or tuple(item) != names:
            raise InvalidAnswer
        for name, value in item.items():
            if value.__class__ is not str and not (_is_whole if name in native else _is_text)(value):
                raise InvalidAnswer
        last = tenant.id
    return last


def _is_text(value: object) -> bool:
    """Tell whether every leaf is text, and no list or object inside is empty (flattening would drop its key)."""
    match value:
        case str():
            return True
        case list():
            below: Collection[object] = value
        case dict():
            below = value.values()
        case _:
            return False
    # Most of them are text, and a call for each would take half of the time of the whole check.
    return bool(below) and all(one.__class__ is str or _is_text(one) for one in below)


def _is_whole(value: object) -> bool:
    """Tell whether what keeps its JSON type has no null, which a template renders as `<nil>`."""
    match value:
        case None:
            return False
        case list():
            return all(map(_is_whole, value))
        case dict():
            return all(map(_is_whole, value.values()))
    return True


def _gzipped(body: bytes) -> Steps[bytes]:
    """Compress without a time stamp: the same answer has the same bytes."""
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    parts: list[bytes] = []
    for start in range(0, len(body), _COMPRESSED_AT_ONCE):
        parts.append(packer.compress(body[start : start + _COMPRESSED_AT_ONCE]))
        yield
    parts.append(packer.flush())
    return b"".join(parts)


def parameter_sets(body: bytes) -> list[dict[str, object]]:
    """Decode an answer strictly, ours or another plugin's; raises InvalidAnswer if it is not one."""
    try:
        found = _ENVELOPE.decode(body)["output"]["parameters"]
    except (msgspec.DecodeError, KeyError, RecursionError):
        raise InvalidAnswer("The answer is not a list of parameter sets.", remedy="") from None
    if not all(isinstance(item, dict) for item in found):
        raise InvalidAnswer("The answer has an item that is not an object.", remedy="")
    return [item for item in found if isinstance(item, dict)]
