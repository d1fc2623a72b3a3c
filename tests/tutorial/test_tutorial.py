"""Who followed the tutorial swaps tenantry in: its environment, its table, its two calls."""

from __future__ import annotations

from collections.abc import Callable

from tenantry.cli.demo import TENANTS
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Database
from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]


def test_the_first_call_gives_the_ten_tenants_with_the_tables_columns_and_names_for_use(
    database: Database, serving: Serving
) -> None:
    service = serving(database.tutorial_environment())

    items = service.ask(body=b"", headers={"Content-Type": "application/json"}).json()["output"]["parameters"]

    assert len(items) == 10
    assert items[0] == {
        "status": "active",
        "tenant": "acme-corp",
        "tenantLabel": "acme-corp",
        "tenantName": "acme-corp",
    }


def test_the_second_call_gives_the_three_that_are_active(database: Database, serving: Serving) -> None:
    service = serving(database.tutorial_environment())

    assert service.ask({"status": "active"}).tenants() == ["acme-corp", "echo-innovations", "innova-systems"]


def test_it_works_through_a_pooler_in_transaction_mode(
    database: Database, serving: Serving, pgbouncer: Callable[[Database], PgBouncer]
) -> None:
    service = serving(database.tutorial_environment(pgbouncer(database).port))
    database.execute("INSERT INTO organization (tenant, status) VALUES ('kilo', 'active')")

    eventually(lambda: "kilo" in service.ask().tenants())

    assert len(service.ask().tenants()) == 11


def test_a_change_is_served_and_a_row_that_goes_goes(database: Database, serving: Serving) -> None:
    service = serving(database.tutorial_environment())

    database.execute("UPDATE organization SET status = 'active' WHERE tenant = 'beta-solutions'")
    database.execute("DELETE FROM organization WHERE tenant = 'acme-corp'")

    eventually(
        lambda: service.ask({"status": "active"}).tenants() == ["beta-solutions", "echo-innovations", "innova-systems"]
    )


def test_the_demo_has_the_same_ten_tenants_as_the_tutorial(database: Database) -> None:
    rows = database.execute("SELECT tenant, status FROM organization ORDER BY id")

    assert rows == list(TENANTS)
