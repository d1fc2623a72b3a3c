"""What the faults are made on: a server that may be stopped and killed, and a database on it behind a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scenarios import Bed
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
