"""Removals on Argo CD itself: what is held costs no Application, and what is approved, or within limits, leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD
from tests.e2e.sets import application_set, elements, matrix, plugin, tag, template
from tests.e2e.survival import lost, settled, some_passes, uids
from tests.support.postgres import Database
from tests.support.service import RunningService

Serving = Callable[..., RunningService]

TENANTS = 10
ACTIVE = 3


@pytest.fixture
def service(argocd: ArgoCD, database: Database, serving: Serving) -> RunningService:
    """Serve the tutorial's tenants, guarded as shipped but for the time that a removal takes to count."""
    guarded = {"TENANTRY_GUARD_MODE": "hold", "TENANTRY_GUARD_SETTLE": "2s", "AUTH_TOKEN": tutorial.token()}
    return serving({**tutorial.environment(database), **guarded})


def guard(service: RunningService, *arguments: str) -> Any:  # noqa: ANN401 -- JSON
    command = [sys.executable, "-m", "tenantry", "guard", *arguments, "--socket", str(service.socket), "-o", "json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def name_of(tenant: str) -> str:
    return f"foobar-app-{tenant}"


def test_everything_deleted_costs_nothing_until_exactly_these_are_approved(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    tutorial.poll_often(argocd, service)
    before = settled(argocd, TENANTS)
    some_passes(argocd, 2)

    database.execute("DELETE FROM organization")
    argocd.eventually(lambda: guard(service, "show")["held"] == TENANTS, what="The hold")
    some_passes(argocd, 3)
    assert lost(argocd, before) == [], argocd.report()

    database.execute("INSERT INTO organization (tenant, status) VALUES ('kilo-media', 'active')")
    argocd.eventually(lambda: name_of("kilo-media") in uids(argocd), what="The newcomer's Application")
    assert lost(argocd, before) == []

    leaving = ["acme-corp", "global-tech"]
    (application_set_name,) = [one["application_set"] for one in guard(service, "show")["application_sets"]]
    guard(service, "approve", application_set_name, *leaving, "--why", "they left us")
    argocd.eventually(
        lambda: not {name_of(tenant) for tenant in leaving} & uids(argocd).keys(), what="The end of those two"
    )
    some_passes(argocd, 2)
    assert sorted(lost(argocd, before)) == sorted(map(name_of, leaving))


def test_a_tenant_that_becomes_inactive_under_an_input_leaves_after_it_settled_with_nobody_asked(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    tutorial.poll_often(argocd, service, variant="-input")
    before = settled(argocd, ACTIVE)
    some_passes(argocd, 2)

    database.execute("UPDATE organization SET status = 'inactive' WHERE tenant = 'acme-corp'")
    argocd.eventually(lambda: lost(argocd, before) == [name_of("acme-corp")], what="The end of acme-corp")
    some_passes(argocd, 2)

    assert lost(argocd, before) == [name_of("acme-corp")]


def test_a_drop_over_a_matrix_costs_no_application(argocd: ArgoCD, database: Database, service: RunningService) -> None:
    tutorial.connect(argocd, service)
    statuses = elements({"wanted": "active"}, {"wanted": "trial"})
    argocd.apply(
        application_set(
            "both",
            matrix(statuses, plugin(status=tag("wanted"))),
            template=template(f"{tag('wanted')}-{tag('tenant')}"),
        )
    )
    before = settled(argocd, 6)
    some_passes(argocd, 2)

    database.execute("UPDATE organization SET status = 'inactive'")
    argocd.eventually(lambda: guard(service, "show")["held"] == 6, what="The holds")
    some_passes(argocd, 2)

    assert lost(argocd, before) == [], argocd.report()


def test_a_freeze_keeps_every_application_and_what_was_meant_goes_after_it(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    tutorial.poll_often(argocd, service)
    before = settled(argocd, TENANTS)
    some_passes(argocd, 2)
    (one,) = guard(service, "show")["application_sets"]
    guard(service, "freeze", "--why", "moving the database")
    guard(service, "approve", one["application_set"], "acme-corp", "--why", "left", "--for", "2h")

    database.execute("DELETE FROM organization WHERE tenant = 'acme-corp'")
    argocd.eventually(lambda: guard(service, "show")["held"] == 1, what="The hold")
    some_passes(argocd, 2)
    assert lost(argocd, before) == []

    guard(service, "unfreeze", "--why", "moved")
    argocd.eventually(lambda: lost(argocd, before) == [name_of("acme-corp")], what="The end of acme-corp")


def test_a_service_that_is_killed_and_starts_again_without_its_rows_costs_no_application(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    tutorial.poll_often(argocd, service)
    before = settled(argocd, TENANTS)
    some_passes(argocd, 2)

    service.kill()
    database.execute("DELETE FROM organization WHERE status <> 'active'")
    service.start()
    argocd.eventually(lambda: guard(service, "show")["held"] == TENANTS - ACTIVE, within=240, what="The holds")
    some_passes(argocd, 2)

    assert lost(argocd, before) == [], argocd.report()
