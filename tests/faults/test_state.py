"""The state database down, full, read-only or damaged: nothing leaves that nobody could remember."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.postgres import Database, PostgresServer
from tests.support.service import Reply, RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

NO_LIMIT = resource.RLIM_INFINITY


class Table:
    """A table of tenants in a file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tenants.db"
        self.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY, note TEXT)")
        for number in range(20):
            self.execute(f"INSERT INTO organization VALUES ('t{number:02}', '{'x' * 1000}')")

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TENANTRY_SOURCE_URL": f"sqlite:///{self.path}",
            "TENANTRY_GUARD_MODE": "hold",
            "TENANTRY_GUARD_SETTLE": "0s",
        }


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def ready(service: RunningService) -> Reply:
    return service.ask(path="/readyz", method="GET", body=b"")


def comes_back(service: RunningService, tenants: int) -> None:
    eventually(lambda: len(service.ask().tenants()) == tenants, what="The answer")


def is_published(service: RunningService, tenants: int) -> None:
    """Wait until the service has read so many tenants."""

    def published() -> bool:
        text = service.ask(path="/metrics", method="GET", body=b"").body.decode()
        return f"\ntenantry_tenants {tenants}.0\n" in text

    eventually(published, what="The read")


def test_on_a_full_disk_the_answer_before_goes_on_and_a_new_one_waits(serving: Serving, table: Table) -> None:
    service = serving(table.environment)
    before = service.ask()
    eventually(lambda: len(service.ask().tenants()) == 20)
    # As on a full disk, no file grows; and what is written to the log is small.
    largest = max(path.stat().st_size for path in service.data.iterdir())
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (largest, NO_LIMIT))

    table.execute("INSERT INTO organization VALUES ('new', 'x')")
    is_published(service, 21)
    during = [service.ask() for _ in range(3)]
    refused = service.ask(body=b'{"applicationSetName":"another","input":{}}')

    assert {(reply.status, reply.body) for reply in during} == {(200, before.body)}
    assert refused.status == 503
    assert "cannot be written to" in refused.json()["message"]
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (NO_LIMIT, NO_LIMIT))
    comes_back(service, 21)


def test_a_state_that_cannot_be_made_is_said_and_nothing_is_answered(serving: Serving, table: Table) -> None:
    service = serving({**table.environment, "TENANTRY_STATE_URL": "sqlite:////proc/tenantry-state.db"}, ready=False)

    reply = service.ask()

    assert reply.status == 503
    assert "state database" in reply.json()["message"]
    eventually(lambda: "cannot be written to" in ready(service).json()["message"])


def test_a_damaged_file_is_said_and_once_it_is_mended_the_service_goes_on(serving: Serving, table: Table) -> None:
    service = serving(table.environment)
    comes_back(service, 20)
    service.stop()
    (state,) = service.data.glob("*.db")
    whole = state.read_bytes()
    state.write_bytes(b"\xff" * len(whole))

    service.start(ready=False)
    eventually(lambda: "is damaged" in service.ask().json()["message"], what="The refusal")
    assert state.read_bytes() == b"\xff" * len(whole)

    state.write_bytes(whole)
    comes_back(service, 20)


def test_a_file_that_is_removed_while_the_service_runs_lets_nothing_new_leave(serving: Serving, table: Table) -> None:
    service = serving(table.environment)
    comes_back(service, 20)
    eventually(lambda: len(service.ask().tenants()) == 20)
    (state,) = service.data.glob("*.db")
    state.rename(state.with_suffix(".gone"))

    table.execute("DELETE FROM organization WHERE tenant = 't00'")
    is_published(service, 19)

    assert [len(service.ask().tenants()) for _ in range(5)] == [20] * 5


def test_a_second_service_on_one_file_ends_and_names_the_first(serving: Serving, table: Table) -> None:
    first = serving(table.environment)
    state = f"sqlite:///{first.data}/tenantry-state.db"

    second = RunningService(table.path.parent, {**table.environment, "TENANTRY_STATE_URL": state})
    second.begin()
    assert eventually(lambda: second.program.code, within=30) == 2

    assert f"(process {first.pid}) uses the state database" in second.log.read_text()


@pytest.fixture
def state(own_postgres: PostgresServer) -> Database:
    return own_postgres.create_database()


def test_without_a_shared_state_every_answer_is_503_until_it_is_back(
    serving: Serving, table: Table, state: Database, own_postgres: PostgresServer
) -> None:
    service = serving({**table.environment, "TENANTRY_STATE_URL": state.url()})
    comes_back(service, 20)

    own_postgres.stop()
    assert [service.ask().status for _ in range(3)] == [503] * 3
    assert ready(service).status == 503

    own_postgres.start()
    comes_back(service, 20)
    assert ready(service).status == 200


def test_a_shared_state_that_is_read_only_lets_nothing_new_leave(
    serving: Serving, table: Table, state: Database, own_postgres: PostgresServer
) -> None:
    service = serving({**table.environment, "TENANTRY_STATE_URL": state.url()})
    comes_back(service, 20)
    state.execute(f'ALTER DATABASE "{state.name}" SET default_transaction_read_only = on')
    state.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tenantry-state'")

    table.execute("INSERT INTO organization VALUES ('new', 'x')")
    is_published(service, 21)
    eventually(lambda: service.ask().status == 503, what="The refusal")

    own_postgres.execute(f'ALTER DATABASE "{state.name}" RESET ALL')
    state.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tenantry-state'")
    comes_back(service, 21)
