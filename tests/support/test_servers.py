"""The servers of the tests are real, fresh for each test, and end for sure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Database, PostgresServer
from tests.support.processes import end, start
from tests.support.service import RIVAL, ROOT, RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]
TENANTS = [
    "acme-corp",
    "beta-solutions",
    "gamma-industries",
    "delta-technologies",
    "echo-innovations",
    "foxtrot-consulting",
    "global-tech",
    "horizon-enterprises",
    "innova-systems",
    "jupiter-networks",
]


def tenants(database: Database) -> list[object]:
    return [tenant for (tenant,) in database.execute("SELECT tenant FROM organization ORDER BY id")]


# --- PostgreSQL ------------------------------------------------------------------------------------------------


def test_a_fresh_database_has_the_ten_tenants(database: Database) -> None:
    assert tenants(database) == TENANTS


def test_what_one_test_changes_no_other_sees(postgres: PostgresServer, database: Database) -> None:
    database.execute("DELETE FROM organization")

    assert tenants(postgres.create_database()) == TENANTS


def test_a_wrong_password_is_refused(database: Database) -> None:
    role, _ = database.create_reader()

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.url(role, "wrong"))


def test_a_server_keeps_its_data_whether_it_is_stopped_or_killed(own_postgres: PostgresServer) -> None:
    database = own_postgres.create_database()

    own_postgres.stop()
    with pytest.raises(psycopg.OperationalError):
        database.execute("SELECT 1")
    own_postgres.start()
    own_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        database.execute("SELECT 1")
    own_postgres.start()

    assert tenants(database) == TENANTS


# --- PgBouncer -------------------------------------------------------------------------------------------------


def test_a_pooler_shares_few_back_ends_among_many_clients(
    database: Database, pgbouncer: Callable[..., PgBouncer]
) -> None:
    url = database.url(port=pgbouncer(database).port)

    clients = [psycopg.connect(url, autocommit=True, prepare_threshold=None) for _ in range(10)]
    back_ends = {client.execute("SELECT pg_backend_pid()").fetchone() for client in clients}
    for client in clients:
        client.close()

    assert 1 <= len(back_ends) <= 3


# --- the rival -------------------------------------------------------------------------------------------------


def test_the_rival_answers_the_ten_tenants(database: Database, serving: Serving) -> None:
    rival = serving(database.tutorial_environment(), command=RIVAL)

    reply = rival.ask()

    assert reply.status == 200
    assert reply.tenants() == TENANTS
    assert {tuple(item) for item in reply.json()["output"]["parameters"]} == {("tenant", "status")}


def test_the_rival_has_the_flaws_it_is_there_for(own_postgres: PostgresServer, serving: Serving) -> None:
    rival = serving(own_postgres.create_database().tutorial_environment(), command=RIVAL)

    assert rival.ask({"status": "active"}).tenants() == TENANTS
    assert rival.ask(body=b"{").tenants() == TENANTS
    assert rival.ask(token="another").status == 403
    own_postgres.stop()
    stopped = rival.ask()

    assert (stopped.status, stopped.json()) == (200, {"output": {"parameters": []}})


# --- ends ------------------------------------------------------------------------------------------------------

IGNORES_THE_REQUEST = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
STARTS_ANOTHER = """
import signal, sys
from pathlib import Path
from tests.support.processes import start
print(start([sys.executable, "-c", "import signal; signal.pause()"], Path(sys.argv[1])).pid, flush=True)
signal.pause()
"""


def test_a_process_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    stubborn = start([sys.executable, "-c", IGNORES_THE_REQUEST], tmp_path / "log")
    eventually((tmp_path / "log").read_bytes)

    assert end(stubborn, within=0.2) == -signal.SIGKILL


def test_a_process_ends_even_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS_ANOTHER, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())

        parent.kill()

    eventually(lambda: not runs(child))


def runs(pid: int) -> bool:
    """Tell whether a process is there and not just waiting to be buried."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_waiting_in_vain_says_for_what_and_what_came_last() -> None:
    with pytest.raises(AssertionError, match=r"Godot did not come within 0\.1 s; last: 0"):
        eventually(lambda: 0, within=0.1, what="Godot")
