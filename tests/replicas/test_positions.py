"""A slower replica: it never answers with what is older than what another one answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tenantry.core.asking import input_digest
from tenantry.core.errors import ReadFailed, ReplicaBehind
from tenantry.core.guard import GuardMode
from tenantry.core.position import Position, ReleasedFrom
from tenantry.service.approving import Subject
from tests.builders import HERE
from tests.fakes import FakeStore
from tests.guard.here import Here, policy
from tests.guard.test_attacks import COLUMNS, ME, Rows, begun, rows
from tests.guard.test_selectors import plugin

pytestmark = pytest.mark.anyio


async def beside(one: Here, position: Position = HERE, many: int = 100) -> Here:
    """Return another process, which has read its rows at a position."""
    other = await one.restarted(name="other", position=position)
    other.read(rows(many), COLUMNS)
    return other


def at(here: Here, lsn: int, now: Rows, *, standby: bool = False, reached: int = 0) -> None:
    """Have a process read rows at a position."""
    here.clock.pass_by(seconds=1)
    here.position = replace(HERE, lsn=lsn, reached=reached or lsn, standby=standby)
    here.read(now, COLUMNS)


async def test_a_standby_that_is_behind_answers_no_parameters_from_before() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=1100, standby=True))
    at(primary, 2000, rows(100, status="v2"))
    assert (await primary.ask())["t000"]["status"] == "v2"

    for lsn in (1500, 1999):
        at(standby, lsn, rows(100, status="v1"), standby=True)
        with pytest.raises(ReplicaBehind):
            await standby.ask()

    at(standby, 2000, rows(100, status="v2"), standby=True)
    assert (await standby.ask())["t000"]["status"] == "v2"
    assert standby.seen.events.count("replica_behind") == 1
    assert standby.seen.events[-1] == "replica_caught_up"


async def test_a_standby_that_is_behind_brings_nobody_back_who_has_left() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=1100, standby=True))
    at(primary, 2000, rows(99))
    primary.clock.pass_by(seconds=61)
    at(primary, 3000, rows(99))
    assert len(await primary.ask()) == 99

    at(standby, 2500, rows(100), standby=True)
    with pytest.raises(ReplicaBehind):
        await standby.ask()

    at(standby, 3000, rows(99), standby=True)
    assert len(await standby.ask()) == 99


async def test_a_standby_that_is_behind_holds_nobody_who_is_new() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=1100, standby=True))
    at(primary, 2000, rows(150))
    assert len(await primary.ask()) == 150
    at(standby, 1500, rows(100), standby=True)
    assert len(await standby.ask()) == 150
    standby.clock.pass_by(seconds=61)
    at(standby, 1600, rows(100), standby=True)

    assert len(await standby.ask()) == 150
    assert not standby.own().holds


async def test_what_repeats_the_last_answer_waits_for_nobody() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=900, standby=True))

    assert len(await standby.ask()) == 100
    assert not standby.guarding.catching_up.is_behind


async def test_what_repeats_the_last_answer_and_is_written_down_makes_it_nobody_elses() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=1100, standby=True))
    for lsn, status in ((2000, "v1"), (3000, "v2"), (4000, "v1")):
        at(primary, lsn, rows(100, status=status))
        await primary.ask()
    primary.clock.pass_by(hours=2)
    at(standby, 2500, rows(100, status="v1"), standby=True)
    writes = len(primary.store.written)
    assert (await standby.ask())["t000"]["status"] == "v1"
    assert len(primary.store.written) == writes + 1  # that it is still asked for

    at(standby, 3500, rows(100, status="v2"), standby=True)

    with pytest.raises(ReplicaBehind):
        await standby.ask()


async def test_who_writes_that_it_repeats_the_last_answer_may_change_it_no_more_than_before() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=900, standby=True))
    at(primary, 2000, rows(101))
    await primary.ask()
    at(standby, 1500, rows(100), standby=True)
    standby.clock.pass_by(hours=2)
    written = len(standby.store.written)
    assert len(await standby.ask()) == 101
    assert len(standby.store.written) == written + 1

    at(standby, 1600, rows(100, status="old"), standby=True)

    with pytest.raises(ReplicaBehind):
        await standby.ask()


async def test_an_edited_input_goes_back_behind_nothing_that_those_before_it_were_answered() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=1100, standby=True))
    for here in (primary, standby):
        here.specs.put(plugin())
        await here.ask()
    at(primary, 2000, rows(100, status="v2"))
    assert (await primary.ask())["t000"]["status"] == "v2"
    primary.clock.pass_by(seconds=60)
    primary.specs.put(plugin(region="eu"))

    at(standby, 1500, rows(100, status="v1"), standby=True)
    with pytest.raises(ReplicaBehind):
        await standby.ask({"region": "eu"})

    at(standby, 2000, rows(100, status="v2"), standby=True)
    assert (await standby.ask({"region": "eu"}))["t000"]["status"] == "v2"


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "gone"])
async def test_a_new_input_that_was_approved_loses_nobody_by_a_standby_that_is_behind(*, is_there: bool) -> None:
    """Those whom it lacks were answered to the inputs that it takes the place of."""
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=1100, standby=True))
    await standby.ask()
    primary.clock.pass_by(hours=1)
    at(primary, 2000, rows(102))
    assert len(await primary.ask()) == 102
    at(standby, 1500, rows(100), standby=True)
    digest = input_digest('{"region":"eu"}')
    await primary.say.approve(Subject("prod", input=digest), ME)
    if not is_there:
        await primary.guarding.replicas.leave()

    with pytest.raises(ReplicaBehind):
        await standby.ask({"region": "eu"})

    at(standby, 2000, rows(102), standby=True)
    assert len(await standby.ask({"region": "eu"})) == 102
    assert not standby.own().losses


async def test_whom_another_one_keeps_waiting_does_not_come_by_an_earlier_read_at_the_same_place() -> None:
    """What was committed there may not have been seen by everybody at once."""
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await beside(one)
    at(other, 2000, rows(100, status="v2"))
    await other.ask()
    await one.ledger.confirm()
    at(one, 2000, [{**row, "tenant": f"new-{row['tenant']}"} for row in rows(100)])
    assert len(await one.ask()) == 100
    assert len(one.own().holds) == 100

    with pytest.raises(ReplicaBehind):
        await other.ask()

    assert len(other.own().holds) == 100


async def test_of_one_server_a_read_that_began_later_is_enough() -> None:
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await beside(one)
    at(one, 2000, rows(101), reached=2100)
    at(other, 2000, rows(100, status="old"), reached=2050)
    one.clock.pass_by(seconds=1)
    assert len(await one.ask()) == 101

    with pytest.raises(ReplicaBehind):
        await other.ask()

    at(other, 2050, rows(101, status="new"), reached=2050)
    assert (await other.ask())["t100"]["status"] == "new"


async def test_a_read_that_lies_beyond_what_was_answered_need_not_begin_later() -> None:
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await beside(one)
    at(one, 2000, rows(101))
    at(other, 2001, rows(102))
    other.clock.pass_by(seconds=1)
    assert len(await one.ask()) == 101
    other.clock.pass_by(seconds=1)

    assert len(await other.ask()) == 102


async def test_without_positions_a_read_that_began_later_is_needed() -> None:
    nowhere = Position("file.db/organization")
    one = await begun(100, store=FakeStore(is_shared=True), position=nowhere)
    other = await beside(one, nowhere)
    one.clock.pass_by(seconds=1)
    one.read(rows(101), COLUMNS)
    other.read(rows(100, status="old"), COLUMNS)
    one.clock.pass_by(seconds=1)
    await one.ask()

    with pytest.raises(ReplicaBehind):
        await other.ask()

    other.read(rows(101, status="new"), COLUMNS)
    assert len(await other.ask()) == 101


async def test_who_is_behind_reads_at_once_and_answers_from_that_read() -> None:
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await beside(one)
    at(one, 2000, rows(101))
    await one.ask()
    times = 0

    async def read_now() -> None:
        nonlocal times
        times += 1
        at(other, 1900 + 50 * times, rows(101, status="v2"), standby=True)

    at(other, 1500, rows(100, status="v1"), standby=True)
    other.guarding.catching_up.read_now = read_now

    assert (await other.ask())["t000"]["status"] == "v2"
    assert times == 2
    assert "replica_behind" not in other.seen.events


async def test_who_is_behind_and_cannot_read_says_so() -> None:
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await beside(one, replace(HERE, lsn=1, standby=True))
    at(one, 2000, rows(101))
    await one.ask()
    at(other, 1500, rows(100, status="v1"), standby=True)

    async def read_now() -> None:
        raise ReadFailed

    other.guarding.catching_up.read_now = read_now

    with pytest.raises(ReplicaBehind, match="later state of the tenants' database"):
        await other.ask()


async def test_a_standby_that_is_behind_at_its_start_takes_nothing_for_a_restored_backup() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    at(primary, 5000, rows(101))
    await primary.ask()

    standby = await beside(primary, replace(HERE, lsn=4000, standby=True))
    assert len(await standby.ask()) == 101  # the one it lacks is not missing for long enough

    assert "source_went_back" not in standby.seen.events
    await standby.say.pin(Subject("prod", tenants=["t000"]), ME)
    assert (await primary.store.load()).whole.origins[HERE.source].lsn == 5000
    at(standby, 5000, rows(101), standby=True)
    assert len(await standby.ask()) == 101
    assert standby.ledger.whole.origins[HERE.source].lsn == 5000


async def two_settled(one: Here, other: Here) -> None:
    """Have the last tenant missing for long enough, by the reads of both."""
    for _ in range(2):
        for here in (one, other):
            at(here, here.position.lsn + 1000, rows(99), standby=here.position.standby)
        one.clock.pass_by(seconds=61)


async def test_whoever_another_one_found_back_is_not_let_go_by_an_earlier_read() -> None:
    """That a tenant has a row again is written down nowhere."""
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await beside(one)
    await two_settled(one, other)
    at(other, 9000, rows(100))
    assert len(await other.ask()) == 100
    one.clock.pass_by(seconds=1)

    assert len(await one.ask()) == 100  # it cannot read now

    async def read_now() -> None:
        at(one, 9000, rows(100))

    one.guarding.catching_up.read_now = read_now
    assert len(await one.ask()) == 100
    assert not one.own().losses


async def test_where_a_read_takes_too_long_who_would_leave_stays_and_nobody_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tenantry.service.trying.PATIENCE", 0.05)
    here = await begun(100, store=FakeStore(is_shared=True))

    async def read_now() -> None:
        await asyncio.sleep(10)

    here.guarding.catching_up.read_now = read_now
    here.read(rows(99), COLUMNS)
    await here.ask()
    here.clock.pass_by(seconds=61)
    here.read([*rows(99), {"tenant": "new"}], COLUMNS)
    here.clock.pass_by(seconds=1)

    assert (await here.ask()).keys() >= {"t099", "new"}

    here.reads_when_asked()
    assert (await here.ask()).keys() & {"t099", "new"} == {"new"}


async def test_whose_hold_another_one_ended_is_not_let_go_by_an_earlier_read() -> None:
    one = await begun(100, store=FakeStore(is_shared=True))
    other = await beside(one)
    await other.say.freeze(None, ME)
    await two_settled(one, other)
    assert len(await one.reads_when_asked().ask()) == 100
    assert one.held() == ["t099"]
    await other.say.unfreeze(None, ME)
    at(other, 9000, rows(100))
    await other.ask()
    assert not other.held()
    one.guarding.catching_up.read_now = None
    one.clock.pass_by(seconds=1)

    assert len(await one.ask()) == 100  # not settled: another one answered since it read
    assert not one.own().losses


async def test_by_a_standby_nobody_goes_while_a_replica_of_the_primary_is_there() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = (await beside(primary, replace(HERE, standby=True))).reads_when_asked()
    await standby.ask()
    await two_settled(primary, standby)
    await primary.guarding.replicas._look()
    await standby.guarding.replicas._look()
    assert len(await standby.ask()) == 100

    await primary.guarding.replicas.leave()
    await standby.guarding.replicas._look()

    assert len(await standby.ask()) == 99


async def test_by_a_standby_nobody_goes_once_a_replica_of_the_primary_has_begun_to_answer() -> None:
    standby = (
        await begun(100, store=FakeStore(is_shared=True), position=replace(HERE, standby=True))
    ).reads_when_asked()
    await two_settled(standby, standby)
    await standby.guarding.replicas._look()
    primary = await beside(standby, replace(HERE, lsn=9000, reached=9000))
    assert len(await primary.ask()) == 100

    assert len(await standby.ask()) == 100


async def test_by_a_standby_nobody_goes_before_it_has_what_a_primary_had_whose_replica_has_left() -> None:
    """It may have found them back, and answered with them."""
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = (await beside(primary, replace(HERE, standby=True))).reads_when_asked()
    await standby.ask()
    await two_settled(primary, standby)
    at(primary, 9000, rows(100))
    assert len(await primary.ask()) == 100
    for here in (primary, standby):
        await here.guarding.replicas._look()
    await primary.guarding.replicas.leave()
    await standby.guarding.replicas._look()

    assert len(await standby.ask()) == 100

    at(standby, 9000, rows(99), standby=True)
    assert len(await standby.ask()) == 99


async def test_by_a_standby_nobody_goes_who_was_approved_and_nobody_else_waits_for_that() -> None:
    primary = (await begun(100, store=FakeStore(is_shared=True))).reads_when_asked()
    standby = (await beside(primary, replace(HERE, standby=True))).reads_when_asked()
    await standby.ask()
    await primary.say.freeze(None, ME)
    await two_settled(primary, standby)
    await primary.ask()
    assert primary.held() == ["t099"]
    await primary.say.unfreeze(None, ME)
    await primary.say.approve(Subject("prod", tenants=["t099"]), ME)
    for here in (primary, standby):
        await here.guarding.replicas._look()

    assert len(await standby.ask()) == 100
    assert len(await primary.ask()) == 99


async def test_by_a_standby_nobody_goes_where_nobody_is_held_either() -> None:
    observing = policy(GuardMode.OBSERVE)
    primary = (await begun(100, store=FakeStore(is_shared=True), policy=observing)).reads_when_asked()
    standby = (await beside(primary, replace(HERE, standby=True))).reads_when_asked()
    await standby.ask()
    for here in (primary, standby):
        at(here, 3000, rows(99), standby=here is standby)
        await here.guarding.replicas._look()
    await standby.guarding.replicas._look()

    assert len(await standby.ask()) == 100
    assert len(await primary.ask()) == 99


async def test_by_a_standby_that_was_stopped_for_a_minute_nobody_goes_before_it_looked_who_is_there() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    primary.store.clock = primary.clock.monotonic
    standby = (await beside(primary, replace(HERE, standby=True))).reads_when_asked()
    await standby.ask()
    await primary.guarding.replicas._look()
    await standby.guarding.replicas._look()
    await two_settled(primary, standby)
    await primary.guarding.replicas._look()

    assert len(await standby.ask()) == 100


async def test_of_two_standbys_nobody_goes_by_the_slower_one() -> None:
    slow = (await begun(100, store=FakeStore(is_shared=True), position=replace(HERE, standby=True))).reads_when_asked()
    fast = (await beside(slow, replace(HERE, lsn=5000, standby=True))).reads_when_asked()
    await fast.ask()
    await two_settled(slow, fast)
    await fast.guarding.replicas._look()
    await slow.guarding.replicas._look()

    assert len(await slow.ask()) == 100
    assert len(await fast.ask()) == 99


async def test_after_a_restored_backup_whoever_still_has_what_was_before_answers_no_more() -> None:
    old = await begun(100, store=FakeStore(is_shared=True))
    at(old, 9_000_000, rows(100, status="before"))
    await old.ask()
    new = await old.restarted(name="new", position=replace(HERE, lsn=2000, reached=2000))
    new.read(rows(100, status="restored"), COLUMNS)
    new.clock.pass_by(seconds=1)
    new.read(rows(100, status="restored"), COLUMNS)
    assert (await new.ask())["t000"]["status"] == "restored"

    with pytest.raises(ReplicaBehind):
        await old.ask()


async def test_where_standbys_alone_are_read_a_restored_backup_is_found_out_by_a_replica_of_the_primary() -> None:
    before = replace(HERE, lsn=9_000_000, reached=9_000_000, standby=True)
    restored = replace(HERE, timeline=2, lsn=2000, reached=2000, standby=True)
    one = await begun(100, store=FakeStore(is_shared=True), position=before)

    async def restarted(position: Position) -> Here:
        here = await one.restarted(name=f"{position.standby} {one.clock.seconds}", position=position)
        here.read(rows(99, status="restored"), COLUMNS)
        here.clock.pass_by(seconds=1)
        here.read(rows(99, status="restored"), COLUMNS)
        return here

    with pytest.raises(ReplicaBehind):
        await (await restarted(restored)).ask()

    assert (await (await restarted(replace(restored, standby=False))).ask())["t000"]["status"] == "restored"
    assert (await (await restarted(restored)).ask())["t000"]["status"] == "restored"
    assert (await restarted(restored)).held() == ["t099"]


async def test_whoever_waited_until_a_promoted_standby_had_come_as_far_takes_what_others_found() -> None:
    """One replica starts anew when commits were lost by a failover, and the other one is there all the time."""
    failed = replace(HERE, timeline=2, lsn=8_000_000, reached=8_000_000)
    before = replace(HERE, lsn=9_000_000, reached=9_000_000)
    one = await begun(100, store=FakeStore(is_shared=True), position=before)
    other = await beside(one, before)
    at(one, 9_000_100, rows(100))
    await one.ask()
    new = (await one.restarted(name="new", position=failed)).reads_when_asked()
    new.read(rows(100, status="lost"), COLUMNS)
    new.clock.pass_by(seconds=1)
    assert (await new.ask())["t000"]["status"] == "lost"
    other.read(rows(100, status="another"), COLUMNS)
    with pytest.raises(ReplicaBehind):
        await other.ask()

    other.position = replace(failed, lsn=9_100_000, reached=9_100_000)
    other.clock.pass_by(seconds=1)
    other.read(rows(99, status="later"), COLUMNS)

    assert (await other.ask())["t000"]["status"] == "later"
    other.clock.pass_by(seconds=61)
    other.reads_when_asked().read(rows(99, status="later"), COLUMNS)
    assert len(await other.ask()) == 99


async def test_nobody_is_told_of_what_would_go_back() -> None:
    primary = await begun(100, store=FakeStore(is_shared=True))
    standby = await beside(primary, replace(HERE, lsn=1100, standby=True))
    at(primary, 2000, rows(100, status="v2"))
    await primary.ask()
    at(standby, 1500, rows(100, status="v1"), standby=True)

    await standby.guarding.foreseeing.look({"prod": False})
    assert not standby.guarding.foreseeing.differences("prod", None)

    at(standby, 2500, rows(100, status="v3"), standby=True)
    await standby.guarding.foreseeing.look({"prod": False})
    assert standby.guarding.foreseeing.differences("prod", None)


BEFORE = ReleasedFrom("db", 0, 1, 100, standby=False)


@pytest.mark.parametrize(
    ("position", "turns", "after", "follows"),
    [
        pytest.param(Position("db", 1, 101), 0, False, True, id="beyond, on the same primary"),
        pytest.param(Position("db", 1, 100), 0, False, False, id="at the same place, and nobody knows when"),
        pytest.param(Position("db", 1, 100), 0, True, True, id="begun later"),
        pytest.param(Position("db", 1, 99), 0, True, True, id="begun later, what was written not on the disk yet"),
        pytest.param(Position("db", 1, 99, standby=True), 0, True, False, id="a standby behind"),
        pytest.param(Position("db", 1, 100, standby=True), 0, False, True, id="a standby that has replayed it"),
        pytest.param(Position("db", 2, 150), 0, False, False, id="promoted, and read before"),
        pytest.param(Position("db", 2, 150), 0, True, True, id="promoted"),
        pytest.param(Position("db", 2, 99), 0, True, False, id="promoted without it"),
        pytest.param(Position("other", 9, 999), 0, False, False, id="another database, read before"),
        pytest.param(Position("other", 1, 1), 0, True, True, id="another database"),
        pytest.param(Position("db", 1, 10), 1, True, True, id="known to have gone back"),
        pytest.param(Position("db"), 0, True, True, id="no positions"),
    ],
)
def test_what_may_follow_a_release(position: Position, turns: int, *, after: bool, follows: bool) -> None:
    assert position.follows(BEFORE, turns, after=after) is follows


@pytest.mark.parametrize(
    ("position", "follows"),
    [
        pytest.param(Position("db", 1, 500), False, id="a primary that read before"),
        pytest.param(Position("db", 1, 100, standby=True), True, id="a standby as far"),
        pytest.param(Position("db", 1, 99, standby=True), False, id="a standby less far"),
    ],
)
def test_what_may_follow_a_release_from_a_standby(position: Position, *, follows: bool) -> None:
    """A commit that waits for its standby is to be seen there first."""
    assert position.follows(replace(BEFORE, standby=True), 0, after=False) is follows
    assert position.follows(replace(BEFORE, standby=True), 0, after=True) is (position.lsn >= BEFORE.reached)
    assert not position.follows(replace(BEFORE, turns=1), 0, after=True)
    assert not position.follows(replace(BEFORE, timeline=2), 0, after=True)
