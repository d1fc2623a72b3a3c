"""How soon an Application has what was committed, on Argo CD's own controller, beside the floor.

The floor is what nobody can beat: a plugin that asks the database in each request, and an annotation that is patched
right after the commit by whoever committed.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
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
from bench.report import Bar, Figure, percentile, spread
from tenantry.core.manifests import TENANT_LABEL
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


def measure(plan: Plan) -> Iterator[Figure]:
    """Commit changes of one tenant each, with random pauses, ours and the floor's in turn."""
    with ExitStack() as stack:
        bed = stack.enter_context(Bed())
        few = min(plan.tenants, 40)
        yield from _beside_the_floor(plan, bed, few, rounds=17 * plan.changes)
        if plan.tenants > few:
            yield from _alone(plan, bed, plan.tenants, 64, rounds=5 * plan.changes, bars=(160.0, 385.0))
            yield from _alone(plan, bed, plan.tenants // 5, 1, rounds=plan.changes, bars=(None, None))


def _beside_the_floor(plan: Plan, bed: Bed, tenants: int, *, rounds: int) -> Iterator[Figure]:
    with ExitStack() as stack:
        argocd = _argocd(stack, bed)
        ours = _ours(stack, plan, bed, argocd, tenants)
        floor = plan.tables.make(tenants)
        rival = _served(stack, plan.work, floor, {}, RIVAL)
        _connect(argocd, rival, "floor")
        for name, go in (("ours", True), ("floor", True)):
            argocd.apply(_set(name, f"{name}-", name, {}, go=go))
        deployed = stack.enter_context(Deployed(argocd))
        _wait_for(argocd, deployed, 2 * tenants)
        times: dict[str, list[float]] = {"ours": [], "floor": []}
        first = _ids(ours)[0]
        for number in range(rounds):
            for name, database in (("ours", ours), ("floor", floor)):
                time.sleep(random.uniform(0.1, 0.4))
                began = _changed(database, first, f"s{number}")
                if name == "floor":
                    argocd.nudge(name)
                times[name].append((deployed.wait(f"{name}-{first}", f"s{number}") - began) * 1000)
        what = f"commit to Application, {tenants} tenants, over the floor in the same run"
        beside = f"{rounds} pairs, ours {spread(times['ours'])} ms, floor {spread(times['floor'])} ms"
        for share, name, bar in ((0.5, "p50", 60.0), (0.95, "p95", 200.0)):
            parts = {one: [percentile(part, share) for part in _fifths(every)] for one, every in times.items()}
            over = percentile(times["ours"], share) - percentile(times["floor"], share)
            samples = [ours - floor for ours, floor in zip(parts["ours"], parts["floor"], strict=True)]
            yield Figure(
                f"{what}: {name}", samples, "ms", Bar(bar), beside, whole=over, beside={"floor": parts["floor"]}
            )


def _alone(
    plan: Plan, bed: Bed, tenants: int, shards: int, *, rounds: int, bars: tuple[float | None, float | None]
) -> Iterator[Figure]:
    with ExitStack() as stack:
        argocd = _argocd(stack, bed)
        ours = _ours(stack, plan, bed, argocd, tenants)
        for index in range(shards):
            asked = {"shard": {"index": index, "count": shards}} if shards > 1 else {}
            argocd.apply(_set(f"ours-{index}", "", "ours", asked, go=False))
        deployed = stack.enter_context(Deployed(argocd))
        _wait_for(argocd, deployed, tenants)
        ids, times = _ids(ours), []
        for number in range(rounds):
            time.sleep(random.uniform(0.3, 0.7))
            tenant = random.choice(ids)
            began = _changed(ours, tenant, f"s{number}")
            times.append((deployed.wait(tenant, f"s{number}") - began) * 1000)
        where = f"{shards} ApplicationSets" if shards > 1 else "one ApplicationSet"
        what = f"commit to Application, {tenants:,} tenants in {where}"
        for share, name, bar in zip((0.5, 0.95), ("p50", "p95"), bars, strict=True):
            limit = None if bar is None else Bar(bar)
            samples = [percentile(part, share) for part in _fifths(times)]
            detail = f"{rounds} commits, {spread(times)} ms"
            yield Figure(f"{what}: {name}", samples, "ms", limit, detail, whole=percentile(times, share))


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
