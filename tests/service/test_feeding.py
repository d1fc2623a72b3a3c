"""Following a feed: what is read at once, what by the timer, and what is proven without a read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Self

import pytest

from tenantry.core.errors import SourceUnreachable
from tenantry.core.mapping import TableShape
from tenantry.service import feeding
from tenantry.service.feeding import Feeder, Look
from tenantry.service.refreshing import Refresher
from tenantry.service.snapshots import SnapshotHolder
from tests.fakes import FakeClock, FakeSource, Recorder, rows_of

pytestmark = pytest.mark.anyio


class FakeFeed:
    """A feed that gives what it is told to; None breaks its connection."""

    name = "fake"
    is_told = True

    def __init__(self) -> None:
        self.identity: str | None = "system"
        self.given: asyncio.Queue[Look | None] = asyncio.Queue()
        self.connections = 0

    async def looks(self) -> AsyncGenerator[Look, None]:
        self.connections += 1
        yield Look.CHANGED
        while (look := await self.given.get()) is not None:
            yield look
        raise SourceUnreachable


class Bed:
    """A feeder and a refresher, running; the refresher's timer is two seconds of a clock that is held still."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = FakeSource(rows_of(("acme", "active")))
        self.holder = SnapshotHolder(self.clock, 3600)
        self.seen = Recorder()
        self.feed = FakeFeed()
        self.refresher = Refresher(self.source, TableShape(), self.holder, self.seen, self.clock, every=2, within=5)
        self.feeder = Feeder(self.feed, self.refresher, self.seen, self.clock)
        self.refresher.proving = self.feeder.proven

    @property
    def reads(self) -> int:
        return len(self.seen.published)

    async def prove(self) -> None:
        """Look twice: the second look proves that nothing changed until the first."""
        await self.look(Look.SAME)
        await self.look(Look.SAME)

    async def look(self, look: Look | None) -> None:
        await self.feed.given.put(look)
        await settled()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(one) for one in (self.feeder.run(), self.refresher.run())]
        await eventually(lambda: self.reads > 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def settled() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


async def test_a_change_is_read_at_once() -> None:
    async with Bed() as bed:
        bed.clock.pass_by(seconds=1)
        before = bed.reads

        await bed.look(Look.CHANGED)

        await eventually(lambda: bed.reads == before + 1)


async def test_a_change_that_may_be_anybodys_is_read_at_once() -> None:
    async with Bed() as bed:
        bed.clock.pass_by(seconds=1)
        before = bed.reads

        await bed.look(Look.MAYBE)

        await eventually(lambda: bed.reads == before + 1)


async def test_changes_of_others_cost_ever_fewer_reads_until_one_was_of_a_tenant_or_nobody_writes() -> None:
    async with Bed() as bed:
        read = 0
        for _ in range(80):
            bed.clock.pass_by(seconds=0.25)
            before = bed.reads
            await bed.look(Look.MAYBE)
            read += bed.reads - before
        assert 10 <= read <= 15
        assert bed.feeder.proven("system/a", bed.holder.read.began - 0.1) is None

        bed.source.rows = rows_of(("acme", "changed"))
        await bed.refresher.force()
        bed.clock.pass_by(seconds=0.25)
        before = bed.reads
        await bed.look(Look.MAYBE)
        await eventually(lambda: bed.reads == before + 1)


async def test_a_time_without_hints_makes_the_next_one_count_again() -> None:
    async with Bed() as bed:
        for _ in range(40):
            bed.clock.pass_by(seconds=0.25)
            await bed.look(Look.MAYBE)
        await bed.refresher.refresh()  # the timer's, which has what the last hint meant
        bed.clock.pass_by(seconds=2)
        await bed.refresher.refresh()
        bed.clock.pass_by(seconds=0.25)
        before = bed.reads

        await bed.look(Look.MAYBE)

        assert bed.reads == before + 1


async def test_many_changes_at_once_cost_few_reads_and_the_last_is_among_them() -> None:
    async with Bed() as bed:
        bed.clock.pass_by(seconds=1)
        before = bed.reads
        for number in range(1000):
            bed.source.rows = rows_of(("acme", f"state{number}"))
            bed.feed.given.put_nowait(Look.CHANGED)
            await asyncio.sleep(0)

        await eventually(lambda: bed.holder.current().tenants["acme"].values[1] == "state999")
        assert bed.reads - before <= 10


async def test_what_is_proven_to_be_the_same_is_renewed_without_a_read() -> None:
    async with Bed() as bed:
        bed.clock.pass_by(seconds=30)
        await bed.prove()
        before, number = bed.reads, bed.holder.read.number

        assert bed.refresher._is_renewed()

        assert (bed.reads, bed.holder.read.number) == (before, number + 1)
        assert bed.holder.age == 0
        assert bed.seen.spared == 1


async def test_nothing_is_proven_for_more_than_a_minute_after_a_failed_read_or_for_another_database() -> None:
    async with Bed() as bed:
        bed.clock.pass_by(seconds=30)
        await bed.prove()
        bed.feed.identity = "another"
        assert not bed.refresher._is_renewed()
        bed.feed.identity = "system"
        assert bed.refresher._is_renewed()
        assert not bed.refresher._is_renewed()  # nobody has looked since
        bed.clock.pass_by(seconds=31)
        await bed.prove()
        assert not bed.refresher._is_renewed()

        bed.source.broken = SourceUnreachable()
        await bed.refresher.refresh()
        await bed.prove()
        assert not bed.refresher._is_renewed()


async def test_nothing_is_proven_of_what_was_read_from_a_standby() -> None:
    async with Bed() as bed:
        bed.source.position = replace(bed.source.position, standby=True)
        await bed.refresher.refresh()
        bed.clock.pass_by(seconds=1)
        await bed.prove()

        assert not bed.refresher._is_renewed()


async def test_a_feed_that_is_lost_is_followed_again_and_read_once_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "_FIRST_WAIT", 0.001)
    async with Bed() as bed:
        bed.clock.pass_by(seconds=1)
        await bed.prove()
        before = bed.reads

        await bed.look(None)

        await eventually(lambda: bed.feed.connections == 2 and bed.reads == before + 1)
        assert bed.feeder.proven("system/a", bed.holder.read.began) is None
        assert "feed_back" not in bed.seen.events
        await bed.look(Look.SAME)
        assert bed.seen.events.count("feed_lost") == bed.seen.events.count("feed_back") == 1


async def test_a_read_that_is_forced_gives_what_it_read_or_why_it_failed() -> None:
    async with Bed() as bed:
        await bed.prove()
        bed.source.rows = rows_of(("acme", "active"), ("beta", "active"))
        assert sorted((await bed.refresher.force()).tenants) == ["acme", "beta"]

        bed.source.broken = SourceUnreachable()
        with pytest.raises(SourceUnreachable):
            await bed.refresher.force()


async def test_a_feed_that_has_a_fault_of_ours_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "_FIRST_WAIT", 0.001)
    async with Bed() as bed:
        monkeypatch.setattr(bed.feed, "looks", Broken)
        await bed.look(None)

        await eventually(lambda: len(bed.seen.faults) > 1)
        await bed.refresher.force()


class Broken:
    """What a feed gives that has a fault."""

    def __aiter__(self) -> Broken:
        return self

    async def __anext__(self) -> Look:
        raise RuntimeError

    async def aclose(self) -> None:
        return
