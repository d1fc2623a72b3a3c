"""The state in a SQLite file: one process at a time, and no commit that a crash could lose."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from tenantry.core.errors import StateDamaged, StateInUse, StateMissing, StateUnreachable
from tenantry.core.steps import sliced

_BUSY = 2.0
"""Seconds to wait for somebody who reads the file by other means."""

_ROWS_OF_A_STATEMENT = 500
"""SQLite takes 32,766 values in one; a statement for each row takes half as long again."""

Rows = Sequence[tuple[object, ...]]


class StateFile:
    """A file and the lock beside it."""

    schema: str | None = None
    is_shared = False
    clock = "(julianday('now') - 2440587.5) * 86400.0"
    at_once = 1
    """Transactions at one time."""

    def __init__(self, path: Path) -> None:
        """Name the file, by any name that it has; nothing is opened yet."""
        path = path.resolve()
        self._path = path
        self._lock = -1
        self._identity: tuple[int, int] | None = None
        self.engine = create_engine(
            URL.create("sqlite+pysqlite", database=str(path)),
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={"timeout": _BUSY, "check_same_thread": False},
            hide_parameters=True,
        )
        event.listen(self.engine, "connect", self._connected)
        event.listen(self.engine, "begin", self._begun)

    def _connected(self, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver's own transactions leave out statements that make tables.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # In WAL, NORMAL may lose the last commits when power goes; a release that was lost may delete.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def _begun(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def claim(self) -> None:
        """Take the lock; raises StateInUse if another process has it, or OSError."""
        if self._lock < 0:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(self._path.with_name(f"{self._path.name}.lock"))

    def prepare(self, *, make: bool) -> None:
        """Take the lock, make the file where there is none, and see that it is sound.

        Raises StateInUse, StateDamaged, StateMissing or OSError.
        """
        if not make and not self._path.is_file():
            raise StateMissing(f"There is no file {str(self._path)!r}.")
        self.claim()
        # Parameter sets are in it: made by SQLite it would be everybody's to read.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.engine.dispose()
        with self.engine.connect() as connection:
            sound = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if sound != "ok":
            raise StateDamaged
        self._identity = _identity(self._path)

    def still_there(self) -> None:
        """Raise StateUnreachable if the file went, or another one has its place: what is written would be lost."""
        if self._identity is None or _identity(self._path) != self._identity:
            self.engine.dispose()
            raise StateUnreachable(
                "The file of the state database was removed or replaced while tenantry runs.",
                remedy="Nothing is deleted meanwhile. See that the right file is there, and start tenantry anew.",
            )

    def lock_migrations(self, connection: Connection) -> None:
        """Do nothing: the file has one process."""

    def begin(self, connection: Connection) -> None:
        """Do nothing: a file needs no limits of time."""

    def put(self, connection: Connection, given: int, parameters: Mapping[str, bytes]) -> None:
        """Put parameter sets into an input."""
        for some in sliced(list(parameters.items()), _ROWS_OF_A_STATEMENT):
            rows = ", ".join(["(?, ?, ?)"] * len(some))
            connection.exec_driver_sql(
                f"INSERT INTO released (input, tenant, parameters) VALUES {rows} "  # noqa: S608 -- marks alone
                "ON CONFLICT (input, tenant) DO UPDATE SET parameters = excluded.parameters",
                tuple(value for tenant, encoded in some for value in (given, tenant, encoded)),
            )

    def drop(self, connection: Connection, given: int, tenants: Sequence[str]) -> None:
        """Take parameter sets out of an input."""
        _many(
            connection,
            "DELETE FROM released WHERE input = ? AND tenant = ?",
            [(given, tenant) for tenant in tenants],
        )

    def name(self, connection: Connection, names: Mapping[str, str]) -> None:
        """Keep names that are released for the first time."""
        _many(connection, "INSERT INTO name (tenant, name) VALUES (?, ?) ON CONFLICT DO NOTHING", list(names.items()))

    def longest(self, statements: int) -> float | None:  # noqa: ARG002 -- the interface
        """Bound nothing: there is nobody on the other side."""
        return None

    def hang_up(self) -> None:
        """Do nothing: nobody waits for anybody."""

    def close(self) -> None:
        """Give back the file and its lock."""
        self.engine.dispose()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _many(connection: Connection, statement: str, rows: Rows) -> None:
    if rows:
        connection.exec_driver_sql(statement, list(rows))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _locked(path: Path) -> int:
    """Lock a file of our own; nobody removes it, for two could then hold two locks of one name."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = ""
        with suppress(OSError, UnicodeDecodeError):
            holder = os.pread(descriptor, 20, 0).decode().strip()
        os.close(descriptor)
        if error.errno != errno.EWOULDBLOCK:
            raise
        told = f" (process {holder})" if holder.isdigit() else ""
        raise StateInUse(f"Another process{told} uses the state database {path.name.removesuffix('.lock')}.") from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
