"""From the start of the process to ready, with bytecode compiled as in the image."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

from bench.plan import Plan
from bench.processes import get, tenantry, wait_ready, wait_until
from bench.report import Bar, Figure, plain


def measure(plan: Plan) -> Iterator[Figure]:
    """Start again and again; the first start compiles the bytecode and is not counted."""
    plan = replace(plan, work=plan.work / "starting")
    plan.work.mkdir()
    database = plan.tables.make(plan.tenants).tutorial_environment()
    times = [_start(plan, database) for _ in range(plan.starts + 1)]
    listening = statistics.median(one[0] for one in times[1:])
    ready = [one[1] for one in times[1:]]
    yield Figure(
        f"start to ready, {plan.tenants:,} tenants",
        ready,
        "s",
        Bar(1.5),
        f"first probe answered after {plain(listening)} s; {plain(times[0][1])} s without bytecode",
    )


def _start(plan: Plan, database: dict[str, str]) -> tuple[float, float]:
    began = time.monotonic()
    with tenantry(plan.work, database, TENANTRY_SOURCE_PARAMETERS="tenant,status") as running:
        wait_until(running, lambda: get(running, "/healthz")[0] == 200)
        listening = time.monotonic() - began
        wait_ready(running)
        return listening, time.monotonic() - began
