"""Hearing of changes in SQLite: a number that grows when somebody else commits to the file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import unquote

import aiosqlite

from tenantry.adapters.database.failures import as_source_errors
from tenantry.core.errors import SourceUnreachable
from tenantry.service.feeding import Look


class SQLiteFeed:
    """Looks at a file through a connection that stays open."""

    def __init__(self, file: str, table: str | None, every: float, lock: float) -> None:
        """Look `every` so many seconds at a file, given as SQLite's URI; wait for a `lock` so many.

        `table` is None for a query.
        """
        self._file = file
        self._table = table
        self._every = every
        self._lock = lock

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return "sqlite"

    @property
    def is_told(self) -> bool:
        """Whether it hears of a commit when it happens."""
        return False

    @property
    def identity(self) -> str | None:
        """The file, as the names of sources begin."""
        return self._file

    async def looks(self) -> AsyncGenerator[Look, None]:
        """Open the file, and give a look at it again and again; raises SourceError."""
        path = Path(unquote(self._file.removeprefix("file:")))
        with as_source_errors():
            identity = _identity(path)
            async with aiosqlite.connect(f"{self._file}?mode=ro", uri=True, timeout=self._lock) as connection:
                version = await _version(connection)
                is_plain = await self._is_plain(connection)
                yield Look.CHANGED
                while True:
                    await asyncio.sleep(self._every)
                    if _identity(path) != identity:
                        raise SourceUnreachable("The file was replaced by another one.")
                    before, version = version, await _version(connection)
                    if version is None:
                        yield Look.MAYBE
                    elif version != before:
                        is_plain = await self._is_plain(connection)
                        yield Look.CHANGED
                    elif is_plain:
                        yield Look.SAME

    async def _is_plain(self, connection: aiosqlite.Connection) -> bool:
        """Tell whether it is a table of this file: views and queries know the clock, virtual tables anything."""
        if self._table is None:
            return False
        asked = "SELECT count(*) FROM sqlite_schema WHERE name = ? COLLATE NOCASE AND type = 'table' AND rootpage > 0"
        found = await (await connection.execute(asked, (self._table,))).fetchone()
        return found is not None and found[0] == 1


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


async def _version(connection: aiosqlite.Connection) -> int | None:
    """Return the number; None while somebody has locked the file."""
    try:
        found = await (await connection.execute("PRAGMA data_version")).fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return None
        raise
    return None if found is None else int(found[0])
