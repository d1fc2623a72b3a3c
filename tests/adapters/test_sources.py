"""The contract of a source of tenants, on the fake and on each database."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenantry.adapters.database.source import Limits, open_source
from tenantry.core.columns import Kind
from tenantry.core.errors import MissingTable, SourceError
from tenantry.core.tenant import Row
from tenantry.service.ports import TenantSource
from tests.builders import TUTORIAL_COLUMNS
from tests.fakes import FakeSource, rows_of
from tests.support.mariadb import MariaDatabase
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

PAIRS = [("b", "trial"), ("a", "active"), ("Ä", "x"), ("Z", "y")]


@dataclass
class Table:
    """A table with `id, tenant, status`, behind one kind of source."""

    source: TenantSource
    absent: TenantSource
    add: Callable[[str, str], None]


def on_fake() -> Table:
    source = FakeSource(rows_of(*PAIRS), TUTORIAL_COLUMNS)
    return Table(
        source,
        FakeSource([], broken=MissingTable()),
        lambda tenant, status: source.rows.extend(rows_of((tenant, status))),
    )


def on_sqlite(folder: Path) -> Table:
    path = folder / "tenants.db"

    def execute(statement: str, *values: str) -> None:
        connection = sqlite3.connect(path)
        with connection:
            connection.execute(statement, values)
        connection.close()

    def add(tenant: str, status: str) -> None:
        execute("INSERT INTO organization (tenant, status) VALUES (?, ?)", tenant, status)

    execute("CREATE TABLE organization (id INTEGER PRIMARY KEY, tenant TEXT, status TEXT)")
    for pair in PAIRS:
        add(*pair)
    url = f"sqlite:///{path}"
    return Table(
        open_source(url, "organization", "tenant", Limits()), open_source(url, "gone", "tenant", Limits()), add
    )


def on_server(database: Database | MariaDatabase) -> Table:
    def add(tenant: str, status: str) -> None:
        database.execute(f"INSERT INTO organization (tenant, status) VALUES ('{tenant}', '{status}')")

    database.execute("DELETE FROM organization")
    for pair in PAIRS:
        add(*pair)
    url = database.url()
    return Table(
        open_source(url, "organization", "tenant", Limits()), open_source(url, "gone", "tenant", Limits()), add
    )


@pytest.fixture(params=["fake", "sqlite", "postgresql", "mariadb"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Table:
    match request.param:
        case "fake":
            return on_fake()
        case "sqlite":
            return on_sqlite(tmp_path)
        case "mariadb":
            return on_server(request.getfixturevalue("maria"))
    return on_server(request.getfixturevalue("database"))


async def all_rows(source: TenantSource, *columns: str) -> list[Row]:
    async with source.read() as reading:
        return [row async for rows in reading.rows(columns) for row in rows]


async def closing(source: TenantSource, work: Awaitable[object]) -> object:
    try:
        return await work
    finally:
        await source.close()


async def test_every_row_comes_in_order_of_the_ids_bytes(table: Table) -> None:
    rows = await closing(table.source, all_rows(table.source, "tenant", "status"))

    assert rows == [("Z", "y"), ("a", "active"), ("b", "trial"), ("Ä", "x")]


async def test_columns_are_known_whether_they_are_served_or_not(table: Table) -> None:
    async with table.source.read() as reading:
        columns = list(reading.columns)
    await table.source.close()

    assert columns == list(TUTORIAL_COLUMNS)
    assert {column.kind for column in columns} == {Kind.TEXT}


async def test_a_later_read_sees_what_was_committed_and_continues_the_position(table: Table) -> None:
    async with table.source.read() as reading:
        before = reading.position
    table.add("kilo", "new")

    async with table.source.read() as reading:
        rows = [row async for some in reading.rows(["tenant"]) for row in some]
        after = reading.position
    await table.source.close()

    assert ("kilo",) in rows
    assert after.went_back_from(before) == ""


async def test_a_table_that_does_not_exist_is_an_error(table: Table) -> None:
    with pytest.raises(MissingTable):
        await closing(table.absent, all_rows(table.absent, "tenant"))
    await table.source.close()


async def test_a_column_that_does_not_exist_is_an_error(table: Table, request: pytest.FixtureRequest) -> None:
    if "fake" in request.node.name:
        pytest.skip("the fake gives NULL; the mapping has refused such columns before any row is read")
    with pytest.raises(SourceError):
        await closing(table.source, all_rows(table.source, "tenant", "gone"))
