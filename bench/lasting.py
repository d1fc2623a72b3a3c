"""An hour of changes while somebody asks without a pause: what it does to memory, to answers and to the database.

An hour has a change for each of its snapshot intervals of two seconds. It is over sooner, since tenants are read every
tenth of a second, and the next change is committed as soon as an answer has the one before.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from itertools import pairwise

import psycopg

from bench.plan import Plan
from bench.processes import HEADERS, PATH, CannotMeasure, Running, ask, get, question, tenantry, wait_ready, wait_until
from bench.report import Bar, Figure, percentile, plain

PARTS = 6
"""Of an hour: ten minutes each."""

_INTERVAL = 0.1
_SETTINGS = {
    "TENANTRY_SOURCE_PARAMETERS": "tenant,status",
    "TENANTRY_SNAPSHOT_REFRESH": f"{round(_INTERVAL * 1000)}ms",
    # By the timer alone, so that the reads can be counted against it.
    "TENANTRY_SOURCE_FEED": "off",
    "TENANTRY_GUARD_SETTLE": "0s",
    "TENANTRY_GUARD_LIMITS": "1h:100:50",
}
_CHANGE = "UPDATE organization SET status = %s WHERE tenant = (SELECT min(tenant) FROM organization)"
_COME = "INSERT INTO organization (tenant, status) VALUES (%s, 'new')"
_GO = "DELETE FROM organization WHERE tenant = %s"
_EVERY = 20
"""Changes between two tenants that come, each of which goes when the next has come."""

Connection = psycopg.Connection[tuple[object, ...]]


class Asking(threading.Thread):
    """Asks for everybody, back to back over one connection, and keeps how long each answer took."""

    def __init__(self, running: Running) -> None:
        super().__init__(name="asking")
        self._running = running
        self._enough = threading.Event()
        self.taken: list[float] = []
        self.wrong = ""

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._running.port, timeout=60)
        try:
            while not self._enough.is_set():
                began = time.perf_counter()
                connection.request("POST", PATH, question(), {**HEADERS, "Accept-Encoding": "gzip"})
                reply = connection.getresponse()
                reply.read()
                self.taken.append(time.perf_counter() - began)
                if reply.status != 200:
                    self.wrong = f"status {reply.status}"
                    return
        except (OSError, HTTPException) as error:
            self.wrong = repr(error)
        finally:
            connection.close()

    def stop(self) -> None:
        """End; raises CannotMeasure if anything else came than answers."""
        self._enough.set()
        self.join()
        if self.wrong or not self.taken:
            raise CannotMeasure(f"Of those that were asked back to back one was no answer: {self.wrong}")


def measure(plan: Plan) -> Iterator[Figure]:
    """Change the table for an hour, and look at the service ten minutes apart."""
    database = plan.tables.make(plan.tenants)
    with (
        tenantry(plan.work, database.tutorial_environment(), **_SETTINGS) as running,
        database.server.connect(database.name) as connection,
    ):
        wait_ready(running)
        asking = Asking(running)
        asking.start()
        memory = [running.memory()]
        moments, reads, asked = [time.monotonic()], [_reads(running)], [0]
        for part in range(PARTS):
            for number in range(plan.hour // PARTS):
                _change(running, connection, part * (plan.hour // PARTS) + number)
            memory.append(running.memory())
            moments.append(time.monotonic())
            reads.append(_reads(running))
            asked.append(len(asking.taken))
        asking.stop()
    size = f"{plan.tenants:,} tenants"
    changes = PARTS * (plan.hour // PARTS)
    yield Figure(
        f"memory gained from the tenth minute of an hour of changes to its end, {size}",
        [later - memory[1] for later in memory[2:]],
        "MB",
        Bar(10),
        f"{changes:,} changes in {plain(moments[-1] - moments[0])} s; resident at first and after each ten minutes: "
        f"{', '.join(map(plain, memory))}",
        whole=memory[-1] - memory[1],
    )
    yield Figure(
        f"p99 of an answer asked for back to back meanwhile, {size}",
        [percentile(asking.taken[first:last], 0.99) * 1000 for first, last in pairwise(asked)],
        "ms",
        Bar(1000),
        f"{len(asking.taken):,} answers, p50 {plain(percentile(asking.taken, 0.5) * 1000)} ms, "
        f"most {plain(max(asking.taken) * 1000)} ms",
        whole=percentile(asking.taken, 0.99) * 1000,
    )
    yield Figure(
        f"reads for each snapshot interval meanwhile, {size}",
        [
            (after - before) * _INTERVAL / (end - start)
            for (before, after), (start, end) in zip(pairwise(reads), pairwise(moments), strict=True)
        ],
        "x",
        Bar(1),
    )


def _change(running: Running, connection: Connection, number: int) -> None:
    """Commit a change, and wait until it is answered."""
    turn, kind = divmod(number, _EVERY)
    if kind == 0:
        connection.execute(_COME, (f"passing-{turn}",))
        awaited, there = f"passing-{turn}", True
    elif kind == 1 and turn:
        connection.execute(_GO, (f"passing-{turn - 1}",))
        awaited, there = f"passing-{turn - 1}", False
    else:
        connection.execute(_CHANGE, (f"state-{number}.",))
        awaited, there = f"state-{number}.", True
    # Somebody else asks, by the same input: what it is told is what everybody is.
    wait_until(running, lambda: (awaited.encode() in ask(running)) is there)


def _reads(running: Running) -> float:
    found = re.search(r"^tenantry_read_seconds_count ([0-9.e+]+)$", get(running, "/metrics")[1].decode(), re.MULTILINE)
    if found is None:
        raise CannotMeasure("The service does not count its reads.")
    return float(found[1])
