"""Columns of the source: what kind of value each holds, and what a name says of it."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from itertools import pairwise


class Kind(enum.Enum):
    """What a column holds, as far as its canonical text depends on it."""

    TEXT = "text"
    BOOLEAN = "boolean"
    NUMBER = "number"
    TIMESTAMP = "timestamp"
    JSON = "json"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table or view of tenants."""

    name: str
    kind: Kind


OVERWRITTEN = frozenset({"generator", "values"})
"""Names that Argo CD sets in every parameter set itself (its `generators/plugin.go` and `value_interpolation.go`)."""

_SECRET_WORDS = frozenset(
    {
        "apikey",
        "credential",
        "credentials",
        "jwt",
        "passphrase",
        "passwd",
        "password",
        "privatekey",
        "pwd",
        "secret",
        "secrets",
        "token",
        "tokens",
    }
)
_SECRET_PAIRS = frozenset(
    {
        ("api", "key"),
        ("private", "key"),
        ("access", "key"),
        ("secret", "key"),
        ("signing", "key"),
        ("connection", "string"),
    }
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def looks_secret(name: str) -> bool:
    """Tell whether a column's name says that it holds a secret (`db_password`, `apiKey`)."""
    words = [word.lower() for word in _WORD.findall(name)]
    return bool(_SECRET_WORDS.intersection(words)) or any(pair in _SECRET_PAIRS for pair in pairwise(words))
