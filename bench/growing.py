"""A hundred thousand tenants: how long a read takes, what it needs, and what others notice of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import psycopg
from tests.support.postgres import Database

from bench.load import SteadyClient, small_answers_meanwhile
from bench.plan import Plan
from bench.processes import Running, ask, get, tenantry, wait_ready, wait_until
from bench.report import Bar, Figure, plain
from bench.tables import FIRST, SECOND

Connection = psycopg.Connection[Any]

CHANGES = 3
"""Of each round: one row, some, and all."""

_ROW = f"UPDATE organization SET status = 'trial-' || %s WHERE tenant = '{SECOND}'"
_EVERY_ROW = "UPDATE organization SET status = status || %s"
_ADD = "INSERT INTO organization (tenant, status) SELECT 'new-' || n, 'new' FROM generate_series(1, %s) AS n"
_REMOVE = "DELETE FROM organization WHERE tenant LIKE 'new-%'"


def measure(plan: Plan) -> Iterator[Figure]:
    """Read a large table: first, unchanged, changed, and while a client asks."""
    database = plan.tables.make(plan.most_tenants)
    size = f"{plan.most_tenants:,} tenants"
    settings = {
        "TENANTRY_SOURCE_PARAMETERS": "tenant,status",
        # Reads nearly without a pause, so that every change meets one and the client has no rest.
        "TENANTRY_SNAPSHOT_REFRESH": "100ms",
        "TENANTRY_SOURCE_FEED": "off",
    }
    yield Figure(f"read to published snapshot, {size}, first", _firsts(plan, database, settings), "s", Bar(1.5))
    with (
        tenantry(plan.work, database.tutorial_environment(), **settings) as running,
        database.server.connect(database.name) as connection,
    ):
        wait_ready(running)
        service = Watched(running)
        yield from _reads(plan, service, connection)
        yield from _meanwhile(plan, service, connection)


class Watched:
    """The service, and the reads that it has counted itself."""

    def __init__(self, running: Running) -> None:
        self.running = running

    def reads(self) -> tuple[int, float]:
        """Return how many reads there were, and their seconds in all."""
        text = get(self.running, "/metrics")[1].decode()
        found = dict(re.findall(r"^tenantry_read_seconds_(count|sum) ([0-9.e+-]+)$", text, re.MULTILINE))
        return int(float(found.get("count", 0))), float(found.get("sum", 0))

    def mean_of_next(self, number: int) -> float:
        """Return the mean seconds of the next reads that begin and end from now on."""
        self.one_more()
        before, seconds_before = self.reads()
        wait_until(self.running, lambda: self.reads()[0] >= before + number, every=0.05)
        after, seconds_after = self.reads()
        return (seconds_after - seconds_before) / (after - before)

    def one_more(self) -> None:
        """Wait for the end of the read that is under way, if there is one."""
        before = self.reads()[0]
        wait_until(self.running, lambda: self.reads()[0] > before, every=0.01)

    def after(self, change: Callable[[], object]) -> float:
        """Change the table and return the seconds of the read that brought the change, from the log."""
        seen = len(self._published())
        self.one_more()
        change()
        wait_until(self.running, lambda: len(self._published()) > seen, every=0.01)
        return self._published()[-1]

    def first(self) -> float:
        wait_until(self.running, lambda: bool(self._published()))
        return self._published()[0]

    def _published(self) -> list[float]:
        lines = [json.loads(line) for line in self.running.log.read_bytes().split(b"\n")[:-1]]
        return [line["milliseconds"] / 1000 for line in lines if line["event"] == "snapshot_published"]


def _firsts(plan: Plan, database: Database, settings: Mapping[str, str]) -> list[float]:
    """Start again and again, and return the seconds of each first read."""
    found = []
    for _ in range(plan.rounds):
        with tenantry(plan.work, database.tutorial_environment(), **settings) as running:
            wait_ready(running)
            found.append(Watched(running).first())
    return found


def _reads(plan: Plan, service: Watched, connection: Connection) -> Iterator[Figure]:
    """Time reads while nobody asks for an answer."""
    size = f"{plan.most_tenants:,} tenants"
    unchanged = [service.mean_of_next(1) for _ in range(plan.rounds)]
    yield Figure(f"read to published snapshot, {size}, nothing changed", unchanged, "s", Bar(1.5))
    for what, statement in (("one row changed", _ROW), ("every row changed", _EVERY_ROW)):
        taken = [service.after(partial(connection.execute, statement, (str(n),))) for n in range(plan.rounds)]
        yield Figure(f"read to published snapshot, {size}, {what}", taken, "s", Bar(1.5))


def _meanwhile(plan: Plan, service: Watched, connection: Connection) -> Iterator[Figure]:
    """Change the table again and again while one client asks for a tenant, and another for all of them."""
    running = service.running
    resting = running.memory()
    ask(running, coding="gzip")
    client = SteadyClient(running, {"tenant": FIRST}, every=0.005)
    client.start()
    rounds: list[list[tuple[float, float]]] = []
    peaks: list[float] = []
    for first in range(0, plan.rounds * CHANGES, CHANGES):
        rounds.append([])
        running.reset_peak_memory()
        for number in range(first, first + CHANGES):
            began = time.monotonic()
            service.after(partial(_change, connection, number, plan.most_tenants))
            rounds[-1].append((began, time.monotonic()))
            ask(running, coding="gzip")
        peaks.append(running.peak_memory())
    client.stop()
    size = f"{plan.most_tenants:,} tenants"
    yield Figure(
        f"peak memory while a snapshot replaces another, {size}",
        peaks,
        "MB",
        Bar(250),
        f"resident before {plain(resting)}",
        whole=max(peaks),
    )
    yield small_answers_meanwhile(
        client, rounds, f"the table changes, {size}", f"; {CHANGES} changes a round: of one, some and all rows"
    )


def _change(connection: Connection, number: int, tenants: int) -> None:
    """Change one row, some, or all: in turn."""
    match number % 3:
        case 0:
            connection.execute(_ROW, (f"again-{number}",))
        case 1:
            connection.execute(_ADD if number % 2 else _REMOVE, (max(1, tenants // 50),) if number % 2 else None)
        case _:
            connection.execute(_EVERY_ROW, (str(number % 10),))
