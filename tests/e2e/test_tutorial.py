"""The tutorial's ApplicationSet and its variants, unchanged, on the real controller."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD, Object
from tests.support.postgres import Database
from tests.support.service import RunningService

TENANTS = [
    "acme-corp",
    "beta-solutions",
    "delta-technologies",
    "echo-innovations",
    "foxtrot-consulting",
    "gamma-industries",
    "global-tech",
    "horizon-enterprises",
    "innova-systems",
    "jupiter-networks",
]
ACTIVE = ["acme-corp", "echo-innovations", "innova-systems"]


@pytest.fixture
def service(argocd: ArgoCD, database: Database, serving: Callable[..., RunningService]) -> RunningService:
    """Run tenantry on the tutorial's table, known to Argo CD as the tutorial's plugin."""
    running = serving(tutorial.environment(database))
    tutorial.connect(argocd, running)
    return running


def seen(application: Object) -> Object:
    """Return what the tutorial's template shapes by tenant."""
    return {
        "name": application["metadata"]["name"],
        "labels": application["metadata"]["labels"],
        "helm": application["spec"]["source"]["helm"],
    }


def wanted(tenant: str) -> Object:
    """Return what the tutorial promises for a tenant."""
    name = f"foobar-app-{tenant}"
    return {
        "name": name,
        "labels": {"org": tenant},
        "helm": {"parameters": [{"name": "fullnameOverride", "value": name}]},
    }


def kept(argocd: ArgoCD) -> list[Object]:
    """Return the Applications that are not being deleted, in order of their names."""
    found = sorted(argocd.applications().items())
    return [seen(each) for _, each in found if "deletionTimestamp" not in each["metadata"]]


@pytest.mark.parametrize(("variant", "tenants"), [("", TENANTS), ("-selector", ACTIVE), ("-input", ACTIVE)])
def test_each_tenant_gets_its_application(
    argocd: ArgoCD, service: RunningService, variant: str, tenants: list[str]
) -> None:
    argocd.apply(tutorial.application_set(variant))

    argocd.eventually(lambda: argocd.conditions(tutorial.NAME)["ResourcesUpToDate"]["status"] == "True", what="A pass")

    assert kept(argocd) == [wanted(tenant) for tenant in tenants]
    assert argocd.conditions(tutorial.NAME)["ErrorOccurred"]["status"] == "False"


def test_argo_cd_asks_again_when_the_tutorial_says(argocd: ArgoCD, service: RunningService) -> None:
    argocd.apply(tutorial.application_set())

    argocd.eventually(lambda: "requeueAfter=2m0s" in argocd.log.read_text(), what="The end of a pass")


def test_argo_cd_asks_every_two_seconds_if_told_so(argocd: ArgoCD, service: RunningService, database: Database) -> None:
    often = tutorial.application_set()
    often["spec"]["generators"][0]["plugin"]["requeueAfterSeconds"] = 2
    argocd.apply(often)
    argocd.eventually(lambda: len(kept(argocd)) == len(TENANTS), what="The ten Applications")

    database.execute("INSERT INTO organization (tenant, status) VALUES ('kilo-media', 'active')")
    argocd.eventually(lambda: wanted("kilo-media") in kept(argocd), within=30, what="The eleventh Application")
    asked = [time_of_request(argocd, service) for _ in range(3)]

    assert all(1.5 < later - earlier < 10 for earlier, later in pairwise(asked))


def time_of_request(argocd: ArgoCD, service: RunningService) -> float:
    """Wait until the service is asked again, and return the time."""
    before = requests(service)
    argocd.eventually(lambda: requests(service) > before, within=30, what="A request")
    return time.monotonic()


def requests(service: RunningService) -> float:
    """Return how often the service was asked."""
    lines = service.ask(path="/metrics", method="GET").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("tenantry_answers_total{"))
