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

_KINDS_BY_NUMBER: dict[type[SourceError], tuple[int, ...]] = {
    # Accounts and passwords; 1130: not from this host; 2059: the driver will not, or cannot, log in that way.
    SourceLoginFailed: (1045, 1130, 1251, 1698, 1820, 1862, 2059, 3118, 4151),
    SourceDenied: (1044, 1142, 1143, 1227, 1370),
    # Too many connections, no such database, shutting down; from 2000 on the driver's own; 1927: killed.
    SourceUnreachable: (0, 1040, 1049, 1053, 1129, 1203, 1226, 1927, 2002, 2003, 2005, 2006, 2013, 4031),
    # Locks, and the limits of MySQL (3024) and MariaDB (1969); 1317: KILL QUERY.
    SourceTooSlow: (1205, 1213, 1317, 1969, 3024, 3572),
    # No database in the URL nor before the table's name, or one that is not there.
    MissingTable: (1046, 1146),
    MissingColumn: (1054,),
}
_BY_NUMBER = {number: kind for kind, numbers in _KINDS_BY_NUMBER.items() for number in numbers}
"""MySQL and MariaDB, whose SQLSTATE is often the same for everything."""

_INVALID_VIEW = 1356


@contextmanager
def as_source_errors() -> Iterator[None]:
    """Turn whatever a database or its driver raises into a SourceError."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error, sqlite3.Error, OSError, UnicodeError, EOFError) as error:
        raise _translated(error) from error


def _translated(error: BaseException) -> SourceError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if type(cause).__module__.startswith("asyncmy."):
        return of_mysql(cause)
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


def of_mysql(cause: BaseException) -> SourceError:
    """Look the number up; asyncmy, which may not be installed, puts it first."""
    number = cause.args[0] if cause.args else None
    if number == _INVALID_VIEW:
        return MissingTable("The view of tenants refers to what does not exist, or to what its owner may not read.")
    return _BY_NUMBER.get(number, SourceError)() if isinstance(number, int) else SourceError()
