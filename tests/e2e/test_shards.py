"""ApplicationSets that share the tenants, as `tenantry manifests` prints them, on the real controller."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tenantry.core.naming import tenant_label, tenant_name
from tenantry.core.sharding import shard_of
from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD
from tests.e2e.printed import FINALIZER, GO, cascading, contented, labels, owners, printed
from tests.e2e.survival import lost, settled, uids, versions
from tests.support.postgres import Database
from tests.support.service import RunningService

TENANTS = [f"Customer {number}" if number % 2 else f"customer-{number:02}" for number in range(60)]
TABLE = f"""
    CREATE TABLE customer (tenant text PRIMARY KEY);
    INSERT INTO customer VALUES {", ".join(f"('{tenant}')" for tenant in TENANTS)}
"""

AN_ERROR = 240.0
"""Seconds: where a pass meets "already exists", Argo CD looks again after three minutes."""


@pytest.fixture
def service(argocd: ArgoCD, database: Database, serving: Callable[..., RunningService]) -> RunningService:
    """Serve sixty customers to Argo CD."""
    database.execute(TABLE)
    source = {"TENANTRY_SOURCE_URL": database.url(), "TENANTRY_SOURCE_TABLE": "customer"}
    running = serving({"AUTH_TOKEN": tutorial.token(), **source})
    tutorial.connect(argocd, running)
    return running


def sets(count: int) -> list[str]:
    """Return the names of the ApplicationSets of so many shards."""
    return [f"tenants-{index}" for index in range(count)]


def shared(count: int, *more: str) -> dict[str, str]:
    """Return whose each Application is to be, by name."""
    return {tenant_name(tenant): f"tenants-{shard_of(tenant, count)}" for tenant in (*TENANTS, *more)}


def deploy(argocd: ArgoCD, count: int, *more: object) -> None:
    """Apply the ApplicationSets of so many shards, the first one alone.

    A controller that has just started may miss the project in all but the first of several passes at once, and looks
    again after minutes.
    """
    first, *others = printed("--shards", count, *more)
    argocd.apply(first)
    argocd.eventually(lambda: contented(argocd, sets(1)[0]), what="A pass of the first")
    argocd.apply(*others)


def moving(before: int, after: int) -> list[str]:
    """Return the Applications whose ApplicationSet another count changes, in order."""
    then, now = shared(before), shared(after)
    return sorted(name for name in then if then[name] != now[name])


@pytest.mark.parametrize("go", GO)
def test_four_application_sets_have_each_tenant_once_and_a_new_one_too(
    argocd: ArgoCD, database: Database, service: RunningService, go: str
) -> None:
    deploy(argocd, 4, go)

    settled(argocd, len(TENANTS))
    argocd.eventually(lambda: contented(argocd, *sets(4)), what="A pass of each")
    assert set(owners(argocd).values()) == set(sets(4))
    assert owners(argocd) == shared(4)
    assert labels(argocd) == {tenant_name(tenant): tenant_label(tenant) for tenant in TENANTS}

    written = versions(argocd)
    database.execute("INSERT INTO customer VALUES ('Zoë & Söhne')")
    argocd.eventually(lambda: "Zoë & Söhne" in service.ask(token=tutorial.token()).tenants(), what="Zoë in an answer")
    for name in sets(4):
        argocd.nudge(name)

    argocd.eventually(lambda: owners(argocd) == shared(4, "Zoë & Söhne"), what="The Application of Zoë")
    argocd.eventually(lambda: contented(argocd, *sets(4)), what="A pass of each")
    assert versions(argocd).items() >= written.items()


def test_the_api_server_keeps_all_that_is_printed_and_the_belts_arrive_at_the_applications(
    argocd: ArgoCD, service: RunningService
) -> None:
    [wanted] = printed(
        "--preserve-resources-on-deletion", "--confirm-deletion", "--prefix", "eu-", "--dest-namespace", "shared",
        "--repo-url", "https://git.example.com/apps.git", "--path", "tenant", "--requeue-after", 60,
        "--selector", "tenant in (customer-00,customer-02)", "allowEmpty=true",
    )  # fmt: skip
    argocd.apply(wanted)

    found = settled(argocd, 2)

    assert argocd.application_set("tenants")["spec"] == wanted["spec"]
    assert sorted(found) == ["eu-customer-00", "eu-customer-02"]
    for application in argocd.applications().values():
        assert application["spec"]["syncPolicy"]["syncOptions"] == ["CreateNamespace=true", "Delete=confirm"]
        assert application["spec"]["destination"]["namespace"] == "shared"
        assert "finalizers" not in application["metadata"]


def test_without_belts_what_a_tenant_had_goes_with_its_application(argocd: ArgoCD, service: RunningService) -> None:
    argocd.apply(*printed("tenant=customer-00"))

    settled(argocd, 1)

    assert argocd.applications()["customer-00"]["metadata"]["finalizers"] == [FINALIZER]
    assert argocd.applications()["customer-00"]["spec"]["syncPolicy"]["syncOptions"] == ["CreateNamespace=true"]
    assert argocd.applications()["customer-00"]["spec"]["destination"]["namespace"] == "customer-00"


def test_another_count_deletes_what_the_tenants_that_move_had_and_no_more(
    argocd: ArgoCD, service: RunningService
) -> None:
    deploy(argocd, 4)
    before = settled(argocd, len(TENANTS))

    argocd.apply(*printed("--shards", 5))
    argocd.eventually(lambda: len(lost(argocd, before)) >= len(moving(4, 5)), what="The end of those that move")

    assert 0 < len(moving(4, 5)) < len(TENANTS) / 3
    assert sorted(lost(argocd, before)) == moving(4, 5)
    assert set(moving(4, 5)) <= set(cascading(argocd))


def test_a_count_that_changes_while_resources_are_preserved_costs_no_tenant_what_it_had(
    argocd: ArgoCD, service: RunningService
) -> None:
    deploy(argocd, 4)
    before = settled(argocd, len(TENANTS))
    assert sorted(cascading(argocd)) == sorted(before)

    argocd.apply(*printed("--shards", 4, "--preserve-resources-on-deletion"))
    argocd.eventually(lambda: not cascading(argocd), what="The end of the finalizers")
    assert uids(argocd) == before

    argocd.apply(*printed("--shards", 5, "--preserve-resources-on-deletion"))
    argocd.eventually(lambda: owners(argocd) == shared(5), within=AN_ERROR, what="The move")
    assert sorted(lost(argocd, before)) == moving(4, 5)
    assert cascading(argocd) == []

    moved = uids(argocd)
    argocd.apply(*printed("--shards", 5))
    argocd.eventually(lambda: sorted(cascading(argocd)) == sorted(moved), within=AN_ERROR, what="The finalizers")
    assert uids(argocd) == moved


def test_fewer_shards_take_over_the_tenants_of_those_that_are_deleted(argocd: ArgoCD, service: RunningService) -> None:
    deploy(argocd, 5, "--preserve-resources-on-deletion")
    before = settled(argocd, len(TENANTS))
    argocd.eventually(lambda: contented(argocd, *sets(5)), what="A pass of each")

    argocd.delete("tenants-4")
    argocd.apply(*printed("--shards", 4, "--preserve-resources-on-deletion"))
    argocd.eventually(lambda: owners(argocd) == shared(4), within=AN_ERROR, what="The move")
    argocd.eventually(lambda: contented(argocd, *sets(4)), what="A pass of each")

    assert sorted(lost(argocd, before)) == moving(4, 5)
    assert cascading(argocd) == []
