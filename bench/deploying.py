"""How soon an Application has what was committed, on Argo CD's own controller, beside the floor.

The floor is what nobody can beat: a plugin that asks the database in each request, and an annotation that is patched
right after the commit by whoever committed.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2
from lightkube import ApiError
from tests.e2e import tutorial
from tests.e2e.argocd import Application, ArgoCD, Object
from tests.e2e.bed import Bed
from tests.e2e.build import built
from tests.e2e.sets import application_set, template
from tests.support.postgres import Database
from tests.support.service import RIVAL, RunningService

from bench.plan import Plan
from bench.processes import CannotMeasure
from bench.report import Bar, Figure, percentile, plain, spread
from tenantry.core.application import TENANT_LABEL
from tenantry.core.trigger import trigger_sql

_PATIENCE = 60.0
_CHANGE = "UPDATE organization SET status = %s WHERE tenant = %s"


class Deployed:
    """When the Application of each tenant came to have a status."""

    def __init__(self, argocd: ArgoCD) -> None:
        self._argocd = argocd
        self._seen: dict[tuple[str, str], float] = {}
        self._came = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True

    def _watch(self) -> None:
        while not self._ended:
            try:
                for _, found in self._argocd.client.watch(Application, server_timeout=600):
                    self._take(found)
            except (ApiError, httpx2.HTTPError, RuntimeError):
                time.sleep(0.1)

    def _take(self, found: Any) -> None:  # noqa: ANN401 -- lightkube's
        key = (found["metadata"]["name"], found["metadata"]["labels"].get("state", ""))
        with self._came:
            self._seen.setdefault(key, time.perf_counter())
            self._came.notify_all()

    def wait(self, name: str, state: str) -> float:
        """Return when an Application came to have a state."""
        with self._came:
            if not self._came.wait_for(lambda: (name, state) in self._seen, _PATIENCE):
                raise CannotMeasure(f"Application {name} did not change in {_PATIENCE:g} s")
            return self._seen[name, state]

    def count(self) -> int:
        """Return how many Applications were seen."""
        with self._came:
            return len({name for name, _ in self._seen})


@dataclass(frozen=True)
class Scale:
    """How many tenants of ours there are, and how they are asked for; the floor has one ApplicationSet as large."""

    tenants: int
    sets: int
    pairs: int
    bars: tuple[float | None, float | None]
    """Milliseconds over the floor, at p50 and p95."""

    go: bool = False
    """Whether templates are `goTemplate`s."""

    @property
    def of_a_set(self) -> int:
        """Return how many tenants an ApplicationSet has, about."""
        return max(1, self.tenants // self.sets)

    @property
    def told(self) -> str:
        where = "" if self.go else " in one ApplicationSet" if self.sets == 1 else f" in {self.sets} sets"
        return f"commit to Application, {self.tenants:,} tenants{where}"


def measure(plan: Plan) -> Iterator[Figure]:
    """Commit changes of one tenant each, with random pauses, ours and the floor's in turn."""
    few = min(plan.tenants, 40)
    scales = [Scale(few, 1, 17 * plan.changes, (60.0, 200.0), go=True)]
    if plan.tenants > few:
        scales.append(Scale(plan.tenants, 64, 10 * plan.changes, (80.0, 250.0)))
        scales.append(Scale(plan.tenants // 5, 1, 2 * plan.changes, (None, None)))
    with ExitStack() as stack:
        bed = stack.enter_context(Bed())
        for scale in scales:
            yield from _beside_the_floor(plan, bed, scale)


def _beside_the_floor(plan: Plan, bed: Bed, scale: Scale) -> Iterator[Figure]:
    with ExitStack() as stack:
        argocd = _argocd(stack, bed)
        databases = {"ours": _ours(stack, plan, bed, argocd, scale.tenants), "floor": plan.tables.make(scale.of_a_set)}
        _connect(argocd, _served(stack, plan.work, databases["floor"], {}, RIVAL), "floor")
        argocd.apply(_set("floor", "floor-", "floor", {}, go=scale.go))
        for index in range(scale.sets):
            asked = {"shard": {"index": index, "count": scale.sets}} if scale.sets > 1 else {}
            argocd.apply(_set(f"ours-{index}", "ours-", "ours", asked, go=scale.go))
        deployed = stack.enter_context(Deployed(argocd))
        _wait_for(argocd, deployed, scale.tenants + scale.of_a_set)
        ids = {name: _ids(database) for name, database in databases.items()}
        times: dict[str, list[float]] = {"ours": [], "floor": []}
        for number in range(scale.pairs):
            for name, database in databases.items():
                time.sleep(random.uniform(0.1, 0.4))
                tenant = random.choice(ids[name])
                began = _changed(database, tenant, f"s{number}")
                if name == "floor":
                    argocd.nudge(name)
                times[name].append((deployed.wait(f"{name}-{tenant}", f"s{number}") - began) * 1000)
    yield from _figures(scale, times)


def _figures(scale: Scale, times: Mapping[str, Sequence[float]]) -> Iterator[Figure]:
    beside = f"{scale.pairs} pairs, ours {spread(times['ours'])} ms, floor {spread(times['floor'])} ms"
    for share, name, bar in zip((0.5, 0.95), ("p50", "p95"), scale.bars, strict=True):
        ours, floor = (percentile(times[one], share) for one in ("ours", "floor"))
        parts = {one: [percentile(part, share) for part in _fifths(every)] for one, every in times.items()}
        yield Figure(
            f"{scale.told}, over the floor: {name}",
            [one - other for one, other in zip(parts["ours"], parts["floor"], strict=True)],
            "ms",
            None if bar is None else Bar(bar),
            f"{beside}; {name} {plain(ours)} and {plain(floor)} ms",
            whole=ours - floor,
            beside={"floor": parts["floor"]},
        )


def _fifths(times: Sequence[float]) -> list[Sequence[float]]:
    """Return five parts, one after the other: the spread of a run."""
    size = max(1, len(times) // 5)
    return [times[start : start + size] for start in range(0, min(len(times), 5 * size), size)]


def _argocd(stack: ExitStack, bed: Bed) -> ArgoCD:
    return stack.enter_context(ArgoCD(built(), bed.kubeconfig, f"bench-{uuid.uuid4().hex[:8]}"))


def _ours(stack: ExitStack, plan: Plan, bed: Bed, argocd: ArgoCD, tenants: int) -> Database:
    database = plan.tables.make(tenants)
    with database.server.connect(database.name) as owner:
        owner.execute(trigger_sql("organization", "tenantry"))
    shipped = {
        "TENANTRY_GUARD_MODE": "hold",
        "TENANTRY_SNAPSHOT_REFRESH": "2s",
        "TENANTRY_KUBERNETES_KUBECONFIG": str(bed.kubeconfig),
        "TENANTRY_KUBERNETES_NAMESPACES": argocd.namespace,
    }
    _connect(argocd, _served(stack, plan.work, database, shipped), "ours")
    return database


def _served(
    stack: ExitStack, work: Path, database: Database, more: dict[str, str], command: tuple[str, ...] | None = None
) -> RunningService:
    environment = {**database.tutorial_environment(), "AUTH_TOKEN": tutorial.token(), **more}
    service = RunningService(work, environment) if command is None else RunningService(work, environment, command)
    stack.callback(service.stop)
    return service.start(ready=command is None)


def _connect(argocd: ArgoCD, service: RunningService, config_map: str) -> None:
    tutorial.connect(argocd, service)
    own = tutorial.plugin(service)
    own["metadata"]["name"] = config_map
    argocd.apply(own)


def _set(name: str, prefix: str, config_map: str, asked: Object, *, go: bool) -> Object:
    generator = {
        "plugin": {"configMapRef": {"name": config_map}, "requeueAfterSeconds": 3600, "input": {"parameters": asked}}
    }
    tenant, state = ("{{ .tenant }}", "{{ .status }}") if go else ("{{tenant}}", "{{status}}")
    made = template(f"{prefix}{tenant}", labels={"state": state, TENANT_LABEL: tenant})
    return application_set(name, generator, template=made, go=go)


def _wait_for(argocd: ArgoCD, deployed: Deployed, applications: int) -> None:
    argocd.eventually(lambda: deployed.count() >= applications, within=60 + applications / 10, what="All Applications")
    time.sleep(2)


def _ids(database: Database) -> list[str]:
    return [str(tenant) for (tenant,) in database.execute("SELECT tenant FROM organization ORDER BY tenant")]


def _changed(database: Database, tenant: str, state: str) -> float:
    with database.server.connect(database.name) as connection:
        connection.execute("SELECT 1")
        connection.execute(_CHANGE, (state, tenant))
        return time.perf_counter()
