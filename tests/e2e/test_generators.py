"""tenantry inside of matrix and merge generators, and in two ApplicationSets at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD
from tests.e2e.sets import SELDOM, application_set, elements, matrix, merge, parameters, plugin, tag, template
from tests.e2e.survival import lost, passes, settled, some_passes, uids
from tests.support.postgres import Database
from tests.support.service import RunningService

Deploying: TypeAlias = Callable[[str], RunningService]

TABLE = """
    CREATE TABLE customer (tenant text PRIMARY KEY, status text, tier text, seats int);
    INSERT INTO customer VALUES
        ('acme', 'active', 'basic', 5),
        ('beta', 'active', 'basic', 50),
        ('gamma', 'trial', 'basic', 1000000)
"""
ROWS = 500
MANY = f"""
    CREATE TABLE customer (tenant text PRIMARY KEY, seats int);
    INSERT INTO customer SELECT 't' || lpad(n::text, 3, '0'), n FROM generate_series(1, {ROWS}) n
"""
GO = pytest.mark.parametrize("go", [True, False], ids=["with Go templates", "without"])


@pytest.fixture
def deploying(argocd: ArgoCD, database: Database, serving: Callable[..., RunningService]) -> Deploying:
    """Return a way to serve a table of customers to Argo CD."""

    def deploy(table: str) -> RunningService:
        database.execute(table)
        source = {"TENANTRY_SOURCE_URL": database.url(), "TENANTRY_SOURCE_TABLE": "customer"}
        service = serving({"AUTH_TOKEN": tutorial.token(), **source})
        tutorial.connect(argocd, service)
        return service

    return deploy


def calls(service: RunningService) -> int:
    """Return how often the service has answered."""
    lines = service.ask(path="/metrics", method="GET", body=b"").body.decode().splitlines()
    return sum(
        int(float(line.split()[-1])) for line in lines if line.startswith('tenantry_requests_total{status="200"')
    )


def calls_of_a_pass(argocd: ArgoCD, service: RunningService, name: str) -> float:
    """Return how often the service is asked in one pass over an ApplicationSet that is seldom polled."""
    argocd.eventually(lambda: passes(argocd) > 0, what="The end of the first pass")
    asked, passed = calls(service), passes(argocd)
    argocd.nudge(name)
    argocd.eventually(lambda: passes(argocd) > passed, what="The end of another pass")
    return (calls(service) - asked) / (passes(argocd) - passed)


@GO
def test_a_matrix_of_tenants_and_regions_asks_once_and_deploys_every_pair(
    argocd: ArgoCD, database: Database, deploying: Deploying, go: bool
) -> None:
    service = deploying(TABLE)
    pairs = matrix(plugin(every=SELDOM), elements({"region": "eu"}, {"region": "us"}))
    name = f"{tag('tenant', go=go)}-{tag('region', go=go)}"
    argocd.apply(application_set("pairs", pairs, template=template(name), go=go))

    before = settled(argocd, 6)
    assert sorted(before) == ["acme-eu", "acme-us", "beta-eu", "beta-us", "gamma-eu", "gamma-us"]
    assert calls_of_a_pass(argocd, service, "pairs") == 1

    database.execute("DELETE FROM customer WHERE tenant = 'beta'")
    argocd.eventually(lambda: "beta" not in service.ask(token=tutorial.token()).tenants(), what="The end of beta")
    argocd.nudge("pairs")
    some_passes(argocd, 1)

    assert lost(argocd, before) == ["beta-eu", "beta-us"]


@GO
def test_a_matrix_with_tenantry_second_asks_once_for_each_row_of_the_first(
    argocd: ArgoCD, deploying: Deploying, go: bool
) -> None:
    service = deploying(MANY)
    rows = elements(*({"customer": f"t{n:03}"} for n in range(1, ROWS + 1)))
    asked = plugin(every=SELDOM, tenant=tag("customer", go=go))
    seats = {"seats": tag("seats", go=go)}
    argocd.apply(application_set("rows", matrix(rows, asked), template=template(tag("tenant", go=go), seats), go=go))

    settled(argocd, ROWS)

    assert {name: parameters(found)["seats"] for name, found in argocd.applications().items()} == {
        f"t{n:03}": str(n) for n in range(1, ROWS + 1)
    }
    assert calls_of_a_pass(argocd, service, "rows") == ROWS


@GO
def test_a_matrix_that_inserts_nothing_into_tenantrys_input_asks_once_however_many_rows_the_first_has(
    argocd: ArgoCD, deploying: Deploying, go: bool
) -> None:
    """New in Argo CD 3.6; before, it asked for each row all the same."""
    service = deploying(TABLE)
    pairs = matrix(elements({"region": "eu"}, {"region": "us"}), plugin(every=SELDOM, status="active"))
    name = f"{tag('tenant', go=go)}-{tag('region', go=go)}"
    argocd.apply(application_set("pairs", pairs, template=template(name), go=go))

    assert sorted(settled(argocd, 4)) == ["acme-eu", "acme-us", "beta-eu", "beta-us"]
    assert calls_of_a_pass(argocd, service, "pairs") == 1


@pytest.mark.parametrize(
    ("seats", "tenants"),
    [
        pytest.param([5, 50], ["acme", "beta"], id="small numbers find their tenants"),
        pytest.param([5, "1000000"], ["acme", "gamma"], id="a million does if it is written as text"),
        pytest.param([5, 1000000], ["acme", "gamma"], id="a million as a number arrives as 1e+06 and is understood"),
    ],
)
def test_what_a_matrix_inserts_arrives_as_text(
    argocd: ArgoCD, deploying: Deploying, seats: list[object], tenants: list[str]
) -> None:
    """With Go templates only: without them, Argo CD takes no number in a list at all."""
    deploying(TABLE)
    rows = elements(*({"wanted": number} for number in seats))
    asked = plugin(seats=tag("wanted"))
    argocd.apply(application_set("rows", matrix(rows, asked), template=template(tag("tenant"))))

    some_passes(argocd, 1)

    assert sorted(uids(argocd)) == tenants


def test_a_number_that_no_matrix_inserts_arrives_with_all_its_digits(argocd: ArgoCD, deploying: Deploying) -> None:
    deploying(TABLE)
    argocd.apply(application_set("rich", plugin(seats=1000000), template=template(tag("tenant"))))

    assert list(settled(argocd, 1)) == ["gamma"]


@GO
def test_a_merge_overrides_what_tenantry_says_of_the_tenants_that_a_list_names(
    argocd: ArgoCD, deploying: Deploying, go: bool
) -> None:
    deploying(TABLE)
    merged = merge(plugin(), elements({"tenant": "beta", "tier": "gold"}, {"tenant": "stranger", "tier": "gold"}))
    made = template(tag("tenant", go=go), {"tier": tag("tier", go=go), "seats": tag("seats", go=go)})
    argocd.apply(application_set("merged", merged, template=made, go=go))

    settled(argocd, 3)

    assert {name: parameters(found) for name, found in argocd.applications().items()} == {
        "acme": {"tier": "basic", "seats": "5"},
        "beta": {"tier": "gold", "seats": "50"},
        "gamma": {"tier": "basic", "seats": "1000000"},
    }


@pytest.mark.parametrize(("key", "tier"), [pytest.param("7", "gold", id="text"), pytest.param(7, "basic", id="number")])
def test_a_key_to_merge_on_is_found_as_text_and_missed_as_a_number(
    argocd: ArgoCD, deploying: Deploying, key: object, tier: str
) -> None:
    """With Go templates only: without them, Argo CD takes no number in a list at all."""
    deploying("CREATE TABLE customer (tenant int PRIMARY KEY, tier text); INSERT INTO customer VALUES (7, 'basic')")
    merged = merge(plugin(), elements({"tenant": key, "tier": "gold"}))
    argocd.apply(application_set("merged", merged, template=template("app-{{ .tenant }}", {"tier": tag("tier")})))

    settled(argocd, 1)

    assert parameters(argocd.applications()["app-7"]) == {"tier": tier}


def test_two_application_sets_with_different_inputs_never_mix(
    argocd: ArgoCD, database: Database, deploying: Deploying
) -> None:
    deploying(TABLE)
    for status in ("active", "trial"):
        made = template(f"{status}-{tag('tenant')}", {"status": tag("status")})
        argocd.apply(application_set(status, plugin(status=status), template=made))
    before = settled(argocd, 3)
    assert owners(argocd) == {"active-acme": "active", "active-beta": "active", "trial-gamma": "trial"}

    database.execute("UPDATE customer SET status = 'active' WHERE tenant = 'gamma'")
    argocd.eventually(lambda: lost(argocd, before), what="The end of the trial")
    argocd.eventually(lambda: "active-gamma" in uids(argocd), what="The customer's own Application")
    some_passes(argocd, 4)

    assert lost(argocd, before) == ["trial-gamma"]
    assert owners(argocd) == {
        "active-acme": "active",
        "active-beta": "active",
        "active-gamma": "active",
        "trial-gamma": "trial",
    }


def owners(argocd: ArgoCD) -> dict[str, str]:
    """Return the ApplicationSet of each Application."""
    found = argocd.applications()
    return {name: each["metadata"]["ownerReferences"][0]["name"] for name, each in found.items()}
