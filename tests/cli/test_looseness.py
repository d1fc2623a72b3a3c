"""What is set so that the guard does less than it could: told at start, by `check`, on `/readyz` and as a gauge."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tenantry.config.loading import load
from tenantry.runtime import looseness as module
from tenantry.runtime.looseness import looseness
from tests.support.postgres import Database
from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]


def loose(**environment: str) -> dict[str, str]:
    return looseness(load(None, {"AUTH_TOKEN": "token", **environment}, {}))


@pytest.fixture(autouse=True)
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every volume last, wherever the tests run."""
    monkeypatch.setattr(module, "passing_volume", lambda _: "")


def test_as_shipped_nothing_is_loose() -> None:
    assert loose(TENANTRY_SOURCE_URL="postgresql://u@db/organization") == {}


@pytest.mark.parametrize(("mode", "told"), [("off", "reaches Argo CD at once"), ("observe", "all the same")])
def test_a_mode_that_holds_nothing_is_loose(mode: str, told: str) -> None:
    assert told in loose(TENANTRY_GUARD_MODE=mode)["mode"]


def test_a_state_on_a_volume_that_goes_with_its_container_is_loose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "passing_volume", lambda _: "overlay")

    assert "type overlay" in loose()["volume"]
    assert loose(TENANTRY_STATE_URL="postgresql://u@db/state") == {}


@pytest.mark.parametrize(
    ("state", "is_loose"),
    [
        ("postgresql://other@db/organization", True),
        ("postgresql://u@db:5432/organization", True),
        ("postgresql://u@db/state", False),
        ("postgresql://u@elsewhere/organization", False),
    ],
)
def test_a_state_in_the_database_of_the_tenants_is_loose(state: str, *, is_loose: bool) -> None:
    found = loose(TENANTRY_SOURCE_URL="postgresql://u@db/organization", TENANTRY_STATE_URL=state)

    assert ("database" in found) is is_loose


def test_what_is_loose_is_told_by_log_probe_and_gauge(serving: Serving, database: Database) -> None:
    url = database.url()
    service = serving({"TENANTRY_SOURCE_URL": url, "TENANTRY_STATE_URL": url, "TENANTRY_GUARD_MODE": "observe"})

    told = json.loads(service.ask(path="/readyz", method="GET", body=b"").body)["guard"]["loose"]
    metrics = service.ask(path="/metrics", method="GET", body=b"").body.decode()

    assert [sentence.partition(":")[0] for sentence in told] == [
        "guard.mode is observe",
        "The state is in the database of the tenants",
    ]
    for what, is_so in (("mode", 1), ("volume", 0), ("database", 1)):
        assert f'tenantry_guard_loose{{what="{what}"}} {is_so}.0' in metrics
    eventually(lambda: service.log.read_text().count('"event":"guard_is_loose"') == 2, what="Two lines of the log")


def test_a_state_in_the_file_of_the_tenants_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "tenants.db")
    for state in (f"{tmp_path}/tenants.db", f"{tmp_path}/link.db"):
        given = {"TENANTRY_SOURCE_URL": f"sqlite:///{tmp_path}/tenants.db", "TENANTRY_STATE_URL": f"sqlite:///{state}"}
        assert "database" in looseness(load(None, given, {}))


def test_a_state_with_a_name_that_is_too_long_ends_nothing(tmp_path: Path) -> None:
    given = {"TENANTRY_STATE_URL": f"sqlite:///{tmp_path}/{'x' * 300}.db"}

    assert "database" not in looseness(load(None, given, {}))


def test_a_service_without_a_guard_serves_whatever_the_state_is(serving: Serving, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "tenants.db")) as connection, connection:
        connection.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY)")
    (tmp_path / "state.db").write_text("no database")
    for state in (f"sqlite:///{tmp_path}/state.db", "postgresql://nobody@127.0.0.1:notaport/none"):
        service = serving({"TENANTRY_SOURCE_URL": f"sqlite:///{tmp_path}/tenants.db", "TENANTRY_STATE_URL": state})
        assert service.ask().status == 200

        eventually(lambda: '"event":"state_failed"' in service.log.read_text(), what="The warning")  # noqa: B023
        assert service.ask().status == 200


def test_a_new_ledger_says_so_and_a_known_one_does_not(serving: Serving, tmp_path: Path) -> None:
    database = tmp_path / "tenants.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY)")
    service = serving({"TENANTRY_SOURCE_URL": f"sqlite:///{database}", "TENANTRY_GUARD_MODE": "hold"})
    eventually(lambda: '"event":"ledger_is_new","level":"warning"' in service.log.read_text(), what="The warning")
    assert service.ask().status == 200
    service.stop()

    service.start()

    eventually(lambda: '"event":"ledger_opened"' in service.log.read_text(), what="The line")
    assert service.log.read_text().count("ledger_is_new") == 1
