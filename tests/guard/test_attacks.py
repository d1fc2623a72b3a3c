"""Each attack on the invariant that `docs/explanation/guard.md` names, on the guard as it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tenantry.core.columns import Kind
from tenantry.core.errors import (
    EditedInput,
    InvalidWord,
    LastGoodUnknown,
    MissingColumn,
    StateUnreachable,
    StateUnwritable,
)
from tenantry.core.fields import Naming
from tenantry.core.guard import GuardMode, RemovalLimit
from tenantry.core.history import EventKind
from tenantry.core.ledger import Rule, SetName
from tenantry.service.approving import Speaker, Subject
from tenantry.service.desk import HistoryQuery
from tenantry.service.state import EventQuery
from tests.builders import columns_of
from tests.fakes import FakeStore, FakeTokens
from tests.guard.here import Here, policy

pytestmark = pytest.mark.anyio

ME = Speaker("me", "a reason")
COLUMNS = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, region=Kind.TEXT)
SOME = {"tenant": [f"t{n:03}" for n in range(40)]}
Rows = list[dict[str, object]]


def rows(number: int, **fields: object) -> Rows:
    return [{"tenant": f"t{n:03}", "status": "active", "region": "eu", **fields} for n in range(number)]


async def begun(number: int = 100, **how: Any) -> Here:  # noqa: ANN401 -- the fields of Here
    """Return a guard whose ApplicationSet was answered so many tenants, twice."""
    here = await Here(**how).start()
    here.read(rows(number), COLUMNS)
    await here.ask_twice()
    return here


async def after(here: Here, now: Rows, **who: Any) -> list[str]:  # noqa: ANN401
    """Return who is answered once these rows have settled."""
    here.read(now, COLUMNS)
    await here.ask(**who)
    here.clock.pass_by(seconds=here.policy.settle + 1)
    here.read(now, COLUMNS)
    return list(await here.ask(**who))


def rules(here: Here, name: str = "prod") -> set[Rule]:
    return {hold.rule for hold in here.own(name).holds.values()}


# --- rows ----------------------------------------------------------------------------------------------------------


async def test_everything_deleted_leaves_everybody_with_the_last_parameters() -> None:
    here = await begun(100)
    before = await here.ask()

    assert await after(here, []) == list(before)

    assert await here.ask() == before
    assert rules(here) == {Rule.LIMIT}


async def test_everything_set_to_a_retired_state_leaves_everybody() -> None:
    here = await begun(100, columns={"state": "status", "serve": ("active",), "retire": ("inactive",)})

    assert len(await after(here, rows(100, status="inactive"))) == 100


async def test_half_deleted_and_put_back_in_batches_removes_nobody_and_leaves_no_hold() -> None:
    here = await begun(100)
    await after(here, rows(100)[::2])
    assert len(here.held()) == 50

    for number in range(1, 100, 20):
        some = [row for n, row in enumerate(rows(100)) if n % 2 == 0 or n < number]
        assert len(await after(here, some)) == 100

    assert len(await after(here, rows(100))) == 100
    assert here.held() == []


async def test_one_a_minute_for_a_week_stops_at_the_limits() -> None:
    here = await begun(100)
    left = list(rows(100))
    counts = []

    for _ in range(7 * 24):
        left = left[:-1] or left
        here.read(left, COLUMNS)
        await here.ask()
        here.clock.pass_by(minutes=30)
        here.read(left, COLUMNS)
        await here.ask()
        here.clock.pass_by(minutes=30)
        here.read(left, COLUMNS)
        counts.append(len(await here.ask()))

    assert counts[0] == 100 - 1
    assert min(counts) == 75
    assert 100 - counts[23] <= 10


async def test_a_drop_that_is_split_over_the_inputs_of_a_matrix_counts_as_one() -> None:
    here = await Here().start()
    regions = [{**row, "region": ("eu", "us")[n % 2]} for n, row in enumerate(rows(100))]
    here.read(regions, COLUMNS)
    for _ in range(2):
        await here.ask({"region": "eu"})
        await here.ask({"region": "us"})
        here.clock.pass_by(seconds=2)

    for _ in range(2):
        here.read(regions[:-8], COLUMNS)
        eu, us = await here.ask({"region": "eu"}), await here.ask({"region": "us"})
        here.clock.pass_by(seconds=61)
    here.read(regions[:-8], COLUMNS)
    eu, us = await here.ask({"region": "eu"}), await here.ask({"region": "us"})

    assert (len(eu), len(us)) == (46, 50)


async def test_truncate_and_insert_in_two_transactions_is_nothing() -> None:
    here = await begun(100)
    for _ in range(3):
        here.read([], COLUMNS)
        assert len(await here.ask()) == 100
        here.clock.pass_by(seconds=25)
    here.read(rows(100), COLUMNS)

    assert len(await here.ask()) == 100
    here.clock.pass_by(seconds=61)
    here.read([], COLUMNS)
    assert len(await here.ask()) == 100
    assert here.held() == []


async def test_a_tenant_that_is_put_back_within_a_minute_begins_to_settle_anew() -> None:
    here = await begun(100)
    without = rows(99)
    here.read(without, COLUMNS)
    await here.ask()
    here.clock.pass_by(seconds=50)
    # It is back in one read that no request ever sees.
    here.read(rows(100), COLUMNS)
    here.clock.pass_by(seconds=1)
    here.read(without, COLUMNS)
    here.clock.pass_by(seconds=50)
    here.read(without, COLUMNS)

    assert len(await here.ask()) == 100
    here.clock.pass_by(seconds=61)
    here.read(without, COLUMNS)
    assert len(await here.ask()) == 99


async def test_every_id_rewritten_holds_all_and_doubles_nothing() -> None:
    here = await begun(100)

    answered = await after(here, [{**row, "tenant": f"0{row['tenant']}"} for row in rows(100)])

    assert answered == [row["tenant"] for row in rows(100)]
    assert rules(here) == {Rule.LIMIT, Rule.REPLACEMENT}


async def test_removal_approval_and_new_removals_before_the_approval_is_used() -> None:
    here = await begun(100)
    await after(here, rows(90))
    first = here.held()

    await here.say.approve(Subject("prod", tenants=first), ME)
    here.read(rows(80), COLUMNS)
    answered = await here.ask()

    assert len(first) == 10
    assert len(answered) == 90
    assert len(await after(here, rows(80))) == 90


async def test_who_is_approved_by_decision_has_to_have_seen_who_they_are() -> None:
    here = await begun(100)
    await after(here, rows(90))
    (shown,) = (await here.desk.application_set("prod", None)).holds
    here.read(rows(91), COLUMNS)
    await here.ask()

    with pytest.raises(Exception, match="These are 9 tenants"):
        await here.say.approve(Subject("prod", decision=shown.decision, digest=shown.digest), ME)


async def test_a_row_that_becomes_unreadable_keeps_its_tenant_also_after_a_restart() -> None:
    here = await begun(100)
    bad: Rows = [*rows(99), {"tenant": "t099", "status": "active", "region": "a\nb"}]
    here.read(bad, COLUMNS)
    assert len(await here.ask()) == 100

    here = await here.restarted()
    here.read(bad, COLUMNS)
    answered = await here.ask()

    assert len(answered) == 100
    assert answered["t099"]["region"] == "eu"
    assert len(await after(here, bad)) == 100
    assert here.held() == []


async def test_an_input_that_was_never_answered_waits_for_a_row_that_nobody_can_read() -> None:
    here = await begun(10)
    here = await here.restarted()
    here.read([*rows(9), {"tenant": "t009", "status": "active", "region": "a\nb"}], COLUMNS)

    with pytest.raises(LastGoodUnknown):
        await here.ask(name="another")


async def test_a_row_without_an_id_may_be_anybodys_so_nobody_leaves() -> None:
    here = await begun(100)
    here = await here.restarted()
    doubtful: Rows = [{"tenant": "", "status": "active", "region": "eu"}, *rows(99)]

    assert len(await after(here, doubtful)) == 100
    assert len(await after(here, doubtful)) == 100
    assert len(await after(here, rows(99))) == 99


async def test_a_tenant_that_moves_between_two_inputs_is_in_both_or_one_and_never_in_neither() -> None:
    here = await Here().start()
    here.read(rows(40), COLUMNS)
    for _ in range(2):
        await here.ask({"region": "eu"})
        await here.ask({"region": "us"})
        here.clock.pass_by(seconds=2)
    moved: Rows = [{**row, "region": "us" if row["tenant"] == "t007" else "eu"} for row in rows(40)]
    here.read(moved, COLUMNS)

    assert "t007" in await here.ask({"region": "eu"})
    assert "t007" in await here.ask({"region": "us"})
    here.read(moved, COLUMNS)
    assert "t007" not in await here.ask({"region": "eu"})
    assert here.own().losses == ()


async def test_who_stays_keeps_leaves_of_json_that_nobody_else_has_and_nobody_is_patched() -> None:
    columns = columns_of(tenant=Kind.TEXT, settings=Kind.JSON)
    here = await Here(policy=policy(GuardMode.UPSERT_ONLY)).start()
    plain: Rows = [{"tenant": f"t{n}", "settings": '{"tier": "x"}'} for n in range(5)]
    odd: Rows = [{"tenant": "odd", "settings": '{"sso": {"url": "https://odd"}, "tier": "gold"}'}]
    here.read(sorted([*plain, *odd], key=lambda row: str(row["tenant"])), columns)
    await here.ask_twice()
    before = await here.ask()
    assert before["t0"]["settings"] == {"sso": {"url": ""}, "tier": "x"}

    for _ in range(2):
        here.read(plain, columns)
        assert await here.ask() == before
        here.clock.pass_by(seconds=61)
    here.read([{**row, "settings": None} for row in plain], columns)
    assert (await here.ask())["odd"] == before["odd"]
    here.read(plain, columns)
    await here.say.approve(Subject("prod", tenants=["odd"]), ME)
    await here.ask()
    here.read(plain, columns)

    assert (await here.ask())["t0"]["settings"] == {"tier": "x"}


async def test_a_leaf_of_today_is_not_lost_to_an_object_of_somebody_who_stays() -> None:
    columns = columns_of(tenant=Kind.TEXT, settings=Kind.JSON)
    here = await Here(policy=policy(GuardMode.UPSERT_ONLY)).start()
    here.read([{"tenant": "odd", "settings": '{"tier": {"name": "gold"}}'}], columns)
    await here.ask_twice()

    here = await here.restarted()
    here.read([{"tenant": "new", "settings": '{"tier": "gold"}'}], columns)
    answered = await here.ask()

    assert answered["new"]["settings"] == {"tier": "gold"}
    assert set(answered) == {"new", "odd"}


# --- what else than rows changes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("the configuration", lambda _: {"shape": "another"}),
        ("the database", lambda here: {"position": replace(here.position, source="another")}),
        ("the database", lambda here: {"position": replace(here.position, lsn=here.position.lsn - (1 << 21))}),
    ],
    ids=["configuration", "another database", "last night's backup"],
)
async def test_a_drop_hidden_behind_a_restart_with_something_else_is_held_however_small(
    what: str, changed: Callable[[Here], dict[str, Any]]
) -> None:
    here = await Here(position=replace(Here().position, lsn=1 << 30)).start()
    here.read(rows(100), COLUMNS)
    await here.ask_twice()
    here = await here.restarted(**changed(here))

    assert len(await after(here, rows(99))) == 100

    (hold,) = here.own().holds.values()
    assert hold.rule is Rule.LENS
    assert what in hold.because
    went_back = here.position.lsn < 1 << 30
    assert [event.kind for event in here.store._events].count(EventKind.WENT_BACK) == went_back


async def test_a_drop_hidden_behind_another_type_of_a_column_is_held_also_without_a_restart() -> None:
    here = await Here().start()
    here.read([{"tenant": f"t{n:03}", "size": "1"} for n in range(100)], columns_of(tenant=Kind.TEXT, size=Kind.TEXT))
    await here.ask_twice({"size": "1"})
    retyped: Rows = [{"tenant": f"t{n:03}", "size": 1 if n else 10} for n in range(100)]
    for _ in range(2):
        here.read(retyped, columns_of(tenant=Kind.TEXT, size=Kind.NUMBER))
        here.clock.pass_by(seconds=here.policy.settle + 1)

    assert len(await here.ask({"size": "1"})) == 100
    assert rules(here) == {Rule.LENS}


async def test_a_drop_that_came_with_another_lens_is_held_although_yet_another_lens_came_after_it() -> None:
    regions = {f"{region}{n:03}": region for region in ("eu", "us") for n in range(50)}

    def read(kind: Kind, **changed: str | None) -> None:
        found = {tenant: region for tenant, region in {**regions, **changed}.items() if region}
        here.read(
            [{"tenant": tenant, "region": region, "size": "1"} for tenant, region in found.items()],
            columns_of(tenant=Kind.TEXT, region=Kind.TEXT, size=kind),
        )

    here = await Here().start()
    read(Kind.TEXT)
    await here.ask_twice({"region": "eu"})
    await here.ask_twice({"region": "us"})
    here = await here.restarted(shape="another")
    read(Kind.TEXT)
    await here.ask({"region": "us"})
    read(Kind.TEXT, us000="ap")
    await here.ask({"region": "us"})  # looks whether the other input selects it
    for kind in (Kind.TEXT, Kind.NUMBER, Kind.NUMBER):
        read(kind, us000="ap", eu000=None)
        here.clock.pass_by(seconds=61)

    assert "eu000" in await here.ask({"region": "eu"})
    assert {hold.tenant: hold.rule for hold in here.own().holds.values()}["eu000"] is Rule.LENS


async def test_who_went_missing_before_the_lens_changed_to_and_fro_leaves_as_before() -> None:
    here = await Here().start()
    everyone: Rows = [{"tenant": f"t{n:03}", "size": "1"} for n in range(100)]
    here.read(everyone, columns_of(tenant=Kind.TEXT, size=Kind.TEXT))
    await here.ask_twice({"size": "1"})
    for kind in (Kind.TEXT, Kind.NUMBER, Kind.TEXT):
        here.read(everyone[1:], columns_of(tenant=Kind.TEXT, size=kind))
        assert len(await here.ask({"size": "1"})) == 100
        here.clock.pass_by(seconds=21)
    here.clock.pass_by(seconds=21)
    here.read(everyone[1:], columns_of(tenant=Kind.TEXT, size=Kind.TEXT))

    assert len(await here.ask({"size": "1"})) == 99


async def test_a_drop_hidden_behind_a_restart_alone_has_to_settle_and_to_keep_the_limits() -> None:
    here = await begun(100)
    here = await here.restarted()
    assert len(await after(here, rows(50))) == 100
    here = await here.restarted()
    assert len(await after(here, rows(98))) == 100
    assert here.held() == ["t098", "t099"]


async def test_a_view_that_is_edited_holds_whom_it_would_drop() -> None:
    views = (("paying", {"selector": "region in (eu)"}),)
    here = await Here(columns={"views": views}).start()
    mixed: Rows = [{**row, "region": ("eu", "us")[n % 2]} for n, row in enumerate(rows(100))]
    here.read(mixed, COLUMNS)
    await here.ask({"view": "paying"})
    here.clock.pass_by(seconds=2)
    await here.ask({"view": "paying"})

    here = await here.restarted(columns={"views": (("paying", {"selector": "region in (eu),tenant!=t000"}),)})
    here.read(mixed, COLUMNS)

    assert len(await here.ask({"view": "paying"})) == 50
    assert rules(here) == {Rule.LENS}


async def test_an_edited_input_is_refused_until_somebody_approves_it() -> None:
    here = await begun(100)
    here.clock.pass_by(hours=1)
    here.read([*rows(90), *({**row, "status": "trial"} for row in rows(100)[90:])], COLUMNS)

    with pytest.raises(EditedInput) as refused:
        await here.ask({"status": "active"})

    name = str(refused.value).partition("known as ")[2].partition(".")[0]
    await here.say.approve(Subject("prod", input=name), ME)
    assert len(await here.ask({"status": "active"})) == 90


async def test_a_preview_moves_no_other_input_and_counts_as_none() -> None:
    here = await begun(100)
    here.clock.pass_by(hours=1)
    before = here.own().baselines["{}"]

    await here.ask({"region": "eu"})

    assert here.own().baselines["{}"].released == before.released
    assert list(here.own().live(here.ledger.now())) == ["{}"]


async def test_a_preview_is_forgotten_after_a_day_and_what_holds_somebody_is_not() -> None:
    here = await begun(100)
    here.clock.pass_by(hours=1)
    await here.ask({"region": "eu"})
    here.clock.pass_by(hours=25)
    await here.ask()

    await here.guarding.touch()

    assert list(here.own().baselines) == ["{}"]
    here = await here.restarted()
    assert list(here.own().baselines) == ["{}"]
    assert here.ledger.source.present == 100


async def test_an_application_set_that_asks_every_other_day_is_never_forgotten() -> None:
    here = await Here().start()
    here.read(rows(100), COLUMNS)
    await here.ask()
    here.clock.pass_by(days=2)
    await here.guarding.touch()

    here.read([], COLUMNS)
    assert len(await here.ask()) == 100
    here.clock.pass_by(days=2)
    await here.guarding.touch()
    here.read([], COLUMNS)
    assert len(await here.ask()) == 100


async def test_an_input_that_is_asked_for_without_a_pause_counts_as_one_that_is_there() -> None:
    here = await Here().start()
    here.read(rows(10), COLUMNS)
    for _ in range(4):
        await here.ask()
        here.clock.pass_by(seconds=0.4)

    assert list(here.own().live(here.ledger.now())) == ["{}"]


async def test_a_matrix_that_grows_waits_for_one_approval_and_never_mixes_tenants() -> None:
    here = await Here().start()
    here.read([*rows(20), {"tenant": "u1", "status": "active", "region": "us"}], COLUMNS)
    for _ in range(2):
        await here.ask({"region": "eu"})
        here.clock.pass_by(hours=1)
    with pytest.raises(EditedInput) as refused:
        await here.ask({"region": "us"})
    name = str(refused.value).partition("known as ")[2].partition(".")[0]

    await here.say.approve(Subject("prod", input=name), ME)

    assert list(await here.ask({"region": "us"})) == ["u1"]
    assert "u1" not in await here.ask({"region": "eu"})


async def test_a_renamed_column_fails_the_read_and_drops_nobody() -> None:
    here = await begun(100)

    with pytest.raises(MissingColumn):
        here.read(rows(100), columns_of(tenant=Kind.TEXT, status=Kind.TEXT, area=Kind.TEXT))

    assert len(await here.ask()) == 100


async def test_a_key_that_no_one_has_asked_for_in_months_is_known() -> None:
    here = await begun(100)
    here.clock.pass_by(days=120)
    here = await here.restarted()

    assert len(await after(here, [])) == 100
    assert len(here.held()) == 100


async def test_a_clock_that_jumps_neither_settles_nor_opens_a_window() -> None:
    here = await begun(100)
    assert len(await after(here, rows(98))) == 98
    here.store._clock = here.ledger.now() + 10 * 86400  # what an earlier process wrote while its clock was ahead
    here = await here.restarted()
    before = here.ledger.now()
    assert before >= here.store._clock
    here.clock.seconds += 1

    assert here.ledger.now() == before + 1
    here.read(rows(97), COLUMNS)
    assert len(await here.ask()) == 98


# --- the ledger ----------------------------------------------------------------------------------------------------


async def test_a_lost_ledger_says_that_it_is_new() -> None:
    here = await begun(100)
    lost = Here(store=FakeStore(), clock=here.clock)

    assert (await lost.ledger.open()).is_new


async def test_nothing_leaves_that_could_not_be_written_but_what_was_answered_before_does() -> None:
    here = await begun(100)
    before = await here.ask()
    here.store.broken = StateUnwritable()
    here.read([*rows(100), *rows(101)[100:]], COLUMNS)

    assert await here.ask() == before

    with pytest.raises(StateUnwritable):
        await here.ask(name="new")
    here.store.broken = None
    assert len(await here.ask()) == 101


async def test_without_a_shared_store_nothing_is_answered_at_all() -> None:
    here = await begun(100, store=FakeStore(is_shared=True))
    here.store.broken = StateUnreachable()

    with pytest.raises(StateUnreachable):
        await here.ask()

    here.store.broken = None
    here.store.unwritable = True
    here.read(rows(101), COLUMNS)
    with pytest.raises(StateUnwritable):
        await here.ask()

    here.store.unwritable = False
    assert len(await here.ask()) == 101


async def test_what_another_process_released_is_what_a_shared_store_knows() -> None:
    here = await begun(100, store=FakeStore(is_shared=True))
    other = await here.restarted()
    other.read(rows(101), COLUMNS)
    assert len(await other.ask()) == 101
    await other.say.freeze(None, ME)

    assert len(await here.ask()) == 101
    assert here.ledger.standing.frozen == 1


@pytest.mark.parametrize("changes", [True, False])
async def test_what_another_process_released_meanwhile_is_never_written_over(*, changes: bool) -> None:
    here = await begun(100, store=FakeStore(is_shared=True))
    other = await here.restarted()
    here.read(rows(101 if changes else 100), COLUMNS)
    decided = here.guarding._decided

    async def slowly(*how: Any) -> Any:  # noqa: ANN401
        decision = await decided(*how)
        other.read(rows(102), COLUMNS)
        assert len(await other.ask()) == 102
        await here.ledger.confirm()
        return decision

    here.guarding._decided = slowly  # type: ignore[method-assign, assignment]
    assert len(await here.ask()) == 102

    assert len(here.own().baselines["{}"].released) == 102
    assert len(other.own().baselines["{}"].released) == 102


async def test_a_first_poll_is_good_until_the_next_read_only_so_that_a_second_one_is_seen() -> None:
    here = await Here().start()
    here.read(rows(10), COLUMNS)
    reply = await here.reply()
    assert reply.ticket.is_good()
    here.read(rows(10), COLUMNS)

    assert not reply.ticket.is_good()


async def test_an_unchanged_answer_writes_nothing() -> None:
    here = await begun(100)
    writes = len(here.store.written)

    for _ in range(5):
        here.clock.pass_by(seconds=30)
        here.read(rows(100), COLUMNS)
        await here.ask()

    assert len(here.store.written) == writes


async def test_a_prepared_answer_is_good_until_rows_change_or_somebody_speaks() -> None:
    here = await begun(100)
    reply = await here.reply()
    here.read(rows(100), COLUMNS)
    assert reply.ticket.is_good()

    await here.say.pin(Subject("prod", tenants=["t000"]), ME)
    assert not reply.ticket.is_good()
    reply = await here.reply()
    await here.say.freeze(None, ME)
    assert not reply.ticket.is_good()
    reply = await here.reply()
    here.read(rows(101), COLUMNS)
    assert not reply.ticket.is_good()


async def test_who_was_approved_ahead_of_another_lens_leaves_without_a_change_of_rows() -> None:
    here = await begun(100)
    await here.say.approve(Subject("prod", tenants=["t099"]), ME)
    here = await here.restarted(shape="another")
    here.read(rows(99), COLUMNS)
    reply = await here.reply()
    assert here.held() == ["t099"]

    here.read(rows(99), COLUMNS)

    assert not reply.ticket.is_good()
    assert "t099" not in await here.ask()


async def test_who_could_not_be_read_and_then_goes_leaves_without_a_change_of_another_row() -> None:
    here = await begun(100)
    here = await here.restarted()
    spoiled: Rows = [*rows(99), {"tenant": "t099", "status": "a\nb", "region": "eu"}]
    here.read(spoiled, COLUMNS)
    reply = await here.reply()
    assert reply.ticket.is_good()

    here.read(rows(99), COLUMNS)

    assert not reply.ticket.is_good()
    assert "t099" not in await after(here, rows(99))


async def test_that_an_input_is_asked_for_again_after_a_day_is_written_down_before_it_is_answered() -> None:
    here = await begun()
    here.read(rows(100), COLUMNS)
    reply = await here.reply()
    here.clock.pass_by(hours=25)

    assert not reply.ticket.is_good()
    await here.ask()

    again = await here.restarted()
    assert "{}" in again.own().live(again.ledger.now())


async def test_an_answer_that_has_not_settled_is_decided_anew_with_each_read() -> None:
    here = await begun(100)
    here.read(rows(99), COLUMNS)
    reply = await here.reply()
    assert reply.ticket.is_good()

    here.read(rows(99), COLUMNS)

    assert not reply.ticket.is_good()


async def test_that_an_input_is_still_asked_for_is_written_down_now_and_then() -> None:
    here = await begun(10)
    reply = await here.reply()
    writes = len(here.store.written)
    for _ in range(5):
        here.clock.pass_by(minutes=30)
        assert reply.ticket.is_good()
        await here.guarding.touch()

    assert len(here.store.written) == writes + 1
    here = await here.restarted()
    assert here.ledger.now() - here.own().baselines["{}"].last < 3700


async def test_a_consumer_whose_token_is_gone_leaves_its_ledger_to_the_next() -> None:
    here = await begun(100)
    here = await here.restarted(tokens=FakeTokens(argocd2="c"))

    assert len(await after(here, [], consumer="argocd2")) == 100
    assert list(here.ledger.sets) == [SetName("argocd2", "prod")]


async def test_two_consumers_with_valid_tokens_share_no_fate() -> None:
    here = await begun(100)
    await here.ask_twice(consumer="staging")
    here.clock.pass_by(hours=1)
    await after(here, rows(50))
    staging = SetName("staging", "prod")
    await here.ask(consumer="staging")
    await here.say.approve(Subject("prod", "staging", tenants=[f"t{n:03}" for n in range(50, 100)]), ME)

    assert len(await here.ask(consumer="staging")) == 50
    assert len(await here.ask()) == 100
    assert not here.own(staging).holds


# --- names and identity --------------------------------------------------------------------------------------------


async def test_a_name_that_was_released_stays_whatever_makes_names_now() -> None:
    named = Naming(length=20, label_field=None)
    here = await Here(naming=named).start()
    here.read([{"tenant": "a-tenant-with-a-long-name"}], columns_of(tenant=Kind.TEXT))
    before = (await here.ask())["a-tenant-with-a-long-name"]["tenantName"]
    longer = Naming(length=60, label_field=None)
    kept = await here.ledger.names_besides(longer.made)

    here = await here.restarted(naming=replace(longer, kept=kept))
    here.read([{"tenant": "a-tenant-with-a-long-name"}, {"tenant": before}], columns_of(tenant=Kind.TEXT))
    answered = await here.ask()

    assert answered["a-tenant-with-a-long-name"]["tenantName"] == before
    assert answered[before]["tenantName"] != before


async def test_a_change_of_identity_is_a_removal() -> None:
    here = await begun(100, policy=policy(identity=("region",)))

    await after(here, rows(100, region="us"))

    assert {one["region"] for one in (await here.ask()).values()} == {"eu"}
    assert len(here.held()) == 100


async def test_who_comes_again_under_another_name_is_counted_as_one_who_is_there() -> None:
    here = await begun(100, policy=policy(identity=["region"]))
    moved = [*rows(98), *({**row, "region": "us"} for row in rows(100)[98:])]

    now = await after(here, moved)

    assert (len(now), len(here.own().losses)) == (100, 2)
    assert here.ledger.source.present == 100


async def test_an_unknown_field_of_the_identity_is_an_error_that_names_the_known() -> None:
    here = await Here(policy=policy(identity=("regoin",))).start()

    with pytest.raises(MissingColumn, match=r"'regoin', which is no field. Known: region, status, tenant."):
        here.read(rows(1), COLUMNS)


# --- people --------------------------------------------------------------------------------------------------------


async def test_a_freeze_holds_also_who_was_approved_and_the_approval_counts_after_it() -> None:
    here = await begun(100)
    await here.say.approve(Subject("prod", tenants=["t099"]), ME, 7200)
    await here.say.freeze(None, ME)

    assert len(await after(here, rows(99))) == 100
    await here.say.unfreeze(None, ME)
    assert len(await here.ask()) == 99


async def test_an_approval_ahead_of_time_lapses() -> None:
    here = await begun(10)
    await here.say.approve(Subject("prod", tenants=["t007", "t008", "t009"]), ME, 3600)
    here.clock.pass_by(hours=2)

    assert len(await after(here, rows(7))) == 10


async def test_a_withdrawn_approval_lets_nobody_go() -> None:
    here = await begun(10, policy=policy(GuardMode.UPSERT_ONLY))
    await here.say.approve(Subject("prod", tenants=["t007", "t008", "t009"]), ME, 36000)
    await here.say.withdraw(Subject("prod", tenants=["t008"]), ME)

    assert (await after(here, rows(7)))[-2:] == ["t006", "t008"]


async def test_a_pin_keeps_parameters_too() -> None:
    here = await begun(10)
    await here.say.pin(Subject("prod", tenants=["t000"]), ME)

    await after(here, rows(10, region="us"))
    assert (await here.ask())["t000"]["region"] == "eu"
    await here.say.unpin(Subject("prod", tenants=["t000"]), ME)
    assert (await here.ask())["t000"]["region"] == "us"


@pytest.mark.parametrize("mode", [GuardMode.UPSERT_ONLY, GuardMode.OBSERVE])
async def test_the_modes_hold_everybody_or_nobody(mode: GuardMode) -> None:
    here = await begun(100, policy=policy(mode))

    assert len(await after(here, rows(50))) == (100 if mode is GuardMode.UPSERT_ONLY else 50)

    assert here.seen.events.count("would_hold") == (mode is GuardMode.OBSERVE)


async def test_the_history_knows_who_was_answered_at_a_moment_and_who_left_by_whose_word() -> None:
    here = await begun(100)
    moment = here.ledger.now()
    here.clock.pass_by(seconds=1)
    await after(here, rows(90))
    await here.say.approve(Subject("prod", tenants=["t099"]), ME)
    await here.ask()

    name = SetName("argocd", "prod")
    then = await here.desk._regarding.history(EventQuery(name, tenant="t099"), moment)

    assert then.members is not None
    assert [len(one.tenants) for one in then.members] == [100]
    assert [(event.kind, dict(event.words)) for event in then.events if "t099" in event.left] == [
        ("released", {"t099": "me"})
    ]


async def test_the_history_does_not_tell_of_a_time_that_it_does_not_know() -> None:
    here = await begun(10)

    with pytest.raises(InvalidWord, match="the history begins at"):
        await here.desk.history(HistoryQuery("prod", at=here.ledger.whole.made - 1))


async def test_the_limits_hold_over_all_application_sets_together() -> None:
    here = await begun(100, policy=policy(limits=[RemovalLimit(timedelta(hours=1), 5, 2)]))
    here.clock.pass_by(seconds=2)
    for _ in range(2):
        await here.ask(SOME, name="other")
        here.clock.pass_by(seconds=2)
    assert len(await after(here, rows(95))) == 95

    again = await after(here, rows(95)[1:], parameters=SOME, name="other")

    assert len(again) == 40
    assert rules(here, "other") == {Rule.SOURCE_LIMIT}
