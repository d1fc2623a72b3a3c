"""The source of tenants in a database: one read-only transaction a read, every row, in slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import Select, column, select, table
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncResult
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.expression import ColumnElement, FromClause, TableClause

from tenantry.adapters.database.calls import briefly, undisturbed
from tenantry.adapters.database.failures import as_source_errors
from tenantry.adapters.database.query import Query, checked_query
from tenantry.adapters.database.urls import database_url
from tenantry.core.columns import Column
from tenantry.core.errors import ConfigurationError, MissingTable, RefusedColumn, SourceError, quoted
from tenantry.core.position import Position
from tenantry.core.tenant import Row

SLICE = 500
"""Rows fetched at once: half a millisecond of decoding, between which requests are answered; more is no faster."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a read may take, part by part."""

    statement: timedelta = timedelta(seconds=10)
    lock: timedelta = timedelta(seconds=2)
    connect: timedelta = timedelta(seconds=5)
    read: timedelta = timedelta(seconds=30)


class Fetching(Protocol):
    """Rows that are fetched bit by bit."""

    async def fetchmany(self, size: int, /) -> Sequence[Sequence[object]]:
        """Return the next rows, so many at most; none at the end."""
        ...

    async def close(self) -> None:
        """Let go of the rest."""
        ...


class Database(Protocol):
    """What differs between the databases."""

    engine: AsyncEngine

    async def begin(self, connection: AsyncConnection, relation: TableClause) -> TableClause | None:
        """Begin a read-only transaction in which the relation stays as it is, and bound how long statements take.

        Returns the relation by the one name that it has everywhere, or None if there is none.
        """
        ...

    async def begin_query(self, connection: AsyncConnection, query: Query) -> FromClause:
        """Begin as `begin` does, with a query in the place of a relation; returns what to select from."""
        ...

    async def position(self, connection: AsyncConnection, name: str) -> Position:
        """Tell where the database stands, and that what is read there has this name."""
        ...

    async def reached(self, connection: AsyncConnection) -> int:
        """Tell how far the log has come, so that no row which could be read is newer; 0 where there is none."""
        ...

    async def columns(self, connection: AsyncConnection, relation: TableClause) -> list[Column]:
        """List the columns of the relation; empty if it does not exist."""
        ...

    async def columns_of_query(self, connection: AsyncConnection, query: FromClause) -> list[Column]:
        """List the columns that a query gives."""
        ...

    def value(self, column: ColumnElement[object]) -> ColumnElement[object]:
        """Select a column in the form that the mapping expects."""
        ...

    def in_order(self, column: ColumnElement[object]) -> ColumnElement[Any]:
        """Sort by the bytes of a column's text."""
        ...

    async def opened(self, connection: AsyncConnection, statement: Select[*tuple[Any, ...]]) -> Fetching:
        """Execute a statement whose rows stay on the server until they are fetched."""
        ...

    def rows(self, fetched: Sequence[Sequence[object]]) -> Sequence[Row]:
        """Return rows as text, None and bytes that are not text."""
        ...

    async def interrupt(self) -> None:
        """Ask the connection that was opened last to end its statement, which nobody waits for any more."""
        ...

    def hang_up(self) -> None:
        """End that connection below the driver, without a word to the server."""
        ...

    def abandon(self) -> None:
        """Prepare that connection, which is to be closed, for the end of a result that was not read to its own end."""
        ...


def relation_of(name: str) -> TableClause:
    """Return the table `name` or `schema.name`, always quoted, as it is written."""
    schema, dot, bare = name.partition(".")
    if not dot:
        return table(quoted_name(name, quote=True))
    return table(quoted_name(bare, quote=True), schema=quoted_name(schema, quote=True))


def column_of(relation: FromClause, name: str) -> ColumnElement[object]:
    """Return a column by its exact name, with its table: SQLite takes a lone unknown name for a text."""
    return column(quoted_name(name, quote=True), _selectable=relation)


