"""Nudges: who is told of a change, when, how often, and what is never lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tenantry.core.asking import input_digest
from tenantry.core.columns import Kind
from tenantry.core.errors import ClusterDenied, ClusterError, EditedInput, StateUnwritable
from tenantry.core.guard import GuardMode
from tenantry.core.ledger import SetName
from tenantry.core.live import LiveName, LiveSet, live_set
from tenantry.service.answering import Answering, PluginRequest, Unguarded
from tenantry.service.approving import Speaker, Subject
from tenantry.service.following import Gone, Listed, Seen, SeenOfApplications
from tenantry.service.nudging import Nudger
from tenantry.service.unremembered import Unremembered
from tests.builders import columns_of
from tests.contract.cases import case
from tests.fakes import FakeStore
from tests.guard.here import Here, policy

pytestmark = pytest.mark.anyio

Rows = Sequence[Mapping[str, object]]
ME = Speaker("me", "a test")
FAILED = "error listing params: error get api 'prod': API error with status code {}: {}"


def application_set(
    name: str = "prod", *generators: Mapping[str, Any], namespace: str = "argocd", failure: str | None = None
) -> LiveSet:
    """Return an ApplicationSet of the cluster; with the plugin alone, and no input, unless told otherwise."""
    conditions = [{"type": "ErrorOccurred", "status": "True", "message": failure}] if failure else []
    return live_set(
        {
            "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}"},
            "spec": {"generators": list(generators) or [plugin()]},
            "status": {"conditions": conditions, "resourcesCount": 3},
        }
    )


def plugin(config_map: str = "tenantry", **parameters: object) -> dict[str, Any]:
    return {"plugin": {"configMapRef": {"name": config_map}, "input": {"parameters": parameters}}}


@dataclass
class FakeCluster:
    """A cluster in memory: what is put into `seen` is given, and an error among it ends the watch."""

    seen: asyncio.Queue[Seen | ClusterError] = field(default_factory=asyncio.Queue)
    of_applications: asyncio.Queue[SeenOfApplications | ClusterError] = field(default_factory=asyncio.Queue)
    refreshed: list[tuple[LiveName, str]] = field(default_factory=list)
    there: dict[LiveName, LiveSet] = field(default_factory=dict)
    """What is found by name, which may be more than was given."""

    broken: ClusterError | None = None
    watches: int = 0
    closed: bool = False

    async def watch(self, namespace: str) -> AsyncGenerator[Seen, None]:
        self.watches += 1
        while True:
            one = await self.seen.get()
            if isinstance(one, ClusterError):
                raise one
            yield one

    async def applications(self, namespace: str) -> AsyncGenerator[SeenOfApplications, None]:
        while True:
            one = await self.of_applications.get()
            if isinstance(one, ClusterError):
                raise one
            yield one

    async def find(self, name: LiveName) -> LiveSet | None:
        if self.broken is not None:
            raise self.broken
        return self.there.get(name)

    async def refresh(self, name: LiveName, value: str) -> None:
        if self.broken is not None:
            raise self.broken
        self.refreshed.append((name, value))

    async def close(self) -> None:
        self.closed = True

    @property
    def told(self) -> list[str]:
        """Who was refreshed, in order."""
        return [name.application_set for name, _ in self.refreshed]


class Bed:
    """A guard that was asked, a cluster, and who nudges between them; looks are taken by hand."""

    def __init__(
        self, here: Here, cluster: FakeCluster | None = None, config_maps: Sequence[str] | None = None
    ) -> None:
        self.here = here
        self.cluster = cluster or FakeCluster()
        self.nudger = Nudger(
            self.cluster,
            here.guarding.foreseeing,
            here.ledger,
            here.seen,
            here.clock,
            namespaces=["argocd"],
            config_maps=config_maps,
        )

    def sees(self, *sets: LiveSet) -> None:
        self.nudger.following._take("argocd", Listed(sets))

    def happens(self, seen: Seen) -> None:
        self.nudger.following._take("argocd", seen)

    async def look(self) -> list[str]:
        """Look once; returns who was told by that."""
        before = len(self.cluster.refreshed)
        await self.nudger.look()
        await asyncio.gather(*self.nudger._sending)
        return self.cluster.told[before:]


def rows(number: int, **of_all: object) -> list[dict[str, object]]:
    return [{"tenant": f"t{n:02}", "status": "active", "plan": "free", **of_all} for n in range(number)]


async def bed(number: int = 40, *names: str, **changed: Any) -> Bed:  # noqa: ANN401
    """Return a bed in which each ApplicationSet was answered with so many tenants."""
    here = await Here(**changed).start()
    here.read(rows(number))
    made = Bed(here)
    for name in names or ("prod",):
        await here.ask_twice(name=name)
    made.sees(*(application_set(name) for name in names or ("prod",)))
    assert await made.look() == []
    return made


def nobody_for_long(here: Here) -> None:
    """Read no row for as long as a removal takes to count."""
    for seconds in (0, 61):
        here.clock.pass_by(seconds=seconds)
        here.read([], columns_of(**dict.fromkeys(("tenant", "status", "plan"), Kind.TEXT)))


NEW = {"tenant": "zz", "status": "active", "plan": "free"}


@case(43)
async def test_who_would_be_answered_otherwise_is_told_and_nobody_else() -> None:
    here = await Here().start()
    here.read([*rows(40), {**NEW, "tenant": "old", "status": "trial"}])
    await here.ask_twice({"status": "active"}, name="prod")
    await here.ask_twice({"status": "trial"}, name="trials")
    made = Bed(here)
    made.sees(application_set("prod", plugin(status="active")), application_set("trials", plugin(status="trial")))
    assert await made.look() == []

    here.read([*rows(40), {**NEW, "tenant": "old", "status": "trial"}, {**NEW, "tenant": "young", "status": "trial"}])

    assert await made.look() == ["trials"]
    assert await made.look() == []
    assert "young" in await here.ask({"status": "trial"}, name="trials")
    assert await made.look() == []


@case(44)
async def test_the_value_is_another_one_each_time_also_for_a_change_back() -> None:
    made = await bed()
    for number in range(3):
        made.here.read([*rows(40), NEW] if number % 2 == 0 else rows(40, plan=str(number)))
        assert await made.look() == ["prod"]
        made.here.clock.pass_by(seconds=5)
        await made.here.ask()

    values = [value for _, value in made.cluster.refreshed]
    assert len(set(values)) == len(values)
    assert [value.rpartition("-")[2] for value in values] == ["1", "2", "3"]


async def test_a_hold_nudges_nobody() -> None:
    made = await bed()
    nobody_for_long(made.here)

    assert await made.look() == []
    assert made.here.held() == [], "looking ahead records nothing"
    await made.here.ask()
    assert len(made.here.held()) == 40
    assert await made.look() == []


async def test_who_comes_with_a_read_in_which_a_row_has_no_id_is_told_of() -> None:
    made = await bed()
    made.here.read([*rows(40), NEW, {**NEW, "tenant": ""}])

    assert await made.look() == ["prod"]


async def test_who_came_and_is_gone_before_anybody_asked_is_told_of_no_more() -> None:
    made = await bed()
    made.here.read([*rows(40), NEW])
    assert await made.look() == ["prod"]

    made.here.read(rows(40))
    made.here.clock.pass_by(seconds=60)

    assert await made.look() == []


async def test_an_addition_beside_a_hold_nudges() -> None:
    made = await bed()
    made.here.settle([*rows(1), NEW])

    assert await made.look() == ["prod"]


async def test_the_end_of_settling_nudges_though_nobody_asked_meanwhile() -> None:
    made = await bed()
    made.here.read(rows(39))
    assert await made.look() == []
    made.here.clock.pass_by(seconds=30)
    made.here.read(rows(39))
    assert await made.look() == []
    made.here.clock.pass_by(seconds=31)
    made.here.read(rows(39))

    assert await made.look() == ["prod"]
    assert len(await made.here.ask()) == 39


@case(46)
async def test_after_a_restart_a_removal_settles_and_a_change_is_told_though_nobody_asks() -> None:
    made = await bed()
    here = await made.here.restarted()
    here.read([*rows(39), NEW])
    again = Bed(here)
    again.sees(application_set())

    assert await again.look() == ["prod"]
    assert "zz" in await here.ask()
    here.read([*rows(38), NEW])
    await again.look()
    here.clock.pass_by(seconds=61)
    here.read([*rows(38), NEW])
    assert await again.look() == ["prod"]


async def test_a_restart_across_another_configuration_excuses_nobody_by_looking_ahead() -> None:
    made = await bed()
    here = await made.here.restarted(shape="another")
    again = Bed(here)
    again.sees(application_set())
    here.read(rows(39))
    await again.look()
    here.clock.pass_by(seconds=61)
    here.read(rows(39))
    await again.look()

    assert len(await here.ask()) == 40
    assert here.held() == ["t39"]


async def test_what_people_say_nudges_whom_it_concerns() -> None:
    made = await bed(40, "prod", "test")
    nobody_for_long(made.here)
    await made.here.ask(name="prod")
    await made.here.ask(name="test")
    assert await made.look() == []

    await made.here.say.approve(Subject("prod", tenants=["t00", "t01"]), ME)

    assert await made.look() == ["prod"]
    assert len(await made.here.ask(name="prod")) == 38
    assert await made.look() == []


async def test_a_freeze_that_ends_and_a_pin_that_ends_nudge() -> None:
    made = await bed()
    await made.here.say.pin(Subject("prod", tenants=["t00"]), ME)
    made.here.read(rows(40, plan="gold"))
    assert await made.look() == ["prod"]
    assert made.here.held() == []
    await made.here.ask()
    assert await made.look() == []

    await made.here.say.unpin(Subject("prod", tenants=["t00"]), ME)
    made.here.clock.pass_by(seconds=5)

    assert await made.look() == ["prod"]


@case(48)
async def test_a_request_wakes_nobody_and_leads_to_no_nudge() -> None:
    made = await bed()
    made.here.clock.pass_by(seconds=60)
    made.nudger._woken.clear()

    await made.here.ask()
    await made.here.ask({"status": "active"}, name="another")
    with pytest.raises(EditedInput):
        await made.here.ask({"status": "trial"})

    assert not made.nudger._woken.is_set()
    assert await made.look() == []


@case(45)
async def test_of_many_changes_before_argo_cd_asks_one_is_told() -> None:
    made = await bed()
    told = []
    for number in range(20):
        made.here.read([*rows(40), {**NEW, "plan": str(number)}])
        told += await made.look()
        made.here.clock.pass_by(seconds=0.05)

    assert told == ["prod"]
    assert (await made.here.ask())["zz"]["plan"] == "19"
    assert await made.look() == []


@case(45)
async def test_of_a_second_of_changes_a_few_are_told_however_soon_argo_cd_asks() -> None:
    made = await bed()
    told = []
    for number in range(100):
        made.here.read([*rows(40), {**NEW, "plan": str(number)}])
        told += await made.look()
        made.here.clock.pass_by(seconds=0.01)
        if number % 8 == 7:  # as long as a pass takes
            await made.here.ask()

    assert 3 <= len(told) <= 6


async def test_changes_a_moment_apart_are_each_told_at_once() -> None:
    made = await bed()
    for number in range(30):
        made.here.read([*rows(40), {**NEW, "plan": str(number)}])
        assert await made.look() == ["prod"]
        made.here.clock.pass_by(seconds=0.1)
        await made.here.ask()
        made.here.clock.pass_by(seconds=0.4)


async def test_whoever_does_not_ask_is_told_again_more_and_more_rarely() -> None:
    made = await bed()
    made.here.read([*rows(40), NEW])
    told = []
    for _ in range(3600):
        if await made.look():
            told.append(made.here.clock.seconds)
        made.here.clock.pass_by(seconds=1)

    gaps = [after - before for before, after in itertools.pairwise(told)]
    assert 5 <= len(told) <= 8
    assert all(after > before for before, after in itertools.pairwise(gaps))


@case(46)
async def test_what_cannot_be_told_is_tried_again_and_shows_as_pending() -> None:
    made = await bed()
    made.cluster.broken = ClusterDenied()
    made.here.read([*rows(40), NEW])
    assert await made.look() == []
    made.here.clock.pass_by(seconds=10)
    assert made.nudger.pending == 10
    assert [one.pending for one in made.nudger.told()] == [10]

    made.cluster.broken = None

    assert await made.look() == ["prod"]
    assert made.nudger.pending == 0
    assert made.here.seen.events.count("nudge_failed") == 1


async def test_what_waits_is_as_old_as_its_first_change_and_is_tried_no_more_often_for_the_others() -> None:
    made = await bed()
    made.cluster.broken = ClusterError()
    for number in range(100):
        made.here.read([*rows(40), {**NEW, "plan": str(number)}])
        await made.look()
        made.here.clock.pass_by(seconds=1)

    assert made.nudger.pending == 100
    assert 4 <= made.here.seen.events.count("nudge_failed") <= 14


async def test_a_pass_that_failed_after_it_was_told_is_told_again_once_we_can_answer() -> None:
    made = await bed()
    made.here.read([*rows(40), NEW])
    assert await made.look() == ["prod"]
    made.here.store.broken = StateUnwritable()
    made.here.store.is_shared = True
    made.here.clock.pass_by(seconds=1)
    with pytest.raises(StateUnwritable):
        await made.here.ask()
    made.happens(application_set(failure=FAILED.format(503, "The state database cannot be written to.")))
    with pytest.raises(StateUnwritable):
        await made.look()

    made.here.store.broken = None
    made.here.clock.pass_by(seconds=1)

    assert await made.look() == ["prod"]
    assert await made.look() == []


async def test_a_state_that_cannot_be_written_delays_a_nudge_and_loses_none() -> None:
    made = await bed()
    made.here.read([*rows(40), NEW])
    made.here.store.broken = StateUnwritable()
    assert await made.look() == []
    made.here.store.broken = None
    made.here.clock.pass_by(seconds=5)

    assert await made.look() == ["prod"]


async def test_only_those_are_told_that_use_one_of_our_configmaps_at_any_depth() -> None:
    here = await Here().start()
    here.read(rows(3))
    deep = {"matrix": {"generators": [{"list": {}}, {"merge": {"generators": [{"list": {}}, plugin()]}}]}}
    names = ("ours", "deep", "theirs", "none")
    for name in names:
        await here.ask_twice(name=name)
    made = Bed(here, config_maps=["tenantry", "tenantry-2"])
    made.sees(
        application_set("ours", plugin("tenantry-2")),
        application_set("deep", deep),
        application_set("theirs", plugin("other")),
        application_set("none", {"list": {}}),
        application_set("ours", namespace="team-a"),
    )
    here.read([*rows(3), NEW])

    await made.look()

    assert sorted(name for name, _ in made.cluster.refreshed) == [
        ("argocd", "deep"),
        ("argocd", "ours"),
        ("team-a", "ours"),
    ]


async def test_an_input_that_the_applicationset_has_no_more_tells_nobody() -> None:
    here = await Here().start()
    here.read(rows(3))
    await here.ask_twice({"status": "active"})
    made = Bed(here)
    made.sees(application_set("prod", plugin(status="trial")))
    here.read([*rows(3), NEW])

    assert await made.look() == []
    made.happens(application_set("prod", plugin(status="{{ .status }}")))
    assert await made.look() == ["prod"]


async def test_allow_empty_of_the_live_spec_counts_while_nobody_asked_since_the_start() -> None:
    here = await Here().start()
    here.read(rows(1))
    await here.ask_twice({"allowEmpty": True})
    here = await here.restarted()
    made = Bed(here)
    made.sees(application_set("prod", plugin(allowEmpty=True)))
    nobody_for_long(here)
    assert await made.look() == []
    nobody_for_long(here)

    assert await made.look() == ["prod"]


@pytest.mark.parametrize(
    "said", [FAILED.format(503, "The tenants have not been read yet."), FAILED.split(": API", maxsplit=1)[0] + ": EOF"]
)
async def test_after_a_pass_that_failed_by_us_and_our_recovery_it_is_told(said: str) -> None:
    made = await bed()
    here = await made.here.restarted()
    again = Bed(here, config_maps=["tenantry"])
    again.sees(application_set(failure=said))
    with pytest.raises(Exception, match="not been read"):
        await again.look()

    here.read(rows(40))

    assert await again.look() == ["prod"]
    assert await again.look() == []
    await here.ask()
    again.happens(application_set())
    assert await again.look() == []


async def test_a_failure_of_something_else_tells_nobody() -> None:
    made = await bed()
    for said in ("Application validation failed", "error listing params: error get api 'other': EOF"):
        made.happens(application_set(failure=said))
        assert await made.look() == []


async def test_a_refusal_that_people_mend_is_told_of_once_for_each_word() -> None:
    made = await bed()
    made.here.clock.pass_by(seconds=60)
    with pytest.raises(EditedInput) as refused:
        await made.here.ask({"status": "trial"})
    made.happens(application_set("prod", plugin(status="trial"), failure=FAILED.format(409, refused.value.message)))
    assert await made.look() == ["prod"], "what happened before the start is not known"
    made.here.clock.pass_by(seconds=3600)
    assert await made.look() == []

    await made.here.say.approve(Subject("prod", input=input_digest('{"status":"trial"}')), ME)

    assert await made.look() == ["prod"]
    made.here.clock.pass_by(seconds=3600)
    assert await made.look() == []


async def test_another_plugins_failure_tells_nobody_where_our_configmaps_are_not_known() -> None:
    made = await bed()
    made.happens(application_set("theirs", failure="error listing params: error get api 'theirs': EOF"))

    assert await made.look() == []


async def test_what_is_gone_is_forgotten() -> None:
    made = await bed()
    made.cluster.broken = ClusterError()
    made.here.read([*rows(40), NEW])
    await made.look()
    made.here.clock.pass_by(seconds=3)
    assert made.nudger.pending == 3

    made.happens(Gone(LiveName("argocd", "prod")))

    assert made.nudger.pending == 0
    assert await made.look() == []
    assert made.nudger.told() == []


async def test_two_replicas_count_one_nudge_of_one_change() -> None:
    store = FakeStore(is_shared=True)
    made = await bed(store=store)
    other = await made.here.restarted(clock=made.here.clock)
    other.read(rows(40))
    beside = Bed(other)
    beside.sees(application_set())
    assert await beside.look() == []
    for here in (made.here, other):
        here.read([*rows(40), NEW])

    assert [await made.look(), await beside.look()] == [["prod"], []]
    # The first may have died before it told.
    made.here.clock.pass_by(seconds=40)
    assert await beside.look() == ["prod"]


async def test_without_a_guard_every_change_is_told_to_all_who_use_us() -> None:
    here = await Here().start()
    here.read(rows(3))
    answering = Answering(here.snapshots)
    unguarded = Unguarded(answering, here.snapshots)
    made = Bed(here)
    made.nudger._foresight = Unremembered(unguarded, here.snapshots)
    made.sees(application_set("prod"), application_set("never-asked"))
    assert await made.look() == []
    await unguarded.answer("argocd", PluginRequest("prod", {}))

    here.read(rows(4))

    assert await made.look() == ["prod", "never-asked"]
    await unguarded.answer("argocd", PluginRequest("prod", {}))
    assert await made.look() == []


async def test_the_mode_that_lets_nobody_go_nudges_for_additions_alone() -> None:
    made = await bed(policy=policy(GuardMode.UPSERT_ONLY))
    made.here.settle(rows(39))
    assert await made.look() == []
    made.here.read([*rows(39), NEW])

    assert await made.look() == ["prod"]


# --- the watch ------------------------------------------------------------------------------------------------------


async def test_a_watch_that_is_lost_begins_anew_with_a_list_and_is_told_of_once() -> None:
    made = await bed()
    task = asyncio.create_task(made.nudger.run())
    try:
        made.cluster.seen.put_nowait(Listed([application_set(), application_set("gone")]))
        for error in (ClusterDenied(), ClusterDenied()):
            made.cluster.seen.put_nowait(error)
        async with asyncio.timeout(20):
            while made.cluster.watches < 3:
                await asyncio.sleep(0.01)
            assert isinstance(made.nudger.following.problems["argocd"], ClusterDenied)
            made.cluster.seen.put_nowait(Listed([application_set()]))
            made.cluster.seen.put_nowait(application_set())
            while "cluster_back" not in made.here.seen.events:
                await asyncio.sleep(0.01)
        assert made.nudger.following.is_whole
        assert [live.name.application_set for live in made.nudger.following.live] == ["prod"]
        assert made.here.seen.events.count("cluster_lost") == 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert made.cluster.closed


async def test_a_change_is_told_by_the_service_of_its_own_accord() -> None:
    made = await bed()
    made.here.snapshots.published = made.nudger.wake
    task = asyncio.create_task(made.nudger.run())
    try:
        made.cluster.seen.put_nowait(Listed([application_set()]))
        made.here.read([*rows(40), NEW])
        async with asyncio.timeout(20):
            while made.cluster.told != ["prod"]:
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- what is understood of a live ApplicationSet ----------------------------------------------------------------------


def test_an_input_is_known_unless_argo_cd_fills_it_in_or_may_write_its_numbers_otherwise() -> None:
    known = application_set("a", plugin(status="active", allowEmpty="true"))
    assert (known.inputs, known.allows_empty) == ({'{"status":"active"}'}, True)
    shard = application_set("a", plugin(shard={"index": 1, "count": 64}))
    assert shard.inputs == {'{"shard":{"count":64,"index":1}}'}
    for unknown in (plugin(region="{{ .region }}"), plugin(a={"b": 1 << 53}), plugin(a=[1.5])):
        assert application_set("a", plugin(), unknown).inputs is None


def test_a_document_without_anything_is_understood_as_using_nobody() -> None:
    documents: list[dict[str, Any]] = [
        {},
        {"spec": None},
        {"spec": {"generators": [None, {"matrix": None}, {"plugin": {}}]}},
    ]
    for document in documents:
        live = live_set(document)
        assert live.asking(["tenantry"]) is None
        assert replace(live, failure="x").refusal is None


def test_names_in_the_ledger_belong_to_consumers_and_all_of_one_name_count() -> None:
    assert SetName("a", "prod").application_set == application_set().name.application_set
