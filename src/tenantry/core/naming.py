"""Names that can be used as they are: a DNS-1123 label and a label value for every tenant, made from its id alone.

An id that is such a name already is its own. Every other one gets a readable part and a hash of the id, so that two
ids that read alike ("Acme_Corp", "acme corp") never share a name. An id that ends like such a hash is hashed too:
nobody can choose an id that takes another tenant's name.

A name depends on the id and the settings only, never on who else exists. The readable part is anyascii's: another
version of it may write a script otherwise, which is why a name that was released once is kept with its tenant.
"""

from __future__ import annotations

import hashlib
import re

LONGEST_LABEL = 63
"""Characters of a label value or DNS-1123 label (Kubernetes, `apimachinery/pkg/util/validation`)."""

ALPHABET = "0123456789abcdfghjklmnpqrstvwxyz"
"""Digits and lower-case letters without e, i, o and u, so that few words of ten letters look like a hash."""

_HASH_LENGTH = 10
_TAIL = _HASH_LENGTH + 1
_READ_AT_MOST = 256
"""Characters of an id that are transliterated; far more than a name has."""

_NOTHING_READABLE = "t"
_HASHLIKE = re.compile(rf"-(?=[{ALPHABET}]*[0-9])(?=[{ALPHABET}]*[a-z])[{ALPHABET}]{{{_HASH_LENGTH}}}\Z")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?\Z")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.]+")


def tenant_name(identifier: str, length: int = 40, *, always_hash: bool = False) -> str:
    """Return a DNS-1123 label of at most `length` characters, 20 to 63."""
    if len(identifier) <= length and not always_hash and _DNS_LABEL.match(identifier) and not _is_hashlike(identifier):
        return identifier
    return _with_hash(_NOT_IN_NAMES.sub("-", _transliterated(identifier).lower()).strip("-"), identifier, length)


def tenant_label(identifier: str, *, always_hash: bool = False) -> str:
    """Return a valid label value, which unlike a name keeps capitals, dots and underscores."""
    if (
        len(identifier) <= LONGEST_LABEL
        and not always_hash
        and _LABEL_VALUE.match(identifier)
        and not _is_hashlike(identifier)
    ):
        return identifier
    return _with_hash(_NOT_IN_LABELS.sub("-", _transliterated(identifier)).strip("-_."), identifier, LONGEST_LABEL)


def _is_hashlike(identifier: str) -> bool:
    return len(identifier) > _TAIL and identifier[-_TAIL] == "-" and _HASHLIKE.search(identifier) is not None


def _with_hash(readable: str, identifier: str, length: int) -> str:
    kept = readable[: length - _TAIL].rstrip("-_.") or _NOTHING_READABLE
    return f"{kept}-{_hash_of(identifier)}"


def _hash_of(identifier: str) -> str:
    """Return 50 bits of the id's SHA-256 in base 32, at least one digit and one letter among them.

    Without both it would look like a number of ten digits or a word, which ids end in: those stay as they are.
    """
    number = int.from_bytes(hashlib.sha256(identifier.encode()).digest())
    while True:
        text = "".join(ALPHABET[(number >> shift) & 31] for shift in range(0, 5 * _HASH_LENGTH, 5))
        if not text.isdigit() and not text.isalpha():
            return text
        number = int.from_bytes(hashlib.sha256(text.encode() + identifier.encode()).digest())


def _transliterated(identifier: str) -> str:
    """Return how an id reads in ASCII; in a process that never needs it, anyascii is not even imported."""
    if identifier.isascii():
        return identifier[:_READ_AT_MOST]
    from anyascii import anyascii

    return anyascii(identifier[:_READ_AT_MOST])
