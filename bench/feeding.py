"""How soon an answer has what was committed: heard by a trigger, and found by looking."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from bench.plan import Plan
from bench.processes import CannotMeasure, Running, ask, tenantry, wait_ready
from bench.report import Bar, Figure, percentile, spread
from tenantry.core.trigger import trigger_sql

_CHANGE = "UPDATE organization SET status = %s WHERE tenant = (SELECT min(tenant) FROM organization)"
_PATIENCE = 30.0


def measure(plan: Plan) -> Iterator[Figure]:
    """Commit changes of one tenant, with random pauses, and ask until the answer has each."""
    for how, rounds, bars in (
        ("heard by the trigger", 20 * plan.changes, (Bar(40.0), Bar(150.0))),
        ("found by looking", 3 * plan.changes, (None, None)),
    ):
        database = plan.tables.make(plan.tenants)
        with (
            database.server.connect(database.name) as owner,
            tenantry(plan.work, database.tutorial_environment()) as running,
        ):
            if bars[0] is not None:
                owner.execute(trigger_sql("organization", "tenantry"))
            wait_ready(running)
            (first,) = owner.execute("SELECT min(tenant) FROM organization").fetchone() or ("",)
            times: list[float] = []
            for number in range(rounds):
                time.sleep(random.uniform(0.3, 0.7))
                owner.execute(_CHANGE, (f"state-{number}",))
                times.append(_until_answered(running, str(first), f"state-{number}".encode()) * 1000)
            what = f"commit to the first answer that has it, {plan.tenants:,} tenants, {how}"
            yield Figure(f"{what}: p50", percentile(times, 0.5), "ms", bars[0], f"{rounds} commits, {spread(times)} ms")
            yield Figure(f"{what}: p99", percentile(times, 0.99), "ms", bars[1])


def _until_answered(running: Running, tenant: str, status: bytes) -> float:
    """Return the seconds from now until a small answer has a status."""
    began = time.perf_counter()
    while time.perf_counter() - began < _PATIENCE:
        if status in ask(running, {"tenant": tenant}):
            return time.perf_counter() - began
    raise CannotMeasure(f"{running.name}: a change was not answered in {_PATIENCE:g} s")
