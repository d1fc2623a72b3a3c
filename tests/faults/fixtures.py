"""What the faults are made on: a server that may be stopped and killed, and a database on it behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.mariadb import MariaBed
from tests.faults.scenarios import Bed
from tests.support.mariadb import MariaServer
from tests.support.postgres import PostgresServer
from tests.support.proxy import FaultProxy


@pytest.fixture(scope="session")
def victim(readable_folder: Path) -> Iterator[PostgresServer]:
    """Run a server with few connections, which faults may stop and kill."""
    server = PostgresServer(readable_folder / "victim", max_connections=12)
    server.start()
    server.make_template()
    yield server
    server.stop()


@pytest.fixture
def bed(victim: PostgresServer) -> Iterator[Bed]:
    """Return a fresh database behind a proxy, and a role that may only read it."""
    if not victim.running:
        victim.start()
    database = victim.create_database()
    made = Bed(victim, database, FaultProxy(victim.port).start(), *database.create_reader())
    yield made
    made.release()
    made.proxy.stop()


@pytest.fixture(scope="session")
def mariadb_victim(readable_folder: Path) -> Iterator[MariaServer]:
    """Run a MariaDB which faults may stop and kill."""
    server = MariaServer(readable_folder / "mariadb-victim")
    server.start()
    yield server
    server.close()


@pytest.fixture
def bed_of_mariadb(mariadb_victim: MariaServer) -> Iterator[MariaBed]:
    """Return a fresh database of MariaDB behind a proxy, and a user that may only read it."""
    if not mariadb_victim.running:
        mariadb_victim.start()
    database = mariadb_victim.create_database()
    made = MariaBed(mariadb_victim, database, FaultProxy(mariadb_victim.port).start(), *database.create_reader())
    yield made
    made.release()
    made.proxy.stop()
