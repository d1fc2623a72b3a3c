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


@contextmanager
def locked(database: Any, table: str = "organization") -> Iterator[None]:  # noqa: ANN401 -- of PostgreSQL's bed
    """Hold a lock that no read gets past."""
    with database.server.connect(database.name) as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
