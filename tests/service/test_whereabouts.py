"""What became of tenants: which Applications they have, and deletions that nobody asked for."""

from __future__ import annotations

from typing import Any

import pytest

from tenantry.core.application import TENANT_LABEL, Application, application
from tenantry.core.columns import Kind
from tenantry.core.errors import ClusterDenied, StateUnreachable
from tenantry.core.history import EventKind
from tenantry.core.ledger import SetName
from tenantry.core.live import LiveName, LiveSet, live_set
from tenantry.service.approving import Speaker, Subject
from tenantry.service.following import Applications, Following, Gone, Listed
from tenantry.service.inventory import Inventory
from tenantry.service.specs import ClusterSpecs
from tenantry.service.state import EventQuery
from tenantry.service.whereabouts import States, Whereabouts
from tests.builders import columns_of
from tests.fakes import FakeStore
from tests.guard.here import LIMITS, Here, policy
from tests.guard.test_selectors import ACTIVE, named, plugin
from tests.service.test_nudging import FakeCluster

pytestmark = pytest.mark.anyio

COLUMNS = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, region=Kind.TEXT)
LABELLED, NAMED = "{{ .tenant }}-app", "app-{{ .tenant | lower }}"


def rows(number: int) -> list[dict[str, object]]:
    return [{"tenant": f"T{n:03}", "status": "active", "region": "eu"} for n in range(number)]


def live(template: str = NAMED, **sync_policy: str) -> LiveSet:
    metadata = {"name": "prod", "namespace": "argocd", "uid": "u1"}
    return live_set({"metadata": metadata, "spec": {**named(template), "syncPolicy": sync_policy}})


def owned(tenant: str, *, labelled: bool = False, owner: str = "u1", **changed: Any) -> Application:  # noqa: ANN401
    """Return the Application of a tenant, as the API server gives it."""
    found = application(
        {
            "metadata": {
                "namespace": "argocd",
                "name": f"{tenant}-app" if labelled else f"app-{tenant.lower()}",
                "labels": {TENANT_LABEL: tenant} if labelled else {},
                "ownerReferences": [{"kind": "ApplicationSet", "uid": owner, "controller": True}],
            },
            "status": {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}},
        }
    )
    assert found is not None
    return found._replace(**changed)


class Bed:
    """A guard that answered a hundred tenants, whose Applications are all there."""

    def __init__(self, here: Here, seen: LiveSet, *, labelled: bool) -> None:
        self.here, self.labelled = here, labelled
        cluster = FakeCluster()
        self.following = Following(cluster, here.seen, namespaces=["argocd"], config_maps=None, changed=lambda _: None)
        self.inventory = Inventory(cluster, here.seen, ["argocd"])
        specs = ClusterSpecs(
            cluster,
            self.following,
            here.tokens,
            here.clock,
            consumers=["argocd"],
            changed=here.guarding.spec_changed,
        )
        self.whereabouts = Whereabouts(
            self.following,
            self.inventory,
            here.ledger,
            here.naming.label_of,
            here.seen,
            sight=here.guarding.sight,
            is_here=specs.is_ours,
        )
        here.guarding.look_by(specs, self.whereabouts)
        here.ledger.still_stands = self.whereabouts.still_stands
        self.following._take("argocd", Listed([seen]))
        self.following._note("argocd", None)

    def has(self, *applications: Application) -> None:
        self.inventory._take("argocd", Applications(applications))
        self.inventory._note("argocd", None)

    def becomes(self, tenant: str, **changed: Any) -> None:  # noqa: ANN401
        self.inventory._take("argocd", owned(tenant, labelled=self.labelled, **changed))

    def goes(self, tenant: str) -> None:
        one = owned(tenant, labelled=self.labelled)
        self.inventory._take("argocd", Gone(LiveName("argocd", one.name)))

    async def deleting(self) -> list[str]:
        """Return who is answered, and whose Application is being deleted."""
        await self.whereabouts.look()
        return sorted(tenant for found in self.whereabouts.served_deleting.values() for tenant in found)


async def bed(number: int = 100, seen: LiveSet | None = None, *, labelled: bool = False, **how: Any) -> Bed:  # noqa: ANN401
    here = await Here(**how).start()
    made = Bed(here, seen or live(), labelled=labelled)
    made.has(*(owned(f"T{n:03}", labelled=labelled) for n in range(number)))
    here.read(rows(number), COLUMNS)
    await here.ask_twice()
    return made


def selecting() -> LiveSet:
    """Return an ApplicationSet that takes who is active alone."""
    spec = {**named(NAMED), "generators": [plugin(ACTIVE)]}
    return live_set({"metadata": {"name": "prod", "namespace": "argocd", "uid": "u1"}, "spec": spec})


async def deactivate(made: Bed, number: int) -> int:
    """Let the last so many be inactive, and return how many are answered as active."""
    now = [{**row, "status": "inactive" if n >= 100 - number else "active"} for n, row in enumerate(rows(100))]
    made.here.read(now, COLUMNS)
    await made.here.ask()
    made.here.settle(now)
    return sum(item["status"] == "active" for item in (await made.here.ask()).values())


