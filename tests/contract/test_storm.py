"""The acceptance case of the plugin contract about a storm of refreshes: many calls, few reads, no more memory."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

from tests.contract.cases import case
from tests.support.service import PATH, TOKEN, RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

TENANTS = 10_000
CALLERS, CALLS = 4, 500
INTERVAL = 0.2
BODY = b'{"applicationSetName":"prod","input":{"parameters":{}}}'
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept-Encoding": "gzip"}


def call(port: int, statuses: list[int], sizes: set[int]) -> None:
    """Ask again and again, each time as soon as the answer is there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1)  # an answer that takes a second is a failure
    for _ in range(CALLS):
        connection.request("POST", PATH, BODY, HEADERS)
        reply = connection.getresponse()
        sizes.add(len(reply.read()))
        statuses.append(reply.status)
    connection.close()


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def metrics(service: RunningService) -> str:
    return service.ask(path="/metrics", method="GET", body=b"").body.decode()


def resident(service: RunningService) -> int:
    """Return the resident set in KiB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{service.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def storm(service: RunningService) -> set[int]:
    """Let several callers ask back to back; returns the sizes of all answers, each of which was one."""
    statuses: list[int] = []
    sizes: set[int] = set()
    callers = [threading.Thread(target=call, args=(service.port, statuses, sizes)) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert statuses == [200] * (CALLERS * CALLS)
    return sizes


@case(50)
def test_a_storm_of_calls_reads_nothing_and_keeps_nothing_and_each_set_tells_its_last_answer(
    serving: Serving, tmp_path: Path
) -> None:
    database = tmp_path / "tenants.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY, status TEXT)")
        connection.executemany(
            "INSERT INTO organization VALUES (?, 'active')", ((f"tenant-{n:05}",) for n in range(TENANTS))
        )
    service = serving(
        {
            "TENANTRY_SOURCE_URL": f"sqlite:///{database}",
            "TENANTRY_SOURCE_FEED": "off",
            "TENANTRY_GUARD_MODE": "hold",
            "TENANTRY_SNAPSHOT_REFRESH": f"{round(INTERVAL * 1000)}ms",
        }
    )
    storm(service)
    before, memory, began = metrics(service), resident(service), time.monotonic()

    sizes = storm(service)

    after, lasted = metrics(service), time.monotonic() - began
    reads = metric(after, "tenantry_read_seconds_count") - metric(before, "tenantry_read_seconds_count")
    assert reads <= lasted / INTERVAL + 1
    assert resident(service) - memory < 32 * 1024
    assert len(sizes) == 1
    of_set = '{application_set="prod"}'
    assert metric(after, f"tenantry_answer_tenants{of_set}") == TENANTS
    assert abs(metric(after, f"tenantry_last_answer_timestamp_seconds{of_set}") - time.time()) < 60
    checksum = metric(after, f"tenantry_answer_checksum{of_set}")
    assert checksum == metric(before, f"tenantry_answer_checksum{of_set}")

    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE organization SET status = 'trial' WHERE tenant = 'tenant-00000'")
    eventually(lambda: b"trial" in service.ask().body, what="An answer to another set with the change")
    call(service.port, [], set())

    assert metric(metrics(service), f"tenantry_answer_checksum{of_set}") != checksum
