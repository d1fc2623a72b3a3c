"""A tenant's way through Argo CD: it comes, it changes, it leaves, and nobody else's Application moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD, Object
from tests.e2e.sets import application_set, parameters, plugin, tag, template
from tests.e2e.survival import Uids, lost, settled, some_passes, uids, versions
from tests.support.postgres import Database
from tests.support.service import RunningService

Serving = Callable[..., RunningService]

TABLE = """
    CREATE TABLE customer (tenant text PRIMARY KEY, state text, replicas int, display text, note text);
    INSERT INTO customer VALUES
        ('acme', 'active', 1, 'Acme', ''),
        ('beta', 'active', 1, 'Beta', ''),
        ('gamma', 'active', 1, 'Gamma', ''),
        ('delta', 'closed', 1, 'Delta', '')
"""
STATES = {
    "TENANTRY_SOURCE_STATE": "state",
    "TENANTRY_SOURCE_SERVE": "active",
    "TENANTRY_SOURCE_RETIRE": "closed",
}
CUSTOMERS = application_set(
    "customers",
    plugin(),
    template=template(f"app-{tag('tenant')}", {"replicas": tag("replicas"), "display": tag("display")}),
)


@pytest.fixture
def service(argocd: ArgoCD, database: Database, serving: Serving) -> RunningService:
    """Serve the active ones of four customers to Argo CD."""
    database.execute(TABLE)
    environment = {
        "AUTH_TOKEN": tutorial.token(),
        "TENANTRY_SOURCE_URL": database.url(),
        "TENANTRY_SOURCE_TABLE": "customer",
        **STATES,
    }
    running = serving(environment)
    tutorial.connect(argocd, running)
    return running


@pytest.fixture
def before(argocd: ArgoCD, service: RunningService) -> Uids:
    """Return the uids of the Applications of three customers."""
    argocd.apply(CUSTOMERS)
    return settled(argocd, 3)


def deploys(argocd: ArgoCD, tenant: str, **wanted: str) -> None:
    """Wait until a tenant's Application has these Helm parameters."""

    def deployed() -> bool:
        return parameters(argocd.applications()[f"app-{tenant}"]).items() >= wanted.items()

    argocd.eventually(deployed, what=f"The Application of {tenant} with {wanted}")


def metadata(argocd: ArgoCD, tenant: str) -> Object:
    """Return the metadata of a tenant's Application."""
    found: Object = argocd.applications()[f"app-{tenant}"]["metadata"]
    return found


def only_one_leaves(argocd: ArgoCD, before: Uids, tenant: str) -> None:
    """Wait until a tenant's Application is deleted, and let Argo CD have further passes to delete others in."""
    argocd.eventually(lambda: "deletionTimestamp" in metadata(argocd, tenant), what=f"The end of {tenant}")
    some_passes(argocd, 2)
    assert lost(argocd, before) == [f"app-{tenant}"]


def test_a_tenant_that_is_added_gets_an_application_and_no_other_one_is_written(
    argocd: ArgoCD, database: Database, before: Uids
) -> None:
    written = versions(argocd)

    database.execute("INSERT INTO customer VALUES ('kilo', 'active', 3, 'Kilo', '')")
    deploys(argocd, "kilo", replicas="3", display="Kilo")
    some_passes(argocd, 2)

    assert versions(argocd).items() >= written.items()
    assert len(uids(argocd)) == 4


def test_a_tenant_that_is_changed_is_patched_in_place(argocd: ArgoCD, database: Database, before: Uids) -> None:
    others = {name: version for name, version in versions(argocd).items() if name != "app-acme"}

    database.execute("UPDATE customer SET replicas = 5 WHERE tenant = 'acme'")
    deploys(argocd, "acme", replicas="5")
    some_passes(argocd, 2)

    assert uids(argocd) == before
    assert versions(argocd).items() >= others.items()


def test_a_tenant_whose_row_is_deleted_loses_its_application_and_nobody_else_does(
    argocd: ArgoCD, database: Database, before: Uids
) -> None:
    database.execute("DELETE FROM customer WHERE tenant = 'beta'")

    only_one_leaves(argocd, before, "beta")


def test_a_tenant_whose_state_is_retired_loses_its_application_and_nobody_else_does(
    argocd: ArgoCD, database: Database, before: Uids
) -> None:
    database.execute("UPDATE customer SET state = 'closed' WHERE tenant = 'beta'")

    only_one_leaves(argocd, before, "beta")


def test_a_tenant_whose_state_comes_to_be_served_gets_its_application(
    argocd: ArgoCD, database: Database, before: Uids
) -> None:
    database.execute("UPDATE customer SET state = 'active' WHERE tenant = 'delta'")

    deploys(argocd, "delta", display="Delta")
    assert lost(argocd, before) == []


def test_a_state_that_nobody_told_tenantry_of_costs_no_application(
    argocd: ArgoCD, database: Database, before: Uids
) -> None:
    database.execute("UPDATE customer SET state = 'actvie', replicas = 9 WHERE tenant = 'beta'")
    database.execute("UPDATE customer SET replicas = 2 WHERE tenant = 'acme'")

    deploys(argocd, "acme", replicas="2")
    some_passes(argocd, 2)

    assert uids(argocd) == before
    deploys(argocd, "beta", replicas="1")


def test_a_display_name_that_changes_is_patched_and_deletes_nothing(
    argocd: ArgoCD, database: Database, before: Uids
) -> None:
    database.execute("UPDATE customer SET display = display || ' & Sons'")

    for tenant in ("acme", "beta", "gamma"):
        deploys(argocd, tenant, display=f"{tenant.title()} & Sons")
    some_passes(argocd, 2)

    assert uids(argocd) == before


def test_a_column_that_the_template_does_not_use_writes_nothing(
    argocd: ArgoCD, database: Database, service: RunningService, before: Uids
) -> None:
    written = versions(argocd)

    database.execute("UPDATE customer SET note = 'called on Monday'")
    argocd.eventually(lambda: b"Monday" in service.ask(token=tutorial.token()).body, what="The note in an answer")
    some_passes(argocd, 2)

    assert versions(argocd) == written
