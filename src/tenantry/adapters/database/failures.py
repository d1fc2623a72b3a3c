"""From what databases and drivers raise to our own errors: what happened, without their text.

Texts of drivers may quote statements, rows or connection strings, so only `tenantry check` shows them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tenantry.core.errors import (
    MissingColumn,
    MissingTable,
    SourceDenied,
    SourceError,
    SourceLoginFailed,
    SourceTooSlow,
    SourceUnreachable,
)

_BY_STATE = {
    "28": SourceLoginFailed,
    "3D": SourceUnreachable,
    "08": SourceUnreachable,
    "53": SourceUnreachable,
    "57": SourceUnreachable,
    "57014": SourceTooSlow,
    "55P03": SourceTooSlow,
    "25P03": SourceTooSlow,
    "42501": SourceDenied,
    "42P01": MissingTable,
    "42703": MissingColumn,
}
_WORDS = {
    "authentication failed": SourceLoginFailed,
    "no password supplied": SourceLoginFailed,
    "does not exist": SourceUnreachable,
    "is locked": SourceTooSlow,
    "interrupted": SourceTooSlow,
    "no such table": MissingTable,
    "no such column": MissingColumn,
}
"""Where there is no SQLSTATE: libpq while it connects, and SQLite."""


@contextmanager
def as_source_errors() -> Iterator[None]:
    """Turn whatever a database or its driver raises into a SourceError."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error, sqlite3.Error, OSError, UnicodeError, EOFError) as error:
        raise _translated(error) from error


def _translated(error: BaseException) -> SourceError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    state = getattr(cause, "sqlstate", None) or ""
    known = _BY_STATE.get(state) or _BY_STATE.get(state[:2])
    if known:
        return known()
    text = str(cause).lower()
    if not state and isinstance(cause, psycopg.Error | sqlite3.Error):
        for words, kind in _WORDS.items():
            if words in text:
                return kind()
    if isinstance(cause, psycopg.OperationalError | OSError | sqlite3.OperationalError):
        return SourceUnreachable()
    return SourceError()
