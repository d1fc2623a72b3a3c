"""Argo CD's own selectors, seen through: whoever they leave out has no Application, whatever we answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tenantry.core.columns import Kind
from tenantry.core.errors import LostField
from tenantry.core.guard import GuardMode
from tenantry.core.ledger import Rule
from tenantry.service.approving import Speaker, Subject
from tests.builders import columns_of
from tests.guard.here import Here, policy

pytestmark = pytest.mark.anyio

ME = Speaker("me", "a reason")
COLUMNS = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, region=Kind.TEXT)
Rows = list[dict[str, object]]
ACTIVE = {"matchExpressions": [{"key": "status", "operator": "In", "values": ["active"]}]}


def plugin(selector: Mapping[str, Any] | None = None, /, **parameters: object) -> dict[str, Any]:
    """Return a plugin generator."""
    generator: dict[str, Any] = {"plugin": {"configMapRef": {"name": "p"}, "input": {"parameters": parameters}}}
    return generator if selector is None else {**generator, "selector": selector}


def rows(number: int, status: str = "active", start: int = 0) -> Rows:
    return [{"tenant": f"t{n:03}", "status": status, "region": "eu"} for n in range(start, start + number)]


def rules(here: Here) -> set[Rule]:
    return {hold.rule for hold in here.own().holds.values()}


def with_status(some: Rows, status: str) -> Rows:
    return [{**row, "status": status} for row in some]


async def begun(now: Rows, *generators: Mapping[str, Any], **how: Any) -> Here:  # noqa: ANN401 -- fields of Here
    """Return a guard whose ApplicationSet is in the cluster, and was answered these rows twice."""
    here = await Here(**how).start()
    here.specs.put(*(generators or (plugin(ACTIVE),)))
    here.read(now, COLUMNS)
    await here.ask_twice()
    return here


async def after(here: Here, now: Rows) -> dict[str, str]:
    """Return the status with which each tenant is answered once these rows have settled."""
    here.read(now, COLUMNS)
    await here.ask()
    here.clock.pass_by(seconds=here.policy.settle + 1)
    here.read(now, COLUMNS)
    return {tenant: item["status"] for tenant, item in (await here.ask()).items()}


def active(answered: Mapping[str, str]) -> int:
    """Return how many Applications Argo CD would make of an answer."""
    return sum(status == "active" for status in answered.values())


async def test_everybody_deactivated_at_once_stays_active_for_argo_cd() -> None:
    here = await begun(rows(100))

    assert active(await after(here, rows(100, "inactive"))) == 100

    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LIMIT}


async def test_without_access_to_the_cluster_the_same_is_answered_as_the_rows_say() -> None:
    here = await Here().start()
    here.read(rows(100), COLUMNS)
    await here.ask_twice()

    assert active(await after(here, rows(100, "inactive"))) == 0


async def test_who_is_deactivated_alone_loses_the_application_once_that_has_settled() -> None:
    here = await begun(rows(100))
    now = [*rows(99), *rows(1, "inactive", start=99)]
    here.read(now, COLUMNS)
    assert (await here.ask())["t099"]["status"] == "active"

    assert (await after(here, now))["t099"] == "inactive"

    assert [loss.tenant for loss in here.own().losses] == ["t099"]


async def test_a_row_that_changes_with_every_read_settles_all_the_same() -> None:
    here = await begun(rows(100))
    answered = await here.ask()
    for n in range(4):
        here.read([*rows(99), {"tenant": "t099", "status": "inactive", "region": f"{n}"}], COLUMNS)
        answered = await here.ask()
        here.clock.pass_by(seconds=30)

    assert answered["t099"]["status"] == "inactive"


async def test_who_is_active_again_before_that_never_lost_anything() -> None:
    here = await begun(rows(100))
    here.read([*rows(99), *rows(1, "inactive", start=99)], COLUMNS)
    await here.ask()

    assert active(await after(here, rows(100))) == 100

    assert not here.own().losses


async def test_a_hold_ends_when_the_tenant_is_active_again() -> None:
    here = await begun(rows(100))
    await after(here, rows(100, "inactive"))
    assert len(here.held()) == 100

    await after(here, rows(100))

    assert not here.held()


async def test_whoever_somebody_approves_by_name_is_let_go() -> None:
    here = await begun(rows(100))
    now = rows(100, "inactive")
    await after(here, now)
    await here.say.approve(Subject("prod", tenants=["t001", "t002"]), ME)

    answered = await after(here, now)

    assert [tenant for tenant, status in answered.items() if status == "inactive"] == ["t001", "t002"]


async def test_the_last_one_whom_argo_cd_takes_is_never_let_go() -> None:
    here = await begun([*rows(1), *rows(9, "inactive", start=1)])

    assert active(await after(here, rows(10, "inactive"))) == 1

    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LAST}


async def test_limits_count_of_those_alone_who_have_an_application() -> None:
    here = await begun([*rows(10), *rows(990, "inactive", start=10)])

    answered = await after(here, [*rows(3), *rows(997, "inactive", start=3)])

    assert active(answered) == 10
    assert here.ledger.source.present == 10


async def test_limits_of_one_applicationset_count_so_too_where_others_have_everybody() -> None:
    here = await begun([*rows(10), *rows(990, "inactive", start=10)])
    await here.ask_twice(name="everybody")

    answered = await after(here, [*rows(3), *rows(997, "inactive", start=3)])

    assert active(answered) == 10
    assert here.ledger.source.present == 1000
    assert rules(here) == {Rule.LIMIT}


async def test_those_without_an_application_are_deleted_in_any_number() -> None:
    here = await begun([*rows(10), *rows(90, "inactive", start=10)])

    assert len(await after(here, rows(10))) == 10

    assert not here.own().losses
    assert not here.own().holds


async def test_who_has_no_application_is_renamed_freely() -> None:
    here = await Here(policy=policy(identity=["region"])).start()
    here.specs.put(plugin(ACTIVE))
    here.read([*rows(10), *rows(90, "inactive", start=10)], COLUMNS)
    await here.ask_twice()

    here.read([*rows(10), *[{**row, "region": "us"} for row in rows(90, "inactive", start=10)]], COLUMNS)

    assert sum(item["region"] == "us" for item in (await here.ask()).values()) == 90


async def test_who_has_no_application_and_a_row_that_cannot_be_used_is_not_held_at_another_configuration() -> None:
    now = [*rows(10), *rows(2, "inactive", start=10)]
    here = await begun(now)
    spoilt = [*now[:-1], {**now[-1], "region": "a\nb"}]

    new = await here.restarted(shape="another")
    new.read(spoilt, COLUMNS)

    assert "t011" in await new.ask()
    assert not new.held()


async def test_while_the_cluster_cannot_be_seen_they_count_as_everybody_else() -> None:
    here = await begun([*rows(10), *rows(90, "inactive", start=10)])
    here.specs.is_down = True

    assert len(await after(here, rows(10))) == 100


@pytest.mark.parametrize("is_silent", [False, True])
async def test_before_anybody_goes_freely_the_cluster_is_asked_for_a_selector_that_was_not_heard_of(
    *, is_silent: bool
) -> None:
    """A watch may be dead for minutes: meanwhile a wider selector gives Applications to those whom it left out."""
    here = await begun([*rows(10), *rows(90, "inactive", start=10)])
    here.specs.edit_unheard(plugin())
    here.specs.is_silent = is_silent

    assert len(await after(here, rows(10))) == 100


async def test_a_freeze_holds_nobody_who_has_no_application() -> None:
    here = await begun([*rows(10), *rows(90, "inactive", start=10)])
    await here.say.freeze(None, ME)

    assert len(await after(here, rows(9))) == 10


async def test_who_was_held_while_the_cluster_could_not_be_seen_is_held_still() -> None:
    here = await begun([*rows(10), *rows(90, "inactive", start=10)])
    here.specs.is_down = True
    await after(here, rows(10))
    assert len(here.held()) == 90
    here.specs.is_down = False

    assert len(await after(here, rows(10))) == 100


async def test_a_start_that_cannot_see_the_cluster_judges_by_the_selector_that_was_known_last() -> None:
    here = await begun(rows(100))
    here.specs.is_down = True
    here = await here.restarted()

    assert active(await after(here, rows(100, "inactive"))) == 100


async def test_a_first_read_after_a_start_costs_nobody_the_application() -> None:
    here = await begun(rows(100))
    here = await here.restarted()
    here.read(rows(100, "inactive"), COLUMNS)

    answered = await here.ask()

    assert {item["status"] for item in answered.values()} == {"active"}


async def test_a_selector_inside_a_matrix_is_seen_through() -> None:
    matrix = {"matrix": {"generators": [{"list": {"elements": [{"region": "eu"}]}}, plugin(ACTIVE)]}}
    here = await begun(rows(100), matrix)

    assert active(await after(here, rows(100, "inactive"))) == 100


async def test_a_selector_on_a_matrix_is_seen_through_as_far_as_it_asks_for_fields_of_ours() -> None:
    both = {"matchLabels": {"status": "active", "metadata.labels.tier": "gold"}}
    matrix = {"matrix": {"generators": [{"clusters": {}}, plugin()]}, "selector": both}
    here = await begun(rows(100), matrix)

    assert active(await after(here, rows(100, "inactive"))) == 100


LIST = {"list": {"elements": [{"tenant": "t000", "status": "active"}]}}


@pytest.mark.parametrize(
    ("combined", "is_sure"),
    [
        ({"matrix": {"generators": [plugin(), LIST]}}, True),
        ({"matrix": {"generators": [LIST, plugin()]}}, False),
        ({"merge": {"mergeKeys": ["tenant"], "generators": [LIST, plugin()]}}, True),
        ({"merge": {"mergeKeys": ["tenant"], "generators": [plugin(), LIST]}}, False),
        ({"matrix": {"generators": [{"merge": {"generators": [plugin(), LIST]}}, LIST]}}, False),
    ],
)
async def test_where_another_generator_may_overwrite_what_is_selected_by_nobody_goes_freely(
    combined: dict[str, Any], *, is_sure: bool
) -> None:
    """In a matrix with Go templates the first generator has the word, in a merge the last."""
    here = await Here().start()
    here.specs.apply({"goTemplate": True, "generators": [{**combined, "selector": ACTIVE}]})
    here.read([*rows(10), *rows(90, "inactive", start=10)], COLUMNS)
    await here.ask_twice()

    assert len(await after(here, rows(10))) == (10 if is_sure else 100)


async def test_in_a_matrix_without_go_templates_nothing_is_overwritten() -> None:
    matrix = {"matrix": {"generators": [LIST, plugin()]}, "selector": ACTIVE}
    here = await begun([*rows(10), *rows(90, "inactive", start=10)], matrix)

    assert len(await after(here, rows(10))) == 10


async def test_of_two_generators_each_counts_for_those_whom_it_takes() -> None:
    inactive = {"matchLabels": {"status": "inactive"}}
    here = await begun(rows(100), plugin(ACTIVE), plugin(inactive))

    assert active(await after(here, rows(100, "inactive"))) == 100


async def test_a_generator_that_asks_for_something_else_takes_nobody_away() -> None:
    here = await begun(rows(100), plugin(), plugin(ACTIVE, region="eu"))

    assert active(await after(here, rows(100, "inactive"))) == 0


async def test_a_selector_of_a_template_counts_for_every_input_that_it_may_become() -> None:
    matrix = {"matrix": {"generators": [{"clusters": {}}, plugin(ACTIVE, region="{{name}}")]}}
    here = await Here().start()
    here.specs.put(matrix)
    here.read(rows(100), COLUMNS)
    await here.ask_twice({"region": "eu"})
    answered = await here.ask({"region": "eu"})
    for _ in range(2):
        here.read(rows(100, "inactive"), COLUMNS)
        answered = await here.ask({"region": "eu"})
        here.clock.pass_by(seconds=here.policy.settle + 1)

    assert {item["status"] for item in answered.values()} == {"active"}


async def test_many_who_are_activated_wait_while_others_are_held() -> None:
    """Ids that a migration writes anew would double the fleet; so would states that it swaps."""
    here = await begun([*rows(50), *rows(50, "inactive", start=50)])

    answered = await after(here, [*rows(50, "inactive"), *rows(50, start=50)])

    assert {tenant for tenant, status in answered.items() if status == "active"} == {f"t{n:03}" for n in range(50)}
    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LIMIT, Rule.REPLACEMENT}


async def test_who_waited_to_be_activated_has_no_application_and_is_deleted_freely() -> None:
    here = await begun([*rows(50), *rows(50, "inactive", start=50)])
    await after(here, [*rows(20), *rows(50, "inactive", start=50)])
    await after(here, [*rows(20), *rows(50, start=50)])
    assert rules(here) == {Rule.LIMIT, Rule.REPLACEMENT}
    here.read([*rows(20), *rows(49, start=50)], COLUMNS)

    assert "t099" not in await here.ask()


async def test_those_who_waited_come_when_the_removals_are_approved() -> None:
    here = await begun([*rows(50), *rows(50, "inactive", start=50)])
    now = [*rows(50, "inactive"), *rows(50, start=50)]
    await after(here, now)
    await here.say.approve(Subject("prod", tenants=[f"t{n:03}" for n in range(50)]), ME)

    await after(here, now)
    answered = await after(here, now)

    assert {tenant for tenant, status in answered.items() if status == "active"} == {f"t{n:03}" for n in range(50, 100)}
    assert not here.own().holds


async def test_new_rows_without_an_application_wait_for_nobody() -> None:
    here = await begun(rows(100))
    await after(here, rows(100, "inactive"))

    answered = await after(here, [*rows(100, "inactive"), *rows(60, "inactive", start=100)])

    assert len(answered) == 160


async def test_in_mode_observe_it_is_told_and_nobody_is_held() -> None:
    here = await begun(rows(100), policy=policy(GuardMode.OBSERVE))

    assert active(await after(here, rows(100, "inactive"))) == 0

    assert "would_hold" in here.seen.events


async def test_an_edited_selector_makes_void_what_was_answered() -> None:
    here = await begun(rows(100), plugin())
    reply = await here.reply()
    here.read(rows(100), COLUMNS)
    reply = await here.reply()
    assert reply.ticket.is_good()

    here.specs.put(plugin(ACTIVE))

    assert not reply.ticket.is_good()


async def test_a_selector_of_another_consumers_cluster_counts_for_nobody() -> None:
    here = await Here().start()
    here.specs.put(plugin(ACTIVE), consumer="staging")
    here.read(rows(100), COLUMNS)
    await here.ask_twice()

    assert active(await after(here, rows(100, "inactive"))) == 0


# --- names ---------------------------------------------------------------------------------------------------------


def named(template: str, *, go_template: bool = True, **values: str) -> dict[str, Any]:
    """Return the spec of an ApplicationSet whose Applications have such names."""
    generator = plugin()
    generator["plugin"]["values"] = values
    return {"generators": [generator], "goTemplate": go_template, "template": {"metadata": {"name": template}}}


@pytest.mark.parametrize(
    "spec",
    [
        named("app-{{ .region | lower }}-{{ .tenant }}"),
        named("app-{{region}}-{{tenant}}", go_template=False),
        named("app-{{ .values.where }}-{{ .tenant }}", where="{{ .region }}"),
    ],
)
async def test_what_a_live_template_names_applications_by_is_part_of_the_identity(spec: Mapping[str, Any]) -> None:
    here = await Here().start()
    here.specs.apply(spec)
    here.read(rows(100), COLUMNS)
    await here.ask_twice()

    moved = [{**row, "region": "us"} for row in rows(100)]
    await after(here, moved)

    assert {item["region"] for item in (await here.ask()).values()} == {"eu"}
    assert {hold.rule for hold in here.own().holds.values()} == {Rule.LIMIT}


async def test_a_field_that_is_in_no_name_changes_freely() -> None:
    here = await Here().start()
    here.specs.apply(named("app-{{ .tenant }}"))
    here.read(rows(100), COLUMNS)
    await here.ask_twice()

    await after(here, [{**row, "region": "us"} for row in rows(100)])

    assert {item["region"] for item in (await here.ask()).values()} == {"us"}


async def test_of_a_json_field_the_leaf_in_the_name_counts_and_its_others_do_not() -> None:
    here = await Here().start()
    here.specs.apply(named("app-{{ .meta.slug }}"))
    columns = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, meta=Kind.JSON)

    def with_meta(meta: str) -> Rows:
        return [{"tenant": f"t{n:03}", "status": "active", "meta": meta} for n in range(100)]

    async def settled(meta: str) -> list[dict[str, str]]:
        for _ in range(2):
            here.read(with_meta(meta), columns)
            await here.ask()
            here.clock.pass_by(seconds=here.policy.settle + 1)
        return [item["meta"] for item in (await here.ask()).values()]

    assert {item["size"] for item in await settled('{"slug": "a", "size": "1"}')} == {"1"}
    assert {item["size"] for item in await settled('{"slug": "a", "size": "2"}')} == {"2"}
    assert {item["slug"] for item in await settled('{"slug": "b", "size": "2"}')} == {"a"}
    assert {item["slug"] for item in await settled('{"size": "2"}')} == {"a"}, "nobody has the leaf any more"


# --- fields that go ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("go_template", [True, False])
async def test_a_field_in_the_name_that_is_not_answered_any_more_is_refused_for_nobody_could_be_held(
    *, go_template: bool
) -> None:
    here = await Here().start()
    tag = "{{ .region }}" if go_template else "{{region}}"
    here.specs.apply(named(f"app-{tag}", go_template=go_template))
    here.read(rows(100), COLUMNS)
    await here.ask_twice()

    here = await without(here, "region")

    with pytest.raises(LostField, match="by region, which"):
        await here.ask()
    here.specs.apply(named("app-{{ .tenant }}"))
    assert len(await here.ask()) == 100


async def test_a_field_in_the_selector_that_is_not_answered_any_more_is_refused_too() -> None:
    here = await without(await begun(rows(100)), "status")

    with pytest.raises(LostField, match="by status, which"):
        await here.ask()


async def test_a_field_that_argo_cd_looks_at_for_nothing_may_go() -> None:
    here = await without(await begun(rows(100)), "region")

    assert len(await here.ask()) == 100


async def without(before: Here, field: str) -> Here:
    """Return the next process, whose configuration leaves out a field."""
    here = await before.restarted(shape="another")
    left = {name: Kind.TEXT for name in ("tenant", "status", "region") if name != field}
    here.read([{name: row[name] for name in left} for row in rows(100)], columns_of(**left))
    return here
