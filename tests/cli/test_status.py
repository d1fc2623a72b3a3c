"""`tenantry status`, on a service that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.postgres import Database
from tests.support.service import RunningService

Serving = Callable[..., RunningService]
ROOT = Path(__file__).parents[2]


def tenantry(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tenantry", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def status(service: RunningService) -> dict[str, Any]:
    ended = tenantry("status", "--socket", str(service.socket), "-o", "json")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_it_tells_of_the_snapshot_the_feed_and_each_application_set(serving: Serving, database: Database) -> None:
    service = serving({**database.tutorial_environment(), "TENANTRY_GUARD_MODE": "hold"})
    service.ask()

    found = status(service)

    assert found["snapshot"]["tenants"] == 10
    assert (found["problem"], found["cluster"]) == (None, None)
    assert found["feed"] == {"name": "postgresql", "is_heard": True}
    (one,) = found["application_sets"]
    assert (one["application_set"], one["consumer"], one["tenants"], one["held"]) == ("test", "default", 10, 0)
    assert one["last_answer"] is not None
    assert (one["namespace"], one["applications"], one["pending_seconds"]) == (None, None, None)
    shown = tenantry("status", "--socket", str(service.socket)).stdout
    assert "Tenants: 10 served" in shown
    assert "Argo CD polls: there is no access to a cluster." in shown


def test_while_nobody_can_be_answered_it_says_why_and_ends_with_1(serving: Serving, database: Database) -> None:
    database.execute("ALTER TABLE organization RENAME TO moved")
    service = serving({**database.tutorial_environment(), "TENANTRY_GUARD_MODE": "hold"}, ready=False)

    ended = tenantry("status", "--socket", str(service.socket))

    assert ended.returncode == 1
    assert "not answered now" in ended.stderr
    assert "organization" in ended.stderr


def unreachable(tmp_path: Path) -> dict[str, str]:
    """Return what gives access to a cluster that is not there."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(KUBECONFIG))
    return {"TENANTRY_KUBERNETES_KUBECONFIG": str(kubeconfig), "TENANTRY_KUBERNETES_NAMESPACES": "argocd,team-a"}


def test_a_cluster_that_cannot_be_reached_costs_who_is_known_nothing_but_nudges(
    serving: Serving, database: Database, tmp_path: Path
) -> None:
    state = {"TENANTRY_STATE_URL": f"sqlite:///{tmp_path}/state.db", "TENANTRY_GUARD_MODE": "hold"}
    before = serving({**database.tutorial_environment(), **state})
    known = before.ask().body
    before.stop()

    service = serving({**database.tutorial_environment(), **state, **unreachable(tmp_path)})

    assert service.ask().body == known
    found = status(service)
    assert [one["namespace"] for one in found["cluster"]] == ["argocd", "team-a"]
    assert all("cannot be reached" in one["problem"] or "not been listed" in one["problem"] for one in found["cluster"])
    assert b"tenantry_cluster_ok 0.0" in service.ask(path="/metrics", method="GET", body=b"").body
    assert service.stop() == 0


def test_after_a_start_without_state_a_cluster_that_cannot_be_reached_is_waited_for(
    serving: Serving, database: Database, tmp_path: Path
) -> None:
    service = serving({**database.tutorial_environment(), "TENANTRY_GUARD_MODE": "hold", **unreachable(tmp_path)})

    reply = service.ask()

    assert reply.status == 503
    assert "nothing is known of this ApplicationSet" in reply.json()["message"]


KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "a", "user": {"token": "not-a-secret"}}],
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    "current-context": "a",
}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"TENANTRY_KUBERNETES_NUDGE": "on"}, "kubernetes.nudge is on, without access to a cluster"),
        ({"TENANTRY_KUBERNETES_KUBECONFIG": "/nowhere/kubeconfig"}, "kubernetes.kubeconfig, or the pod's"),
        ({"TENANTRY_KUBERNETES_NAMESPACES": "*,argocd"}, "kubernetes.namespaces lists '*'"),
    ],
)
def test_access_that_is_wanted_and_cannot_be_had_is_an_error_at_the_start(
    setting: dict[str, str], said: str, tmp_path: Path
) -> None:
    data = {"TENANTRY_DATA_DIRECTORY": str(tmp_path), "AUTH_TOKEN": "x"}
    ended = tenantry("serve", **data, TENANTRY_SOURCE_URL=f"sqlite:///{tmp_path}/t.db", **setting)

    assert ended.returncode == 2
    assert said in ended.stderr


def test_the_rights_in_the_examples_are_those_that_are_printed() -> None:
    printed = tenantry("manifests", "rbac")

    assert printed.stdout == (ROOT / "examples" / "rights" / "rbac.yaml").read_text()


def test_rights_for_every_namespace_are_of_the_cluster_and_those_for_some_are_not() -> None:
    def kinds(namespaces: str) -> list[str]:
        ended = tenantry("manifests", "rbac", TENANTRY_KUBERNETES_NAMESPACES=namespaces)
        documents = YAML(typ="safe", pure=True).load_all(ended.stdout)
        return [document["kind"] for document in documents if "Role" in document["kind"]]

    assert kinds("*") == ["ClusterRole", "ClusterRoleBinding"]
    assert kinds("argocd,team-a") == ["Role", "RoleBinding"] * 2
