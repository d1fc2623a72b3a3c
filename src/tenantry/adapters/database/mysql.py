"""MySQL and MariaDB: what the server writes as text, in a transaction whose metadata lock comes before its snapshot."""

from __future__ import annotations

import asyncio
import math
import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from asyncmy.errors import Error
from sqlalchemy import Dialect, LargeBinary, Select, Text, cast, literal_column, select, table, text, type_coerce
from sqlalchemy.dialects.mysql import CHAR
from sqlalchemy.engine import URL
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.expression import ColumnElement, FromClause, TableClause
from sqlalchemy.types import TypeDecorator

from tenantry.adapters.database.calls import MOMENT
from tenantry.adapters.database.mysql_line import Line, Login
from tenantry.adapters.database.query import Query
from tenantry.adapters.database.source import Fetching, Limits, streamed
from tenantry.core.columns import Column, Kind
from tenantry.core.errors import MissingTable, SourceError, quoted
from tenantry.core.position import Position
from tenantry.core.tenant import Row

_KINDS = {
    "decimal": Kind.NUMBER,
    "double": Kind.NUMBER,
    "float": Kind.NUMBER,
    "datetime": Kind.TIMESTAMP,
    "timestamp": Kind.TIMESTAMP,
    "json": Kind.JSON,
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"), Kind.BYTES),
    **dict.fromkeys(("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"), Kind.BYTES),
    **dict.fromkeys(("multipolygon", "geometrycollection", "geomcollection"), Kind.BYTES),
}
"""By the name of the type; all others are text as the server writes it."""

_BOOLEANS = frozenset({"tinyint(1)", "bit(1)"})
"""What `BOOLEAN` is an alias of, and its usual stand-in. A `tinyint(1)` that is neither 0 nor 1 keeps its digits."""

_ON_THE_WIRE = {
    **dict.fromkeys((0, 246), "decimal"),
    1: "tinyint",
    4: "float",
    5: "double",
    7: "timestamp",
    12: "datetime",
    16: "bit",
    245: "json",
    255: "geometry",
}
"""Types by their number in the protocol (`enum_field_types` in MySQL's field_types.h)."""

_TEXTS_ON_THE_WIRE = frozenset({15, 249, 250, 251, 252, 253, 254})
_BINARY = 63
"""The character set of what is no text."""

_SESSION = """
SET NAMES utf8mb4, SESSION time_zone = '+00:00', SESSION sql_select_limit = 18446744073709551615,
    SESSION sql_auto_is_null = 0, SESSION group_concat_max_len = 1048576, SESSION sql_quote_show_create = 1,
    SESSION lock_wait_timeout = :lock, SESSION innodb_lock_wait_timeout = :lock,
    SESSION wait_timeout = :read, SESSION net_write_timeout = :read
"""
"""What a server may have set otherwise for everybody.

`sql_select_limit` cuts every result without a word, `group_concat_max_len` every list. The time-outs end a transaction
whose client fell silent: as long as it is open, an ALTER TABLE waits for it, and behind that everybody else.
"""

_MYSQL_STATEMENT = "SET SESSION max_execution_time = :statement"
_MARIADB_STATEMENT = "SET SESSION max_statement_time = :statement / 1000"
_ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"

_RELATION = """
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES
WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME = :name
"""

_COLUMNS = """
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = :schema AND TABLE_NAME = :name ORDER BY ORDINAL_POSITION
"""

_MYSQL_SERVER = "SELECT @@server_uuid, @@global.read_only"
_MARIADB_SERVER = "SELECT CONCAT(@@server_id, '@', @@hostname, ':', @@port), @@global.read_only"
"""MariaDB has no identity of its own that everybody may read and that stays: this one changes with the machine."""

_LOG = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_lsn_flushed', 'Innodb_redo_log_flushed_to_disk_lsn')"
"""MariaDB's name, and that of MySQL since 8.0.30. Like that of PostgreSQL it counts bytes, and survives a crash."""

_JSON_OF_MARIADB = re.compile(r"^  `((?:[^`]|``)+)` longtext .*CHECK \(json_valid\(`\1`\)\),?$", re.MULTILINE)
"""Its `json` is this. `information_schema.CHECK_CONSTRAINTS` hides it from who may only SELECT."""


