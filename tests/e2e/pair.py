"""Two replicas on one state and one database, with one account in the cluster; each has links of its own, to be cut."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from lightkube import ApiError, Client, KubeConfig

from tests.e2e import tutorial
from tests.e2e.argocd import REFRESH, ApplicationSet, ArgoCD
from tests.e2e.rights import Rights
from tests.support.balancer import Balancer, Passed
from tests.support.postgres import Database
from tests.support.proxy import FaultProxy
from tests.support.service import RunningService

Serving = Callable[..., RunningService]

_WATCHED = 600


@dataclass(frozen=True)
class Replica:
    """A service, and its links to the API server and to the database of tenants."""

    service: RunningService
    api: FaultProxy
    source: FaultProxy

    @property
    def port(self) -> int:
        return self.service.port

    def cut_off(self) -> None:
        """Cut it off from the API server."""
        self.api.refuse = True
        self.api.cut()

    def metric(self, name: str) -> float:
        """Return a metric, 0 where there is none."""
        text = self.service.ask(path="/metrics", method="GET", body=b"").body.decode()
        found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(found[0]) if found else 0.0

    @property
    def sent(self) -> float:
        """How many nudges it has sent."""
        return self.metric('tenantry_nudges_total{outcome="sent"}')

    @property
    def pending(self) -> float:
        """For how many seconds a change has waited for this replica to send it."""
        return self.metric("tenantry_nudge_pending_seconds")


@dataclass(frozen=True)
class Pair:
    """Two replicas behind a balancer, and every value that the annotation of an ApplicationSet ever had."""

    one: Replica
    other: Replica
    balancer: Balancer
    values: list[str]

    @property
    def both(self) -> Sequence[Replica]:
        return (self.one, self.other)

    def answers(self) -> Sequence[Passed]:
        """Return what Argo CD was answered so far."""
        return list(self.balancer.passed)

    def only(self, *replicas: Replica) -> None:
        """Let these alone be asked from now on."""
        self.balancer.ports = tuple(one.port for one in replicas)

    def heal(self) -> None:
        """Mend every link."""
        for one in self.both:
            one.api.heal()


def _kubeconfig(rights: Rights, port: int, path: Path) -> Mapping[str, str]:
    """Return the same account, by another way to the API server."""
    config = json.loads(rights.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path.write_text(json.dumps(config))
    return {**rights.environment, "TENANTRY_KUBERNETES_KUBECONFIG": str(path)}


def _watch(client: Client, values: list[str]) -> None:
    """Keep each value that the annotation gets, until the client is closed."""
    with contextlib.suppress(ApiError, httpx2.HTTPError, RuntimeError):
        for _, found in client.watch(ApplicationSet, server_timeout=_WATCHED):
            value = (found["metadata"].get("annotations") or {}).get(REFRESH)
            if value is not None and value not in values[-1:]:
                values.append(value)


def _replica(serving: Serving, environment: Mapping[str, str], rights: Rights, database: Database, at: Path) -> Replica:
    server = json.loads(rights.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    api, source = (FaultProxy(port).start() for port in (int(server.rpartition(":")[2]), database.server.port))
    config = _kubeconfig(rights, api.port, at)
    service = serving({**environment, **config, "DB_PORT": str(source.port)})
    return Replica(service, api, source)


@pytest.fixture
def pair(
    argocd: ArgoCD, kubeconfig: Path, database: Database, serving: Serving, rights: Rights, tmp_path: Path
) -> Iterator[Pair]:
    """Serve the tutorial's tenants, guarded, by two replicas to an Argo CD that hardly ever polls."""
    state = database.server.create_database("template1")
    environment = {
        **tutorial.environment(database),
        "TENANTRY_STATE_URL": state.url(),
        "TENANTRY_GUARD_MODE": "hold",
        "TENANTRY_GUARD_SETTLE": "2s",
    }
    one, other = (_replica(serving, environment, rights, database, tmp_path / f"{n}.kubeconfig") for n in "12")
    balancer = Balancer([one.port, other.port]).start()
    tutorial.connect(argocd, balancer)
    client = Client(KubeConfig.from_file(kubeconfig), namespace=argocd.namespace)
    values: list[str] = []
    watching = threading.Thread(target=_watch, args=(client, values), daemon=True)
    watching.start()
    yield Pair(one, other, balancer, values)
    balancer.stop()
    client.close()
    for link in (one.api, one.source, other.api, other.source):
        link.stop()
