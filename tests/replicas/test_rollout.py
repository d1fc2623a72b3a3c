"""Rollouts and rollbacks of real services on one PostgreSQL: another configuration, and the version before."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Database
from tests.support.service import TENANTRY, RunningService
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
BEFORE = {
    "that knows of no replicas": "1d9b54fd3443eb9247fe1a3a1193bbf9cd41e4a8",
    "that knows of no stamps": "067f2c1d47d8e30dd0fe442cad11ac0478277f75",
}
"""The last commits whose states stand at the migrations 0002 and 0003."""

Serving = Callable[..., RunningService]


@pytest.fixture
def state(database: Database) -> Database:
    return database.server.create_database("template1")


def settings(database: Database, state: Database, **more: str) -> dict[str, str]:
    return {
        **database.tutorial_environment(),
        "TENANTRY_STATE_URL": state.url(),
        "TENANTRY_GUARD_MODE": "hold",
        "TENANTRY_GUARD_SETTLE": "0s",
        "TENANTRY_GUARD_LIMITS": "1h:0:3",
        **more,
    }


def got(service: RunningService, path: str) -> Any:  # noqa: ANN401 -- JSON
    reply = service.ask(path=path, method="GET", body=b"")
    assert reply.status == 200, reply.body
    return reply.json()


def metric(service: RunningService, name: str) -> float:
    text = service.ask(path="/metrics", method="GET", body=b"").body.decode()
    return float(next(line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)))


def events(service: RunningService) -> list[str]:
    return [json.loads(line)["event"] for line in service.log.read_text().splitlines() if line.startswith("{")]


def status(service: RunningService) -> dict[str, Any]:
    command = [sys.executable, "-m", "tenantry", "status", "--socket", str(service.socket), "-o", "json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    return found


def test_a_changed_configuration_is_rolled_out_and_back(serving: Serving, database: Database, state: Database) -> None:
    old = serving(settings(database, state))
    assert old.ask().status == 200
    new = serving(settings(database, state, TENANTRY_SOURCE_PARAMETERS="tenant,status,id"))
    assert old.ask().status == 200, "nobody has answered by the new one"

    assert "id" in new.ask().json()["output"]["parameters"][0]
    refused = old.ask()

    assert refused.status == 503
    assert "answers by a newer configuration of the tenants" in refused.json()["message"]
    told = got(old, "/readyz")["replicas"]
    assert (told["alive"], told["problem"]) == (2, refused.json()["message"])
    assert metric(old, 'tenantry_replica_behind{why="configuration"}') == 1
    assert metric(new, 'tenantry_replica_behind{why="configuration"}') == 0
    found = status(old)
    assert [
        (one["is_this"], one["is_newest"]) for one in sorted(found["replicas"], key=lambda one: one["is_this"])
    ] == [
        (False, True),
        (True, False),
    ]
    assert found["problem"] == found["replica_problem"] == refused.json()["message"]

    new.stop()
    answer = old.ask()

    assert answer.status == 200
    assert "id" not in answer.json()["output"]["parameters"][0]
    assert metric(old, 'tenantry_replica_behind{why="configuration"}') == 0
    eventually(lambda: _of_configurations(old) == ["configuration_older", "configuration_newest"], what="The log")


def _of_configurations(service: RunningService) -> list[str]:
    return [one for one in events(service) if one.startswith("configuration")]


def test_two_of_one_configuration_are_known_to_each_other_and_both_answer(
    serving: Serving, database: Database, state: Database
) -> None:
    both = [serving(settings(database, state)) for _ in range(2)]

    assert [service.ask().tenants() for service in both] == [both[0].ask().tenants()] * 2

    def seen() -> bool:
        return [metric(one, 'tenantry_replicas{configuration="newest"}') for one in both] == [2, 2]

    eventually(seen, what="The other one")
    assert [one["is_newest"] for one in status(both[0])["replicas"]] == [True, True]


@pytest.fixture(scope="session", params=list(BEFORE))
def version_before(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return the source of a version before, out of the history of this repository."""
    packed = subprocess.run(
        ["git", "archive", BEFORE[request.param], "src"], cwd=ROOT, capture_output=True, check=False
    )
    if packed.returncode:
        pytest.skip("the history of the repository is not there")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def test_the_version_before_goes_on_beside_this_one_and_after_it(
    serving: Serving, database: Database, state: Database, version_before: Path
) -> None:
    asked = settings(database, state)
    of_before = {**asked, "PYTHONPATH": str(version_before)}
    before = serving(of_before, command=TENANTRY)
    everybody = before.ask().tenants()
    now = serving(asked)
    assert now.ask().tenants() == everybody

    database.execute("INSERT INTO organization (tenant, status) VALUES ('new-one', 'trial')")
    with_one = eventually(lambda: (found := now.ask().tenants()) != everybody and found)
    assert eventually(lambda: before.ask().tenants() == with_one)
    database.execute("DELETE FROM organization WHERE tenant = 'new-one'")
    eventually(lambda: before.ask().tenants() == everybody)
    eventually(lambda: now.ask().tenants() == everybody)
    assert state.execute("SELECT document::jsonb -> 'losses' -> 0 ->> 'tenant' FROM tenantry.application_set") == [
        ("new-one",)
    ]
    assert {before.ask().status, now.ask().status} == {200}

    now.stop()
    before.stop()
    back = serving(of_before, command=TENANTRY)
    assert back.ask().tenants() == everybody
    database.execute("DELETE FROM organization WHERE tenant LIKE 'a%' OR tenant LIKE 'b%'")
    left = [one for one in everybody if one[0] not in "ab"]
    eventually(lambda: back.ask().tenants() == left)
    again = serving(asked)
    assert again.ask().tenants() == left
    database.execute("DELETE FROM organization WHERE tenant LIKE 'd%'")
    eventually(lambda: again.ask().status == 200 and "hold_began" in events(again))
    assert again.ask().tenants() == left, "three have left within the hour"