# --- what there is ---


def test_an_application_that_no_applicationset_owns_is_none_of_ours() -> None:
    assert application({"metadata": {"name": "a"}}) is None
    assert application({"metadata": {"name": "a", "ownerReferences": [{"kind": "AppProject", "uid": "x"}]}}) is None


async def test_applications_are_counted_by_what_argo_cd_says_of_them() -> None:
    made = await bed(5)
    made.becomes("T000", sync="OutOfSync", health="Degraded")
    made.becomes("T001", is_being_deleted=True)
    made.becomes("T002", owner="another")
    made.goes("T003")
    await made.whereabouts.look()

    assert made.whereabouts.by_application_set == {"prod": States(3, 1, 1, 1, 1)}


async def test_nobody_looks_again_for_what_argo_cd_says_of_how_one_is() -> None:
    made = await bed(5)
    before = made.here.ledger.source

    made.becomes("T000", sync="OutOfSync", health="Degraded")
    assert made.here.ledger.source is before
    assert made.whereabouts.by_application_set["prod"].degraded == 1

    made.becomes("T000", is_being_deleted=True)
    assert made.here.ledger.source is not before


async def test_while_applications_cannot_be_seen_nothing_is_told_of_them() -> None:
    made = await bed(5)
    made.inventory._lost(ClusterDenied(), "argocd", is_first=True)

    assert made.whereabouts.by_application_set == {}
    assert await made.whereabouts.of_tenant("T000") is None


async def test_an_edited_template_is_told_of_before_it_renames_everything() -> None:
    made = await bed(5)
    assert await made.whereabouts.unmatched(live()) == 0

    assert await made.whereabouts.unmatched(live("other-{{ .tenant | lower }}")) == 5
    assert await made.whereabouts.unmatched(live("other-{{ .tenant }}", applicationsSync="create-update")) is None


@pytest.mark.parametrize("labelled", [True, False])
async def test_the_applications_of_a_tenant_are_found_by_label_or_by_name(*, labelled: bool) -> None:
    made = await bed(5, labelled=labelled)

    [found] = await made.whereabouts.of_tenant("T003") or ()

    assert found.name == owned("T003", labelled=labelled).name
    assert (found.sync, found.health, found.being_deleted) == ("Synced", "Healthy", False)
    assert await made.whereabouts.of_tenant("nobody") == []


# --- deletions that nobody asked for ---


@pytest.mark.parametrize("labelled", [True, False])
async def test_an_application_of_an_answered_tenant_that_is_being_deleted_is_told_of_until_it_is_back(
    *, labelled: bool
) -> None:
    made = await bed(labelled=labelled)
    assert await made.deleting() == []
    made.becomes("T003", is_being_deleted=True)

    assert await made.deleting() == ["T003"]
    assert await made.deleting() == ["T003"]
    assert made.here.seen.events.count("deletion_began") == 1
    made.goes("T003")
    assert await made.deleting() == []
    assert made.here.seen.events.count("deletion_ended") == 1


async def of_two_replicas() -> tuple[Here, Bed]:
    """Return one that is asked, and one that looks at the Applications alone, on one ledger."""
    made = await bed(store=FakeStore(is_shared=True))
    asked = await made.here.restarted(name="other")
    asked.reads_when_asked().read(rows(100), COLUMNS)
    await asked.ask()
    asked.read(rows(99), COLUMNS)
    await asked.ask()
    asked.settle(rows(99))
    return asked, made


async def test_whom_another_replica_let_go_raises_no_alarm_here() -> None:
    asked, made = await of_two_replicas()
    assert len(await asked.ask()) == 99

    made.becomes("T099", is_being_deleted=True)

    assert await made.deleting() == []


async def test_while_the_state_cannot_be_read_nobody_can_tell_whom_another_replica_let_go() -> None:
    asked, made = await of_two_replicas()
    assert len(await asked.ask()) == 99
    made.becomes("T099", is_being_deleted=True)
    made.becomes("T001", is_being_deleted=True)

    made.here.store.broken = StateUnreachable()
    with pytest.raises(StateUnreachable):
        await made.deleting()
    made.here.store.broken = None

    assert await made.deleting() == ["T001"]


async def test_the_application_of_whom_the_selector_leaves_out_is_deleted_in_silence() -> None:
    made = await bed(seen=selecting())
    await deactivate(made, 1)
    made.becomes("T099", is_being_deleted=True)
    assert await made.deleting() == []

    made.becomes("T000", is_being_deleted=True)
    assert await made.deleting() == ["T000"]


async def test_who_is_answered_to_the_namesake_in_another_cluster_is_missed_by_nobody_here() -> None:
    made = await bed()
    await made.here.ask_twice(consumer="staging")
    made.here.settle(rows(99))
    assert len(await made.here.ask()) == 99
    made.becomes("T099", is_being_deleted=True)

    assert await made.deleting() == []


async def test_an_alarm_ends_with_its_applicationset() -> None:
    made = await bed()
    made.becomes("T003", is_being_deleted=True)
    assert await made.deleting() == ["T003"]
    made.following._take("argocd", Gone(LiveName("argocd", "prod")))

    assert await made.deleting() == []
    assert made.here.seen.events.count("deletion_ended") == 1


