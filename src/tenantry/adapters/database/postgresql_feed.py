"""Hearing of changes in PostgreSQL: LISTEN where a trigger notifies, and else a look at what has been committed.

Both on one connection of its own. What transactions are visible (`pg_current_snapshot`) is the same text twice exactly
if none was committed in between; on a standby the position of replay tells the same.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from tenantry.adapters.database.failures import as_source_errors
from tenantry.core.errors import SourceTooSlow
from tenantry.core.trigger import TRIGGER
from tenantry.service.feeding import Look

_SELF_TEST = "tenantry-self-test "
_SELF_TEST_TAKES = 2.0
"""Seconds after which a notification to oneself will not come any more: a pooler in between keeps it."""

_IDENTITY = "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || current_database()"
_MARK = """
SELECT pg_postmaster_start_time()::text, pg_is_in_recovery(),
    CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn()::text, '')
         ELSE pg_current_snapshot()::text END
"""
_TABLE = """
SELECT c.oid::text || ' ' || c.xmin::text || ' ' || c.relfilenode::text,
    c.relkind = 'r' AND NOT c.relhassubclass,
    c.relkind = 'r' AND NOT c.relhassubclass AND EXISTS (
        SELECT FROM pg_trigger t
        WHERE t.tgrelid = c.oid AND t.tgname = %(trigger)s AND t.tgenabled = 'A' AND t.tgtype = 60 AND t.tgqual IS NULL
            AND t.tgattr = ''::int2vector AND t.tgargs = convert_to(%(channel)s, 'UTF8') || '\\x00'::bytea
    )
FROM pg_class c WHERE c.oid = to_regclass(%(table)s)
"""
"""Rewrites by ALTER TABLE fire no trigger, but change the table's own entry. 60: after INSERT, UPDATE, DELETE and
TRUNCATE, for each statement."""


class Mark(NamedTuple):
    """How things stand."""

    commits: tuple[Any, ...] | None
    table: str = ""
    """What the catalogue has about the table, as text that changes with it."""

    is_plain: bool = False
    """Whether it is a table of this database alone: views know the clock, and foreign tables change elsewhere."""

    notifies: bool = False
    """Whether each change of the table's rows is notified of, also one that replication makes."""

    @property
    def is_standby(self) -> bool:
        """Whether the server replays what another one writes."""
        return self.commits is not None and bool(self.commits[1])


class PostgreSQLFeed:
    """Hears of changes of a table, or of anything where what is read is a query."""

    def __init__(
        self, connect: Mapping[str, Any], channel: str, table: str | None, every: float, statement: float
    ) -> None:
        """Look `every` so many seconds by a connection made with `connect`; a look takes at most `statement` seconds.

        `table` is written as SQL writes it; None for a query.
        """
        self._connect = connect
        self._channel = channel
        self._table = table
        self._every = every
        self._statement = statement
        self._identity: str | None = None

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return "postgresql"

    @property
    def is_told(self) -> bool:
        """Whether it hears of a commit when it happens: nothing else is a change for sure."""
        return True

    @property
    def identity(self) -> str | None:
        """The database, as the names of sources begin."""
        return self._identity

    async def looks(self) -> AsyncGenerator[Look, None]:
        """Connect, and give a look for each change and now and then; raises SourceError."""
        with as_source_errors():
            connection = await self._connected()
            try:
                listens = await self._listens(connection)
                found = await (await connection.execute(_IDENTITY)).fetchone()
                self._identity = None if found is None else str(found[0])
                mark = await self._mark(connection)
                yield Look.CHANGED
                while True:
                    if await self._heard(connection, listens=listens):
                        yield Look.CHANGED
                        mark = mark._replace(commits=None)
                        continue
                    before, mark = mark, await self._mark(connection)
                    if (look := _look(before, mark, listens=listens)) is not None:
                        yield look
            finally:
                await connection.close()

    async def stands(self) -> tuple[bool, Mark]:
        """Tell whether notifications arrive, and how things stand; raises SourceError."""
        with as_source_errors():
            connection = await self._connected()
            try:
                return await self._listens(connection), await self._mark(connection)
            finally:
                await connection.close()

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(**self._connect, autocommit=True, prepare_threshold=None)

    async def _heard(self, connection: psycopg.AsyncConnection[Any], *, listens: bool) -> bool:
        """Wait for a notification, or for the next look."""
        if not listens:
            await asyncio.sleep(self._every)
            return False
        heard = [one async for one in connection.notifies(timeout=self._every, stop_after=1)]
        return any(not one.payload.startswith(_SELF_TEST) for one in heard)

    async def _listens(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Listen, and find out whether what is notified arrives: a pooler takes LISTEN and gives nothing."""
        try:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.FeatureNotSupported):
            return False  # a standby
        nonce = _SELF_TEST + secrets.token_hex(8)
        # By another connection: what one's own statement notifies of comes with its result, also through a pooler.
        async with await self._connected() as other:
            await other.execute("SELECT pg_notify(%s, %s)", (self._channel, nonce))
        async for one in connection.notifies(timeout=_SELF_TEST_TAKES):
            if one.payload == nonce:
                return True
        return False

    async def _mark(self, connection: psycopg.AsyncConnection[Any]) -> Mark:
        try:
            async with asyncio.timeout(self._statement):
                commits = await (await connection.execute(_MARK)).fetchone()
                if self._table is None:
                    return Mark(commits)
                values = {"trigger": TRIGGER, "channel": self._channel, "table": self._table}
                found = await (await connection.execute(_TABLE, values)).fetchone()
        except TimeoutError as late:
            raise SourceTooSlow from late
        return Mark(commits, *(found or ()))


def _look(before: Mark, now: Mark, *, listens: bool) -> Look | None:
    """Compare how things stood and stand: what others committed is nothing to us where each change is notified of.

    Nothing is proven where rows may change without a commit here, nor on a standby: what one has replayed says nothing
    about another one, that may be behind the same name.
    """
    if before.commits == now.commits and now.commits is not None:
        return Look.SAME if now.is_plain and before.is_plain and not now.is_standby else None
    if listens and before.notifies and now.notifies and before.table == now.table:
        return Look.SAME
    return Look.MAYBE
