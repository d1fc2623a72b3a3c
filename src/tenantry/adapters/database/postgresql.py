"""PostgreSQL: every column as the database's own text, in a transaction that no policy or pooler can thin out."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from sqlalchemy import Select, Text, cast, event, literal_column, select, table, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.expression import ColumnElement, FromClause, TableClause

from tenantry.adapters.database.calls import MOMENT
from tenantry.adapters.database.query import Query
from tenantry.adapters.database.source import Fetching, Limits
from tenantry.core.columns import Column, Kind
from tenantry.core.errors import SourceUnreachable
from tenantry.core.position import Position
from tenantry.core.tenant import Row

_KINDS = {
    "float4": Kind.NUMBER,
    "float8": Kind.NUMBER,
    "numeric": Kind.NUMBER,
    "timestamp": Kind.TIMESTAMP,
    "timestamptz": Kind.TIMESTAMP,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "bytea": Kind.BYTES,
}
"""By the name of the type; all others are text as PostgreSQL writes it (booleans cast to `true` and `false`)."""

_BEGIN = """
SELECT set_config(name, value, true) FROM (VALUES
    ('statement_timeout', :statement), ('lock_timeout', :lock), ('idle_in_transaction_session_timeout', :read),
    ('row_security', 'off'), ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'),
    ('extra_float_digits', '1'), ('bytea_output', 'hex')
) AS settings(name, value)
"""
"""Local to the transaction, so that it holds through a pooler in transaction mode and leaves nothing behind.

