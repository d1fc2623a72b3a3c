"""A storm of calls on two replicas while rows change: quick answers, few reads, no more memory, metrics of each set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Self

import pytest

from tests.contract.cases import case
from tests.contract.test_storm import BODY, HEADERS, metric, metrics, resident
from tests.support.postgres import Database
from tests.support.service import PATH, RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

TENANTS = 10_000
CALLERS, CALLS = 2, 400
"""Of each replica, and of each caller."""

INTERVAL = 0.2
OF_SET = '{application_set="prod"}'


class Changing:
    """Changes one row after another, with so many seconds in between."""

    def __init__(self, database: Database, every: float) -> None:
        self._database, self._every = database, every
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.changes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(self._every):
            self.changes += 1
            self._database.execute(f"UPDATE organization SET status = 'v{self.changes}' WHERE tenant = 'tenant-00000'")


def call(port: int, taken: list[float]) -> None:
    """Ask again and again, each time as soon as the answer is there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(CALLS):
        began = time.monotonic()
        connection.request("POST", PATH, BODY, HEADERS)
        reply = connection.getresponse()
        body = reply.read()
        assert reply.status == 200, body
        taken.append(time.monotonic() - began)
    connection.close()


def storm(*services: RunningService) -> list[float]:
    """Let several callers ask each of them back to back; return the seconds that answers took, in order."""
    taken: list[float] = []
    callers = [
        threading.Thread(target=call, args=(service.port, taken)) for service in services for _ in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert len(taken) == len(callers) * CALLS
    return sorted(taken)


@pytest.fixture
def both(serving: Serving, database: Database) -> tuple[RunningService, RunningService]:
    """Return two replicas that read many tenants, and hear of nothing between two reads."""
    database.execute("DELETE FROM organization")
    database.execute(
        "INSERT INTO organization (tenant, status) "
        f"SELECT 'tenant-' || lpad(n::text, 5, '0'), 'active' FROM generate_series(0, {TENANTS - 1}) AS n"
    )
    settings = {
        **database.tutorial_environment(),
        "TENANTRY_STATE_URL": database.server.create_database("template1").url(),
        "TENANTRY_SOURCE_FEED": "off",
        "TENANTRY_GUARD_MODE": "hold",
        "TENANTRY_SNAPSHOT_REFRESH": f"{round(INTERVAL * 1000)}ms",
    }
    return serving(settings), serving(settings)


@case(50, replicas=2)
def test_a_storm_on_two_replicas_while_rows_change_is_answered_in_time_from_few_reads(
    both: tuple[RunningService, RunningService], database: Database
) -> None:
    with Changing(database, every=1.0):
        storm(*both)
    before, began = [(metrics(one), resident(one)) for one in both], time.monotonic()

    with Changing(database, every=1.0) as changing:
        taken = storm(*both)

    lasted = time.monotonic() - began
    assert taken[len(taken) * 99 // 100] < 1
    for one, (told, memory) in zip(both, before, strict=True):
        reads = metric(metrics(one), "tenantry_read_seconds_count") - metric(told, "tenantry_read_seconds_count")
        # What the other one answered first is read at once, and not with the next read.
        assert reads <= lasted / INTERVAL + 1 + changing.changes
        assert resident(one) - memory < 32 * 1024
    eventually(lambda: both[0].ask(body=BODY).body == both[1].ask(body=BODY).body, what="The same answer")
    last = [metrics(one) for one in both]
    assert [metric(text, f"tenantry_answer_tenants{OF_SET}") for text in last] == [TENANTS, TENANTS]
    assert len({metric(text, f"tenantry_answer_checksum{OF_SET}") for text in last}) == 1
    for text in last:
        assert abs(metric(text, f"tenantry_last_answer_timestamp_seconds{OF_SET}") - time.time()) < 60
