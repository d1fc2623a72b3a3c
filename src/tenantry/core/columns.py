"""Columns of the source: what kind of value each holds, and which may be served under their name."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tenantry.core.errors import MissingColumn, RefusedColumn, listed, nearest, quoted


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


def choose(
    columns: Sequence[Column], table: str, needed: Iterable[str], named: Sequence[str] | None
) -> tuple[Column, ...]:
    """Return the columns to serve, in order of name.

    `needed` are the id and state columns, `named` the configured parameters; None serves every column.
    Raises MissingColumn or RefusedColumn, which fail the read: a smaller answer is never an option.
    """
    by_name = {column.name: column for column in columns}
    missing = [name for name in (*needed, *(named or ())) if name not in by_name]
    if missing:
        noun, verb = ("Column", "does") if len(missing) == 1 else ("Columns", "do")
        raise MissingColumn(
            f"{noun} {', '.join(map(quoted, missing))} of table {quoted(table)} {verb} not exist. "
            f"Known: {listed(by_name)}.{nearest(missing[0], by_name)}"
        )
    served = [by_name[name] for name in named] if named is not None else list(columns)
    reasons = [reason for column in served if (reason := _refusal(column, served, by_choice=named is not None))]
    if reasons:
        raise RefusedColumn(f"Table {quoted(table)}: {'; '.join(reasons)}.")
    return tuple(sorted(served, key=lambda column: column.name))


def _refusal(column: Column, served: Sequence[Column], *, by_choice: bool) -> str:
    name = quoted(column.name)
    if column.name in OVERWRITTEN:
        return f"Argo CD overwrites a parameter called {name}"
    if column.kind is Kind.BYTES:
        return f"column {name} holds bytes, which have no text"
    if not by_choice and looks_secret(column.name):
        return f"column {name} looks like a secret and is served only if source.parameters names it"
    parents = [other.name for other in served if other.kind is Kind.JSON and column.name.startswith(f"{other.name}.")]
    if parents:
        return f"column {name} flattens to the same dotted name as a leaf of {quoted(parents[0])}"
    return ""
