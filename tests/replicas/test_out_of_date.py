"""What a replica knew before another one answered: nobody goes by it, and no new input is answered by it."""

from __future__ import annotations

import pytest

from tenantry.core.asking import input_digest
from tenantry.core.columns import Kind
from tenantry.core.errors import ReplicaBehind
from tenantry.service.approving import Subject
from tests.builders import columns_of
from tests.fakes import FakeStore
from tests.guard.here import Here, policy
from tests.guard.requests import text_of
from tests.guard.test_attacks import ME, Rows
from tests.guard.test_attacks import rows as rows_of_a_table
from tests.guard.test_selectors import plugin

pytestmark = pytest.mark.anyio

COLUMNS = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, region=Kind.TEXT, subdomain=Kind.TEXT)
ACTIVE = {"status": "active"}


def rows(number: int, **last: object) -> Rows:
    """Return so many rows; what is told of the last one is only so of that."""
    all_of_them = rows_of_a_table(number, subdomain="first")
    return [*all_of_them[:-1], {**all_of_them[-1], **last}]


async def two() -> tuple[Here, Here]:
    """Return two processes that answered the same an hour ago, and read when that is asked for."""
    one = await Here(policy(identity=("subdomain",)), store=FakeStore(is_shared=True)).start()
    other = await one.restarted(name="other")
    for here in (one, other):
        here.reads_when_asked().read(rows(100), COLUMNS)
        await here.ask_twice()
    one.clock.pass_by(hours=1)
    return one, other


def read(now: Rows, *processes: Here) -> None:
    """Have them read, one after the other."""
    for here in processes:
        here.clock.pass_by(seconds=1)
        here.read(now, COLUMNS)
    processes[0].clock.pass_by(seconds=1)


# --- since when somebody is missing --------------------------------------------------------------------------------


async def settles_anew(one: Here) -> None:
    """Let the last tenant go missing: it leaves once that has settled, and no sooner."""
    read(rows(99), one)
    await one.ask()
    read(rows(99), one)

    assert len(await one.ask()) == 100
    one.clock.pass_by(seconds=61)
    read(rows(99), one)
    assert len(await one.ask()) == 99


async def test_who_was_answered_under_another_name_by_another_one_is_not_missing_since_before() -> None:
    one, other = await two()
    read(rows(100, subdomain="second"), one, other)
    await one.ask()
    one.clock.pass_by(seconds=61)
    await other.say.approve(Subject("prod", tenants=["t099"]), ME)
    await other.ask()
    read(rows(100, subdomain="second"), other)
    assert (await other.ask())["t099"]["subdomain"] == "second"

    await settles_anew(one)


async def test_who_left_and_came_back_by_another_one_is_not_missing_since_before() -> None:
    one, other = await two()
    read(rows(99), one, other)
    for here in (one, other):
        await here.ask()
    one.clock.pass_by(seconds=61)
    read(rows(99), other)
    assert len(await other.ask()) == 99
    await one.ledger.confirm()
    read(rows(100), other)
    assert len(await other.ask()) == 100

    await settles_anew(one)


async def test_what_another_one_says_of_somebody_else_holds_up_nobody_who_has_settled() -> None:
    one, other = await two()
    read(rows(99), one, other)
    await one.ask()
    one.clock.pass_by(seconds=61)
    read(rows(99), one)

    await other.say.pin(Subject("prod", tenants=["t000"]), ME)

    assert len(await one.ask()) == 99


# --- new inputs ----------------------------------------------------------------------------------------------------


async def test_a_new_input_is_not_answered_by_what_was_before_the_answers_to_others() -> None:
    one, other = await two()
    read(rows(101), one)
    await one.ask()
    other.guarding.catching_up.read_now = None

    with pytest.raises(ReplicaBehind):
        await other.ask(ACTIVE)

    read(rows(101), other)
    assert len(await other.ask(ACTIVE)) == 101


async def test_an_approved_input_costs_nobody_whom_another_one_found_back() -> None:
    one, other = await two()
    await one.say.approve(Subject("prod", input=input_digest(text_of(ACTIVE))), ME)
    read(rows(99), one, other)
    read(rows(100), one)
    assert len(await one.ask()) == 100
    other.guarding.catching_up.read_now = None

    with pytest.raises(ReplicaBehind):
        await other.ask(ACTIVE)

    assert not other.own().losses


async def test_an_edited_input_is_not_answered_by_what_was_before_the_answers_to_the_one_before() -> None:
    one, other = await two()
    one.specs.put(plugin())
    other.guarding.look_by(one.specs)
    for here in (one, other):
        await here.ask()
    read(rows(100, region="us"), one)
    assert (await one.ask())["t099"]["region"] == "us"
    one.specs.put(plugin(**ACTIVE))
    other.guarding.catching_up.read_now = None

    with pytest.raises(ReplicaBehind):
        await other.ask(ACTIVE)

    read(rows(100, region="us"), other)
    assert (await other.ask(ACTIVE))["t099"]["region"] == "us"


# --- the last of an input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silent", "left"),
    [
        pytest.param(True, 2, id="an input that nobody asks for any more keeps no tenant"),
        pytest.param(False, 0, id="one that is asked for does"),
    ],
)
async def test_what_one_was_asked_before_others_were_tells_nothing_of_who_is_the_last(
    *, silent: bool, left: int
) -> None:
    of_us = [{**row, "tenant": f"u{row['tenant']}", "region": "us"} for row in rows(2)]
    whole = [*rows(2), *of_us]
    one = (await Here(store=FakeStore(is_shared=True)).start()).reads_when_asked()
    other = (await one.restarted(name="other")).reads_when_asked()
    read(whole, one, other)
    for _ in range(2):
        for region in ("eu", "us"):
            await one.ask({"region": region})
        one.clock.pass_by(seconds=2)
    for _ in range(3):
        one.clock.pass_by(seconds=120)
        await other.ask({"region": "eu"})

    read(of_us, one, other)
    answered = set()
    for _ in range(4):
        one.clock.pass_by(seconds=120)
        read(of_us, one)
        if not silent:
            await one.ask({"region": "us"})
        answered.add(len(await one.ask({"region": "eu"})))

    assert min(answered) == left
    assert len(one.own().holds) == left
