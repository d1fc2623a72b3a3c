"""Masking what looks like a secret in tenants' data, before an operator is shown it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tenantry.core.columns import looks_secret
from tenantry.core.secret import MASK

_PASSWORD_IN_URL = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_MASKED = msgspec.json.encode(MASK)


def masked_text(name: str, text: str) -> str:
    """Return a column's text: masked if its name looks like a secret's, else without the passwords of URLs.

    In an object or a list of JSON, the same is done to each leaf.
    """
    if looks_secret(name):
        return MASK
    if text.lstrip()[:1] in ("{", "["):
        try:
            return bytes(masked_json(name, msgspec.Raw(text.encode()))).decode()
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            pass
    return _PASSWORD_IN_URL.sub(rf"\g<1>{MASK}", text)


def masked_parameters(encoded: bytes) -> Mapping[str, msgspec.Raw]:
    """Return a parameter set by name, every number to its last digit."""
    return {name: masked_json(name, value) for name, value in _OBJECT.decode(encoded).items()}


def masked_json(name: str, value: msgspec.Raw) -> msgspec.Raw:
    """Return a value of JSON masked as `masked_text` does; what needs no mask stays as it was written."""
    written = bytes(value).strip()
    if looks_secret(name) and written not in (b"null", b'""'):
        return msgspec.Raw(_MASKED)
    match written[:1]:
        case b"{":
            below = _OBJECT.decode(written)
            masked = {key: masked_json(key, one) for key, one in below.items()}
            return (
                value if all(masked[key] is below[key] for key in below) else msgspec.Raw(msgspec.json.encode(masked))
            )
        case b"[":
            items = _LIST.decode(written)
            found = [masked_json(name, one) for one in items]
            return value if all(one is other for one, other in zip(found, items, strict=True)) else _raw(found)
        case b'"':
            text = msgspec.json.decode(written)
            safe = _PASSWORD_IN_URL.sub(rf"\g<1>{MASK}", text)
            return value if safe == text else _raw(safe)
    return value


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
