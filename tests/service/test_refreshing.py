"""Reads: what becomes the snapshot, and what leaves it as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tenantry.core.errors import MissingColumn, SourceError, SourceTooSlow, SourceUnreachable, SourceWentBack
from tenantry.core.mapping import TableShape
from tenantry.service.refreshing import Refresher, read_snapshot
from tenantry.service.snapshots import SnapshotHolder
from tests.builders import HERE, TUTORIAL_COLUMNS, served
from tests.fakes import FakeClock, FakeReading, FakeSource, Recorder, rows_of

pytestmark = pytest.mark.anyio


class Bed:
    """A refresher over a table in memory."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self.clock = FakeClock()
        self.source = FakeSource(rows_of(*pairs))
        self.holder = SnapshotHolder(self.clock, 3600)
        self.seen = Recorder()
        self.refresher = Refresher(self.source, TableShape(), self.holder, self.seen, self.clock, every=3600, within=5)

    def tenants(self) -> list[str]:
        return served(self.holder.current())


async def test_a_read_becomes_the_snapshot() -> None:
    bed = Bed(("beta", "trial"), ("acme", "active"))

    await bed.refresher.refresh()

    assert bed.tenants() == ["acme", "beta"]
    assert [changed for _, changed in bed.seen.published] == [True]


async def test_a_read_without_news_renews_the_age_and_is_no_change() -> None:
    bed = Bed(("acme", "active"))
    await bed.refresher.refresh()
    bed.clock.pass_by(seconds=60)

    await bed.refresher.refresh()

    assert bed.holder.age == 0
    assert [changed for _, changed in bed.seen.published] == [True, False]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"broken": SourceUnreachable()}, id="it cannot be reached"),
        pytest.param({"cut_after": 1}, id="it is cut after a row"),
        pytest.param({"columns": TUTORIAL_COLUMNS[:1]}, id="a column is gone"),
        pytest.param({"broken": RuntimeError("a fault of ours")}, id="the reader has a fault"),
        pytest.param({"position": replace(HERE, lsn=-(10**9))}, id="the database went back"),
        pytest.param({"position": replace(HERE, source="other")}, id="it is another database"),
    ],
)
async def test_a_read_that_fails_leaves_the_snapshot_as_it_is(damage: dict[str, object]) -> None:
    bed = Bed(("acme", "active"), ("beta", "trial"))
    await bed.refresher.refresh()
    before = bed.holder.current()
    bed.source.rows = rows_of(("acme", "changed"), ("beta", "changed"))
    for name, value in damage.items():
        setattr(bed.source, name, value)

    await bed.refresher.refresh()

    assert bed.holder.current() is before
    assert len(bed.seen.failures) + len(bed.seen.faults) == 1


async def test_it_recovers_with_the_next_read() -> None:
    bed = Bed(("acme", "active"))
    bed.source.broken = SourceUnreachable()
    await bed.refresher.refresh()
    bed.source.broken = None

    await bed.refresher.refresh()

    assert bed.tenants() == ["acme"]


async def test_since_when_a_row_cannot_be_used_is_kept_over_reads_and_forgotten_with_its_reason() -> None:
    bed = Bed(("acme", "active"), ("beta", "trial"))
    await bed.refresher.refresh()
    bed.source.rows = rows_of(("acme", "active"), ("beta", "x" * 40_000))
    began = bed.clock.now()
    for _ in range(3):
        await bed.refresher.refresh()
        bed.clock.pass_by(seconds=60)
    (row,) = bed.holder.current().quarantined
    kept = bed.holder.sightings.since(row)
    bed.source.rows = rows_of(("acme", "active"), ("beta", "trial"))
    await bed.refresher.refresh()

    assert kept == began
    assert bed.holder.sightings.since(row) == bed.clock.now()


async def test_a_read_that_hangs_ends_in_time() -> None:
    class Hanging(FakeSource):
        def read(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
            return Hang()

    class Hang:
        async def __aenter__(self) -> None:
            await asyncio.Event().wait()

        async def __aexit__(self, *_: object) -> None:
            pass

    with pytest.raises(SourceTooSlow, match=r"source\.read_timeout"):
        await read_snapshot(Hanging([]), TableShape(), None, 0.01)


async def test_the_errors_of_a_read_are_told_apart() -> None:
    source = FakeSource(rows_of(("acme", "active")))

    with pytest.raises(MissingColumn):
        await read_snapshot(source, TableShape(parameters=("nothing",)), None, 5)
    first = await read_snapshot(source, TableShape(), None, 5)
    source.position = replace(HERE, source="other")
    with pytest.raises(SourceWentBack):
        await read_snapshot(source, TableShape(), first, 5)
    source.position, source.cut_after = HERE, 0
    with pytest.raises(SourceError):
        await read_snapshot(source, TableShape(), first, 5)


async def test_a_signal_reads_before_the_timer() -> None:
    bed = Bed(("acme", "active"))
    task = asyncio.create_task(bed.refresher.run())
    async with asyncio.timeout(5):
        while bed.source.reads < 1:
            await asyncio.sleep(0)

        bed.refresher.signal()

        while bed.source.reads < 2:
            await asyncio.sleep(0)
    task.cancel()


async def test_a_cancellation_ends_it_also_when_the_clean_up_of_a_driver_hides_it() -> None:
    class Hiding(FakeSource):
        @asynccontextmanager
        async def read(self) -> AsyncIterator[FakeReading]:
            self.reads += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise SourceUnreachable from None
            yield FakeReading(self)

    bed = Bed(("acme", "active"))
    source = Hiding([])
    refresher = Refresher(source, TableShape(), bed.holder, bed.seen, bed.clock, every=0.001, within=5)
    running = asyncio.create_task(refresher.run())
    while not source.reads:
        await asyncio.sleep(0)
    running.cancel()

    await asyncio.wait([running], timeout=10)

    assert running.cancelled()
    assert source.reads == 1