class DatabaseReading:
    """One read under way."""

    def __init__(
        self,
        database: Database,
        connection: AsyncConnection,
        relation: FromClause,
        id_column: str,
        position: Position,
        columns: Sequence[Column],
    ) -> None:
        """Read from a transaction that has begun."""
        self._database = database
        self._connection = connection
        self._relation = relation
        self._id_column = id_column
        self.position = position
        self.columns = columns
        self._result: Fetching | None = None

    async def rows(self, columns: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        """Give every row in slices, in order of id."""
        with as_source_errors():
            opening = self._database.opened(self._connection, self._statement(columns))
            self._result = result = await undisturbed(opening, self._database)
            while rows := await undisturbed(result.fetchmany(SLICE), self._database):
                yield self._database.rows(rows)
            await undisturbed(result.close(), self._database)

    async def reached(self) -> int:
        """Tell how far the log had come after the last row."""
        with as_source_errors():
            return await undisturbed(self._database.reached(self._connection), self._database)

    async def drop(self) -> None:
        """Close the rows that were not read to their end."""
        if self._result is not None:
            self._database.abandon()
            await self._result.close()

    def _statement(self, columns: Sequence[str]) -> Select[*tuple[Any, ...]]:
        """Order by the bytes of the id's text, which is the order of answers: sorting again then costs little."""
        order = self._database.in_order(column_of(self._relation, self._id_column))
        values = [self._database.value(column_of(self._relation, name)) for name in columns]
        return select(*values).select_from(self._relation).order_by(order)


class DatabaseSource:
    """Reads a table, a view or a query of tenants."""

    def __init__(self, database: Database, relation: str | Query, id_column: str) -> None:
        """Read the table or view of a name, or a query, whose tenants `id_column` identifies."""
        self._database = database
        self._from = relation
        self._id_column = id_column

    @property
    def notes(self) -> Sequence[str]:
        """What is worth knowing about the query, if there is one."""
        return self._from.notes if isinstance(self._from, Query) else ()

    def read(self) -> AbstractAsyncContextManager[DatabaseReading]:
        """Begin a read in one consistent, read-only transaction; raises SourceError."""
        return self._read()

    @asynccontextmanager
    async def _read(self) -> AsyncIterator[DatabaseReading]:
        connection = self._database.engine.connect()
        reading: DatabaseReading | None = None
        with as_source_errors():
            try:
                await undisturbed(connection.start(), self._database)
                reading = await undisturbed(self._begun(connection), self._database)
                yield reading
                await undisturbed(connection.close(), self._database)
            except BaseException:
                await briefly(_drop(connection, reading), self._database)
                raise

    async def _begun(self, connection: AsyncConnection) -> DatabaseReading:
        if isinstance(self._from, Query):
            return await self._begun_query(connection, self._from)
        relation = await self._database.begin(connection, relation_of(self._from))
        if relation is None:
            raise MissingTable(f"Table {quoted(self._from)} does not exist.")
        position = await self._database.position(connection, relation.fullname)
        columns = await self._database.columns(connection, relation)
        return DatabaseReading(self._database, connection, relation, self._id_column, position, columns)

    async def _begun_query(self, connection: AsyncConnection, query: Query) -> DatabaseReading:
        relation = await self._database.begin_query(connection, query)
        position = await self._database.position(connection, query.name)
        columns = await self._database.columns_of_query(connection, relation)
        twice = sorted(name for name, number in Counter(column.name for column in columns).items() if number > 1)
        if twice:
            raise RefusedColumn(
                f"source.query gives two columns called {', '.join(map(quoted, twice))}.",
                remedy="Give one of them another name by AS.",
            )
        return DatabaseReading(self._database, connection, relation, self._id_column, position, columns)

    async def close(self) -> None:
        """Give back all connections."""
        await self._database.engine.dispose()


async def streamed(connection: AsyncConnection, statement: Select[*tuple[Any, ...]]) -> AsyncResult[*tuple[Any, ...]]:
    """Execute a statement by SQLAlchemy's own cursor on the server."""
    return await connection.stream(statement)


async def _drop(connection: AsyncConnection, reading: DatabaseReading | None) -> None:
    """Close the connection of a read that failed: nobody knows what is under way on it, so nobody gets it again."""
    if connection.sync_connection is not None and not connection.closed:
        if reading is not None:
            with suppress(SourceError), as_source_errors():
                await reading.drop()
        await connection.invalidate()
        await connection.close()


def open_source(
    url: str, table_name: str, id_column: str, limits: Limits, *, query: str | None = None
) -> DatabaseSource:
    """Return the source that a URL names, of a table or a query; connects to nothing. Raises ConfigurationError."""
    found = database_url(url)
    dialect = found.get_backend_name()
    relation = table_name if query is None else checked_query(query, _DIALECTS[dialect])
    return DatabaseSource(_database(found, limits), relation, id_column)


_DIALECTS = {"sqlite": "sqlite", "mysql": "mysql", "postgresql": "postgres"}
"""What sqlglot calls them."""


def _database(found: URL, limits: Limits) -> Database:
    if found.get_backend_name() == "sqlite":
        from tenantry.adapters.database.sqlite import SQLite

        return SQLite(found, limits)
    if found.get_backend_name() == "mysql":
        return _mysql(found, limits)
    from tenantry.adapters.database.postgresql import PostgreSQL

    try:
        return PostgreSQL(found, limits)
    except (ArgumentError, ValueError):
        raise ConfigurationError(["source.url has a host or port that cannot be used."]) from None


def _mysql(url: URL, limits: Limits) -> Database:
    try:
        from tenantry.adapters.database.mysql import MySQL
    except ModuleNotFoundError as missing:
        raise without_driver(missing) from None
    return MySQL(url, limits)


def without_driver(missing: ModuleNotFoundError) -> Exception:
    """Say what to install where it is the driver of MySQL and MariaDB that cannot be imported."""
    if (missing.name or "").partition(".")[0] != "asyncmy":
        return missing
    return ConfigurationError(["source.url: MySQL and MariaDB need a driver: pip install 'tenantry[mysql]'."])
