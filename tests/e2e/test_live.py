"""What the guard sees in the cluster, on the real controller: selectors, edits and previews cost no Application."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lightkube.types import PatchType

from tenantry.service.specs import SETTLED
from tests.contract.cases import case
from tests.e2e import tutorial
from tests.e2e.argocd import Application, ArgoCD, Object
from tests.e2e.preview import Preview
from tests.e2e.rights import Rights
from tests.e2e.sets import matrix, plugin
from tests.e2e.survival import lost, settled, some_passes, uids
from tests.e2e.test_guard import guard, name_of
from tests.support.postgres import Database
from tests.support.service import RIVAL, Reply, RunningService

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


def asked_as_argo_cd(service: RunningService) -> Reply:
    """Ask what the controller asks, in its place."""
    body = json.dumps({"applicationSetName": tutorial.NAME, "input": {}}).encode()
    return service.ask(body=body, token=tutorial.token())


def told(service: RunningService, name: str = tutorial.NAME) -> dict[str, Any]:
    command = [sys.executable, "-m", "tenantry", "status", "--socket", str(service.socket), "-o", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)
    [one] = [one for one in found["application_sets"] if one["application_set"] == name]
    return dict(one)


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
    database.execute("INSERT INTO organization (tenant, status) VALUES ('kilo', 'active')")
    argocd.eventually(lambda: name_of("kilo") in uids(argocd), what="The Application")
    guard(service, "freeze", "--why", "to be looked at")
    database.execute("UPDATE organization SET status = 'trial' WHERE tenant = 'kilo'")
    [finding] = checked()
    assert finding["level"] == "finding"
    assert f"owns 1 of {ACTIVE + 1} Applications" in finding["what"]
    assert name_of("kilo") in finding["what"]
    database.execute("UPDATE organization SET status = 'active' WHERE tenant = 'kilo'")
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

    argocd.eventually(lambda: "metadata.labels.tier" in "".join(told(service, "by-cluster")["gaps"]), what="The status")


def test_what_became_of_answers_is_told_and_a_deletion_that_nobody_asked_for_raises_an_alarm(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    tutorial.poll_often(argocd, service)
    settled(argocd, TENANTS)
    argocd.eventually(lambda: (told(service)["states"] or {}).get("owned") == TENANTS, what="The Applications")

    argocd.client.delete(Application, name_of("acme-corp"))

    argocd.eventually(lambda: told(service)["states"]["served_being_deleted"] == 1, what="The alarm")
    argocd.eventually(lambda: "deletion_began" in service.log.read_text(), what="The line of the log")
    assert "acme-corp" not in service.log.read_text()
    command = [sys.executable, "-m", "tenantry", "tenants", "show", "acme-corp", "--socket", str(service.socket)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert f"{name_of('acme-corp')} of {tutorial.NAME}: being deleted." in shown
    scraped = service.ask(path="/metrics", method="GET", body=b"").body.decode()
    assert f'tenantry_served_applications_deleting{{application_set="{tutorial.NAME}"}} 1.0' in scraped

    gone = {"metadata": {"finalizers": None}}
    argocd.client.patch(Application, name_of("acme-corp"), gone, patch_type=PatchType.MERGE)
    argocd.eventually(lambda: name_of("acme-corp") in uids(argocd), what="The Application, made anew")
    argocd.eventually(lambda: told(service)["states"]["served_being_deleted"] == 0, what="The end of the alarm")
    argocd.eventually(lambda: "deletion_ended" in service.log.read_text(), what="The line of the log")


def test_what_a_stuck_controller_has_yet_to_delete_counts_beyond_its_window(
    argocd: ArgoCD, database: Database, serving: Serving, rights: Rights
) -> None:
    guarded = {"TENANTRY_GUARD_MODE": "hold", "TENANTRY_GUARD_SETTLE": "1s", "TENANTRY_GUARD_LIMITS": "1m:10:2"}
    running = serving({**tutorial.environment(database), **rights.environment, **guarded})
    tutorial.poll_often(argocd, running)
    before = settled(argocd, TENANTS)
    some_passes(argocd, 2)
    os.kill(argocd.pid, signal.SIGSTOP)
    try:
        database.execute("DELETE FROM organization WHERE tenant IN ('acme-corp', 'global-tech')")
        argocd.eventually(lambda: len(asked_as_argo_cd(running).tenants()) == TENANTS - 2, what="The end of two")
        argocd.eventually(
            lambda: guard(running, "show", tutorial.NAME)["limits"][0]["standing"] == 2,
            within=90,
            what="The window",
        )
        database.execute("DELETE FROM organization WHERE tenant IN ('innova-systems', 'echo-innovations')")
        argocd.eventually(
            lambda: asked_as_argo_cd(running).status == 200 and guard(running, "show")["held"] == 2,
            what="The holds",
        )
        assert lost(argocd, before) == []
    finally:
        os.kill(argocd.pid, signal.SIGCONT)
    argocd.eventually(lambda: len(lost(argocd, before)) == 2, what="The end of the first two")
    argocd.eventually(lambda: guard(running, "show", tutorial.NAME)["limits"][0]["standing"] == 0, what="Their end")


def refusal(argocd: ArgoCD) -> str:
    return str(argocd.conditions(tutorial.NAME)["ErrorOccurred"]["message"])


def test_a_start_without_the_state_while_half_the_table_is_deleted_costs_nobody(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    tutorial.poll_often(argocd, service)
    before = settled(argocd, TENANTS)
    some_passes(argocd, 2)

    service.kill()
    for file in service.socket.parent.glob("tenantry-state.db*"):
        file.unlink()
    database.execute("DELETE FROM organization WHERE status <> 'active'")
    service.start()
    argocd.nudge(tutorial.NAME)
    argocd.eventually(lambda: f"owns {TENANTS - ACTIVE} Applications of which" in refusal(argocd), what="The refusal")
    assert lost(argocd, before) == [], argocd.report()

    digest = refusal(argocd).rpartition("known as ")[2][:10]
    history = guard(service, "history", tutorial.NAME)["events"]
    assert name_of("global-tech") in next(one for one in history if one["kind"] == "applications unknown")["tenants"]
    guard(service, "approve", tutorial.NAME, "--input", digest, "--why", "they left us")
    argocd.eventually(lambda: len(lost(argocd, before)) == TENANTS - ACTIVE, what="The end of those who were approved")


def test_tenantry_in_the_place_of_another_plugin_with_the_wrong_database_costs_nobody(
    argocd: ArgoCD, database: Database, serving: Serving, rights: Rights
) -> None:
    rival = serving(tutorial.environment(database), command=RIVAL)
    tutorial.poll_often(argocd, rival)
    before = settled(argocd, TENANTS)
    rival.stop()
    database.execute("CREATE TABLE staging (LIKE organization); GRANT SELECT ON staging TO PUBLIC")
    database.execute("INSERT INTO staging (id, tenant, status) VALUES (1, 'try-1', 'active'), (2, 'try-2', 'active')")
    wrong = {"TENANTRY_SOURCE_TABLE": "staging", "TENANTRY_GUARD_MODE": "hold"}
    running = serving({**tutorial.environment(database), **wrong, **rights.environment})

    tutorial.poll_often(argocd, running)
    argocd.nudge(tutorial.NAME)
    argocd.eventually(lambda: f"owns {TENANTS} Applications of which" in refusal(argocd), what="The refusal")

    assert lost(argocd, before) == [], argocd.report()


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