async def test_deletions_are_in_the_history_by_name_and_nowhere_else() -> None:
    made = await bed()
    made.becomes("T003", is_being_deleted=True)
    await made.deleting()
    await made.here.say.freeze(None, Speaker("me", "why"))

    events = await made.here.ledger.events(EventQuery(SetName("argocd", "prod")))

    [event] = [one for one in events if one.kind is EventKind.DELETION_BEGAN]
    assert event.tenants == ("T003",)


async def test_the_application_of_who_was_let_go_is_deleted_in_silence() -> None:
    made = await bed()
    made.here.settle(rows(99))
    assert len(await made.here.ask()) == 99
    made.becomes("T099", is_being_deleted=True)

    assert await made.deleting() == []


async def test_an_application_under_an_older_name_is_deleted_in_silence() -> None:
    made = await bed(labelled=True)
    made.inventory._take("argocd", owned("T003", labelled=True, name="older", is_being_deleted=True))

    assert await made.deleting() == []


async def test_an_application_of_which_nobody_knows_whose_it_is_is_told_of_to_nobody() -> None:
    made = await bed(seen=live("{{ .tenant | sha256sum }}"))
    made.becomes("T003", is_being_deleted=True)

    assert await made.deleting() == []


# --- removals that argo cd has yet to carry out ---


def removed(made: Bed, number: int) -> list[dict[str, object]]:
    return rows(100)[:-number]


async def leave(made: Bed, number: int) -> int:
    """Let the rows of the last so many go, in all, and return how many are answered."""
    made.here.settle(removed(made, number))
    return len(await made.here.ask())


@pytest.mark.parametrize("labelled", [True, False])
async def test_a_removal_counts_beyond_its_window_until_argo_cd_carries_it_out(*, labelled: bool) -> None:
    made = await bed(labelled=labelled, policy=policy(limits=LIMITS[:1]))
    assert await leave(made, 5) == 95
    for _ in range(2):
        made.here.clock.pass_by(hours=10)
        assert await leave(made, 5) == 95
    assert (await made.here.desk.facts()).limits[0].standing == 5
    assert await leave(made, 6) == 95, "the controller is stuck"

    for n in range(95, 100):
        made.becomes(f"T{n:03}", is_being_deleted=True)
    await made.here.say.approve(Subject("prod", tenants=["T094"]), Speaker("me", "why"))
    assert await leave(made, 6) == 94
    assert await leave(made, 8) == 92


async def test_a_removal_by_the_selector_counts_as_long() -> None:
    made = await bed(seen=selecting(), policy=policy(limits=LIMITS[:1]))
    assert await deactivate(made, 5) == 95
    made.here.clock.pass_by(hours=10)
    assert (await made.here.desk.facts()).limits[0].standing == 5
    assert await deactivate(made, 6) == 95, "the controller is stuck"

    for n in range(95, 100):
        made.becomes(f"T{n:03}", is_being_deleted=True)

    assert (await made.here.desk.facts()).limits[0].standing == 0


async def test_a_removal_from_the_namesake_in_another_cluster_counts_for_its_window_alone() -> None:
    made = await bed(labelled=True, policy=policy(limits=LIMITS[:1]))
    await made.here.ask_twice({"region": "eu"}, consumer="staging")
    moved = [*rows(99), {**rows(100)[99], "region": "us"}]
    for _ in range(2):
        made.here.read(moved, COLUMNS)
        await made.here.ask({"region": "eu"}, consumer="staging")
        made.here.clock.pass_by(seconds=61)
    made.here.read(moved, COLUMNS)
    assert len(await made.here.ask({"region": "eu"}, consumer="staging")) == 99
    made.here.clock.pass_by(hours=10)

    assert (await made.here.desk.facts()).limits[0].standing == 0


async def test_where_argo_cd_never_deletes_a_removal_counts_for_its_window_alone() -> None:
    made = await bed(seen=live(NAMED, applicationsSync="create-update"), policy=policy(limits=LIMITS[:1]))
    assert await leave(made, 5) == 95
    made.here.clock.pass_by(hours=10)

    assert await leave(made, 7) == 93


async def test_without_applications_to_be_seen_a_removal_counts_for_its_window_alone() -> None:
    made = await bed(policy=policy(limits=LIMITS[:1]))
    made.has()
    assert await leave(made, 5) == 95
    made.here.clock.pass_by(hours=10)

    assert await leave(made, 7) == 93


async def test_a_removal_that_stands_counts_again_after_a_restart() -> None:
    made = await bed(policy=policy(limits=(*LIMITS[:1], LIMITS[2])))
    assert await leave(made, 5) == 95
    made.here.clock.pass_by(hours=10)
    again = Bed(await made.here.restarted(), live(), labelled=False)
    again.has(*(owned(f"T{n:03}") for n in range(100)))
    again.here.read(removed(again, 5), COLUMNS)
    await again.here.ask()

    assert await leave(again, 6) == 95
