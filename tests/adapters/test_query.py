"""A query in the place of a table, on real databases."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.adapters.database.query import checked_query
from tenantry.adapters.database.source import Limits, open_source
from tenantry.core.columns import Kind
from tenantry.core.errors import ConfigurationError, MissingColumn, MissingTable, RefusedColumn, SourceError
from tenantry.core.fields import FieldShape
from tenantry.core.mapping import TableShape
from tenantry.core.snapshot import Snapshot
from tenantry.service.refreshing import read_snapshot
from tests.builders import answer_to, sets_of
from tests.support.mariadb import MariaDatabase
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

TABLES = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, slug VARCHAR(50), plan_id INTEGER, settings JSON, note VARCHAR(50));
CREATE TABLE plan (id INTEGER PRIMARY KEY, name VARCHAR(20));
INSERT INTO plan VALUES (1, 'pro'), (2, 'free');
INSERT INTO customer VALUES
    (1, 'zeta', 1, '{"tier": "gold"}', '12:30 100%'), (2, 'Beta', 2, '{}', 'a:b'), (3, 'acme', 1, NULL, NULL);
"""
JOIN = """
SELECT c.slug AS tenant, p.name AS plan, c.settings, c.note  -- who, and what they pay
FROM customer c JOIN plan p ON p.id = c.plan_id
WHERE p.name <> ':nobody' AND (c.note IS NULL OR c.note LIKE '%' OR c.note = '%(x)s ? $1 \\:y');  -- the end"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        database: Database = request.getfixturevalue("database")
        database.execute(TABLES)
        return database.url()
    path = tmp_path / "tenants.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES)
    return f"sqlite:///{path}"


async def snapshot_of(url: str, query: str, previous: Snapshot | None = None, **shape: object) -> Snapshot:
    source = open_source(url, "", "tenant", Limits(), query=query)
    try:
        return await read_snapshot(source, TableShape(table="", **shape), previous, 30)  # type: ignore[arg-type]
    finally:
        await source.close()


async def test_a_join_with_its_comments_colons_and_percent_signs_is_read_in_order_of_id(url: str) -> None:
    snapshot = await snapshot_of(url, JOIN)

    assert sets_of(answer_to(snapshot)) == [
        {"note": "a:b", "plan": "free", "settings": {"tier": ""}, "tenant": "Beta"},
        {"note": "", "plan": "pro", "settings": {"tier": ""}, "tenant": "acme"},
        {"note": "12:30 100%", "plan": "pro", "settings": {"tier": "gold"}, "tenant": "zeta"},
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("WITH paying AS (SELECT slug, plan_id FROM customer WHERE plan_id = 1) SELECT slug AS tenant FROM paying",
         ["acme", "zeta"]),
        ("SELECT slug AS tenant FROM customer WHERE id = 1 UNION ALL SELECT name AS tenant FROM plan",
         ["free", "pro", "zeta"]),
        ("SELECT c.slug AS tenant FROM customer c WHERE c.id = (SELECT max(id) FROM customer LIMIT 1)", ["acme"]),
        ('SELECT "slug" AS "tenant", 1 AS "odd name: %" FROM "customer" ORDER BY id', ["Beta", "acme", "zeta"]),
        ("SELECT customer.*, slug AS tenant FROM customer", ["Beta", "acme", "zeta"]),
    ],
)  # fmt: skip
async def test_queries_of_all_shapes_are_read(url: str, query: str, found: list[str]) -> None:
    assert list((await snapshot_of(url, query)).tenants) == found


async def test_values_are_the_same_as_those_of_the_table(url: str) -> None:
    source = open_source(url, "customer", "slug", Limits())
    try:
        table = await read_snapshot(source, TableShape(table="customer", id="slug"), None, 30)
    finally:
        await source.close()
    source = open_source(url, "", "slug", Limits(), query="SELECT * FROM customer")
    try:
        query = await read_snapshot(source, TableShape(table="", id="slug"), None, 30)
    finally:
        await source.close()

    assert query.mapping.columns == table.mapping.columns
    assert answer_to(query).body == answer_to(table).body


async def test_every_type_of_postgresql_is_read_as_from_a_table(database: Database) -> None:
    database.execute(
        """
        CREATE DOMAIN price AS numeric(9, 2); CREATE DOMAIN tag AS price; CREATE TYPE mood AS ENUM ('ok');
        CREATE TABLE typed (
            slug text, b boolean, i bigint, n numeric, f float8, g real, d date, t timestamp, z timestamptz, u uuid,
            j json, k jsonb, p price, q tag, m mood, l text[], v interval, c char(5)
        );
        INSERT INTO typed VALUES (
            'acme', true, 9007199254740993, 1.50, 1e20, 0.1, '2026-01-02', '2026-01-02 03:04:05',
            '2026-01-02 03:04:05+02',
            '6F9619FF-8B86-D011-B42D-00C04FC964FF', '{"a": 1.50}', '{"b": [true]}', 5, 7.5, 'ok', '{a,b}', '1 day', 'ab'
        )
        """
    )
    answers = []
    for table, query in (("typed", None), ("", "SELECT * FROM typed")):
        source = open_source(database.url(), table, "slug", Limits(), query=query)
        snapshot = await read_snapshot(source, TableShape(table=table, id="slug"), None, 30)
        await source.close()
        answers.append((snapshot.mapping.columns, answer_to(snapshot).body))

    assert answers[0] == answers[1]


CUT = "source.query has a LIMIT or OFFSET: each new tenant would take another one out. For a part of them take a shard."
TWICE = "source.query has two columns called 'a': give one another name by AS."
PARAMETER = "source.query has a parameter: there is nobody to give it a value."


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "source.query holds 0 statements: give one SELECT."),
        ("SELECT 1 AS a; SELECT 2 AS b", "source.query holds 2 statements: give one SELECT."),
        ("DELETE FROM customer", "source.query is no SELECT: tenantry only reads."),
        ("EXPLAIN SELECT 1", "source.query is no SELECT: tenantry only reads."),
        ("WITH x AS (DELETE FROM customer RETURNING *) SELECT * FROM x", "source.query writes: tenantry only reads."),
        (
            "WITH x AS (INSERT INTO customer VALUES (9) RETURNING *) SELECT * FROM x",
            "source.query writes: tenantry only reads.",
        ),
        (
            "WITH x AS (UPDATE customer SET id = 1 RETURNING *) SELECT * FROM x",
            "source.query writes: tenantry only reads.",
        ),
        (
            "WITH x AS (MERGE INTO customer USING plan ON true WHEN MATCHED THEN DELETE RETURNING *) SELECT * FROM x",
            "source.query writes: tenantry only reads.",
        ),
        ("SELECT slug AS tenant INTO copy FROM customer", "source.query has INTO: tenantry only reads."),
        ("SELECT slug FROM customer FOR UPDATE", "source.query locks rows (FOR UPDATE, FOR SHARE): leave that out."),
        ("SELECT slug FROM customer WHERE id = $1", PARAMETER),
        ("SELECT slug FROM customer WHERE id = :id", PARAMETER),
        (
            "SELECT slug FROM customer ORDER BY id LIMIT 5",
            CUT,
        ),
        (
            "(SELECT slug FROM customer OFFSET 5)",
            CUT,
        ),
        ("SELECT slug FROM customer FETCH FIRST 5 ROWS ONLY", CUT),
        ("SELECT slug FROM customer UNION ALL SELECT name FROM plan LIMIT 5", CUT),
        ("(SELECT slug FROM customer) LIMIT 5", CUT),
        ("((SELECT slug FROM customer LIMIT 5))", CUT),
        ("((SELECT slug FROM customer) LIMIT 5)", CUT),
        ("(SELECT slug FROM customer LIMIT 5) OFFSET 3", CUT),
        ("SELECT slug FROM customer TABLESAMPLE SYSTEM (5)", ("source.query takes a sample: each read would be another "
         "one.")),
        ("SELECT nextval('s') AS n, slug FROM customer", "source.query calls nextval, which does more than read."),
        ("SELECT NEXTVAL('s') AS n", "source.query calls nextval, which does more than read."),
        ("SELECT pg_advisory_lock(1) AS n", "source.query calls pg_advisory_lock, which does more than read."),
        ("SELECT slug, lower(slug) FROM customer", "source.query gives no name to its column 2: add AS and one."),
        ('SELECT slug AS "" FROM customer', "source.query gives no name to its column 1: add AS and one."),
        ("SELECT slug AS a, id AS a FROM customer", TWICE),
    ],
)  # fmt: skip
def test_what_is_more_than_one_plain_select_is_refused(query: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_source("postgresql://h/d", "", "tenant", Limits(), query=query)

    assert refused.value.problems == (told,)


@pytest.mark.parametrize("parameter", ["?", "@mine", "@@hostname", ":mine"])
def test_the_parameters_and_variables_of_mysql_are_refused_too(parameter: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        checked_query(f"SELECT slug AS tenant, {parameter} AS x FROM customer", "mysql")

    assert refused.value.problems == (PARAMETER,)


@pytest.mark.parametrize("end", [";", " ;\n;", ";; -- the end", "; /* ; */ ;"])
def test_semicolons_at_the_end_are_left_out(end: str) -> None:
    text = checked_query(f"SELECT ';' AS tenant{end}", "postgres").text

    assert text.startswith("SELECT ';' AS tenant")
    assert ";" not in text.replace("';'", "").replace("/* ; */", "")


def test_a_query_too_deep_to_look_at_is_left_to_the_database() -> None:
    text = f"SELECT {'(' * 3000}1{')' * 3000} AS tenant"

    assert "could not be checked here" in checked_query(text, "postgres").notes[0]


def test_no_text_of_a_query_gets_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigurationError):
        checked_query("EXPLAIN SELECT 'secret'", "postgres")

    assert "secret" not in caplog.text


def test_what_changes_by_itself_is_noted() -> None:
    query = "SELECT slug AS tenant FROM customer WHERE until > now()"

    (note,) = open_source("postgresql://h/d", "", "tenant", Limits(), query=query).notes

    assert note.startswith("source.query calls current_timestamp: who is served then changes with the clock")


async def test_a_text_that_is_not_understood_here_is_left_to_the_database(url: str) -> None:
    query = "SELECT slug AS tenant FROM customer WHERE ((("
    source = open_source(url, "", "tenant", Limits(), query=query)

    assert "could not be checked here" in source.notes[0]
    with pytest.raises(SourceError):
        await snapshot_of(url, query)


async def test_columns_that_are_called_alike_behind_a_star_are_refused(url: str) -> None:
    with pytest.raises(RefusedColumn) as refused:
        await snapshot_of(url, "SELECT c.*, p.*, c.slug AS tenant FROM customer c JOIN plan p ON p.id = c.plan_id")

    assert refused.value.what == "source.query gives two columns called 'id'."


async def test_what_is_missing_is_told(url: str) -> None:
    with pytest.raises(MissingTable):
        await snapshot_of(url, "SELECT slug AS tenant FROM gone")
    with pytest.raises(MissingColumn):
        await snapshot_of(url, "SELECT gone AS tenant FROM customer")
    with pytest.raises(MissingColumn, match=r"Column 'tenant' of source\.query does not exist\. Known: slug\."):
        await snapshot_of(url, "SELECT slug FROM customer")


async def test_a_column_that_the_query_no_longer_gives_is_told_as_that(url: str) -> None:
    before = await snapshot_of(url, "SELECT slug AS tenant, note FROM customer")

    with pytest.raises(SourceError):
        await snapshot_of(url, "SELECT slug AS tenant FROM customer", before)


async def test_a_function_that_writes_is_stopped_by_the_transaction(database: Database) -> None:
    database.execute(TABLES)
    database.execute(
        """CREATE FUNCTION purge() RETURNS integer LANGUAGE sql AS
        'WITH gone AS (DELETE FROM customer RETURNING 1) SELECT count(*)::integer FROM gone'"""
    )

    with pytest.raises(SourceError):
        await snapshot_of(database.url(), "SELECT slug AS tenant, purge() AS purged FROM customer")

    assert database.execute("SELECT count(*) FROM customer") == [(3,)]


async def test_a_policy_on_a_joined_table_fails_the_read(database: Database) -> None:
    database.execute(TABLES)
    database.execute(
        """
        CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT SELECT ON customer, plan TO reader;
        ALTER TABLE plan ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON plan USING (id = 1)
        """
    )
    try:
        with pytest.raises(SourceError):
            await snapshot_of(database.url("reader", "x"), JOIN)
    finally:
        database.execute("DROP OWNED BY reader; DROP ROLE reader")


async def test_a_temporary_table_of_the_same_session_does_not_stand_in_for_the_real_one(database: Database) -> None:
    """Through a pooler the next one gets the session with what the one before left in it."""
    database.execute(TABLES)
    source = open_source(database.url(), "", "tenant", Limits(), query="SELECT slug AS tenant FROM customer")
    async with source.read() as reading:
        await reading._connection.rollback()
        await reading._connection.execution_options(postgresql_readonly=False)
        await reading._connection.exec_driver_sql("CREATE TEMP TABLE customer (slug text)")
        await reading._connection.commit()

    snapshot = await read_snapshot(source, TableShape(table=""), None, 30)
    await source.close()

    assert len(snapshot.tenants) == 3


@pytest.mark.parametrize("table", ["customer", "plan"])
async def test_every_table_of_the_query_is_held_while_it_is_read(database: Database, table: str) -> None:
    """A snapshot from before the lock would show a truncated table as empty."""
    database.execute(TABLES)
    source = open_source(database.url(), "", "tenant", Limits(), query=JOIN)

    async with source.read() as reading:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            database.execute(f"SET lock_timeout = '100ms'; TRUNCATE {table}")
        rows = [row async for rows in reading.rows(["tenant"]) for row in rows]
    await source.close()

    assert len(rows) == 3


async def test_a_join_is_read_from_mariadb(maria: MariaDatabase) -> None:
    maria.execute(
        """
        CREATE TABLE customer (id int PRIMARY KEY, slug varchar(50), plan_id int, settings json, paid tinyint(1),
            seats decimal(9, 2), since datetime, logo blob);
        CREATE TABLE plan (id int PRIMARY KEY, name varchar(20));
        INSERT INTO plan VALUES (1, 'pro'), (2, 'free');
        INSERT INTO customer VALUES (1, 'zeta', 1, '{"tier": "gold"}', 1, 1.50, '2026-01-02 03:04:05', 'x'),
            (2, 'Beta', 2, '{}', 0, 2, NULL, NULL)
        """
    )
    query = """SELECT c.slug AS tenant, p.name AS plan, c.settings, c.paid, c.seats, c.since
        FROM customer c JOIN plan p ON p.id = c.plan_id WHERE p.name LIKE '%' AND p.name <> ':x'; -- all"""
    shapes = (FieldShape("settings", kind=Kind.JSON),)

    snapshot = await snapshot_of(maria.url(), query, fields=shapes)

    assert sets_of(answer_to(snapshot)) == [
        {"paid": "false", "plan": "free", "seats": "2.00", "settings": {"tier": ""}, "since": "", "tenant": "Beta"},
        {
            "paid": "true",
            "plan": "pro",
            "seats": "1.50",
            "settings": {"tier": "gold"},
            "since": "2026-01-02T03:04:05Z",
            "tenant": "zeta",
        },
    ]
    with pytest.raises(RefusedColumn, match="holds bytes"):
        await snapshot_of(maria.url(), "SELECT slug AS tenant, logo FROM customer")


def test_another_query_is_another_source_and_white_space_makes_none() -> None:
    names = [
        checked_query(text, "postgres").name for text in ("SELECT a FROM b", "SELECT  a\nFROM b;", "SELECT a FROM c")
    ]

    assert names[0] == names[1] != names[2]


TEXTS = st.lists(
    st.sampled_from(
        [
            "SELECT",
            "a",
            "AS",
            "FROM",
            "t",
            ";",
            "--x\n",
            "/*",
            "*/",
            "'",
            '"',
            "(",
            ")",
            ",",
            "DELETE",
            "WITH",
            "$1",
            "::",
        ]
    )
).map(" ".join) | st.text(max_size=30)


@pytest.mark.parametrize("dialect", ["postgres", "sqlite", "mysql"])
@given(text=TEXTS)
def test_any_text_is_a_query_or_refused_and_nothing_follows_it(text: str, dialect: str) -> None:
    try:
        query = checked_query(text, dialect)
    except ConfigurationError:
        return
    if not query.notes:
        assert not query.text.endswith(";")


def test_both_a_table_and_a_query_are_a_contradiction(tmp_path: Path) -> None:
    from tenantry.config.loading import load

    environ = {"TENANTRY_SOURCE_TABLE": "t", "TENANTRY_SOURCE_QUERY": "SELECT a FROM b"}
    with pytest.raises(ConfigurationError) as refused:
        load(None, environ, {})

    assert refused.value.problems == (
        "environment TENANTRY_SOURCE_QUERY: source.query takes the place of source.table: give one of them.",
    )
