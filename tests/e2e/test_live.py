"""What the guard sees in the cluster, on the real controller: selectors, edits and previews cost no Application."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tenantry.service.specs import SETTLED
from tests.contract.cases import case
from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD, Object
from tests.e2e.preview import Preview
from tests.e2e.rights import Rights
from tests.e2e.sets import matrix, plugin
from tests.e2e.survival import lost, settled, some_passes, uids
from tests.e2e.test_guard import guard, name_of
from tests.support.postgres import Database
from tests.support.service import RunningService

Serving = Callable[..., RunningService]

TENANTS = 10
ACTIVE = 3
TRIAL = 3


@pytest.fixture
def service(argocd: ArgoCD, database: Database, serving: Serving, rights: Rights) -> RunningService:
    """Serve the tutorial's tenants, guarded, with access to the cluster."""
    guarded = {"TENANTRY_GUARD_MODE": "hold", "TENANTRY_GUARD_SETTLE": "2s"}
    return serving({**tutorial.environment(database), **guarded, **rights.environment})


def asking_for(**parameters: object) -> Object:
    """Return the tutorial's ApplicationSet with these input parameters, asking all the time."""
    made = tutorial.application_set("-input")
    made["spec"]["generators"][0]["plugin"]["input"]["parameters"] = parameters
    made["spec"]["generators"][0]["plugin"]["requeueAfterSeconds"] = 2
    return made


def test_everybody_deactivated_under_the_tutorials_selector_costs_nobody_and_the_guard_says_why(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    tutorial.poll_often(argocd, service, variant="-selector")
    before = settled(argocd, ACTIVE)
    some_passes(argocd, 2)

    database.execute("UPDATE organization SET status = 'inactive'")
    argocd.eventually(lambda: guard(service, "show")["held"] == ACTIVE, what="The holds")
    some_passes(argocd, 3)

    assert lost(argocd, before) == [], argocd.report()
    [hold] = guard(service, "show", tutorial.NAME)["holds"]
    assert f"{ACTIVE} of {ACTIVE} tenants of the ApplicationSet would leave" in hold["because"]
    assert "own selector" in hold["cause"]

    database.execute("UPDATE organization SET status = 'active' WHERE tenant = 'global-tech'")
    argocd.eventually(lambda: name_of("global-tech") in uids(argocd), what="The Application of who is active now")
    guard(service, "approve", tutorial.NAME, "acme-corp", "--why", "left")
    argocd.eventually(lambda: lost(argocd, before) == [name_of("acme-corp")], what="The end of acme-corp")


def test_check_and_status_tell_what_cannot_be_seen_through(
    argocd: ArgoCD, database: Database, service: RunningService, rights: Rights
) -> None:
    tutorial.poll_often(argocd, service, variant="-selector")
    settled(argocd, ACTIVE)
    environment = {**os.environ, **tutorial.environment(database), **rights.environment}

    def checked() -> list[dict[str, str]]:
        command = [sys.executable, "-m", "tenantry", "check", "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
        return [one for one in json.loads(done.stdout)["findings"] if "ApplicationSet" in one["what"]]

    assert checked() == []
    made = tutorial.application_set()
    made["metadata"]["name"] = "by-cluster"
    made["spec"]["generators"] = [
        {**matrix({"clusters": {}}, plugin()), "selector": {"matchLabels": {"metadata.labels.tier": "gold"}}}
    ]
    argocd.apply(made)

    [finding] = checked()
    assert finding["level"] == "note"
    assert "'by-cluster'" in finding["what"]
    assert "metadata.labels.tier" in finding["what"]
    assert "Select in the input" in finding["remedy"]

    def told() -> list[str]:
        command = [sys.executable, "-m", "tenantry", "status", "--socket", str(service.socket), "-o", "json"]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)
        return [gap for one in found["application_sets"] for gap in one["gaps"]]

    argocd.eventually(lambda: "metadata.labels.tier" in "".join(told()), what="The status")


def test_an_edited_input_brings_the_new_tenants_and_costs_the_old_ones_nothing(
    argocd: ArgoCD, service: RunningService
) -> None:
    tutorial.connect(argocd, service)
    argocd.apply(asking_for(status="active"))
    before = settled(argocd, ACTIVE)
    some_passes(argocd, 2)

    argocd.apply(asking_for(status="trial"))
    settled(argocd, ACTIVE + TRIAL)
    some_passes(argocd, 2)

    assert lost(argocd, before) == [], argocd.report()
    assert guard(service, "show")["held"] == ACTIVE


@case(22)
def test_a_preview_of_fewer_tenants_moves_nothing_that_the_guard_remembers(
    argocd: ArgoCD, service: RunningService, preview: Preview
) -> None:
    tutorial.connect(argocd, service)
    argocd.apply(asking_for())
    before = settled(argocd, TENANTS)

    known = guard(service, "show", tutorial.NAME)["inputs"]
    began = datetime.fromisoformat(known[0]["first"])

    def is_the_spec_settled() -> bool:
        # Until then it may be the controller itself that asks for what the cluster has forgotten.
        return datetime.now(UTC) - began > timedelta(seconds=SETTLED + 5)

    argocd.eventually(is_the_spec_settled, within=90, what="The time")
    for _ in range(3):
        shown = preview(asking_for(status="active"))
        assert len(json.loads(shown.stdout)) == ACTIVE, shown.stderr
        some_passes(argocd, 2)

    assert lost(argocd, before) == [], argocd.report()
    after = guard(service, "show", tutorial.NAME)["inputs"]
    assert [(one["input"], one["tenants"]) for one in after] == [(one["input"], one["tenants"]) for one in known]
    assert len(after) == 1
