"""A database with a table of tenants, read for real and answered for real; only the clock is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenantry.adapters.database.source import DatabaseSource, Limits, open_source
from tenantry.core.mapping import TableShape
from tenantry.service.refreshing import Refresher
from tests.support.mariadb import MariaDatabase, MariaServer
from tests.support.postgres import Database
from tests.web.harness import ALL, Door, ask, door


@dataclass
class Bed:
    """A door whose snapshots come from a database."""

    door: Door
    source: DatabaseSource
    refresher: Refresher

    async def refresh(self) -> None:
        await self.refresher.refresh()

    async def items(self, body: bytes = ALL) -> list[dict[str, Any]]:
        """Return the parameter sets of an answer."""
        items: list[dict[str, Any]] = (await ask(self.door, body)).json["output"]["parameters"]
        return items

    async def message(self) -> str:
        reply = await ask(self.door)
        assert reply.status == 503
        return reply.message


async def bed(url: str, *, max_stale: float = 3600, **shape: Any) -> Bed:  # noqa: ANN401 -- the fields of TableShape
    """Return a door before a database, after its first read."""
    here = door(empty=True, max_stale=max_stale)
    table = TableShape(**shape)
    source = open_source(url, table.table, table.id, Limits())
    refresher = Refresher(source, table, here.snapshots, here.seen, here.clock, every=3600, within=30)
    made = Bed(here, source, refresher)
    await made.refresh()
    return made


@dataclass(frozen=True)
class SQLiteFile:
    """A file of SQLite."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def execute(self, statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(statements)


@dataclass(frozen=True)
class MariaDBBed:
    """A database of MariaDB, in the words in which those tests speak that run on each server."""

    database: MariaDatabase

    @property
    def server(self) -> MariaServer:
        return self.database.server

    def execute(self, statements: str) -> list[tuple[object, ...]]:
        return self.database.execute(statements)

    def tutorial_environment(self) -> dict[str, str]:
        """Return what makes a service read what the tutorial's variables do."""
        return {"TENANTRY_SOURCE_URL": self.database.url(), "TENANTRY_SOURCE_PARAMETERS": "tenant,status"}

    def url(self) -> str:
        return self.database.url(scheme="mariadb")


ServerBed = Database | MariaDBBed
"""A database on a server: its own words are in the dictionaries below."""


@contextmanager
def locked(database: ServerBed, table: str = "organization") -> Iterator[None]:
    """Hold a lock that no read gets past."""
    if isinstance(database, MariaDBBed):
        with database.database.connect() as session:
            session.execute(f"LOCK TABLES {table} WRITE")
            yield
        return
    with database.server.connect(database.name) as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def waits_for_a_lock(database: ServerBed) -> bool:
    """Tell whether a read waits for that lock."""
    if isinstance(database, MariaDBBed):
        waiting = (
            "SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE LIKE 'Waiting for table%'"
        )
        return bool(database.execute(waiting))
    return bool(database.execute("SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"))
