"""A read that is cancelled, by its time limit or by the end of the service, ends at once and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tenantry.adapters.database.source import DatabaseSource, Limits, open_source
from tenantry.core.errors import SourceTooSlow
from tenantry.core.mapping import TableShape
from tenantry.service.refreshing import read_snapshot
from tests.builders import served
from tests.support.mariadb import MariaDatabase
from tests.support.postgres import Database
from tests.support.proxy import FaultProxy
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

ROWS = 60_000
TRIES = 40
PATIENCE = 4.0
"""Seconds: what the clean-up of a read that is cancelled may take at the very most, on a busy machine."""


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "tenants.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE organization (tenant TEXT, status TEXT)")
        rows = ((f"tenant-{number:06}", "active") for number in range(ROWS))
        connection.executemany("INSERT INTO organization VALUES (?, ?)", rows)
    connection.close()
    return path


@contextlib.asynccontextmanager
async def source_of(url: str, limits: Limits | None = None) -> AsyncIterator[DatabaseSource]:
    source = open_source(url, "organization", "tenant", limits or Limits())
    try:
        yield source
    finally:
        await asyncio.wait_for(source.close(), PATIENCE)


async def read(source: DatabaseSource, within: float = 30) -> list[str]:
    return served(await read_snapshot(source, TableShape(), None, within))


async def shortest(source: DatabaseSource) -> float:
    """Return the seconds that a read takes where nobody else works: a longer one would let most end by themselves."""
    taken = []
    for _ in range(5):
        began = time.monotonic()
        await read(source)
        taken.append(time.monotonic() - began)
    return min(taken)


async def ended_by(reading: asyncio.Task[list[str]]) -> BaseException | None:
    done, _ = await asyncio.wait([reading], timeout=PATIENCE)
    assert done, "the read goes on although it was cancelled"
    return asyncio.CancelledError() if reading.cancelled() else reading.exception()


async def test_a_read_of_sqlite_that_is_cancelled_at_any_moment_ends_as_cancelled(
    long_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = threading.active_count()
    async with source_of(f"sqlite:///{long_file}") as source:
        whole = await shortest(source)
        ends = []
        for number in range(TRIES):
            reading = asyncio.create_task(read(source))
            await asyncio.sleep(whole * number / TRIES)
            reading.cancel()
            ends.append(type(await ended_by(reading)))
        assert len(await read(source)) == ROWS

    assert set(ends) <= {asyncio.CancelledError, type(None)}
    assert ends.count(asyncio.CancelledError) > TRIES / 2
    assert caplog.messages == []
    eventually(lambda: threading.active_count() <= before, what="No thread of a driver")


@pytest.mark.parametrize("moment", [0.0, 0.005, 0.02, 0.05])
async def test_a_read_of_sqlite_that_takes_too_long_is_told_as_that(
    long_file: Path, moment: float, caplog: pytest.LogCaptureFixture
) -> None:
    statement = timedelta(seconds=moment)
    async with source_of(f"sqlite:///{long_file}", Limits(statement=statement)) as source:
        with pytest.raises(SourceTooSlow):
            await read(source, within=10 if moment else 0.05)

    assert caplog.messages == []


SLOW = """
CREATE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.15); RETURN $1; END';
ALTER TABLE organization RENAME TO stored;
CREATE VIEW organization AS SELECT id, slow(tenant) AS tenant, status FROM stored
"""
SLOW_OF_MARIADB = """
CREATE FUNCTION slowly(given varchar(255)) RETURNS varchar(255) NOT DETERMINISTIC NO SQL
    RETURN IF(SLEEP(0.08) = 0, given, NULL);
