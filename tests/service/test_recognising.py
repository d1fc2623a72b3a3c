"""What an ApplicationSet owns is compared with what is known, at a start and when the tenants come from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tenantry.core.errors import ClusterDenied, ClusterError, NotListed, StateUnwritable, UnknownApplications
from tenantry.core.guard import GuardMode
from tenantry.core.history import EventKind
from tenantry.core.ledger import SetName
from tenantry.core.live import LiveSet, live_set
from tenantry.service import whereabouts as module
from tenantry.service.approving import Speaker, Subject
from tenantry.service.state import EventQuery
from tests.builders import HERE
from tests.guard.here import Here, policy
from tests.guard.test_selectors import ACTIVE, named, plugin
from tests.service.test_whereabouts import COLUMNS, NAMED, Bed, live, owned, rows

pytestmark = pytest.mark.anyio

ME = Speaker("me", "they left us")
DARK = "{{ .tenant | sha256sum }}"
"""A name of which nobody but Argo CD can tell whose it is."""


async def begun(tenants: int, applications: int, seen: LiveSet | None = None, *, labelled: bool = False) -> Bed:
    """Return a guard with an empty ledger, in a cluster where an ApplicationSet owns so many Applications."""
    made = Bed(await Here().start(), seen or live(), labelled=labelled)
    made.has(*(owned(f"T{n:03}", labelled=labelled) for n in range(applications)))
    made.here.read(rows(tenants), COLUMNS)
    return made


async def again(before: Bed, applications: int, seen: LiveSet | None = None, **changed: Any) -> Bed:  # noqa: ANN401
    """Return the next process."""
    made = Bed(await before.here.restarted(**changed), seen or live(), labelled=before.labelled)
    made.has(*(owned(f"T{n:03}", labelled=before.labelled) for n in range(applications)))
    return made


def digest_in(refused: pytest.ExceptionInfo[UnknownApplications]) -> str:
    return refused.value.message.rpartition("known as ")[2][:10]


@pytest.mark.parametrize("labelled", [True, False])
async def test_a_lost_ledger_costs_nobody_who_has_an_application(*, labelled: bool) -> None:
    made = await begun(50, 100, labelled=labelled)

    with pytest.raises(UnknownApplications, match="owns 50 Applications"):
        await made.here.ask()


async def test_applications_of_another_generator_cost_no_start_that_remembers_who_was_answered() -> None:
    company = {**named(NAMED), "generators": [plugin(), {"list": {"elements": [{"tenant": "static"}]}}]}
    seen = live_set({"metadata": {"name": "prod", "namespace": "argocd", "uid": "u1"}, "spec": company})
    made = await begun(99, 99, seen)
    assert len(await made.here.ask()) == 99

    after = await again(made, 100, seen)  # The last one is the list's.
    after.here.read(rows(99), COLUMNS)
    assert len(await after.here.ask()) == 99

    forgetful = await begun(99, 100, seen)
    with pytest.raises(UnknownApplications, match="owns 1 Application "):
        await forgetful.here.ask()


async def test_what_was_compared_and_could_not_be_answered_is_compared_again() -> None:
    made = await begun(100, 100)
    made.here.store.broken = StateUnwritable()
    with pytest.raises(StateUnwritable):
        await made.here.ask()

    made.here.store.broken = None
    made.here.read(rows(97), COLUMNS)

    with pytest.raises(UnknownApplications, match="owns 3 Applications"):
        await made.here.ask()


async def test_names_that_only_argo_cd_can_make_are_compared_by_number() -> None:
    made = await begun(50, 51, live(DARK))
    with pytest.raises(UnknownApplications, match="owns 51 Applications"):
        await made.here.ask()

    assert len(await (await begun(50, 50, live(DARK))).here.ask()) == 50


async def test_a_first_start_beside_applications_that_are_all_known_answers() -> None:
    made = await begun(100, 100)

    assert len(await made.here.ask()) == 100


async def test_who_is_being_deleted_already_is_missed_by_nobody() -> None:
    made = await begun(99, 100)
    made.becomes("T099", is_being_deleted=True)

    assert len(await made.here.ask()) == 99


async def test_where_argo_cd_never_deletes_nothing_is_compared() -> None:
    made = await begun(50, 100, live(NAMED, applicationsSync="create-update"))

    assert len(await made.here.ask()) == 50


async def test_while_applications_cannot_be_seen_the_ledger_alone_counts() -> None:
    made = await begun(50, 100)
    made.inventory.problems.clear()

    assert len(await made.here.ask()) == 50


async def test_before_the_first_list_of_applications_only_who_is_known_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LISTING", 0.01)
    lost = await begun(50, 100)
    lost.inventory.looked.clear()
    with pytest.raises(NotListed):
        await lost.here.ask()

    made = await begun(50, 50)
    await made.here.ask_twice()
    restarted = await again(made, 50)
    restarted.inventory.looked.clear()
    restarted.inventory.problems.clear()
    restarted.here.read(rows(50), COLUMNS)
    assert len(await restarted.here.ask()) == 50


async def test_a_start_while_the_api_server_is_down_answers_only_who_is_known() -> None:
    """The controller may be back before us, and deletes whom the first answer does not have."""
    lost = await begun(50, 100)
    lost.following._lost(ClusterError(), "argocd", is_first=True)
    with pytest.raises(NotListed):
        await lost.here.ask()
    lost.here.clock.pass_by(minutes=11)
    lost.here.read(rows(50), COLUMNS)
    assert len(await lost.here.ask()) == 50, "as without access"

    made = await begun(50, 50)
    await made.here.ask_twice()
    restarted = await again(made, 50)
    restarted.following._lost(ClusterError(), "argocd", is_first=True)
    restarted.here.read(rows(50), COLUMNS)
    assert len(await restarted.here.ask()) == 50


async def test_where_access_is_refused_nobody_waits_for_it() -> None:
    made = await begun(50, 100)
    made.following._lost(ClusterDenied(), "argocd", is_first=True)

    assert len(await made.here.ask()) == 50


async def test_an_older_copy_of_the_ledger_restored_with_the_data_costs_nobody() -> None:
    made = await begun(50, 50)
    await made.here.ask_twice()
    restored = await again(made, 100)
    restored.here.read(rows(50), COLUMNS)

    with pytest.raises(UnknownApplications, match="owns 50 Applications"):
        await restored.here.ask()


async def test_who_is_in_the_ledger_is_known_though_no_row_is_there() -> None:
    made = await begun(100, 100)
    await made.here.ask_twice()
    restarted = await again(made, 100)
    restarted.here.read(rows(50), COLUMNS)

    assert len(await restarted.here.ask()) == 100


async def test_a_lost_ledger_with_everybody_deactivated_under_a_selector_costs_nobody() -> None:
    spec = {"metadata": {"name": "prod", "namespace": "argocd", "uid": "u1"}}
    made = await begun(100, 100, _with_selector(spec))
    made.here.read([{**row, "status": "inactive"} for row in rows(100)], COLUMNS)

    with pytest.raises(UnknownApplications, match="owns 100 Applications"):
        await made.here.ask()


async def test_of_a_matrix_all_that_the_rows_have_may_be_known() -> None:
    spec = {"metadata": {"name": "prod", "namespace": "argocd", "uid": "u1"}}
    matrix = {"matrix": {"generators": [{"clusters": {}}, plugin(region="{{name}}")]}}
    made = await begun(100, 100, _with(spec, matrix))
    assert len(await made.here.ask({"region": "eu"})) == 100

    lost = await begun(99, 100, _with(spec, matrix))
    with pytest.raises(UnknownApplications, match="owns 1 Application of"):
        await lost.here.ask({"region": "eu"})


async def test_of_a_matrix_that_is_remembered_the_number_of_applications_is_no_sign() -> None:
    """Each tenant has one in each cluster, under a name that only Argo CD can make."""
    clusters = {"list": {"elements": [{"cluster": "a"}, {"cluster": "b"}]}}
    spec = {
        "generators": [{"matrix": {"generators": [clusters, plugin()]}}],
        "template": {"metadata": {"name": "{{cluster}}-{{tenant}}"}},
    }
    seen = live_set({"metadata": {"name": "prod", "namespace": "argocd", "uid": "u1"}, "spec": spec})
    both = [owned(f"T{n:03}", name=f"{cluster}-T{n:03}") for cluster in "ab" for n in range(50)]
    made = Bed(await Here().start(), seen, labelled=False)
    made.has()
    made.here.read(rows(50), COLUMNS)
    await made.here.ask_twice()

    restarted = await again(made, 0, seen)
    restarted.has(*both)
    restarted.here.read(rows(50), COLUMNS)
    assert len(await restarted.here.ask()) == 50
    assert await restarted.whereabouts.unmatched(seen) == 0

    lost = Bed(await Here().start(), seen, labelled=False)
    lost.has(*both)
    lost.here.read(rows(50), COLUMNS)
    with pytest.raises(UnknownApplications, match="owns 100 Applications"):
        await lost.here.ask()


async def test_whose_removal_was_released_just_before_a_restart_is_no_stranger() -> None:
    made = await begun(100, 100)
    await made.here.ask_twice()
    made.here.settle(rows(99))
    assert len(await made.here.ask()) == 99
    restarted = await again(made, 100)
    restarted.here.read(rows(99), COLUMNS)

    assert len(await restarted.here.ask()) == 99


async def test_who_left_and_came_back_after_the_copy_that_was_restored_is_a_stranger() -> None:
    made = await begun(100, 100, labelled=True)
    await made.here.ask_twice()
    made.here.settle(rows(99))
    assert len(await made.here.ask()) == 99

    restored = await again(made, 99)
    restored.becomes("T099", created=restored.here.ledger.now() + 3600)
    restored.here.read(rows(99), COLUMNS)

    with pytest.raises(UnknownApplications, match="owns 1 Application of"):
        await restored.here.ask()


async def test_what_somebody_approves_may_go_and_is_not_asked_about_again() -> None:
    made = await begun(50, 100)
    with pytest.raises(UnknownApplications) as refused:
        await made.here.ask()
    await made.here.say.approve(Subject("prod", input=digest_in(refused)), ME)

    assert len(await made.here.ask_twice()) == 50
    restarted = await again(made, 90)
    restarted.here.read(rows(50), COLUMNS)
    assert len(await restarted.here.ask()) == 50


async def test_an_approval_is_of_those_alone_that_were_shown() -> None:
    made = await begun(50, 100)
    with pytest.raises(UnknownApplications) as refused:
        await made.here.ask()
    await made.here.say.approve(Subject("prod", input=digest_in(refused)), ME)
    made.here.read(rows(40), COLUMNS)

    with pytest.raises(UnknownApplications, match="owns 60 Applications"):
        await made.here.ask()


async def test_in_mode_observe_it_is_told_and_nothing_is_refused() -> None:
    made = Bed(await Here(policy=policy(GuardMode.OBSERVE)).start(), live(), labelled=False)
    made.has(*(owned(f"T{n:03}") for n in range(100)))
    made.here.read(rows(50), COLUMNS)

    assert len(await made.here.ask()) == 50
    assert "would_hold" in made.here.seen.events

    frozen = await again(made, 100)
    await frozen.here.say.freeze(None, ME)
    frozen.here.read(rows(40), COLUMNS)
    with pytest.raises(UnknownApplications):
        await frozen.here.ask()


async def test_who_they_are_is_told_to_operators_once_and_to_nobody_else() -> None:
    made = await begun(98, 100)
    for _ in range(3):
        with pytest.raises(UnknownApplications) as refused:
            await made.here.ask()
        assert "t09" not in refused.value.message.lower()

    events = await made.here.ledger.events(EventQuery(SetName("argocd", "prod")))

    [event] = [one for one in events if one.kind is EventKind.UNRECOGNISED]
    assert event.tenants == ("app-t098", "app-t099")


async def test_an_applicationset_is_compared_again_when_the_tenants_come_from_elsewhere() -> None:
    made = await begun(100, 100)
    await made.here.ask_twice()
    made.has(*(owned(f"T{n:03}") for n in range(110)))
    await made.here.ask()
    made.here.position = replace(HERE, source="another/database")
    made.here.read(rows(100), COLUMNS)

    with pytest.raises(UnknownApplications, match="owns 10 Applications"):
        await made.here.ask()


def _with_selector(document: dict[str, Any]) -> LiveSet:
    return _with(document, plugin(ACTIVE))


def _with(document: dict[str, Any], generator: dict[str, Any]) -> LiveSet:
    template = {"metadata": {"name": NAMED}}
    return live_set({**document, "spec": {"generators": [generator], "goTemplate": True, "template": template}})
