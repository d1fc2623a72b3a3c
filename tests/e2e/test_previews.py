"""Previews: `argocd appset generate` asks tenantry as the controller does, and the real ApplicationSet never notices.

The preview is argocd-server's own code: its service for ApplicationSets, put together as argocd-server does it and
asked to `Generate` (tests/e2e/controller/preview.go). It comes with the controller's module and costs 25 more packages.
Left out are the API around it and who may do what there; a plugin sees nothing of either.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD, Object, load
from tests.e2e.preview import Preview
from tests.e2e.survival import settled, some_passes, versions
from tests.support.postgres import Database
from tests.support.service import RunningService

TENANTS = 10
ACTIVE = ["foobar-app-acme-corp", "foobar-app-echo-innovations", "foobar-app-innova-systems"]


@pytest.fixture
def service(argocd: ArgoCD, database: Database, serving: Callable[..., RunningService]) -> RunningService:
    """Run tenantry, asked every second by the tutorial's ApplicationSet, until Argo CD is at rest."""
    running = serving(tutorial.environment(database))
    tutorial.poll_often(argocd, running, seconds=1)
    settled(argocd, TENANTS)
    some_passes(argocd, 2)
    return running


@pytest.fixture
def overheard(argocd: ArgoCD) -> Iterator[list[tuple[str, str, bytes]]]:
    """Return the requests that reach the tutorial's plugin: a service that answers nothing but 503."""
    requests: list[tuple[str, str, bytes]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.requestline, str(self.headers), body))
            self.send_error(503)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
            pass

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        [plugin] = load(tutorial.FOLDER / "configmap.yaml")
        plugin["data"]["baseUrl"] = f"http://127.0.0.1:{server.server_port}"
        argocd.apply(plugin, *load(tutorial.FOLDER / "secrets.yaml"))
        yield requests
        server.shutdown()
        thread.join()


def asking_for(**parameters: object) -> Object:
    """Return the tutorial's ApplicationSet, by the same name, with these input parameters."""
    made = tutorial.application_set("-input")
    made["spec"]["generators"][0]["plugin"]["input"]["parameters"] = parameters
    return made


def test_a_preview_and_the_controller_send_the_very_same_bytes(
    argocd: ArgoCD, overheard: list[tuple[str, str, bytes]], preview: Preview
) -> None:
    argocd.apply(asking_for(status="active"))
    argocd.eventually(lambda: overheard, what="The controller's request")

    shown = preview(asking_for(status="active"))

    assert "status code 503" in shown.stderr
    assert len(set(overheard)) == 1
    assert len(overheard) >= 2
    assert overheard[0][2] == (
        b'{"applicationSetName":"tenant-generator-plugin-demo","input":{"parameters":{"status":"active"}}}\n'
    )


@pytest.mark.parametrize(
    ("parameters", "applications"),
    [
        pytest.param({"status": "active"}, ACTIVE, id="fewer tenants"),
        pytest.param({"status": "nobody's"}, [], id="no tenant at all"),
    ],
)
def test_a_preview_of_fewer_tenants_changes_nothing(
    argocd: ArgoCD, service: RunningService, preview: Preview, parameters: Mapping[str, object], applications: list[str]
) -> None:
    before = versions(argocd)

    for _ in range(3):
        shown = preview(asking_for(**parameters))
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout) == applications
        some_passes(argocd, 2)

    assert versions(argocd) == before
    assert len(before) == TENANTS
    assert argocd.conditions(tutorial.NAME)["ErrorOccurred"]["status"] == "False"


def test_a_preview_of_the_same_applicationset_shows_what_there_is(
    argocd: ArgoCD, service: RunningService, preview: Preview
) -> None:
    before = versions(argocd)

    shown = preview(tutorial.application_set())

    assert shown.returncode == 0, shown.stderr
    assert sorted(json.loads(shown.stdout)) == sorted(before)


def test_a_preview_that_is_refused_says_why_and_changes_nothing(
    argocd: ArgoCD, service: RunningService, preview: Preview
) -> None:
    before = versions(argocd)

    shown = preview(asking_for(statsu="active"))
    some_passes(argocd, 3)

    assert shown.returncode == 1
    assert "Unknown input parameter 'statsu'" in shown.stderr
    assert versions(argocd) == before
    assert argocd.conditions(tutorial.NAME)["ErrorOccurred"]["status"] == "False"