RENAME TABLE organization TO stored;
CREATE VIEW organization AS SELECT id, slowly(tenant) AS tenant, status FROM stored
"""
"""A view that takes seconds for its ten rows."""

BUSY = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tenantry' AND state = 'active'"
BUSY_OF_MARIADB = """
SELECT COUNT(*) FROM information_schema.PROCESSLIST
WHERE DB = DATABASE() AND COMMAND = 'Query' AND ID <> CONNECTION_ID()
"""
MANY = "INSERT INTO organization (tenant, status) SELECT 't' || n, 'x' FROM generate_series(1, 5000) n"
MANY_OF_MARIADB = "INSERT INTO organization (tenant, status) SELECT CONCAT('t', seq), 'x' FROM seq_1_to_5000"


@dataclass
class Server:
    """A database behind a proxy, and its own words for what these tests do."""

    database: Database | MariaDatabase
    proxy: FaultProxy

    @property
    def _of_mariadb(self) -> bool:
        return isinstance(self.database, MariaDatabase)

    def make_slow(self) -> None:
        """Put a view that takes seconds in the place of the table."""
        self.database.execute(SLOW_OF_MARIADB if self._of_mariadb else SLOW)

    def add_many(self) -> None:
        """Add more rows than are fetched at once."""
        self.database.execute(MANY_OF_MARIADB if self._of_mariadb else MANY)

    def is_busy(self) -> bool:
        """Tell whether a statement of ours runs."""
        return self.database.execute(BUSY_OF_MARIADB if self._of_mariadb else BUSY) != [(0,)]

    async def until_it_runs(self) -> None:
        """Wait for the slow statement."""
        running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tenantry' AND query LIKE 'FETCH%'"
        if self._of_mariadb:
            running = f"{BUSY_OF_MARIADB} AND STATE = 'User sleep'"
        async with asyncio.timeout(10):
            while self.database.execute(running) == [(0,)]:
                await asyncio.sleep(0.02)


@pytest.fixture(params=["database", "maria"], ids=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Return a database of each server behind a proxy."""
    database = request.getfixturevalue(request.param)
    proxy = FaultProxy(database.server.port).start()
    yield Server(database, proxy)
    proxy.stop()


@pytest.mark.parametrize("silent", [False, True], ids=["the server answers", "nothing comes back"])
async def test_a_read_that_is_cancelled_ends_at_once(
    server: Server, silent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with source_of(server.database.url(port=server.proxy.port)) as source:
        server.make_slow()
        reading = asyncio.create_task(read(source))
        await server.until_it_runs()
        server.proxy.black_hole = silent
        reading.cancel()
        assert type(await ended_by(reading)) is asyncio.CancelledError

        server.proxy.heal()
        assert len(await read(source)) == 10

    assert caplog.messages == []


async def test_a_statement_of_a_read_that_is_cancelled_ends_on_the_server_too(server: Server) -> None:
    async with source_of(server.database.url()) as source:
        server.make_slow()
        reading = asyncio.create_task(read(source))
        await server.until_it_runs()
        reading.cancel()
        await ended_by(reading)

        assert not server.is_busy()


@pytest.mark.parametrize("moment", ["between two reads", "in a read"])
async def test_a_connection_that_falls_silent_ends_the_read_by_its_own_limit(server: Server, moment: str) -> None:
    async with source_of(server.database.url(port=server.proxy.port)) as source:
        await read(source)
        if moment == "in a read":
            server.make_slow()
            reading = asyncio.create_task(read(source, within=1))
            await server.until_it_runs()
            server.proxy.black_hole = True
        else:
            server.proxy.black_hole = True
            reading = asyncio.create_task(read(source, within=1))
        began = time.monotonic()
        assert type(await ended_by(reading)) is SourceTooSlow
        assert time.monotonic() - began < PATIENCE

        server.proxy.heal()
        assert len(await read(source)) == 10


async def fail_after_a_slice(source: DatabaseSource, proxy: FaultProxy) -> None:
    async with source.read() as reading:
        async for _ in reading.rows(["tenant", "status"]):
            proxy.black_hole = True
            raise RuntimeError("a fault of ours")


async def test_a_read_that_fails_between_two_calls_on_a_dead_line_leaves_room_for_the_next(server: Server) -> None:
    server.add_many()
    async with source_of(server.database.url(port=server.proxy.port)) as source:
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await fail_after_a_slice(source, server.proxy)

        server.proxy.heal()
        assert len(await read(source)) == 5010


async def test_a_read_of_mariadb_that_is_cancelled_at_any_moment_ends_as_cancelled(
    maria: MariaDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    maria.execute(MANY_OF_MARIADB)
    async with source_of(maria.url()) as source:
        await read(source)
        whole = await shortest(source)
        ends = []
        for number in range(TRIES):
            reading = asyncio.create_task(read(source))
            await asyncio.sleep(whole * number / TRIES)
            reading.cancel()
            ends.append(type(await ended_by(reading)))
        assert len(await read(source)) == 5010

    assert set(ends) <= {asyncio.CancelledError, type(None)}
    assert ends.count(asyncio.CancelledError) > TRIES / 2
    assert caplog.messages == []
