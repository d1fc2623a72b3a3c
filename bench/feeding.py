"""How soon an answer has what was committed: heard by a trigger, and found by looking."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection

import psycopg

from bench.plan import Plan
from bench.processes import HEADERS, PATH, CannotMeasure, Running, question, tenantry, wait_ready
from bench.report import Bar, Figure, percentile, plain
from tenantry.core.trigger import trigger_sql

_CHANGE = "UPDATE organization SET status = %s WHERE tenant = (SELECT min(tenant) FROM organization)"
_PATIENCE = 30.0
_ROUND = 60.0
"""Seconds after which a round begins no more commits."""

_BETWEEN = 0.002
"""Seconds between two questions: what is measured is not how fast a service can be asked."""


@dataclass
class Watched:
    """A service whose table is changed, and what was timed of it, by round."""

    how: str
    running: Running
    owner: psycopg.Connection[tuple[object, ...]]
    commits: int
    """Of each round."""

    bars: tuple[Bar | None, Bar | None]
    rounds: list[list[float]] = field(default_factory=list)

    def round(self) -> None:
        """Commit changes of one tenant, with random pauses, and ask until the answer has each."""
        (first,) = self.owner.execute("SELECT min(tenant) FROM organization").fetchone() or ("",)
        connection = HTTPConnection("127.0.0.1", self.running.port, timeout=_PATIENCE)
        end = time.monotonic() + _ROUND
        times: list[float] = []
        for number in range(self.commits):
            if times and time.monotonic() > end:
                break
            time.sleep(random.uniform(0.3, 0.7))
            status = f"state-{len(self.rounds)}-{number}"
            self.owner.execute(_CHANGE, (status,))
            times.append(self._until_answered(connection, str(first), status.encode()) * 1000)
        connection.close()
        self.rounds.append(times)

    def _until_answered(self, connection: HTTPConnection, tenant: str, status: bytes) -> float:
        """Return the seconds from now until a small answer has a status."""
        body = question({"tenant": tenant})
        began = time.perf_counter()
        while time.perf_counter() - began < _PATIENCE:
            connection.request("POST", PATH, body, HEADERS)
            if status in connection.getresponse().read():
                return time.perf_counter() - began
            time.sleep(_BETWEEN)
        raise CannotMeasure(f"{self.running.name}: a change was not answered in {_PATIENCE:g} s")

    def figures(self, tenants: int) -> Iterator[Figure]:
        """Return the percentiles of all commits, with those of each round as samples."""
        every = [time for times in self.rounds for time in times]
        what = f"commit to the first answer that has it, {tenants:,} tenants, {self.how}"
        detail = f"{len(every):,} commits, {plain(min(every))} to {plain(max(every))} ms"
        for name, share, bar in (("p50", 0.5, self.bars[0]), ("p99", 0.99, self.bars[1])):
            yield Figure(
                f"{what}: {name}",
                [percentile(times, share) for times in self.rounds],
                "ms",
                bar,
                detail if name == "p50" else "",
                whole=percentile(every, share),
                distribution=every if name == "p50" else (),
            )


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure both by turns: each has a table and a service of its own."""
    with ExitStack() as stack:
        heard = _watched(plan, stack, "heard by the trigger", plan.commits, (Bar(40.0), Bar(150.0)))
        heard.owner.execute(trigger_sql("organization", "tenantry"))
        found = _watched(plan, stack, "found by looking", max(1, plan.commits // 5), (None, None))
        for one in (heard, found):
            wait_ready(one.running)
        for _ in range(plan.rounds):
            for one in (heard, found):
                one.round()
        for one in (heard, found):
            yield from one.figures(plan.tenants)


def _watched(plan: Plan, stack: ExitStack, how: str, commits: int, bars: tuple[Bar | None, Bar | None]) -> Watched:
    database = plan.tables.make(plan.tenants)
    owner = stack.enter_context(database.server.connect(database.name))
    running = stack.enter_context(tenantry(plan.work, database.tutorial_environment()))
    return Watched(how, running, owner, commits, bars)
