"""What happens in the middle of something else: words, reads and requests that meet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tenantry.core.answer import Answer
from tenantry.core.asking import Read
from tenantry.core.columns import Kind
from tenantry.core.errors import NotKnownThere
from tenantry.core.steps import at_once
from tenantry.service.approving import Subject
from tenantry.service.state import Changes
from tests.builders import columns_of, snapshot_of
from tests.fakes import FakeStore
from tests.guard.here import Here
from tests.guard.test_attacks import COLUMNS, ME, Rows, after, begun, rows

pytestmark = pytest.mark.anyio


class SlowStore(FakeStore):
    """A store whose writes wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.entered = asyncio.Event()

    async def write(self, changes: Changes, writes: int) -> None:
        self.entered.set()
        await self.open.wait()
        await super().write(changes, writes)

    def stop(self) -> None:
        """Let no write through."""
        self.open.clear()
        self.entered.clear()


async def everybody_waits() -> None:
    """Let every task go on as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def two_have_settled(store: SlowStore) -> Here:
    """Return a guard of a hundred tenants, of whom two would leave with the next request."""
    here = await begun(100, store=store)
    here.read(rows(98), COLUMNS)
    await here.ask()
    here.clock.pass_by(seconds=61)
    here.read(rows(98), COLUMNS)
    return here


async def test_nobody_else_waits_while_an_answer_is_written() -> None:
    store = SlowStore()
    here = await begun(100, store=store)
    await here.ask_twice(name="other")
    here.read(rows(101), COLUMNS)
    await here.ask(name="other")
    store.stop()
    changed = asyncio.create_task(here.ask())
    await store.entered.wait()

    assert len(await asyncio.wait_for(here.ask(name="other"), 10)) == 101
    assert not changed.done()
    store.open.set()
    assert len(await changed) == 101


@pytest.mark.parametrize("approved", [False, True])
async def test_nobody_leaves_after_a_freeze_of_all_was_confirmed(approved: bool) -> None:
    store = SlowStore()
    here = await two_have_settled(store)
    if approved:
        await here.say.approve(Subject("prod", tenants=["t098", "t099"]), ME)
    store.stop()
    other = asyncio.create_task(here.ask(name="other"))
    await store.entered.wait()

    freeze = asyncio.create_task(here.say.freeze(None, ME))
    await everybody_waits()
    removal = asyncio.create_task(here.ask())
    await everybody_waits()
    store.open.set()

    assert (await freeze).done == "Froze the removals of all ApplicationSets."
    assert len(await removal) == 100
    await other


async def test_a_request_that_goes_away_in_the_middle_of_its_write_is_remembered_before_anybody_speaks() -> None:
    store = SlowStore()
    here = await two_have_settled(store)
    store.stop()
    request = asyncio.create_task(here.ask())
    await store.entered.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    pin = asyncio.create_task(here.say.pin(Subject("prod", tenants=["t098"]), ME))
    await everybody_waits()
    store.open.set()

    with pytest.raises(NotKnownThere, match="'t098' is not known there"):
        await pin
    assert len(here.own().losses) == 2
    assert "t098" not in here.own().baselines["{}"].released


async def test_a_word_that_nobody_waits_for_any_more_is_not_written_over() -> None:
    store = SlowStore()
    here = await begun(100, store=store)
    store.stop()
    word = asyncio.create_task(here.say.pin(Subject("prod", tenants=["t000"]), ME))
    await store.entered.wait()
    word.cancel()
    await asyncio.gather(word, return_exceptions=True)
    later = asyncio.create_task(here.say.pin(Subject("prod", tenants=["t001"]), ME))
    await everybody_waits()
    store.open.set()
    await later

    assert set(here.own().pins) == {"t000", "t001"}


async def test_a_request_beside_a_read_that_found_somebody_again_does_not_bring_an_absence_back() -> None:
    store = SlowStore()
    here = await begun(100, store=store)
    here.read(rows(99), COLUMNS)
    await here.ask()
    here.clock.pass_by(seconds=30)
    newcomer: Rows = [{"tenant": "new", "status": "active", "region": "eu"}]
    here.read([*rows(99), *newcomer], COLUMNS)
    store.stop()
    request = asyncio.create_task(here.ask())
    await store.entered.wait()

    publish = observed(here, [*rows(100), *newcomer])
    store.open.set()
    await request
    publish()
    here.clock.pass_by(seconds=31)
    here.read([*rows(99), *newcomer], COLUMNS)

    assert "t099" in await here.ask()
    assert "t099" not in await after(here, [*rows(99), *newcomer])


async def test_an_answer_is_not_sent_again_after_another_process_released_more(monkeypatch: Any) -> None:  # noqa: ANN401
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await one.restarted()
    one.clock.pass_by(seconds=10)
    one.read(rows(100, plan="pro"), columns_of(tenant=Kind.TEXT, plan=Kind.TEXT, status=Kind.TEXT, region=Kind.TEXT))
    answering = one.guarding._answering
    made = answering.of

    async def slowly(*args: Any) -> Answer:  # noqa: ANN401
        answer = await made(*args)
        other.read(rows(101), COLUMNS)
        assert len(await other.ask()) == 101
        await one.ledger.confirm()
        return answer

    monkeypatch.setattr(answering, "of", slowly)
    reply = await one.reply()
    monkeypatch.undo()

    assert not reply.ticket.is_good()
    assert len(await one.ask()) == 101


async def test_writes_of_others_about_other_application_sets_hold_nobody_up() -> None:
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await one.restarted()
    one.read(rows(99), COLUMNS)
    await one.ask()
    one.clock.pass_by(seconds=61)
    one.read(rows(99), COLUMNS)
    one.clock.pass_by(seconds=1)
    other.read(rows(99), COLUMNS)
    await other.ask(name="another")
    one.reads_when_asked()

    assert len(await one.ask()) == 99


async def test_a_process_that_read_earlier_lets_nobody_go_whom_another_one_answered_with_since() -> None:
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await one.restarted()
    for process in (one, other):
        process.read(rows(99), COLUMNS)
        await process.ask()
    one.clock.pass_by(seconds=61)
    one.read(rows(99), COLUMNS)
    other.read([*rows(99), *rows(101)[99:]], COLUMNS)  # put back, and another one came
    assert len(await other.ask()) == 101
    one.clock.pass_by(seconds=0.01)

    assert len(await one.ask()) == 101
    one.read(rows(101), COLUMNS)
    assert len(await one.ask()) == 101
    assert not one.own().losses


def observed(here: Here, now: Sequence[Any]) -> Any:  # noqa: ANN401 -- a call that publishes
    """Take a read in, and return what publishes it: requests are answered in between."""
    previous = here.snapshots.latest
    snapshot = snapshot_of(now, COLUMNS, previous=previous, naming=here.naming)
    read = Read(here.snapshots.read.number + 1, here.clock.monotonic())
    at_once(here.guarding.watching.observe(previous, snapshot, read))
    return lambda: here.snapshots.publish(snapshot, read.began)
