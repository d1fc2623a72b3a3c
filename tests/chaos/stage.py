"""The stage of the chaos: two replicas, their databases, a cluster, and between any two of them a link that breaks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.chaos.people import ADMIN_TOKEN
from tests.chaos.plan import LINKS, REPLICAS
from tests.chaos.sets import Owned
from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD
from tests.e2e.bed import Bed
from tests.e2e.build import built
from tests.e2e.rights import ACCOUNT, grant
from tests.e2e.sets import PLUGIN
from tests.support.postgres import Database, PostgresServer
from tests.support.processes import Program
from tests.support.proxy import FaultProxy
from tests.support.service import RIVAL, TENANTRY, RunningService
from tests.support.waiting import eventually

SETTLE = 2
MAY_LEAVE = 6
"""Tenants in an hour with nobody asked: in a whole run, that is."""

DATABASES = ("tenants", "state")
"""Servers that on SIGTERM would wait for their clients."""

_MOST_CONNECTIONS = 60


@dataclass
class Balancer(FaultProxy):
    """What a Service is: each connection goes to the next replica, there or not."""

    targets: Sequence[int] = ()

    def __post_init__(self) -> None:
        self._turns = itertools.cycle(self.targets)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", next(self._turns))


@dataclass
class Stage:
    """All that runs. Left, it is gone."""

    folder: Path
    is_rival: bool = False
    links: dict[str, FaultProxy] = field(default_factory=dict)
    parts: dict[str, Program] = field(default_factory=dict)
    replicas: dict[str, RunningService] = field(default_factory=dict)
    _starter: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    """Its one thread outlives all that it starts: a program ends with the thread that started it."""

    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as until_here:
            self._open = until_here
            until_here.callback(self._starter.shutdown)
            self._databases()
            self._cluster()
            self._replicas()
            self._open = until_here.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def ports(self) -> Sequence[int]:
        """Return where the replicas listen, past all links."""
        return [replica.port for replica in self.replicas.values()]

    def begin(self, name: str) -> None:
        """Start a part again."""
        self._starter.submit(self.parts[name].begin).result(60)

    def _link(self, name: str, port: int) -> int:
        """Put a link before a port; returns the port of it."""
        assert name in LINKS
        return self._proxied(name, FaultProxy(port))

    def _proxied(self, name: str, proxy: FaultProxy) -> int:
        self.links[name] = proxy.start()
        self._open.callback(proxy.stop)
        return proxy.port

    def _databases(self) -> None:
        servers = {}
        for name in DATABASES:
            server = servers[name] = PostgresServer(self.folder / name, max_connections=_MOST_CONNECTIONS)
            self._open.callback(server.kill)
            server.start()
            self.parts[name] = server.program
        servers["tenants"].make_template()
        self.tenants: Database = servers["tenants"].create_database()
        self.state: Database = servers["state"].create_database("template1")

    def _cluster(self) -> None:
        bed = self._open.enter_context(Bed(before_etcd=lambda port: self._link("api-server>etcd", port)))
        port = self._link("controller>api-server", bed.port)
        self.argocd = self._open.enter_context(ArgoCD(built(), bed.kubeconfig, port=port))
        self.parts |= {"etcd": bed.running["etcd"], "api-server": bed.running["kube-apiserver"]}
        self.parts["controller"] = self.argocd.program
        self._api_server = bed.port

    def _replicas(self) -> None:
        where = {} if self.is_rival else grant(self.argocd)
        for name in REPLICAS:
            environment = self._rivals(name) if self.is_rival else self._ours(name, where)
            service = RunningService(self.folder, environment, RIVAL if self.is_rival else TENANTRY)
            self.replicas[name], self.parts[name] = service, service.program
            self._open.callback(service.kill)
            service.begin()
            self._link(f"controller>{name}", service.port)
        self._service = Balancer(0, targets=[self.links[f"controller>{name}"].port for name in REPLICAS])
        self._proxied("service", self._service)

    def _rivals(self, name: str) -> dict[str, str]:
        port = self._link(f"{name}>tenants", self.tenants.server.port)
        return {**self.tenants.tutorial_environment(port), "AUTH_TOKEN": tutorial.token()}

    def _ours(self, name: str, where: Mapping[str, str]) -> dict[str, str]:
        kubeconfig = self.folder / f"{name}.kubeconfig"
        self.argocd.write_kubeconfig(kubeconfig, ACCOUNT, self._link(f"{name}>api-server", self._api_server))
        return {
            **where,
            "AUTH_TOKEN": tutorial.token(),
            "TENANTRY_ADMIN_TOKEN": ADMIN_TOKEN,
            "TENANTRY_SOURCE_URL": self.tenants.url(port=self._link(f"{name}>tenants", self.tenants.server.port)),
            "TENANTRY_STATE_URL": self.state.url(port=self._link(f"{name}>state", self.state.server.port)),
            "TENANTRY_SOURCE_PARAMETERS": "tenant,status,region,plan",
            "TENANTRY_SNAPSHOT_REFRESH": "2s",
            "TENANTRY_GUARD_MODE": "hold",
            "TENANTRY_GUARD_SETTLE": f"{SETTLE}s",
            "TENANTRY_GUARD_LIMITS": f"1h:0:{MAY_LEAVE}",
            "TENANTRY_KUBERNETES_NUDGE": "on",
            "TENANTRY_KUBERNETES_KUBECONFIG": str(kubeconfig),
            "TENANTRY_KUBERNETES_PLUGIN_CONFIGMAPS": PLUGIN,
        }

    def connect(self, sets: Sequence[Owned]) -> None:
        """Let Argo CD ask the replicas, for these ApplicationSets."""
        for replica in self.replicas.values():
            eventually(lambda replica=replica: _is_ready(replica), within=60, what="A replica")  # type: ignore[misc]
        config = tutorial.plugin(next(iter(self.replicas.values())))
        config["data"]["baseUrl"] = f"http://127.0.0.1:{self._service.port}"
        self.argocd.apply(config, tutorial.secret(tutorial.token()))
        self.argocd.apply(*(one.manifest for one in sets))


def _is_ready(replica: RunningService) -> bool:
    return replica.ask(path="/readyz", method="GET", body=b"").status == 200


class Breaking:
    """Breaks parts and links, mends them, and starts again what ended by itself, as Kubernetes does."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._locks = {name: threading.Lock() for name in stage.parts}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ended: list[tuple[str, int]] = []
        """What ended by itself, with its exit code."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(0.25):
            for name, program in self._stage.parts.items():
                if self._locks[name].acquire(blocking=False):
                    try:
                        self._begin_again(name, program)
                    finally:
                        self._locks[name].release()

    def _begin_again(self, name: str, program: Program) -> None:
        code = program.code
        if code is not None:
            self.ended.append((name, code))
            program.end()
            self._stage.begin(name)

    @contextlib.contextmanager
    def broken(self, on: str, how: str) -> Iterator[None]:
        """Break a part or a link while this lasts."""
        with self._part(on, how) if on in self._stage.parts else self._linked(on, how):
            yield

    @contextlib.contextmanager
    def _part(self, name: str, how: str) -> Iterator[None]:
        program = self._stage.parts[name]
        with self._locks[name]:
            match how:
                case "kill":
                    program.kill()
                case "end":
                    program.end(signal.SIGINT if name in DATABASES else signal.SIGTERM)
                case _:
                    program.pause()
            try:
                yield
            finally:
                if how == "pause":
                    program.resume()
                else:
                    self._stage.begin(name)

    @contextlib.contextmanager
    def _linked(self, name: str, how: str) -> Iterator[None]:
        link = self._stage.links.get(name)
        if link is None:  # A plugin that has no such link.
            yield
            return
        link.refuse, link.black_hole = how == "cut", how == "swallow"
        link.delay = 0.3 if how == "slow" else 0.0
        if how == "cut":
            link.cut()
        try:
            yield
        finally:
            link.heal()
            if how == "swallow":
                link.cut()  # What lost bytes is of no use any more.
