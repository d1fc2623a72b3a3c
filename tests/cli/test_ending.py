"""The end of `tenantry serve`: in seconds, with 0, whatever is under way."""

from __future__ import annotations

import json
import random
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Database
from tests.support.processes import start
from tests.support.proxy import FaultProxy
from tests.support.service import PATH, ROOT, TOKEN, RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

IN_SECONDS = 12.0
"""What Kubernetes gives a pod is 30 s; the end itself takes a few, on a busy machine too."""

SLOW_VIEW = """
CREATE FUNCTION slow(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN $1; END';
ALTER TABLE organization RENAME TO stored;
CREATE VIEW organization AS SELECT id, slow(tenant) AS tenant, status FROM stored
"""


def ended(service: RunningService, how: signal.Signals = signal.SIGTERM) -> int:
    """End a service, which has to hold to its time: `stop` kills in the end, which would not be 0 either."""
    began = time.monotonic()
    code = service.stop(how)
    assert time.monotonic() - began < IN_SECONDS, service.log.read_text()
    return code


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "tenants.db"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE organization (tenant TEXT, status TEXT)")
        rows = ((f"tenant-{number:06}", "active") for number in range(200_000))
        connection.executemany("INSERT INTO organization VALUES (?, ?)", rows)
    connection.close()
    return path


@pytest.mark.parametrize("number", range(6))
def test_it_ends_in_the_middle_of_a_long_read_of_sqlite(tmp_path: Path, long_file: Path, number: int) -> None:
    service = RunningService(
        tmp_path, {"TENANTRY_SOURCE_URL": f"sqlite:///{long_file}", "TENANTRY_SNAPSHOT_REFRESH": "50ms"}
    ).start(ready=False)
    time.sleep(random.Random(number).uniform(0, 1.5))

    assert ended(service) == 0
    assert "Traceback" not in service.log.read_text()


@pytest.fixture
def proxy(database: Database) -> Iterator[FaultProxy]:
    proxy = FaultProxy(database.server.port).start()
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("moment", ["in a read", "between two reads"])
def test_it_ends_while_the_database_is_silent(
    tmp_path: Path, database: Database, proxy: FaultProxy, moment: str
) -> None:
    if moment == "in a read":
        database.execute(SLOW_VIEW)
    service = RunningService(tmp_path, {"TENANTRY_SOURCE_URL": database.url(port=proxy.port)})
    service.start(ready=moment != "in a read")
    if moment == "in a read":
        fetching = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tenantry' AND query LIKE 'FETCH%'"
        eventually(lambda: database.execute(fetching) != [(0,)], what="The read")
    proxy.black_hole = True

    assert ended(service) == 0


def test_a_request_that_is_not_done_by_then_gets_a_message(serving: Serving, database: Database) -> None:
    service = serving({"TENANTRY_SOURCE_URL": database.url(), "TENANTRY_SERVER_SHUTDOWN_TIMEOUT": "300ms"})
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as line:
        line.sendall(
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n\r\n{{".encode()
        )
        assert service.ask(method="GET", path="/healthz", body=b"").status == 200  # it has seen the request by now
        assert ended(service) == 0
        answer = b"".join(iter(lambda: line.recv(65536), b""))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert "shutting down" in json.loads(body)["message"]


def test_what_never_ends_does_not_hold_up_the_end(tmp_path: Path) -> None:
    script = """
import asyncio
from tenantry import runtime

async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def service():
    asyncio.get_running_loop().create_task(stubborn())
    await asyncio.sleep(0)

runtime._LEAVING = 0.2
runtime.run(service())
"""
    process = start([sys.executable, "-c", script], tmp_path / "log", environment={"PYTHONPATH": str(ROOT / "src")})

    assert process.wait(IN_SECONDS) == 0


def test_it_hears_a_signal_before_it_serves(tmp_path: Path, database: Database) -> None:
    service = RunningService(tmp_path, {"TENANTRY_SOURCE_URL": database.url()})
    service.begin()
    hears = 1 << (signal.SIGTERM - 1)

    def caught() -> int:
        status = Path(f"/proc/{service.pid}/status").read_text()
        return int(status.partition("SigCgt:")[2].split()[0], 16) & hears

    eventually(caught, every=0.001, what="A handler of SIGTERM")
    assert "listening" not in service.log.read_text()

    assert ended(service) == 128 + signal.SIGTERM
