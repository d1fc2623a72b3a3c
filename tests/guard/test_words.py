"""What people say lets go whom they meant, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from tenantry.core.asking import input_digest
from tenantry.core.columns import Kind
from tenantry.core.errors import AnotherHold, EditedInput, LastGoodUnknown, NotKnownThere
from tenantry.core.guard import GuardMode, RemovalLimit
from tenantry.core.ledger import Rule, SetName
from tenantry.service.answering import PluginRequest
from tenantry.service.approving import Subject
from tenantry.service.keys import input_of
from tests.builders import columns_of
from tests.fakes import FakeTokens
from tests.guard.here import Here, policy
from tests.guard.test_attacks import COLUMNS, ME, Rows, after, begun, rows

pytestmark = pytest.mark.anyio

ACTIVE = {"status": "active"}
NEW = [f"n{n:03}" for n in range(60)]


def new(some: list[str] = NEW) -> Rows:
    return [{"tenant": tenant, "status": "active", "region": "eu"} for tenant in some]


def digest(parameters: Mapping[str, object]) -> str:
    return input_digest(input_of(PluginRequest("prod", parameters)))


async def replaced() -> Here:
    """Return a guard that holds fifty who were deleted, and lets sixty who are new wait."""
    here = await begun(100)
    await after(here, rows(50))
    await after(here, [*rows(50), *new()])
    return here


# --- those who wait to come ----------------------------------------------------------------------------------------


async def test_a_word_that_lets_tenants_come_does_not_let_them_leave_later() -> None:
    here = await replaced()
    await here.say.approve(Subject("prod", tenants=NEW), ME)
    assert set(NEW) <= set(await here.ask())
    here.clock.pass_by(hours=2)

    assert set(NEW) <= set(await after(here, rows(50)))
    assert not here.own().approvals


async def test_a_word_for_tenants_whose_rows_went_while_they_waited_is_spent() -> None:
    here = await replaced()
    await here.say.approve(Subject("prod", tenants=NEW[:3]), ME)
    here.read(rows(50), COLUMNS)
    await here.ask()

    assert not here.own().approvals


async def test_a_word_about_who_waits_in_two_inputs_lasts_until_both_have_them() -> None:
    here = await Here().start()
    here.read([*rows(50), *rows_of("us", 50)], COLUMNS)
    for region in ("eu", "us"):
        await here.ask_twice({"region": region})
    await after(here, rows_of("us", 50), parameters={"region": "eu"})
    both = [*new(), *rows_of("us", 50)]
    await after(here, both, parameters={"region": "eu"})
    assert len(here.held()) == 110
    await here.say.approve(Subject("prod", tenants=NEW), ME)

    assert set(NEW) <= set(await here.ask({"region": "eu"}))
    assert not here.own().approvals


def rows_of(region: str, number: int) -> Rows:
    return [{"tenant": f"{region}{n:03}", "status": "active", "region": region} for n in range(number)]


async def test_the_command_that_is_shown_for_those_who_wait_lets_none_of_the_held_go() -> None:
    here = await begun(100)
    here = await here.restarted(shape="another")
    here.read([*rows(50), *new()], COLUMNS)
    assert len(await here.ask()) == 100
    shown = {hold.rule: hold for hold in (await here.desk.application_set("prod", None)).holds}
    waiting, held = shown[Rule.REPLACEMENT], shown[Rule.LENS]
    assert waiting.decision == held.decision
    assert waiting.digest != held.digest

    with pytest.raises(AnotherHold, match=r"50 tenants from leaving .* and 60 tenants from coming"):
        await here.say.approve(Subject("prod", decision=waiting.decision), ME)
    await here.say.approve(Subject("prod", decision=waiting.decision, digest=waiting.digest), ME)
    assert len(await here.ask()) == 160
    await here.say.approve(Subject("prod", decision=held.decision, digest=held.digest), ME)
    assert len(await here.ask()) == 110


# --- inputs --------------------------------------------------------------------------------------------------------


async def test_an_input_that_was_previewed_twice_takes_nobody_over() -> None:
    here = await Here().start()
    here.read(rows(100), COLUMNS)
    await here.ask_twice(ACTIVE)
    here.clock.pass_by(minutes=10)
    await here.ask_twice({})
    here.clock.pass_by(minutes=6)
    assert len(await here.ask(ACTIVE)) == 100

    assert len(await after(here, rows(100, status="trial"), parameters=ACTIVE)) == 100
    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LIMIT}


async def test_an_edit_that_changes_nobody_does_not_let_the_last_go() -> None:
    here = await Here().start()
    here.read(rows(2), COLUMNS)
    await here.ask_twice(ACTIVE)
    here.clock.pass_by(minutes=10)
    edited = {"status": ["active"]}
    await here.ask_twice(edited)
    here.clock.pass_by(minutes=10)

    assert len(await after(here, [], parameters=edited)) == 2
    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LAST}


async def test_an_approved_input_costs_nobody_whose_row_went_besides() -> None:
    here = await Here().start()
    here.read([*rows(100), *rows_of("us", 10)], COLUMNS)
    await here.ask_twice()
    here.clock.pass_by(minutes=10)
    with pytest.raises(EditedInput, match="would lose 10 tenants"):
        await here.ask({"region": "eu"})
    await here.say.approve(Subject("prod", input=digest({"region": "eu"})), ME)

    here.read([*rows(3), *rows_of("us", 10)], COLUMNS)
    with pytest.raises(EditedInput, match="rows would cost it more than they may: 97 of 110 tenants"):
        await here.ask({"region": "eu"})
    here.read([*rows(98), *rows_of("us", 10)], COLUMNS)
    assert len(await here.ask({"region": "eu"})) == 98
    assert sorted(loss.tenant for loss in here.own().losses) == ["t098", "t099"]


async def test_an_approved_input_is_answered_also_where_the_limit_is_used_up() -> None:
    here = await Here(policy=policy(limits=[RemovalLimit(timedelta(hours=1), 5, 2)])).start()
    us = rows_of("us", 100)
    here.read([*rows(100), *us], COLUMNS)
    await here.ask_twice()
    here.clock.pass_by(hours=2)
    await here.say.approve(Subject("prod", tenants=[f"us{n:03}" for n in range(60)]), ME)
    assert len(await after(here, [*rows(100), *us[60:]])) == 140
    here.clock.pass_by(minutes=30)
    assert len(await after(here, [*rows(90), *us[60:]])) == 130  # 5 % of the 200 of an hour ago
    here.clock.pass_by(minutes=35)
    await here.say.approve(Subject("prod", input=digest({"region": "eu"})), ME)

    assert len(await here.ask({"region": "eu"})) == 90


async def test_an_approved_input_does_not_cost_the_last_tenants_whose_rows_went() -> None:
    here = await Here().start()
    here.read(rows(2), COLUMNS)
    await here.ask_twice()
    here.clock.pass_by(minutes=10)
    await here.say.approve(Subject("prod", input=digest(ACTIVE)), ME)
    here.read([], COLUMNS)

    with pytest.raises(EditedInput, match="left with no tenant"):
        await here.ask(ACTIVE)


@pytest.mark.parametrize("said", ["freeze", "freeze all", "pin"])
async def test_an_approved_input_costs_nobody_whom_another_word_keeps(said: str) -> None:
    here = await Here().start()
    here.read([*rows(100), *rows_of("us", 10)], COLUMNS)
    await here.ask_twice()
    here.clock.pass_by(minutes=10)
    us = [f"us{n:03}" for n in range(10)]
    await here.say.approve(Subject("prod", input=digest({"region": "eu"})), ME)
    await here.say.approve(Subject("prod", tenants=us), ME)
    match said:
        case "freeze":
            await here.say.freeze(Subject("prod"), ME)
        case "freeze all":
            await here.say.freeze(None, ME)
        case _:
            await here.say.pin(Subject("prod", tenants=us), ME)

    with pytest.raises(EditedInput, match=r"frozen|10 tenants pinned"):
        await here.ask({"region": "eu"})


async def test_an_approved_input_costs_nobody_whose_row_cannot_be_used() -> None:
    here = await begun(100)
    here.clock.pass_by(minutes=10)
    await here.say.approve(Subject("prod", input=digest({"region": "eu"})), ME)
    here = await here.restarted()
    here.read([*rows(99), {"tenant": "t099", "status": "a\nb", "region": "eu"}], COLUMNS)

    with pytest.raises(LastGoodUnknown):
        await here.ask({"region": "eu"})
    assert len(await here.ask()) == 100


async def test_holds_of_an_input_that_nobody_asks_for_keep_no_new_tenant_waiting() -> None:
    here = await begun(100)
    here.clock.pass_by(minutes=10)
    await after(here, rows(50))
    gone = [f"t{n:03}" for n in range(50, 100)]
    await here.say.approve(Subject("prod", tenants=gone), ME)
    edited: dict[str, object] = {"region": "eu"}
    await here.ask_twice(edited)

    for day in range(1, 41):
        here.clock.pass_by(days=1)
        here.read(rows(50 + 3 * day), COLUMNS)
        assert len(await here.ask(edited)) == 50 + 3 * day


async def test_approved_holds_of_an_input_that_nobody_asks_for_end_by_themselves() -> None:
    here = await begun(100)
    here.clock.pass_by(minutes=10)
    await after(here, rows(50))
    await here.say.approve(Subject("prod", tenants=[f"t{n:03}" for n in range(50, 99)]), ME, 30 * 86400)
    here.clock.pass_by(days=2)
    assert len(here.held()) == 50

    await here.guarding.touch()

    assert here.held() == ["t099"]
    here = await here.restarted()
    here.read(rows(50), COLUMNS)
    assert len(await here.ask()) == 51


async def test_nobody_is_refused_an_edit_where_the_guard_only_observes() -> None:
    here = await begun(100, policy=policy(mode=GuardMode.OBSERVE))
    here.clock.pass_by(hours=1)
    here.read(rows(90) + rows_of("us", 10), COLUMNS)

    assert len(await here.ask({"region": "us"})) == 10
    assert "would_hold" in here.seen.events


async def test_an_input_is_known_over_a_night_in_which_only_somebody_else_asks() -> None:
    here = await begun(100)
    here.clock.pass_by(hours=1)
    probe = {"tenant": "t001"}
    await here.say.approve(Subject("prod", input=digest(probe)), ME)
    await here.ask_twice(probe)
    for _ in range(30):
        here.clock.pass_by(hours=1)
        here.read(rows(100), COLUMNS)
        await here.ask(probe)
    here.read(rows(2), COLUMNS)

    with pytest.raises(EditedInput, match="98 tenants"):
        await here.ask(ACTIVE)


# --- leaves --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["pinned", "another one"])
async def test_who_stays_as_released_keeps_leaves_of_json_that_nobody_else_has(how: str) -> None:
    columns = columns_of(tenant=Kind.TEXT, region=Kind.TEXT, settings=Kind.JSON)
    others: Rows = [{"tenant": f"t{n}", "region": "eu", "settings": '{"tier": "x"}'} for n in range(5)]
    odd = {"tenant": "odd", "region": "eu", "settings": '{"tier": "gold", "sso": {"url": "https://odd"}}'}
    here = await Here(policy=policy(identity=["region"])).start()
    here.read([odd, *others], columns)
    await here.ask_twice()
    before = (await here.ask())["odd"]
    if how == "pinned":
        await here.say.pin(Subject("prod", tenants=["odd"]), ME)
    changed = {"tenant": "odd", "region": "eu" if how == "pinned" else "us", "settings": '{"tier": "gold"}'}
    here.read([changed, *others], columns)

    assert (await here.ask())["odd"] == before
    assert before["settings"]["sso"] == {"url": "https://odd"}


# --- off and on ----------------------------------------------------------------------------------------------------


async def test_nobody_comes_back_who_left_while_the_guard_was_off() -> None:
    here = await begun(100)
    here = await here.restarted()
    await here.ledger.answer_unguarded()
    here = await here.restarted()
    assert await here.ledger.forget_answers()
    here.read(rows(50), COLUMNS)

    assert len(await here.ask()) == 50
    assert not here.own().holds
    here = await here.restarted()
    assert not await here.ledger.forget_answers()


async def test_words_are_forgotten_once_they_have_lapsed() -> None:
    here = await begun(100)
    await here.say.approve(Subject("prod", tenants=["t000", "t001"]), ME, 3600)
    await here.say.approve(Subject("prod", input="0123456789"), ME, 3600)
    await after(here, rows(100)[1:])
    assert set(here.own().approvals) == {"t000", "t001"}
    here.clock.pass_by(hours=1)

    await here.guarding.touch()

    assert not here.own().approvals
    assert not here.own().admitted


# --- freezes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", [Subject("prod"), None])
async def test_a_freeze_holds_also_where_the_guard_only_observes(whose: Subject | None) -> None:
    here = await begun(10, policy=policy(mode=GuardMode.OBSERVE))
    await here.say.freeze(whose, ME)

    assert len(await after(here, rows(5))) == 10
    assert {hold.rule for hold in here.own().holds.values()} == {Rule.FREEZE}


# --- consumers -----------------------------------------------------------------------------------------------------


async def test_another_token_of_one_application_set_lets_go_nobody_who_is_held() -> None:
    here = await Here(tokens=FakeTokens(default="a", argocd="b")).start()
    here.read(rows(100), COLUMNS)
    await here.ask_twice(consumer="default")
    await after(here, rows(10), consumer="default")

    with pytest.raises(EditedInput, match="consumer 'default' has one of this name") as refused:
        await here.ask(consumer="argocd")
    assert "take the other consumer's token away" in str(refused.value)
    here = await here.restarted(tokens=FakeTokens(argocd="b"))
    here.read(rows(10), COLUMNS)
    assert len(await here.ask(consumer="argocd")) == 100
    assert len(here.own("prod", "argocd").holds) == 90


async def test_a_consumer_that_comes_back_is_asked_whether_it_is_the_one_that_took_over() -> None:
    here = await Here(tokens=FakeTokens(us="u", eu="e")).start()
    here.read(rows(100), COLUMNS)
    await here.ask_twice(consumer="us")
    here = await here.restarted(tokens=FakeTokens(eu="e"))
    here.read(rows(100), COLUMNS)
    await here.ask_twice(consumer="eu")
    here = await here.restarted(tokens=FakeTokens(us="u2", eu="e"))
    here.read(rows(10), COLUMNS)

    with pytest.raises(EditedInput):
        await here.ask(consumer="us")


async def test_the_command_says_whose_application_set_it_is_where_several_have_one_of_that_name() -> None:
    here = await begun(100)
    await here.ask_twice(consumer="staging")
    await here.ask_twice(name="-x y")
    for _ in range(2):
        here.read(rows(50), COLUMNS)
        for name in (SetName("argocd", "prod"), SetName("staging", "prod"), SetName("argocd", "-x y")):
            await here.ask(name=name)
        here.clock.pass_by(seconds=61)

    commands = [hold.approve.partition(" --decision")[0] for hold in (await here.desk.facts()).holds]
    assert commands == [
        "tenantry guard approve",
        "tenantry guard approve prod --consumer=argocd",
        "tenantry guard approve prod --consumer=staging",
    ]
    assert (await here.desk.facts()).holds[0].approve.endswith(" -- '-x y'")


async def test_a_word_about_nobody_who_is_known_changes_nothing() -> None:
    here = await begun(10)

    with pytest.raises(NotKnownThere):
        await here.say.approve(Subject("prod", tenants=["t000", "nobody"]), ME)
    assert not here.own().approvals
