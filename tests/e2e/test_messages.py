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

Serving = Callable[..., RunningService]


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


@pytest.mark.parametrize(
    ("parameters", "sentences"),
    [
        pytest.param(
            {"statsu": "active"},
            ["Unknown input parameter 'statsu'", "Known: status, tenant.", "Did you mean 'status'?"],
            id="a misspelt field",
        ),
        pytest.param({"tenantLabel": "acme"}, ["tenantLabel"], id="a field that does not exist"),
        pytest.param({"status": {"in": "active"}}, ["status"], id="a value that is no text"),
    ],
)
def test_a_wrong_parameter_is_told_by_its_name(
    argocd: ArgoCD, database: Database, serving: Serving, parameters: dict[str, object], sentences: list[str]
) -> None:
    tutorial.connect(argocd, serving(tutorial.environment(database)))
    argocd.apply(asking_for(**parameters))

    message = told(argocd)

    assert all(sentence in message for sentence in sentences), message


def test_a_wrong_token_is_told(argocd: ArgoCD, database: Database, serving: Serving) -> None:
    tutorial.connect(argocd, serving(tutorial.environment(database)))
    argocd.apply(tutorial.secret("another-token"), tutorial.application_set())

    message = told(argocd)

    assert "401" in message
    assert "token" in message
    assert "another-token" not in message


def test_a_secret_reference_that_argo_cd_cannot_resolve_is_told_as_that(
    argocd: ArgoCD, database: Database, serving: Serving
) -> None:
    service = serving(tutorial.environment(database))
    tutorial.connect(argocd, service)
    plugin = tutorial.plugin(service)
    plugin["data"]["token"] = "$api-credentials:no.such.key"
    argocd.apply(plugin, tutorial.application_set())

    message = told(argocd)

    assert "$" in message, message
    assert "Secret" in message, message


def test_a_service_without_a_snapshot_says_what_it_waits_for(
    argocd: ArgoCD, database: Database, serving: Serving
) -> None:
    nowhere = {**tutorial.environment(database), "DB_PORT": str(free_port())}
    tutorial.connect(argocd, serving(nowhere, ready=False))
    argocd.apply(tutorial.application_set())

    argocd.eventually(
        lambda: "not reachable" in argocd.conditions(tutorial.NAME)["ErrorOccurred"]["message"],
        what="A message that says why",
    )
    assert uids(argocd) == {}
