"""An id that stands twice in a table without a unique constraint: whose the second row is, nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenantry.cli.demo import TENANTS
from tests.contract.bed import SQLiteFile
from tests.faults.load import Load, check
from tests.support.mariadb import MariaDatabase
from tests.support.postgres import Database
from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]
Execute = Callable[[str], Any]

ALL = sorted(tenant for tenant, _ in TENANTS)


@pytest.fixture(params=["postgresql", "sqlite", "mariadb"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Execute, dict[str, str]]:
    """Return a way to change the tutorial's table, and how a service reads it."""
    if request.param == "postgresql":
        database: Database = request.getfixturevalue("database")
        return database.execute, database.tutorial_environment()
    if request.param == "mariadb":
        maria: MariaDatabase = request.getfixturevalue("maria")
        return maria.execute, {"TENANTRY_SOURCE_URL": maria.url(), "TENANTRY_SOURCE_PARAMETERS": "tenant,status"}
    file = SQLiteFile(tmp_path / "tenants.db")
    rows = ", ".join(f"('{tenant}', '{state}')" for tenant, state in TENANTS)
    file.execute(f"CREATE TABLE organization (tenant TEXT, status TEXT); INSERT INTO organization VALUES {rows}")
    return file.execute, {"TENANTRY_SOURCE_URL": file.url}


def states(service: RunningService) -> dict[str, str]:
    """Return the state of each tenant that is answered."""
    return {item["tenant"]: item["status"] for item in service.ask().json()["output"]["parameters"]}


def twice(execute: Execute) -> None:
    """Give one tenant the id of another, as a slip of the hand does."""
    execute("UPDATE organization SET tenant = 'acme-corp', status = 'inactive' WHERE tenant = 'beta-solutions'")


def test_while_an_id_stands_twice_every_tenant_stays_and_the_changes_of_the_others_go_on(
    table: tuple[Execute, dict[str, str]], serving: Serving
) -> None:
    execute, environment = table
    service = serving(environment)
    before = states(service)

    with Load(service) as load:
        twice(execute)
        execute("DELETE FROM organization WHERE tenant = 'jupiter-networks'")
        execute("UPDATE organization SET status = 'active' WHERE tenant = 'global-tech'")
        execute("INSERT INTO organization (tenant, status) VALUES ('kilo', 'trial')")
        eventually(lambda: "kilo" in states(service), what="The new tenant")
        during = states(service)
        seen = len(load.replies) + 20
        eventually(lambda: len(load.replies) >= seen, what="Answers of some more reads")

    assert during == {**before, "global-tech": "active", "kilo": "trial"}
    check(load, ALL)


def test_once_the_id_stands_once_again_those_leave_whose_rows_are_gone(
    table: tuple[Execute, dict[str, str]], serving: Serving
) -> None:
    execute, environment = table
    service = serving(environment)
    before = states(service)
    twice(execute)
    execute("DELETE FROM organization WHERE tenant = 'jupiter-networks'")
    execute("INSERT INTO organization (tenant, status) VALUES ('kilo', 'trial')")
    eventually(lambda: "kilo" in states(service), what="The new tenant")

    execute("UPDATE organization SET tenant = 'beta-solutions' WHERE tenant = 'acme-corp' AND status = 'inactive'")

    eventually(lambda: "jupiter-networks" not in states(service), what="The removal")
    after = {**before, "beta-solutions": "inactive", "kilo": "trial"}
    del after["jupiter-networks"]
    assert states(service) == after


def test_a_service_that_starts_while_an_id_stands_twice_answers_nothing_and_names_the_row(
    table: tuple[Execute, dict[str, str]], serving: Serving
) -> None:
    execute, environment = table
    twice(execute)

    service = serving(environment, ready=False)

    eventually(lambda: "has the id of another row" in service.ask().json()["message"], what="The reason")
    assert service.ask().status == 503
