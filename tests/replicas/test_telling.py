"""Two processes that tell Argo CD of changes: each change is told once, and by the other one if one of them cannot."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tenantry.core.errors import ClusterError, ReadFailed, StateUnwritable
from tenantry.service.following import Listed
from tests.fakes import FakeStore
from tests.service.test_nudging import NEW, Bed, application_set, bed, rows
from tests.support.virtual_time import VirtualClock, run

pytestmark = pytest.mark.anyio


class MovedClock(VirtualClock):
    """Virtual time of which some is skipped."""

    skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped

    def pass_by(self, **delta: float) -> None:
        self.skipped += timedelta(**delta).total_seconds()


async def both(**changed: Any) -> tuple[Bed, Bed]:  # noqa: ANN401 -- the fields of Here
    """Return two processes that have read the same rows, with nothing to tell."""
    one = await bed(store=FakeStore(is_shared=True), **changed)
    here = await one.here.restarted(clock=one.here.clock, name="other")
    here.read(rows(40))
    other = Bed(here)
    other.sees(application_set())
    assert await other.look() == []
    one.here.clock.pass_by(seconds=60)
    return one, other


def read(*beds: Bed, number: int = 0) -> None:
    """Have processes read that somebody has come, and changed so often since."""
    for made in beds:
        made.here.read([*rows(40), {**NEW, "plan": f"p{number}"}])


async def until_told(*beds: Bed, within: float) -> float:
    """Look by all of them every quarter of a second; return the seconds until somebody was told."""
    for quarter in range(round(within * 4) + 1):
        for made in beds:
            if await made.look():
                return quarter / 4
        beds[0].here.clock.pass_by(seconds=0.25)
    raise AssertionError(f"Nobody was told within {within} s.")


async def test_what_a_process_cannot_send_it_tries_again_and_does_not_take_for_sent_by_another() -> None:
    one, _ = await both()
    one.cluster.broken = ClusterError()
    read(one)
    assert await one.look() == []
    one.here.clock.pass_by(seconds=1)
    assert await one.look() == []
    assert one.nudger.pending == 1

    one.cluster.broken = None

    assert await until_told(one, within=2) <= 2
    assert one.nudger.pending == 0


async def test_what_a_process_cannot_send_another_one_sends_within_seconds() -> None:
    one, other = await both()
    one.cluster.broken = ClusterError()
    read(one, other)
    assert await one.look() == []

    assert await until_told(other, one, within=4) <= 4
    assert other.cluster.told == ["prod"]

    one.cluster.broken = None
    await one.here.ask()
    assert await one.look() == []
    assert one.nudger.pending == 0


async def test_whoever_left_it_to_another_finds_out_that_it_failed() -> None:
    one, other = await both()
    sending = asyncio.Event()
    ended = asyncio.Event()

    async def never(*_: object) -> None:
        sending.set()
        await ended.wait()
        raise ClusterError

    one.cluster.refresh = never  # type: ignore[assignment, method-assign]
    read(one, other)
    await one.nudger.look()
    await sending.wait()
    assert await other.look() == []
    assert await other.look() == []
    assert one.nudger.pending == other.nudger.pending == 0

    ended.set()
    await asyncio.gather(*one.nudger._sending)

    assert await until_told(other, within=4) <= 4


def test_what_hangs_at_one_process_is_sent_by_the_other_one() -> None:
    async def shared() -> None:
        one, other = await both(clock=MovedClock())
        began = one.here.clock.monotonic()

        async def hang(*_: object) -> None:
            await asyncio.Event().wait()

        one.cluster.refresh = hang  # type: ignore[assignment, method-assign]
        tasks = []
        for made in (one, other):
            made.here.snapshots.published = made.nudger.wake
            made.cluster.seen.put_nowait(Listed([application_set()]))
            tasks.append(asyncio.create_task(made.nudger.run()))
        await asyncio.sleep(1)
        read(one)
        await asyncio.sleep(0.1)
        read(other)
        while not other.cluster.told:
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert 5 < one.here.clock.monotonic() - began < 20
        assert "nudge_failed" in one.here.seen.events

    run(shared())


async def test_what_neither_can_send_shows_as_pending_with_both() -> None:
    one, other = await both()
    read(one, other)
    ended = asyncio.Event()

    async def fail_late(*_: object) -> None:
        await ended.wait()
        raise ClusterError

    one.cluster.refresh = fail_late  # type: ignore[assignment, method-assign]
    other.cluster.broken = ClusterError()
    await one.nudger.look()
    assert await other.look() == []
    assert other.nudger.pending == 0, "it is left to the other one"
    ended.set()

    for _ in range(10):
        one.here.clock.pass_by(seconds=1)
        await one.look()
        await other.look()

    assert [one.nudger.pending, other.nudger.pending] == [10, 10]


async def test_a_number_that_was_given_back_is_not_given_again() -> None:
    one, other = await both()
    one.cluster.broken = ClusterError()
    for number in range(4):
        read(one, other, number=number)
        await one.look()
        await until_told(other, within=4)
        one.here.clock.pass_by(seconds=3)
        await other.here.ask()
    one.cluster.broken = None
    read(one, number=9)
    await until_told(one, within=60)

    values = [value for made in (one, other) for _, value in made.cluster.refreshed]
    assert len({value.rpartition("-")[2] for value in values}) == len(values) == 5


async def test_what_cannot_be_given_back_now_is_given_back_before_the_next_try() -> None:
    one, other = await both()
    one.cluster.broken = ClusterError()
    read(one, other)
    giving, refused = one.here.store.give_back, StateUnwritable()

    async def refuse(*_: object) -> None:
        raise refused

    one.here.store.give_back = refuse  # type: ignore[assignment, method-assign]
    assert await one.look() == []
    one.here.store.give_back = giving  # type: ignore[method-assign]
    one.cluster.broken = None
    one.here.clock.pass_by(seconds=2)

    assert await one.look() == ["prod"]


async def test_what_another_one_sent_is_not_sent_again_while_the_pass_is_to_come() -> None:
    one, other = await both()
    read(one, other)
    assert await one.look() == ["prod"]

    for _ in range(80):
        assert await other.look() == []
        one.here.clock.pass_by(seconds=0.25)


async def test_who_asked_another_process_since_is_told_of_the_next_change_at_once() -> None:
    one, other = await both()
    read(one, other)
    assert await one.look() == ["prod"]
    one.here.clock.pass_by(seconds=1)
    await other.here.ask()
    one.here.clock.pass_by(seconds=1)

    read(one, number=1)

    assert await one.look() == ["prod"]


async def test_who_asked_a_process_that_had_not_read_the_change_yet_is_told_again_once_it_has() -> None:
    one, other = await both()
    read(one)
    assert await one.look() == ["prod"]
    one.here.clock.pass_by(seconds=0.1)
    assert "zz" not in await other.here.ask()
    one.here.clock.pass_by(seconds=0.1)

    read(other)

    assert await other.look() == ["prod"]
    assert "zz" in await other.here.ask()
    assert await other.look() == await one.look() == []


async def test_who_is_asked_after_another_one_told_reads_first_what_that_was_about() -> None:
    one, other = await both()
    reads = 0

    async def read_now() -> None:
        nonlocal reads
        reads += 1
        read(other)

    other.here.guarding.catching_up.read_now = read_now
    reply = await other.here.reply()
    read(one)
    assert await one.look() == ["prod"]
    one.here.clock.pass_by(seconds=0.1)

    await other.here.guarding.confirm()
    assert not reply.ticket.is_good()
    assert "zz" in await other.here.ask()

    assert reads == 1
    assert (await other.here.reply()).ticket.is_good()
    assert await other.look() == await one.look() == []
    assert reads == 1


async def test_who_cannot_read_what_another_one_told_answers_as_before_and_tries_once() -> None:
    one, other = await both()
    tries = 0

    async def read_now() -> None:
        nonlocal tries
        tries += 1
        raise ReadFailed

    other.here.guarding.catching_up.read_now = read_now
    read(one)
    await one.look()
    one.here.clock.pass_by(seconds=0.1)

    answers = await asyncio.gather(*(other.here.ask() for _ in range(3)))

    assert [len(answer) for answer in answers] == [40, 40, 40]
    assert tries == 1


async def test_who_told_reads_nothing_for_it() -> None:
    one, _ = await both()

    async def read_now() -> None:
        raise AssertionError

    one.here.guarding.catching_up.read_now = read_now
    await one.here.ask()
    read(one)
    assert await one.look() == ["prod"]
    one.here.clock.pass_by(seconds=0.1)

    assert "zz" in await one.here.ask()