class MySQL:
    """A MySQL or MariaDB server, through asyncmy."""

    def __init__(self, url: URL, limits: Limits) -> None:
        """Prepare one connection, kept between reads and tested before each; raises ConfigurationError."""
        self._limits = limits
        self._login = Login.of(url, limits.connect.total_seconds())
        self.engine = create_async_engine(
            "mysql+asyncmy://",
            async_creator=self._connect,
            pool_size=1,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=limits.connect.total_seconds(),
            hide_parameters=True,
        )
        self._line: Line | None = None
        self._server: tuple[object, ...] | None = None
        self._is_view = False
        self._types: dict[str, str] = {}
        """The types of the columns in the read under way."""

    async def _connect(self) -> Line:
        self._line = line = self._login.line()
        await self._login.open(line)
        self._server = await line.server()
        return line

    async def begin(self, connection: AsyncConnection, relation: TableClause) -> TableClause | None:
        """Begin a read-only transaction and hold the table as it is.

        The server does not keep a table's definition for a snapshot: after TRUNCATE or ALTER TABLE that snapshot is
        an error at best. A statement that reads nothing takes the metadata locks, on all below a view too, and they
        last to the end of the transaction; the rows, which come later, make the snapshot.
        """
        await self._settle(connection)
        # All of the columns: those that a user may not read are missing in the catalogue, without a word.
        everything: Select[*tuple[Any, ...]] = (
            select(literal_column("*")).select_from(relation).limit(literal_column("0"))
        )
        names = {"schema": relation.schema, "name": relation.name}
        try:
            await connection.execute(everything)
        except ProgrammingError:
            # Only a table that is missing in the catalogue too is told by its name: one below it may be meant.
            if (await connection.execute(text(_RELATION), names)).one_or_none() is None:
                return None
            raise
        found = (await connection.execute(text(_RELATION), names)).one_or_none()
        if found is None:
            return None
        schema, name, kind = found
        if (relation.schema or schema, relation.name) != (schema, name):
            raise MissingTable(
                f"Table {quoted(relation.fullname)} does not exist; there is {quoted(f'{schema}.{name}')}."
            )
        self._is_view = kind == "VIEW"
        return table(quoted_name(name, quote=True), schema=quoted_name(schema, quote=True))

    async def _settle(self, connection: AsyncConnection) -> None:
        limits = self._limits
        await connection.execute(text(_SESSION), {"lock": _seconds(limits.lock), "read": _seconds(limits.read)})
        statement = _MARIADB_STATEMENT if self._is_mariadb else _MYSQL_STATEMENT
        await connection.execute(text(statement), {"statement": max(1, round(limits.statement.total_seconds() * 1000))})
        await connection.execute(text(_ISOLATION))
        await connection.execute(text("START TRANSACTION READ ONLY"))

    @property
    def _is_mariadb(self) -> bool:
        return bool(self.engine.dialect.is_mariadb)  # type: ignore[attr-defined]

    async def begin_query(self, connection: AsyncConnection, query: Query) -> FromClause:
        """Begin a read-only transaction and take the metadata locks of all tables that a query reads."""
        await self._settle(connection)
        self._is_view = False
        found = query.clause(doubled=True)
        await connection.execute(select(literal_column("*")).select_from(found).limit(literal_column("0")))
        return found

    async def position(self, connection: AsyncConnection, name: str) -> Position:
        """Read the server's name and how much of InnoDB's log is on disk; 0 where no one may know that."""
        server, read_only = (
            await connection.execute(text(_MARIADB_SERVER if self._is_mariadb else _MYSQL_SERVER))
        ).one()
        written = (await connection.execute(text(_LOG))).all()
        return Position(
            source=f"{server}/{name}",
            lsn=max((int(value) for _, value in written), default=0),
            standby=read_only not in ("0", "OFF"),
        )

    async def reached(self, connection: AsyncConnection) -> int:  # noqa: ARG002 -- the interface
        """Tell nothing: positions of two servers have nothing in common."""
        return 0

    async def columns(self, connection: AsyncConnection, relation: TableClause) -> list[Column]:
        """Read the columns from the catalogue, generated and invisible ones among them."""
        names = {"schema": relation.schema, "name": relation.name}
        rows = [tuple(row) for row in await connection.execute(text(_COLUMNS), names)]
        self._types = {name: kind if whole not in _BOOLEANS else whole for name, kind, whole in rows}
        if self._is_mariadb and not self._is_view and "longtext" in self._types.values():
            self._types |= dict.fromkeys(await self._json_of_mariadb(connection, relation), "json")
        return [Column(name, _kind(kind)) for name, kind in self._types.items()]

    async def columns_of_query(self, connection: AsyncConnection, query: FromClause) -> list[Column]:
        """Let the server describe what the query gives; JSON of MariaDB is long text to it, and to be declared."""
        everything: Select[*tuple[Any, ...]] = select(literal_column("*")).select_from(query).limit(literal_column("0"))
        await connection.execute(everything)
        described = self._line.described() if self._line is not None else []
        self._types = {name: _described(code, length, charset) for name, code, length, charset in described}
        return [Column(name, _kind(_described(*rest))) for name, *rest in described]

    async def _json_of_mariadb(self, connection: AsyncConnection, relation: TableClause) -> list[str]:
        """Return the columns that were declared JSON; those of a view are told only to who may see its text."""
        name = f"{_quoted(relation.schema or '')}.{_quoted(relation.name)}"
        made = (await connection.exec_driver_sql(f"SHOW CREATE TABLE {name}".replace("%", "%%"))).one()
        return [name.replace("``", "`") for name in _JSON_OF_MARIADB.findall(str(made[-1]))]

    def value(self, column: ColumnElement[object]) -> ColumnElement[object]:
        """Select a column as it is, which the server sends as text; only bits and short floats need help."""
        kind = self._types.get(str(getattr(column, "name", "")), "")
        if kind.startswith("bit"):
            return column.op("+")(literal_column("0"))
        if kind == "float":
            return type_coerce(column.op("+")(literal_column("0e0")), _ShortFloat)
        return column

    def in_order(self, column: ColumnElement[object]) -> ColumnElement[Any]:
        """Sort by the bytes of the text; a collation, even a binary one, would ignore spaces at its end."""
        return cast(cast(column, CHAR(charset="utf8mb4")), LargeBinary)

    async def opened(self, connection: AsyncConnection, statement: Select[*tuple[Any, ...]]) -> Fetching:
        """Execute a statement whose rows stay on the server until they are fetched."""
        return await streamed(connection, statement)

    def rows(self, fetched: Sequence[Sequence[object]]) -> Sequence[Row]:
        """Return rows: all of it is text already."""
        return list(map(tuple, fetched))

    async def interrupt(self) -> None:
        """End the statement on the server, which would not hear of a connection that is gone before it writes."""
        line, server = self._line, self._server
        if line is not None and server is not None and line.connected:
            with suppress(Error, OSError, SourceError):
                async with asyncio.timeout(MOMENT):
                    await self._login.kill(line.thread_id(), server)

    def hang_up(self) -> None:
        """Shut the connection down, at which asyncmy, which waits for it, sees its end."""
        if self._line is not None:
            self._line.abort()

    def abandon(self) -> None:
        """Hang up: the server sends a result to its end, and the driver would wait for that."""
        self.hang_up()


def _described(code: int, length: int, charset: int) -> str:
    """Return the type's name from what the protocol tells of a column."""
    if code in _TEXTS_ON_THE_WIRE:
        return "binary" if charset == _BINARY else "text"
    name = _ON_THE_WIRE.get(code, "")
    return f"{name}(1)" if name in ("tinyint", "bit") and length == 1 else name


def _kind(name: str) -> Kind:
    return Kind.BOOLEAN if name in _BOOLEANS else _KINDS.get(name, Kind.TEXT)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _seconds(limit: timedelta) -> int:
    """Return whole seconds, which is how the server counts."""
    return max(1, math.ceil(limit.total_seconds()))


class _ShortFloat(TypeDecorator[str]):
    """A number of four bytes as the shortest text that names it; the server itself shows six digits, and no more."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 -- the interface
        """Shorten what the server gives as a number of eight bytes."""
        if value is None:
            return None
        number = float(value)
        stored = struct.pack("f", number)
        texts = (f"{number:.{digits}g}" for digits in range(6, 10))
        return next((text for text in texts if struct.pack("f", float(text)) == stored), value)
