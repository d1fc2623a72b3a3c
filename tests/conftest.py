"""Fixtures of the whole suite."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.mariadb import MariaDatabase, MariaServer
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Database, PostgresServer
from tests.support.service import RunningService


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session")
def readable_folder() -> Iterator[Path]:
    """Return a folder that another user can reach, since PostgreSQL refuses to run as root.

    Not one of pytest's own: each run of pytest closes those to others again.
    """
    folder = Path(tempfile.mkdtemp(prefix="tenantry-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(readable_folder: Path) -> Iterator[PostgresServer]:
    """Run one server for all tests, with the tutorial's database as template."""
    server = PostgresServer(readable_folder / "shared")
    server.start()
    server.make_template()
    yield server
    server.stop()


@pytest.fixture
def database(postgres: PostgresServer) -> Database:
    """Return a fresh database with the tutorial's table."""
    return postgres.create_database()


@pytest.fixture
def own_postgres(readable_folder: Path, request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Run a server for one test, to stop, kill and starve."""
    server = PostgresServer(readable_folder / f"own-{abs(hash(request.node.nodeid))}", max_connections=12)
    server.start()
    server.make_template()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb(readable_folder: Path) -> Iterator[MariaServer]:
    """Run one MariaDB for all tests, with TLS."""
    server = MariaServer(readable_folder / "mariadb", tls=True)
    server.start()
    yield server
    server.close()


@pytest.fixture
def maria(mariadb: MariaServer) -> MariaDatabase:
    """Return a fresh database of MariaDB with the tutorial's table."""
    return mariadb.create_database()


@pytest.fixture
def own_mariadb(readable_folder: Path, request: pytest.FixtureRequest) -> Iterator[MariaServer]:
    """Run a MariaDB for one test, to stop and to start."""
    server = MariaServer(readable_folder / f"maria-{abs(hash(request.node.nodeid))}")
    server.start()
    yield server
    server.close()


@pytest.fixture
def pgbouncer(readable_folder: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., PgBouncer]]:
    """Return a way to put a pooler in front of a database."""
    running: list[PgBouncer] = []

    def put_before(database: Database, logins: dict[str, str] | None = None, port: int = 0) -> PgBouncer:
        folder = readable_folder / f"pgbouncer-{abs(hash(request.node.nodeid))}-{len(running)}"
        pooler = PgBouncer(folder, database, logins, port)
        pooler.start()
        running.append(pooler)
        return pooler

    yield put_before
    for pooler in running:
        pooler.stop()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., RunningService]]:
    """Return a way to start a service that ends with the test."""
    running: list[RunningService] = []

    def begin(environment: dict[str, str], *, ready: bool = True, **how: object) -> RunningService:
        service = RunningService(tmp_path, environment, **how)  # type: ignore[arg-type]
        running.append(service)
        return service.start(ready=ready)

    yield begin
    for service in running:
        service.stop()
