"""The feed of changes of MariaDB: hints about a table from its own time, about all else from the server's log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from tenantry.adapters.database.feed import heard_by, open_feed
from tenantry.adapters.database.mysql_feed import Mark, MySQLFeed, may_have_changed
from tenantry.adapters.database.source import Limits
from tenantry.core.errors import SourceError, SourceTooSlow
from tenantry.service.feeding import Look
from tests.adapters.test_feeds import OTHERS, feed_of, followed
from tests.support.mariadb import MariaDatabase
from tests.support.proxy import FaultProxy

pytestmark = pytest.mark.anyio

CHANGES = {
    "an insert": "INSERT INTO organization (tenant, status) VALUES ('new', 'active')",
    "an update": "UPDATE organization SET status = 'x'",
    "a delete": "DELETE FROM organization",
    "a truncation": "TRUNCATE organization",
    "a column": "ALTER TABLE organization ADD COLUMN plan varchar(9) DEFAULT 'pro'",
    "another table in its place": "RENAME TABLE organization TO formerly, spare TO organization",
}


@pytest.fixture
def quiet(maria: MariaDatabase) -> MariaDatabase:
    """Return a database whose table was not written to lately: one that was made anew has no time yet."""
    maria.execute("CREATE TABLE spare LIKE organization; ALTER TABLE organization FORCE")
    return maria


def mysql_feed(database: MariaDatabase, table: str | None = "organization", url: str = "") -> MySQLFeed:
    feed = feed_of(url or database.url(), table)
    assert isinstance(feed, MySQLFeed)
    return feed


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_of_a_table_is_noticed_and_nothing_is_ever_proven(quiet: MariaDatabase, change: str) -> None:
    async with followed(mysql_feed(quiet)) as told:
        assert told.looks == [Look.CHANGED]

        await told.comes(Look.MAYBE, lambda: quiet.execute(change))

        assert Look.SAME not in told.looks


async def test_what_was_written_is_noticed_again_when_it_is_committed(quiet: MariaDatabase) -> None:
    with quiet.connect() as writer:
        writer.execute("BEGIN; UPDATE organization SET status = 'late'")
        async with followed(mysql_feed(quiet)) as told:
            await told.comes(Look.MAYBE, lambda: writer.execute("COMMIT"))


async def test_the_second_change_of_a_second_is_noticed_as_the_first(quiet: MariaDatabase) -> None:
    async with followed(mysql_feed(quiet)) as told:
        for number in range(5):
            change = f"UPDATE organization SET status = 'state-{number}'"
            await told.comes(Look.MAYBE, lambda change=change: quiet.execute(change))  # type: ignore[misc]


async def test_what_is_written_elsewhere_is_nothing_to_a_table(quiet: MariaDatabase) -> None:
    feed = mysql_feed(quiet)
    before = await feed.stands()

    await asyncio.to_thread(quiet.execute, OTHERS)

    after = await feed.stands()
    assert after.log != before.log
    assert not may_have_changed(before, after)


@pytest.mark.parametrize("table", ["seen", "kept", None], ids=["view", "another engine", "query"])
async def test_of_what_has_no_time_of_its_own_any_write_may_be_a_change(
    quiet: MariaDatabase, table: str | None
) -> None:
    quiet.execute("CREATE VIEW seen AS SELECT * FROM organization; CREATE TABLE kept (tenant varchar(9)) ENGINE=Aria")
    async with followed(mysql_feed(quiet, table)) as told:
        await told.comes(Look.MAYBE, lambda: quiet.execute(OTHERS))

        assert Look.SAME not in told.looks


async def test_who_may_only_read_the_table_hears_of_its_changes(quiet: MariaDatabase) -> None:
    user, password = quiet.create_reader()
    feed = mysql_feed(quiet, f"{quiet.name}.organization", quiet.url(user, password))

    assert (await feed.stands()).table is not None
    async with followed(feed) as told:
        await told.comes(Look.MAYBE, lambda: quiet.execute(CHANGES["an update"]))


def killed(database: MariaDatabase) -> None:
    found = database.execute(
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{database.name}' AND ID <> CONNECTION_ID()"
    )
    for (number,) in found:
        database.server.execute(f"KILL {number}")


async def test_a_server_that_ends_the_connection_is_an_error(quiet: MariaDatabase) -> None:
    looks = mysql_feed(quiet).looks()
    assert await anext(looks) is Look.CHANGED
    await asyncio.to_thread(killed, quiet)

    with pytest.raises(SourceError):
        async for _ in looks:
            pass


async def test_a_server_that_falls_silent_is_too_slow(quiet: MariaDatabase) -> None:
    proxy = FaultProxy(quiet.server.port).start()
    try:
        limits = Limits(statement=timedelta(seconds=0.3))
        feed = open_feed(quiet.url(port=proxy.port), "organization", limits, channel="", direct=None, every=0.01)
        assert feed is not None
        looks = feed.looks()
        assert await anext(looks) is Look.CHANGED
        proxy.black_hole = True

        with pytest.raises(SourceTooSlow):
            await asyncio.wait_for(anext(looks), 20)
    finally:
        proxy.stop()


@pytest.mark.parametrize("wrong", [lambda url: f"{url}_none", lambda url: url.replace("admin", "nobody")])
async def test_a_database_that_cannot_be_used_is_an_error(maria: MariaDatabase, wrong: Callable[[str], str]) -> None:
    with pytest.raises(SourceError):
        await anext(mysql_feed(maria, url=wrong(maria.url())).looks())


async def test_people_are_told_how_soon_changes_are_heard(maria: MariaDatabase) -> None:
    told = (await heard_by(mysql_feed(maria), 2.0)).what
    assert told == "A change of the table is noticed within 0.25 s, at the latest within 2 s."
    assert "where others write to the server" in (await heard_by(mysql_feed(maria, None), 2.0)).what


@pytest.mark.parametrize(
    ("now", "may"),
    [
        pytest.param(Mark((1,), "a"), False, id="nothing moved"),
        pytest.param(Mark((2,), "a"), False, id="somebody wrote elsewhere"),
        pytest.param(Mark((2,), "a", is_recent=True), True, id="somebody wrote, and the table's time is of just now"),
        pytest.param(Mark((1,), "a", is_recent=True), False, id="nobody wrote"),
        pytest.param(Mark((1,), "b"), True, id="the table has another time"),
        pytest.param(Mark((1,), None), True, id="the table is gone"),
    ],
)
def test_a_table_may_have_changed_with_its_own_time_or_within_it(now: Mark, *, may: bool) -> None:
    assert may_have_changed(Mark((1,), "a"), now) is may
