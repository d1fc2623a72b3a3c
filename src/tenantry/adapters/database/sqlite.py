"""SQLite: each value has a type of its own, so the declared type of the column says how to read it."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiosqlite
from sqlalchemy import Select, Text, cast, event, table, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from sqlalchemy.sql.expression import ColumnElement, FromClause, TableClause

from tenantry.adapters.database.query import Query
from tenantry.adapters.database.source import Fetching, Limits, streamed
from tenantry.core.columns import Column, Kind
from tenantry.core.position import Position
from tenantry.core.tenant import Row
from tenantry.core.values import NoText, plain_text

_KINDS = {
    "JSON": Kind.JSON,
    "BOOL": Kind.BOOLEAN,
    "DATETIME": Kind.TIMESTAMP,
    "TIMESTAMP": Kind.TIMESTAMP,
    "BLOB": Kind.BYTES,
    "REAL": Kind.NUMBER,
    "FLOA": Kind.NUMBER,
    "DOUB": Kind.NUMBER,
    "NUMERIC": Kind.NUMBER,
    "DECIMAL": Kind.NUMBER,
}
"""By a word in the declared type, as SQLite itself finds a column's affinity."""

_STEPS_BETWEEN_LOOKS = 10_000
_VIEW = "tenantry_query"


class SQLite:
    """A SQLite file, opened anew for each read."""

    def __init__(self, url: URL, limits: Limits) -> None:
        """Prepare to open the file read-only."""
        self._file = url.database or ""
        self._limits = limits
        self.engine = create_async_engine(
            url, poolclass=NullPool, connect_args={"timeout": limits.lock.total_seconds()}, hide_parameters=True
        )
        self._driver: aiosqlite.Connection | None = None
        event.listen(self.engine.sync_engine, "connect", self._connected)
        event.listen(self.engine.sync_engine, "do_connect", self._refuse_missing_file)

    def _connected(self, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        """Let bytes that are not UTF-8 through as bytes: the row is quarantined, and the others are read."""
        self._driver = connection.driver_connection
        connection.driver_connection.text_factory = _lenient_text

    def _refuse_missing_file(self, *_: object) -> None:
        """Fail before the driver starts its thread, which a failed opening may leave behind (aiosqlite 0.22)."""
        path = Path(unquote(self._file.removeprefix("file:")))
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "There is no such file", str(path))

    async def begin(self, connection: AsyncConnection, relation: TableClause) -> TableClause | None:
        """Begin a transaction, and end any statement that takes too long."""
        await self._bound(connection)
        await connection.execute(text("BEGIN"))
        return relation if await self.columns(connection, relation) else None

    async def begin_query(self, connection: AsyncConnection, query: Query) -> FromClause:
        """Make a view of the query, which goes with the connection: a view knows the types of its columns."""
        await self._bound(connection)
        await connection.exec_driver_sql(f"CREATE TEMP VIEW {_VIEW} AS\n{query.text}")
        await connection.rollback()
        await connection.execute(text("BEGIN"))
        return table(_VIEW)

    async def _bound(self, connection: AsyncConnection) -> None:
        deadline = time.monotonic() + self._limits.statement.total_seconds()
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is not None:
            await driver.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)

    async def position(self, connection: AsyncConnection, name: str) -> Position:  # noqa: ARG002 -- the interface
        """Name the file: SQLite has no position that grows."""
        return Position(source=f"{self._file}/{name}")

    async def reached(self, connection: AsyncConnection) -> int:  # noqa: ARG002 -- the interface
        """Tell nothing: there is no position that grows."""
        return 0

    async def columns(self, connection: AsyncConnection, relation: TableClause) -> list[Column]:
        """Read the columns and their declared types."""
        rows = await connection.execute(
            text("SELECT name, type FROM pragma_table_info(:table)"), {"table": relation.name}
        )
        return [Column(name, _kind(declared)) for name, declared in rows]

    async def columns_of_query(self, connection: AsyncConnection, query: FromClause) -> list[Column]:
        """Read the columns of the view: a column of a table has its declared type, an expression none."""
        columns = await self.columns(connection, query)  # type: ignore[arg-type]
        names = {column.name for column in columns}
        return [Column(_as_written(column.name, names), column.kind) for column in columns]

    def value(self, column: ColumnElement[object]) -> ColumnElement[object]:
        """Select a column as it is stored."""
        return column

    def in_order(self, column: ColumnElement[object]) -> ColumnElement[Any]:
        """Sort by bytes, whatever collation the column was declared with."""
        return cast(column, Text).collate("BINARY")

    async def opened(self, connection: AsyncConnection, statement: Select[*tuple[Any, ...]]) -> Fetching:
        """Execute a statement whose rows stay on the server until they are fetched."""
        return await streamed(connection, statement)

    def rows(self, fetched: Sequence[Sequence[object]]) -> Sequence[Row]:
        """Return rows as text."""
        return list(map(text_row, fetched))

    async def interrupt(self) -> None:
        """Interrupt the statement: the thread behind the connection does not hear of a cancelled task."""
        if self._driver is not None:
            with suppress(ValueError):  # which aiosqlite raises when the connection is closed
                await self._driver.interrupt()

    def hang_up(self) -> None:
        """Do nothing: there is nobody on the other side."""

    def abandon(self) -> None:
        """Do nothing: what was not fetched was not read."""


def _as_written(name: str, names: set[str]) -> str:
    """Return what a column of a view was called: of two called `id`, SQLite makes `id` and `id:1`."""
    first, colon, number = name.rpartition(":")
    return first if colon and number.isdigit() and first in names else name


def _kind(declared: str) -> Kind:
    upper = declared.upper()
    return next((kind for word, kind in _KINDS.items() if word in upper), Kind.TEXT)


def text_row(values: Sequence[object]) -> Row:
    """Write numbers as text: 1.0 and 1 are equal and yet not the same text, so rows are compared by it."""
    return tuple(value if value is None or type(value) is str else _text(value) for value in values)


def _text(value: object) -> object:
    try:
        return plain_text(value)
    except NoText:
        return value if isinstance(value, bytes) else str(value)


def _lenient_text(stored: bytes) -> str | bytes:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored
