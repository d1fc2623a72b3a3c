"""Feeds of changes: on PostgreSQL with its trigger, without it and through a pooler, and on a SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path

import psycopg
import pytest

from tenantry.adapters.database.feed import heard_by, open_feed
from tenantry.adapters.database.source import Limits
from tenantry.core.errors import ConfigurationError, SourceError
from tenantry.core.trigger import trigger_sql
from tenantry.service.feeding import Feed, Look
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

OTHERS = "CREATE TABLE IF NOT EXISTS other (n int); INSERT INTO other VALUES (1)"


def feed_of(url: str, table: str | None = "organization", direct: str | None = None) -> Feed:
    found = open_feed(url, table, Limits(), channel="tenantry", direct=direct, every=0.05)
    assert found is not None
    return found


class Followed:
    """What a feed has told so far."""

    def __init__(self) -> None:
        self.looks: list[Look] = []

    async def comes(self, look: Look, after: Callable[[], object] = lambda: None) -> None:
        """Do something, and wait until a look comes after it."""
        began = len(self.looks)
        await asyncio.to_thread(after)
        async with asyncio.timeout(20):
            while look not in self.looks[began:]:
                await asyncio.sleep(0.005)

    async def stays(self, looks: int) -> list[Look]:
        """Return the next so many looks."""
        began = len(self.looks)
        async with asyncio.timeout(20):
            while len(self.looks) < began + looks:
                await asyncio.sleep(0.005)
        return self.looks[began:]


@asynccontextmanager
async def followed(feed: Feed) -> AsyncIterator[Followed]:
    told = Followed()

    async def follow() -> None:
        async with aclosing(feed.looks()) as looks:
            async for look in looks:
                told.looks.append(look)

    task = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(20):
            while not told.looks and not task.done():
                await asyncio.sleep(0.005)
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def triggered(database: Database) -> Database:
    with psycopg.connect(database.url(), autocommit=True) as connection:
        connection.execute(trigger_sql("organization", "tenantry"))
    return database


CHANGES = {
    "an insert": "INSERT INTO organization (tenant, status) VALUES ('new', 'active')",
    "an update": "UPDATE organization SET status = 'x'",
    "a delete": "DELETE FROM organization",
    "a truncation": "TRUNCATE organization",
    "a change that replication makes": "SET session_replication_role = replica; DELETE FROM organization",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_trigger_tells_of_each_change_and_of_nothing_else(triggered: Database, change: str) -> None:
    async with followed(feed_of(triggered.url())) as told:
        await told.comes(Look.SAME)
        triggered.execute(OTHERS)
        assert set(await told.stays(5)) == {Look.SAME}

        await told.comes(Look.CHANGED, lambda: triggered.execute(change))


@pytest.mark.parametrize(
    "change",
    [
        "DROP TRIGGER tenantry_changed ON organization",
        "ALTER TABLE organization DISABLE TRIGGER tenantry_changed",
        "ALTER TABLE organization ENABLE TRIGGER tenantry_changed",
        "ALTER TABLE organization ADD COLUMN plan text DEFAULT 'pro'",
        "ALTER TABLE organization ALTER COLUMN status TYPE varchar USING 'x'",
        "CREATE TABLE part () INHERITS (organization)",
    ],
)
async def test_what_no_trigger_tells_of_is_noticed(triggered: Database, change: str) -> None:
    async with followed(feed_of(triggered.url())) as told:
        await told.comes(Look.SAME)

        await told.comes(Look.MAYBE, lambda: triggered.execute(change))


async def test_without_a_trigger_any_commit_may_be_one_of_ours(database: Database) -> None:
    async with followed(feed_of(database.url())) as told:
        assert told.looks[0] is Look.CHANGED
        assert set(await told.stays(3)) == {Look.SAME}

        await told.comes(Look.MAYBE, lambda: database.execute(OTHERS))


@pytest.mark.parametrize("table", ["seen", "parted", "elsewhere", None], ids=["view", "parts", "foreign", "query"])
async def test_nothing_is_proven_of_what_changes_without_a_commit_here(database: Database, table: str | None) -> None:
    with psycopg.connect(database.url(), autocommit=True) as owner:
        owner.execute("CREATE VIEW seen AS SELECT * FROM organization WHERE now() < 'tomorrow'")
        owner.execute("CREATE TABLE parted (tenant text) PARTITION BY LIST (tenant)")
        owner.execute("CREATE EXTENSION IF NOT EXISTS file_fdw")
        owner.execute("CREATE SERVER files FOREIGN DATA WRAPPER file_fdw")
        owner.execute("CREATE FOREIGN TABLE elsewhere (tenant text) SERVER files OPTIONS (filename '/none')")
    async with followed(feed_of(database.url(), table)) as told:
        for _ in range(3):
            await told.comes(Look.MAYBE, lambda: database.execute(OTHERS))
            await asyncio.sleep(0.2)  # several looks at nothing new

        assert Look.SAME not in told.looks


@pytest.mark.parametrize("table", ["seen", "words", None], ids=["view", "virtual", "query"])
async def test_nothing_is_proven_of_a_view_or_a_virtual_table_of_a_file(tmp_path: Path, table: str | None) -> None:
    path = tmp_path / "t.db"

    def execute(statement: str) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    execute("CREATE TABLE organization (tenant TEXT)")
    execute("CREATE VIEW seen AS SELECT * FROM organization WHERE date('now') < '2000'")
    execute("CREATE VIRTUAL TABLE words USING fts5(tenant)")
    async with followed(feed_of(f"sqlite:///{path}", table)) as told:
        for _ in range(3):
            await told.comes(Look.CHANGED, lambda: execute("INSERT INTO organization VALUES ('a')"))
            await asyncio.sleep(0.2)  # several looks at nothing new

        assert Look.SAME not in told.looks


@pytest.mark.parametrize(
    ("url", "direct"), [("sqlite:///a.db", "postgresql://h/d"), ("postgresql://h/d", "mysql://h/d")]
)
def test_a_way_past_a_pooler_is_one_to_the_same_kind_of_database(url: str, direct: str) -> None:
    with pytest.raises(ConfigurationError, match=r"source\.feed_url is for PostgreSQL"):
        feed_of(url, direct=direct)


async def test_a_commit_that_waits_is_noticed_when_it_can_be_seen(database: Database) -> None:
    with psycopg.connect(database.url()) as writer:
        async with followed(feed_of(database.url())) as told:
            writer.execute("DELETE FROM organization")
            await told.comes(Look.SAME)

            await told.comes(Look.MAYBE, writer.commit)


async def test_a_pooler_that_keeps_notifications_is_found_out(
    triggered: Database, pgbouncer: Callable[[Database], PgBouncer]
) -> None:
    pooler = pgbouncer(triggered)
    url = triggered.url(port=pooler.port)

    heard = await heard_by(feed_of(url), 2.0)
    assert "There is a pooler in between".lower() in heard.what.lower()
    assert "source.feed_url" in heard.remedy
    async with followed(feed_of(url)) as told:
        await told.comes(Look.MAYBE, lambda: triggered.execute("DELETE FROM organization"))
    assert "at once" in (await heard_by(feed_of(url, direct=triggered.url()), 2.0)).what


async def test_people_are_told_how_soon_changes_are_heard(database: Database, tmp_path: Path) -> None:
    told = await heard_by(feed_of(database.url()), 2.0)
    assert told.what.startswith("The table has no trigger")
    assert "tenantry manifests trigger" in told.remedy
    with psycopg.connect(database.url(), autocommit=True) as connection:
        connection.execute(trigger_sql("organization", "tenantry"))
    assert "at once" in (await heard_by(feed_of(database.url()), 2.0)).what
    assert "0.25 s" in (await heard_by(feed_of(f"sqlite:///{tmp_path}/t.db"), 2.0)).what
    assert "every 2 s" in (await heard_by(None, 2.0)).what


async def test_a_server_that_ends_the_connection_is_an_error(database: Database) -> None:
    feed = feed_of(database.url())
    looks = feed.looks()
    assert await anext(looks) is Look.CHANGED
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'tenantry' AND datname = current_database()"
    )

    with pytest.raises(SourceError):
        async for _ in looks:
            pass


async def test_a_database_that_is_not_there_is_an_error(database: Database) -> None:
    with pytest.raises(SourceError):
        await anext(feed_of(f"{database.url()}_none").looks())


async def test_a_commit_to_a_file_is_noticed_and_a_read_is_not(tmp_path: Path) -> None:
    path = tmp_path / "tenants of mine.db"

    def execute(statement: str) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    execute("CREATE TABLE organization (tenant TEXT)")
    async with followed(feed_of(f"sqlite:///{path}")) as told:
        execute("SELECT * FROM organization")
        assert set(await told.stays(3)) == {Look.SAME}

        await told.comes(Look.CHANGED, lambda: execute("INSERT INTO organization VALUES ('a')"))


async def test_a_file_that_is_replaced_is_opened_anew(tmp_path: Path) -> None:
    for name in ("one.db", "two.db"):
        sqlite3.connect(tmp_path / name).execute("CREATE TABLE t (x)").connection.close()
    looks = feed_of(f"sqlite:///{tmp_path}/one.db").looks()
    assert await anext(looks) is Look.CHANGED
    (tmp_path / "two.db").rename(tmp_path / "one.db")

    with pytest.raises(SourceError, match="replaced"):
        async for _ in looks:
            pass


async def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        await anext(feed_of(f"sqlite:///{tmp_path}/none.db").looks())
