"""What an operator sees in Argo CD when something is wrong: our sentence, with its remedy, on the ApplicationSet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD, Object
from tests.e2e.survival import uids
from tests.support.postgres import Database
from tests.support.processes import free_port
from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

REFUSED = f"error listing params: error get api '{tutorial.NAME}': API error with status code"
"""What Argo CD puts before our sentence."""


def told(argocd: ArgoCD) -> str:
    """Return what the ApplicationSet says of its error, once there is one."""

    def failed() -> Object | None:
        condition = argocd.conditions(tutorial.NAME).get("ErrorOccurred")
        return condition if condition and condition["status"] == "True" else None

    condition = argocd.eventually(failed, what="An error")
    assert condition is not None
    assert uids(argocd) == {}
    message: str = condition["message"]
    return message


def asking_for(**parameters: object) -> Object:
    """Return the tutorial's ApplicationSet with these input parameters."""
    made = tutorial.application_set("-input")
    made["spec"]["generators"][0]["plugin"]["input"]["parameters"] = parameters
    return made


UNKNOWN = (
    "Unknown input parameter '{}' from ApplicationSet 'tenant-generator-plugin-demo'. Known: status, tenant, "
    "tenantLabel, tenantName. Besides: allowEmpty, selector, shard, view. Did you mean '{}'? See 'The request' in the "
    "reference for what an ApplicationSet may ask."
)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        pytest.param({"statsu": "active"}, UNKNOWN.format("statsu", "status"), id="a misspelt field"),
        pytest.param({"tennant": "acme"}, UNKNOWN.format("tennant", "tenant"), id="an unknown field"),
        pytest.param(
            {"status": {"in": "active"}},
            "Input parameter 'status' is an object, which no field can equal. "
            "Give a text, a number, a boolean or a list of them.",
            id="a value that is no text",
        ),
    ],
)
def test_a_wrong_parameter_is_told_by_its_name(
    argocd: ArgoCD, database: Database, serving: Serving, parameters: dict[str, object], sentence: str
) -> None:
    tutorial.connect(argocd, serving(tutorial.environment(database)))
    argocd.apply(asking_for(**parameters))

    assert told(argocd) == f"{REFUSED} 400: {sentence}"


def test_a_wrong_token_is_told(argocd: ArgoCD, database: Database, serving: Serving) -> None:
    tutorial.connect(argocd, serving(tutorial.environment(database)))
    argocd.apply(tutorial.secret("another-token"), tutorial.application_set())

    assert told(argocd) == (
        f"{REFUSED} 401: The token is not one of tenantry's. "
        "Check the Secret that the plugin's ConfigMap names, and the tokens that tenantry was given."
    )


def test_a_secret_reference_that_argo_cd_cannot_resolve_is_told_as_that(
    argocd: ArgoCD, database: Database, serving: Serving
) -> None:
    service = serving(tutorial.environment(database))
    tutorial.connect(argocd, service)
    plugin = tutorial.plugin(service)
    plugin["data"]["token"] = "$api-credentials:no.such.key"
    argocd.apply(plugin, tutorial.application_set())

    assert told(argocd) == (
        f"{REFUSED} 401: The token is a literal `$…`, which is an unresolved Secret reference. Argo CD did not find "
        "that key: check the Secret's name and key behind `token` in the plugin's ConfigMap."
    )


def test_a_service_without_a_snapshot_says_what_it_waits_for(
    argocd: ArgoCD, database: Database, serving: Serving
) -> None:
    nowhere = {**tutorial.environment(database), "DB_PORT": str(free_port())}
    service = serving(nowhere, ready=False)
    eventually(
        lambda: b"not reachable" in service.ask(path="/readyz", method="GET", body=b"").body, what="A failed read"
    )
    tutorial.connect(argocd, service)
    argocd.apply(tutorial.application_set())

    assert told(argocd) == (
        f"{REFUSED} 503: The tenants have not been read yet: The database is not reachable. "
        "Nothing is deleted meanwhile; `tenantry check` finds the reason."
    )
