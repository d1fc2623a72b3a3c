"""What is SQLite's own: types by declaration, bytes in text, files that are not there."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from tenantry.adapters.database.source import Limits, open_source
from tenantry.core.errors import RefusedColumn, SourceError, SourceTooSlow
from tenantry.core.mapping import TableShape
from tenantry.core.snapshot import Snapshot
from tenantry.service.refreshing import read_snapshot
from tests.builders import answer_to, served, sets_of

pytestmark = pytest.mark.anyio


def make(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


async def read(path: Path, table: str = "organization", limits: Limits | None = None) -> Snapshot:
    source = open_source(f"sqlite:///{path}", table, "tenant", limits or Limits())
    try:
        return await read_snapshot(source, TableShape(table=table), None, 30)
    finally:
        await source.close()


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        ("BOOLEAN", "1", "true"),
        ("INTEGER", "9007199254740993", "9007199254740993"),
        ("REAL", "1", "1"),
        ("REAL", "1e20", "100000000000000000000"),
        ("NUMERIC", "1.5", "1.5"),
        ("DATETIME", "'2026-01-02 03:04:05'", "2026-01-02T03:04:05Z"),
        ("TIMESTAMP", "'2026-01-02T03:04:05+02:00'", "2026-01-02T01:04:05Z"),
        ("JSON", """'{"a": [1, {}]}'""", {"a": ["1", "{}"]}),
        ("TEXT", "NULL", ""),
        ("", "5", "5"),
    ],
)
async def test_a_value_has_the_text_that_its_declared_type_means(
    tmp_path: Path, declared: str, value: str, text: object
) -> None:
    path = tmp_path / "t.db"
    make(
        path,
        f"CREATE TABLE organization (tenant TEXT, v {declared})",
        f"INSERT INTO organization VALUES ('a', {value})",
    )

    assert sets_of(answer_to(await read(path)))[0]["v"] == text


async def test_bytes_that_are_not_text_quarantine_their_row_only(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make(
        path,
        "CREATE TABLE organization (tenant TEXT, status TEXT)",
        "INSERT INTO organization VALUES ('a', 'ok'), ('b', CAST(x'ff' AS TEXT)), ('c', x'ff'), ('d', 'ok')",
    )

    snapshot = await read(path)

    assert served(snapshot) == ["a", "d"]
    assert [row.tenant for row in snapshot.quarantined] == ["b", "c"]


async def test_a_column_of_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make(path, "CREATE TABLE organization (tenant TEXT, logo BLOB)")

    with pytest.raises(RefusedColumn, match="logo"):
        await read(path)


async def test_a_file_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "slip of the pen?.db"

    with pytest.raises(SourceError):
        await read(path)

    assert not path.exists()


async def test_a_path_with_odd_characters_is_found(tmp_path: Path) -> None:
    path = tmp_path / "100% & more.db"
    make(path, "CREATE TABLE organization (tenant TEXT)", "INSERT INTO organization VALUES ('a')")

    assert served(await read(path)) == ["a"]


async def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    path.write_text("this is not a database, however long it gets " * 100)

    with pytest.raises(SourceError):
        await read(path)


async def test_a_writer_that_holds_the_file_ends_the_read_in_time(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make(path, "CREATE TABLE organization (tenant TEXT)")
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")

    with pytest.raises(SourceTooSlow):
        await read(path, limits=Limits(lock=timedelta(milliseconds=100)))
    writer.close()


async def test_a_statement_without_end_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'a' AS tenant FROM n WHERE i < 0"
    make(path, f"CREATE VIEW organization AS {endless}")

    with pytest.raises(SourceTooSlow):
        await read(path, limits=Limits(statement=timedelta(milliseconds=200)))


async def test_it_is_opened_read_only(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    make(path, "CREATE TABLE organization (tenant TEXT)")
    path.chmod(0o444)

    assert served(await read(path)) == []
