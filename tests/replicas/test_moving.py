"""Two processes that write at once: whoever comes second decides anew, and nobody is told to ask again for it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from tenantry.core.errors import StateMoved
from tenantry.core.guard import RemovalLimit
from tenantry.service.approving import Subject
from tenantry.service.state import Changes
from tests.fakes import FakeClock, FakeStore
from tests.guard.here import Here, policy
from tests.guard.test_attacks import COLUMNS, ME, begun, rows

pytestmark = pytest.mark.anyio


class CrossedStore(FakeStore):
    """A store of which somebody else writes just before, so often."""

    def __init__(self) -> None:
        super().__init__(is_shared=True)
        self.crossings = 0
        self.tried = 0

    async def write(self, changes: Changes, writes: int) -> None:
        self.tried += 1
        if self.crossings:
            self.crossings -= 1
            await super().write(Changes(self._clock), self._writes)
        await super().write(changes, writes)


async def both(store: FakeStore, many: int = 100) -> tuple[Here, Here]:
    """Return two processes that have read the same rows."""
    one = await begun(many, store=store)
    other = await one.restarted(name="other")
    other.read(rows(many), COLUMNS)
    await other.ask()
    return one, other


async def settled(here: Here, many: int) -> None:
    """Let those be missing for long enough who are not among so many."""
    here.read(rows(many), COLUMNS)
    await here.ask()
    here.clock.pass_by(seconds=61)
    here.read(rows(many), COLUMNS)
    here.reads_when_asked().clock.pass_by(seconds=1)


async def test_of_two_who_want_to_let_two_go_each_one_does_where_the_limits_allow_three() -> None:
    few = policy(limits=[RemovalLimit(timedelta(hours=1), 0, 3)])
    whole = [*rows(50, region="eu"), *[{**one, "region": "us"} for one in rows(100)[50:]]]
    eu = await Here(few, store=FakeStore(is_shared=True)).start()
    us = await Here(few, store=eu.store, clock=eu.clock, name="other").start()
    both_asked = ((eu, {"region": "eu"}, "eu"), (us, {"region": "us"}, "us"))
    for now in (whole, whole, whole[2:-2]):
        for process, parameters, name in both_asked:
            process.read(now, COLUMNS)
            await process.ask(parameters, name=name)
        eu.clock.pass_by(seconds=61)
    for process in (eu, us):
        process.read(whole[2:-2], COLUMNS)

    answers = await asyncio.gather(*(process.ask(parameters, name=name) for process, parameters, name in both_asked))

    assert sorted(map(len, answers)) == [48, 50]
    await eu.ledger.confirm()
    assert len({loss.tenant for own in eu.ledger.sets.values() for loss in own.losses}) == 2
    assert sum(len(own.holds) for own in eu.ledger.sets.values()) == 2


async def test_a_write_that_another_came_before_is_decided_anew() -> None:
    store = CrossedStore()
    here = await begun(100, store=store)
    await settled(here, 98)
    store.crossings, store.tried = 3, 0

    assert len(await here.ask()) == 98
    assert store.tried == 4
    assert len(here.own().losses) == 2


async def test_who_never_comes_first_is_told_so_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenantry.service.trying.PATIENCE", 0.05)
    store = CrossedStore()
    here = await begun(100, store=store)
    await settled(here, 98)
    store.crossings = 1_000_000

    with pytest.raises(StateMoved):
        await here.ask()

    store.crossings = 0
    assert len(await here.ask()) == 98


async def test_what_others_write_about_other_application_sets_makes_nobody_decide_anew() -> None:
    store = CrossedStore()
    here = await begun(100, store=store)
    decided, times = here.guarding._decided, 0

    async def counted(*how: object) -> object:
        nonlocal times
        times += 1
        return await decided(*how)  # type: ignore[arg-type]

    here.guarding._decided = counted  # type: ignore[method-assign, assignment]
    here.read(rows(101), COLUMNS)
    store.crossings = 5

    assert len(await here.ask()) == 101
    assert (times, store.crossings) == (1, 0)


@pytest.mark.parametrize("said", ["approve", "pin", "freeze"])
async def test_a_word_that_another_came_before_is_said_to_what_is_known_then(said: str) -> None:
    store = CrossedStore()
    one, other = await both(store)
    await other.say.pin(Subject("prod", tenants=["t000"]), ME)
    store.crossings = 3

    match said:
        case "approve":
            await one.say.approve(Subject("prod", tenants=["t001"]), ME)
        case "pin":
            await one.say.pin(Subject("prod", tenants=["t001"]), ME)
        case _:
            await one.say.freeze(None, ME)

    assert set(one.own().pins) == {"t000", "t001"} if said == "pin" else {"t000"}
    assert bool(one.own().approvals) == (said == "approve")
    assert (one.ledger.whole.freeze is not None) == (said == "freeze")


async def test_tidying_goes_on_where_another_wrote_first() -> None:
    store = CrossedStore()
    here = await begun(100, store=store)
    here.clock.pass_by(hours=2)
    here.read(rows(100), COLUMNS)
    reply = await here.reply()
    for _ in range(3):
        here.clock.pass_by(minutes=40)
        assert reply.ticket.is_good()
    store.crossings, before = 3, here.own().last

    await here.guarding.touch()

    assert here.own().last > before
    assert store.crossings == 0


async def test_five_hundred_inputs_that_two_processes_answer_by_turns_are_all_answered() -> None:
    one, other = await both(FakeStore(is_shared=True))
    for process in (one, other):
        process.reads_when_asked().read(rows(101), COLUMNS)

    async def half(process: Here, of: int) -> list[int]:
        return [len(await process.ask({"region": ["eu", f"r{number}"]}, name="matrix")) for number in range(of, 500, 2)]

    assert {number for half in await asyncio.gather(half(one, 0), half(other, 1)) for number in half} == {101}
    assert one.store.configurations == other.store.configurations
    await one.ledger.confirm()
    assert len(one.own("matrix").baselines) == 500


class StepsAhead(FakeClock):
    """The clock of another machine, which can be set."""

    def __init__(self, beside: FakeClock) -> None:
        super().__init__()
        self._beside, self.ahead = beside, timedelta(0)

    def monotonic(self) -> float:
        return self._beside.monotonic()

    def now(self) -> datetime:
        return self._beside.now() + self.ahead


async def test_a_clock_that_steps_ahead_on_one_machine_opens_a_window_to_nobody() -> None:
    one = await begun(100, store=FakeStore(is_shared=True))
    clock = StepsAhead(one.clock)
    other = await Here(store=one.store, clock=clock, name="other").start()
    other.read(rows(100), COLUMNS)
    await other.ask()

    async def gone(many: int) -> list[int]:
        for _ in range(2):
            for here in (other, one):
                here.read(rows(many), COLUMNS)
                await here.reads_when_asked().ask()
            one.clock.pass_by(seconds=61)
        return [len(await here.ask()) for here in (other, one)]

    assert await gone(95) == [95, 95]
    clock.ahead = timedelta(days=8)
    await one.say.pin(Subject("prod", tenants=["t000"]), ME)
    assert await gone(93) == [95, 95]
