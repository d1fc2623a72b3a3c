"""Hearing of changes in MySQL and MariaDB: a look at when the table was written to, and at how far the log has come.

Both are hints, and never a proof that nothing has changed. The time of a table counts whole seconds, those of its
statements rather than of its commit, and leaves out TRUNCATE; the log moves before what was committed can be seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from asyncmy.errors import Error
from sqlalchemy.sql.expression import TableClause

from tenantry.adapters.database.failures import as_source_errors, of_mysql
from tenantry.adapters.database.mysql_line import Line, Login
from tenantry.core.errors import SourceTooSlow
from tenantry.service.feeding import Look

_FRESH = "/*!80000 SET SESSION information_schema_stats_expiry = 0 */"
"""MySQL would give the times of a table as they were up to a day ago; MariaDB has the number of another version."""

_TABLE = """
SELECT CONCAT_WS(' ', CREATE_TIME, UPDATE_TIME, TABLE_ROWS, AUTO_INCREMENT),
    UPDATE_TIME >= NOW() - INTERVAL 2 SECOND
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = COALESCE(%s, DATABASE()) AND TABLE_NAME = %s AND TABLE_TYPE = 'BASE TABLE' AND ENGINE = 'InnoDB'
"""
_LOG = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_lsn_current', 'Innodb_redo_log_current_lsn')"
"""MariaDB's name, and that of MySQL since 8.0.30; everybody may read it."""


@contextmanager
def _as_source_errors() -> Iterator[None]:
    """Turn what the driver raises into a SourceError, also where SQLAlchemy is not in between."""
    with as_source_errors():
        try:
            yield
        except Error as error:
            raise of_mysql(error) from error


class Mark(NamedTuple):
    """How things stand."""

    log: tuple[Any, ...]
    table: str | None = None
    """What the catalogue has about the table, as text that changes with it; None of views, queries, other engines."""

    is_recent: bool = False
    """Whether it was written to so lately that its time may stay the same with the next change."""


class MySQLFeed:
    """Looks again and again, on a connection of its own, whether tenants may have changed."""

    def __init__(self, login: Login, table: TableClause | None, every: float, statement: float) -> None:
        """Look `every` so many seconds; a look takes at most `statement` seconds. `table` is None for a query."""
        self._login = login
        self._table = table
        self._every = every
        self._statement = statement

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return "mysql"

    @property
    def is_told(self) -> bool:
        """Whether it hears of a commit when it happens."""
        return False

    @property
    def identity(self) -> str | None:
        """Nothing: it proves nothing about any source."""
        return None

    async def looks(self) -> AsyncGenerator[Look, None]:
        """Connect, and look again and again; raises SourceError."""
        line = self._login.line()
        with _as_source_errors():
            try:
                await self._open(line)
                mark = await self._mark(line)
                yield Look.CHANGED
                while True:
                    await asyncio.sleep(self._every)
                    before, mark = mark, await self._mark(line)
                    if may_have_changed(before, mark):
                        yield Look.MAYBE
            finally:
                line.abort()

    async def stands(self) -> Mark:
        """Tell how things stand; raises SourceError."""
        line = self._login.line()
        with _as_source_errors():
            try:
                await self._open(line)
                return await self._mark(line)
            finally:
                line.abort()

    async def _open(self, line: Line) -> None:
        await self._login.open(line)
        # In a transaction MySQL's catalogue would stay as it was when that began.
        await line.autocommit(True)  # type: ignore[no-untyped-call] # noqa: FBT003 -- asyncmy's
        async with line.cursor() as cursor:
            await cursor.execute(_FRESH)

    async def _mark(self, line: Line) -> Mark:
        try:
            async with asyncio.timeout(self._statement), line.cursor() as cursor:
                await cursor.execute(_LOG)
                log = tuple(await cursor.fetchall())
                if self._table is None:
                    return Mark(log)
                await cursor.execute(_TABLE, (self._table.schema, self._table.name))
                found = await cursor.fetchone()
        except TimeoutError as late:
            raise SourceTooSlow from late
        return Mark(log) if found is None else Mark(log, found[0], found[1] == "1")


def may_have_changed(before: Mark, now: Mark) -> bool:
    """Compare how things stood and stand: where the table tells nothing by itself, any write may be one to it."""
    if before.table != now.table:
        return True
    return before.log != now.log and (now.table is None or before.is_recent or now.is_recent)
