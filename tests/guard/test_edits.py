"""New inputs, by what the cluster says of their ApplicationSet: previews, edited generators, a matrix that grows."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tenantry.core.columns import Kind
from tenantry.core.errors import EditedInput
from tenantry.core.history import EventKind, members_at
from tenantry.core.ledger import Rule
from tenantry.service.approving import Speaker, Subject
from tenantry.service.state import EventQuery
from tests.builders import columns_of
from tests.guard.here import Here
from tests.guard.test_selectors import plugin

pytestmark = pytest.mark.anyio

ME = Speaker("me", "a reason")
COLUMNS = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, region=Kind.TEXT)
EU, US = {"region": "eu"}, {"region": "us"}
ALL = "{}"
ROWS: list[dict[str, object]] = [
    {"tenant": f"t{n:03}", "status": "active", "region": ("eu", "us")[n % 2]} for n in range(100)
]
BY_REGION = {"matrix": {"generators": [{"clusters": {}}, plugin(region="{{name}}")]}}


async def begun(*generators: Mapping[str, object], asking: Mapping[str, object] | None = None) -> Here:
    """Return a guard whose ApplicationSet was answered an hour ago."""
    here = await Here().start()
    here.specs.put(*(generators or (plugin(),)))
    here.read(ROWS, COLUMNS)
    await here.ask_twice(asking or {})
    here.clock.pass_by(hours=1)
    here.read(ROWS, COLUMNS)
    return here


# --- previews ------------------------------------------------------------------------------------------------------


async def test_what_no_generator_asks_for_is_answered_as_the_rows_say_and_nothing_is_remembered() -> None:
    here = await begun()
    before, written = here.own(), len(here.store.written)

    assert len(await here.ask(EU)) == 50

    assert here.own() == before
    assert len(here.store.written) == written


async def test_a_preview_is_decided_anew_each_time() -> None:
    here = await begun()

    reply = await here.reply(EU)

    assert not reply.ticket.is_good()


async def test_a_preview_costs_nobody_a_place_in_what_is_asked_for() -> None:
    here = await begun()
    for _ in range(3):
        await here.ask(EU)
        here.clock.pass_by(hours=1)
        here.read(ROWS, COLUMNS)

    assert len(await here.ask()) == 100


async def test_a_preview_with_the_input_that_is_asked_for_is_judged_as_the_controllers_request() -> None:
    here = await begun()
    here.read(ROWS[:40], COLUMNS)

    assert len(await here.ask()) == 100


async def test_shortly_after_an_edit_nobody_is_taken_for_a_preview() -> None:
    """The controller may ask still for what the cluster has forgotten."""
    here = await begun()
    here.specs.settled = False

    with pytest.raises(EditedInput):
        await here.ask(EU)


async def test_an_edit_that_was_not_heard_of_yet_is_no_preview() -> None:
    here = await begun()
    here.specs.edit_unheard(plugin(), plugin(region="eu"))

    await here.ask(EU)

    assert set(here.own().baselines) == {ALL, '{"region":"eu"}'}


async def test_while_the_cluster_cannot_be_asked_a_new_input_waits_for_an_approval() -> None:
    here = await begun()
    here.specs.is_down = True

    with pytest.raises(EditedInput):
        await here.ask(EU)


async def test_an_edit_that_was_not_heard_of_while_the_cluster_cannot_be_asked_is_no_preview() -> None:
    """A watch may be dead for minutes before that is noticed."""
    here = await begun(plugin(region="eu"), asking=EU)
    here.specs.edit_unheard(plugin(region="us"))
    here.specs.is_silent = True

    with pytest.raises(EditedInput):
        await here.ask(US)


async def test_where_the_cluster_has_another_applicationset_of_that_name_nobody_is_taken_for_a_preview() -> None:
    here = await begun(plugin(region="ap"), asking=EU)

    with pytest.raises(EditedInput):
        await here.ask(US)


# --- the only generator --------------------------------------------------------------------------------------------


async def test_an_edited_input_of_the_only_generator_gives_the_new_tenants_and_holds_the_old_ones() -> None:
    here = await begun(plugin(region="eu"), asking=EU)
    here.specs.put(plugin(region="us"))

    answered = await here.ask(US)

    assert len(answered) == 100
    assert {tenant for _, tenant in here.own().holds} == {
        tenant for tenant, item in answered.items() if item["region"] == "eu"
    }
    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LENS}
    assert set(here.own().baselines) == {'{"region":"us"}'}


async def test_an_edit_that_was_not_heard_of_yet_is_asked_about() -> None:
    here = await begun(plugin(region="eu"), asking=EU)
    here.specs.edit_unheard(plugin(region="us"))

    assert len(await here.ask(US)) == 100


async def test_an_edit_to_a_wider_input_holds_nobody() -> None:
    here = await begun(plugin(region="eu"), asking=EU)
    here.specs.put(plugin())

    assert len(await here.ask()) == 100

    assert not here.own().holds


async def test_whom_the_edit_would_cost_their_place_leave_when_somebody_approves() -> None:
    here = await begun(plugin(region="eu"), asking=EU)
    here.specs.put(plugin(region="us"))
    await here.ask(US)
    [decision] = {hold.decision for hold in here.own().holds.values()}
    digest = (await here.desk.facts()).holds[0].digest
    await here.say.approve(Subject("prod", decision=decision, digest=digest), ME)

    assert len(await here.ask(US)) == 50


async def test_the_same_input_written_in_another_way_costs_nobody_a_place() -> None:
    here = await begun(plugin(region="eu"), asking=EU)
    here.specs.put(plugin(selector="region=eu"))

    assert len(await here.ask({"selector": "region=eu"})) == 50


async def test_who_was_held_before_the_edit_is_held_after_it() -> None:
    here = await begun()
    for _ in range(2):
        here.read(ROWS[:40], COLUMNS)
        await here.ask()
        here.clock.pass_by(seconds=61)
    assert len(here.held()) == 60
    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LIMIT}
    here.specs.put(plugin(status="active"))

    assert len(await here.ask({"status": "active"})) == 100

    assert len(here.held()) == 60
    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LIMIT}


async def test_an_edit_survives_a_start_without_access_to_the_cluster() -> None:
    here = await begun(plugin(region="eu"), asking=EU)
    here.specs.put(plugin(region="us"))
    await here.ask(US)
    here.specs.is_down = True
    here = await here.restarted()
    here.read(ROWS, COLUMNS)

    assert len(await here.ask(US)) == 100


async def test_one_that_was_deleted_and_made_anew_for_others_takes_over_nobody() -> None:
    """Nobody is to appear in a region by whom another one was kept."""
    here = await Here().start()
    here.specs.put(plugin(region="eu"), uid="one")
    here.read(ROWS, COLUMNS)
    await here.ask_twice(EU)
    here.clock.pass_by(hours=1)
    here.read(ROWS, COLUMNS)
    here.specs.put(plugin(region="us"), uid="another")

    with pytest.raises(EditedInput):
        await here.ask(US)

    here.specs.put(plugin(region="us"), uid="one")
    assert len(await here.ask(US)) == 100


async def test_the_history_tells_who_was_answered_before_and_after_the_edit() -> None:
    here = await begun(plugin(region="eu"), asking=EU)
    here.clock.pass_by(seconds=10)
    before = here.ledger.now()
    here.clock.pass_by(seconds=10)
    here.specs.put(plugin(region="us"))
    await here.ask(US)

    later = await here.ledger.events(EventQuery(None, since=before))

    assert EventKind.EDITED in {event.kind for event in later}
    now = {given: one.released for given, one in here.own().baselines.items()}
    assert {given: len(members) for given, members in members_at(now, later).items()} == {'{"region":"eu"}': 50}


async def test_of_two_generators_an_edited_one_waits_for_an_approval() -> None:
    here = await begun(plugin(region="eu"), plugin(status="idle"), asking=EU)
    here.specs.put(plugin(region="us"), plugin(status="idle"))

    with pytest.raises(EditedInput):
        await here.ask(US)


async def test_an_applicationset_whose_spec_was_never_known_waits_for_an_approval() -> None:
    here = await Here().start()
    here.read(ROWS, COLUMNS)
    await here.ask_twice(EU)
    here.clock.pass_by(hours=1)
    here.read(ROWS, COLUMNS)
    here.specs.put(plugin(region="us"))

    with pytest.raises(EditedInput):
        await here.ask(US)


# --- a matrix ------------------------------------------------------------------------------------------------------


async def test_a_matrix_that_grows_is_let_through() -> None:
    here = await begun(BY_REGION, asking=EU)

    assert len(await here.ask(US)) == 50

    assert len(await here.ask(EU)) == 50


async def test_a_generator_that_joins_others_is_let_through() -> None:
    here = await begun(plugin(region="eu"), asking=EU)
    here.specs.put(plugin(region="eu"), plugin(region="us"))

    assert len(await here.ask(US)) == 50


async def test_a_matrix_in_the_place_of_a_plain_generator_waits_for_an_approval() -> None:
    here = await begun()
    here.specs.put(BY_REGION)

    with pytest.raises(EditedInput):
        await here.ask(EU)


async def test_whoever_moves_to_an_input_that_is_not_asked_for_any_more_is_not_taken_for_moved() -> None:
    here = await begun(plugin(region="eu"), plugin(region="us"), asking=EU)
    await here.ask_twice(US)
    here.specs.put(plugin(region="eu"))
    moved = [{**row, "region": "us"} for row in ROWS]
    for _ in range(2):
        here.read(moved, COLUMNS)
        await here.ask(US)
        assert len(await here.ask(EU)) == 50
        here.clock.pass_by(seconds=61)