With `row_security` off a policy that would hide rows is an error; on, it gives a smaller answer without one.
"""

_RELATION = """
SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(:relation)
"""

_POSITION = """
SELECT (SELECT system_identifier FROM pg_control_system())::text AS system,
    current_database() AS database,
    pg_is_in_recovery() AS standby,
    (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
          ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint AS lsn,
    CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
         ELSE ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int END AS timeline
"""

_REACHED = """
SELECT (l - CASE WHEN NOT is_primary THEN 0
        WHEN l % pg_size_bytes(current_setting('wal_segment_size')) = 40 THEN 40
        WHEN l % current_setting('wal_block_size')::bigint = 24 THEN 24 ELSE 0 END)::bigint
FROM (SELECT NOT pg_is_in_recovery() AS is_primary,
    (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
          ELSE pg_current_wal_insert_lsn() END - '0/0')::bigint AS l) AS log
"""
"""What a commit without `synchronous_commit` wrote is to be seen before it is on the disk: so not what was flushed.

At the very beginning of a page the place for the next record lies behind the page's header, and what stands before that
ends before it: a standby has replayed all of it, and its position is 24 or 40 bytes less.
"""

_COLUMNS = """
WITH RECURSIVE made (number, name, type) AS (
    SELECT a.attnum, a.attname, a.atttypid
    FROM pg_attribute a
    WHERE a.attrelid = to_regclass(:relation) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT made.number, made.name, t.typbasetype FROM made JOIN pg_type t ON t.oid = made.type WHERE t.typtype = 'd'
)
SELECT made.name, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END
FROM made JOIN pg_type t ON t.oid = made.type WHERE t.typtype <> 'd' ORDER BY made.number
"""
"""A domain may be made of another one, and that of another: what counts is the type below all of them.

A type that somebody made is text, whatever its name.
"""

_TYPES = """
SELECT oid, typname FROM pg_type WHERE oid = ANY(CAST(:types AS oid[])) AND typnamespace = 'pg_catalog'::regnamespace
"""

_TEMPORARY_LAST = "SELECT set_config('search_path', current_setting('search_path') || ', pg_temp', true)"

OF_LIBPQ = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "10000"}
"""A server that vanished without a word is noticed in seconds; a URL may say otherwise."""


class PostgreSQL:
    """A PostgreSQL server, its standby or a pooler in front of it, through psycopg 3."""

    def __init__(self, url: URL, limits: Limits) -> None:
        """Prepare one connection, kept between reads and tested before each."""
        defaults = {
            **OF_LIBPQ,
            "application_name": "tenantry",
            # libpq counts whole seconds and takes 1 for 2.
            "connect_timeout": str(max(2, math.ceil(limits.connect.total_seconds()))),
        }
        self._limits = limits
        self.engine = create_async_engine(
            url.update_query_dict({name: value for name, value in defaults.items() if name not in url.query}),
            pool_size=1,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=limits.connect.total_seconds(),
            # A pooler in transaction mode hands each transaction another server connection.
            connect_args={"prepare_threshold": None},
            use_native_hstore=False,
            # The rows are one statement; a snapshot from before the lock would show a truncated table as empty.
            isolation_level="READ COMMITTED",
            hide_parameters=True,
        )
        self._driver: psycopg.AsyncConnection[object] | None = None
        event.listen(self.engine.sync_engine, "connect", self._connected, insert=True)

    def _connected(self, connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        """Read a database without an encoding (SQL_ASCII), whose text psycopg would give as bytes throughout."""
        self._driver = driver = connection.driver_connection
        if driver.info.encoding == "ascii":
            for kind in ("text", "varchar", "bpchar", "name"):
                driver.adapters.register_loader(kind, _LenientText)

    async def begin(self, connection: AsyncConnection, relation: TableClause) -> TableClause | None:
        """Begin a read-only transaction and hold the table as it is.

        TRUNCATE and rewrites by ALTER TABLE are not transactional for readers: a snapshot taken before them finds
        the new, empty file. So the locks that a read takes anyway, for a view on all below it, are taken first, by
        a statement for one row; LOCK TABLE would want a right to the whole table, not only to some columns.
        """
        await self._begin(connection)
        schema = await self._schema(connection, relation)
        if schema is None or schema.startswith("pg_temp"):
            # A temporary table of another client of the same pooled session is nobody's table of tenants.
            return None
        # With its schema: another one earlier in the search path may have a table of that name any moment.
        found = table(relation.name, schema=quoted_name(schema, quote=True))
        await connection.execute(select(literal_column("1")).select_from(found).limit(1))
        return found

    async def begin_query(self, connection: AsyncConnection, query: Query) -> FromClause:
        """Begin a read-only transaction and hold all tables that a query reads, by a statement for one row of it."""
        await self._begin(connection)
        # Temporary tables of other clients of the same pooled session come last, rather than first.
        await connection.execute(text(_TEMPORARY_LAST))
        found = query.clause(doubled=True)
        await connection.execute(select(literal_column("1")).select_from(found).limit(1))
        return found

    async def _begin(self, connection: AsyncConnection) -> None:
        await connection.execution_options(postgresql_readonly=True)
        limits = {"statement": self._limits.statement, "lock": self._limits.lock, "read": self._limits.read}
        await connection.execute(text(_BEGIN), {name: _milliseconds(limit) for name, limit in limits.items()})

    async def position(self, connection: AsyncConnection, name: str) -> Position:
        """Read system, timeline and log position: on a standby what it has replayed."""
        row = (await connection.execute(text(_POSITION))).one()
        return Position(
            source=f"{row.system}/{row.database}/{name}",
            timeline=row.timeline,
            lsn=row.lsn,
            standby=row.standby,
        )

    async def reached(self, connection: AsyncConnection) -> int:
        """Read how far the log has come: no transaction that could be seen wrote beyond it."""
        return int((await connection.execute(text(_REACHED))).scalar_one())

    async def _schema(self, connection: AsyncConnection, relation: TableClause) -> str | None:
        found = await connection.execute(text(_RELATION), {"relation": self._quoted(relation)})
        schema: str | None = found.scalar_one_or_none()
        return schema

    def _quoted(self, relation: TableClause) -> str:
        return self.engine.dialect.identifier_preparer.format_table(relation)

    async def columns(self, connection: AsyncConnection, relation: TableClause) -> list[Column]:
        """Read the columns from the catalogue, those of domains by their base type."""
        rows = await connection.execute(text(_COLUMNS), {"relation": self._quoted(relation)})
        return [Column(name, _KINDS.get(kind, Kind.TEXT)) for name, kind in rows]

    async def columns_of_query(self, connection: AsyncConnection, query: FromClause) -> list[Column]:
        """Let the server describe what the query gives; a domain is described by its base type."""
        everything: Select[*tuple[Any, ...]] = select(literal_column("*")).select_from(query).limit(0)
        result = await connection.execute(everything)
        described = [(name, int(str(code))) for name, code, *_ in result.cursor.description or ()]
        types = await connection.execute(text(_TYPES), {"types": [code for _, code in described]})
        names = {int(row.oid): str(row.typname) for row in types}
        return [Column(name, _KINDS.get(names.get(code, ""), Kind.TEXT)) for name, code in described]

    def value(self, column: ColumnElement[object]) -> ColumnElement[object]:
        """Select a column as text, which the database writes and no odd value can break."""
        return cast(column, Text)

    def in_order(self, column: ColumnElement[object]) -> ColumnElement[Any]:
        """Sort by bytes, whatever the database's own collation."""
        return cast(column, Text).collate("C")

    async def opened(self, connection: AsyncConnection, statement: Select[*tuple[Any, ...]]) -> Fetching:
        """Declare a cursor of psycopg's own: its rows are tuples already, which makes a read a sixth faster."""
        compiled = statement.compile(dialect=self.engine.dialect)
        driver: psycopg.AsyncConnection[tuple[Any, ...]] | None
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None:
            raise SourceUnreachable
        cursor: psycopg.AsyncServerCursor[tuple[Any, ...]] = driver.cursor(name="tenants")
        try:
            # As text: psycopg encodes it as the database wants it.
            await cursor.execute(str(compiled), compiled.params)
        except BaseException:
            await cursor.close()
            raise
        return cursor

    def rows(self, fetched: Sequence[Sequence[object]]) -> Sequence[Row]:
        """Return rows as they are: all of it is text already."""
        return fetched  # type: ignore[return-value]

    async def interrupt(self) -> None:
        """Cancel the statement on the server, if that can still be reached."""
        if self._driver is not None:
            with suppress(psycopg.Error, OSError):
                await self._driver.cancel_safe(timeout=MOMENT)

    def hang_up(self) -> None:
        """Shut the socket down, at which psycopg, which waits for it, sees the end of the connection."""
        if self._driver is not None and not self._driver.closed:
            with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(self._driver.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        """Do nothing: the server keeps what was not fetched."""


def _milliseconds(limit: timedelta) -> str:
    return str(max(1, round(limit.total_seconds() * 1000)))


class _LenientText(Loader):
    """Decodes what is UTF-8, and leaves the rest as bytes: its row is quarantined, and the others are read."""

    def load(self, data: Buffer) -> str | bytes:
        """Decode one value."""
        stored = bytes(data)
        try:
            return stored.decode()
        except UnicodeDecodeError:
            return stored
