"""What is PostgreSQL's own: text of every type, policies, positions, locks, hosts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest

from tenantry.adapters.database.source import Limits, open_source
from tenantry.adapters.database.urls import database_url
from tenantry.core.errors import (
    ConfigurationError,
    MissingTable,
    RefusedColumn,
    SourceDenied,
    SourceError,
    SourceLoginFailed,
    SourceTooSlow,
    SourceUnreachable,
)
from tenantry.core.mapping import TableShape
from tenantry.core.snapshot import Snapshot
from tenantry.service.refreshing import read_snapshot
from tests.builders import answer_to, served, sets_of
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PASSWORD, Database, PostgresServer
from tests.support.processes import free_port

pytestmark = pytest.mark.anyio


async def read(url: str, table: str = "organization", limits: Limits | None = None, **shape: object) -> Snapshot:
    source = open_source(url, table, "tenant", limits or Limits())
    try:
        return await read_snapshot(source, TableShape(table=table, **shape), None, 30)  # type: ignore[arg-type]
    finally:
        await source.close()


async def values_of(database: Database, kind: str, value: str) -> object:
    database.execute(f"CREATE TABLE one (tenant text, v {kind}); INSERT INTO one VALUES ('a', {value})")
    return sets_of(answer_to(await read(database.url(), "one")))[0]["v"]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("boolean", "true", "true"),
        ("bigint", "9007199254740993", "9007199254740993"),
        ("integer", "1234567", "1234567"),
        ("numeric(10,2)", "1.5", "1.50"),
        ("double precision", "1e20", "100000000000000000000"),
        ("double precision", "0.1", "0.1"),
        ("timestamptz", "'2026-01-02 03:04:05.5+02'", "2026-01-02T01:04:05.500000Z"),
        ("timestamp", "'2026-01-02 03:04:05'", "2026-01-02T03:04:05Z"),
        ("timestamptz", "'infinity'", "infinity"),
        ("date", "'2026-01-02'", "2026-01-02"),
        ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("text[]", "'{x,y}'", "{x,y}"),
        ("interval", "'1 day 2 hours'", "1 day 02:00:00"),
        ("jsonb", """'{"n": 1.50, "b": true}'""", {"n": "1.50", "b": "true"}),
        ("text", "NULL", ""),
    ],
    ids=lambda part: str(part)[:24],
)
async def test_a_value_of_any_type_has_one_text(database: Database, kind: str, value: str, text: object) -> None:
    database.execute("ALTER DATABASE " + database.name + " SET DateStyle = 'German'")
    database.execute("ALTER DATABASE " + database.name + " SET TimeZone = 'Asia/Tokyo'")

    assert await values_of(database, kind, value) == text


async def test_a_domain_is_what_it_is_made_of(database: Database) -> None:
    database.execute("CREATE DOMAIN settings AS jsonb")

    assert await values_of(database, "settings", """'{"a": 1}'""") == {"a": "1"}


@pytest.mark.parametrize(
    ("base", "value", "answered"),
    [
        ("jsonb", """'{"n": 1.50}'""", {"n": "1.50"}),
        ("double precision", "1e20", "100000000000000000000"),
        ("numeric(10,2)", "1.5", "1.50"),
        ("timestamptz", "'2026-01-02 03:04:05+02'", "2026-01-02T01:04:05Z"),
    ],
)
async def test_a_domain_over_a_domain_is_what_lies_below_all_of_them(
    database: Database, base: str, value: str, answered: object
) -> None:
    database.execute(f"CREATE DOMAIN one_level AS {base}")
    database.execute("CREATE DOMAIN two_levels AS one_level CHECK (VALUE IS NOT NULL)")
    database.execute("CREATE DOMAIN three_levels AS two_levels")

    assert await values_of(database, "three_levels", value) == answered


async def test_bytes_are_refused_through_any_number_of_domains(database: Database) -> None:
    database.execute("CREATE DOMAIN one_level AS bytea")
    database.execute("CREATE DOMAIN two_levels AS one_level")

    with pytest.raises(RefusedColumn, match="bytes"):
        await values_of(database, "two_levels", "'x'")


async def test_a_type_of_somebodys_own_is_text_whatever_its_name(database: Database) -> None:
    database.execute("CREATE SCHEMA mine; CREATE TYPE mine.numeric AS ENUM ('Gold')")

    assert await values_of(database, "mine.numeric", "'Gold'") == "Gold"


async def test_not_a_number_is_quarantined(database: Database) -> None:
    database.execute("CREATE TABLE one (tenant text, v float8); INSERT INTO one VALUES ('a', 'NaN'), ('b', 1)")

    snapshot = await read(database.url(), "one")

    assert [row.tenant for row in snapshot.quarantined] == ["a"]


async def test_bytes_in_a_database_without_an_encoding_are_quarantined_row_by_row(postgres: PostgresServer) -> None:
    postgres.execute("DROP DATABASE IF EXISTS ascii")
    postgres.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    database = Database(postgres, "ascii")
    database.execute("CREATE TABLE organization (tenant text, status text)")
    database.execute("INSERT INTO organization VALUES ('a', 'ok'), ('b', E'\\xff'), ('c', 'ok')")

    snapshot = await read(database.url())

    assert served(snapshot) == ["a", "c"]
    assert [row.tenant for row in snapshot.quarantined] == ["b"]


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
async def test_names_are_read_in_the_encoding_of_their_database(postgres: PostgresServer, encoding: str) -> None:
    name = f"of_{encoding.lower()}"
    postgres.execute(f"DROP DATABASE IF EXISTS {name}")
    postgres.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = Database(postgres, name).url()
    with psycopg.connect(url, autocommit=True, client_encoding="UTF8") as connection:
        connection.execute('CREATE TABLE organization (tenant text, "größe in %" text)')
        connection.execute("INSERT INTO organization VALUES ('acme', 'ü: 5%d')")

    snapshot = await read(url)

    assert sets_of(answer_to(snapshot)) == [{"größe in %": "ü: 5%d", "tenant": "acme"}]


async def test_a_view_a_schema_and_odd_names_are_tables_too(database: Database) -> None:
    database.execute('CREATE SCHEMA "Odd one"')
    database.execute("""CREATE VIEW "Odd one"."select" AS SELECT tenant, status AS "a ""b" FROM organization""")

    snapshot = await read(database.url(), "Odd one.select")

    assert snapshot.mapping.names == ('a "b', "tenant")
    assert len(snapshot.tenants) == 10


async def test_a_policy_that_would_hide_rows_is_an_error(database: Database) -> None:
    role, password = database.create_reader()
    database.execute("CREATE POLICY few ON organization USING (id < 3)")
    database.execute("ALTER TABLE organization ENABLE ROW LEVEL SECURITY")

    with pytest.raises(SourceDenied):
        await read(database.url(role, password))


async def test_a_role_that_may_only_select_is_enough(database: Database) -> None:
    assert len((await read(database.url(*database.create_reader()))).tenants) == 10


async def test_the_transaction_is_read_only(database: Database) -> None:
    database.execute(
        "CREATE FUNCTION sneak() RETURNS text LANGUAGE sql AS $$ DELETE FROM organization RETURNING 'x' $$"
    )
    database.execute("CREATE VIEW sneaky AS SELECT 'a' AS tenant, sneak() AS status")

    with pytest.raises(SourceError):
        await read(database.url(), "sneaky")

    assert len(database.execute("SELECT 1 FROM organization")) == 10


async def test_a_lock_ends_the_read_in_time(database: Database) -> None:
    with database.server.connect(database.name) as blocker:
        blocker.execute("BEGIN; LOCK TABLE organization IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceTooSlow):
            await read(database.url(), limits=Limits(lock=timedelta(milliseconds=100)))


async def test_a_statement_ends_in_time(database: Database) -> None:
    database.execute("CREATE VIEW slow AS SELECT o.* FROM organization o, pg_sleep(5)")

    with pytest.raises(SourceTooSlow):
        await read(database.url(), "slow", Limits(statement=timedelta(milliseconds=100)))


async def test_what_fails_is_told_apart(database: Database) -> None:
    with pytest.raises(SourceLoginFailed):
        await read(database.url(password="wrong"))
    with pytest.raises(SourceUnreachable):
        await read(database.url(port=free_port()))
    with pytest.raises(MissingTable):
        await read(database.url(), "nothing")
    role, password = database.create_reader()
    database.execute(f"REVOKE SELECT ON organization FROM {role}")
    with pytest.raises(SourceDenied):
        await read(database.url(role, password))


async def test_no_error_holds_the_password_or_a_row(database: Database) -> None:
    database.execute("CREATE VIEW odd AS SELECT tenant, (tenant::int)::text AS status FROM organization")

    with pytest.raises(SourceError) as failed:
        await read(database.url(), "odd")

    assert "acme" not in failed.value.message
    assert PASSWORD not in str(failed.value)


async def test_of_several_hosts_the_one_that_runs_is_read(database: Database) -> None:
    login = database.url().partition("@")[0]
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{database.server.port}"
    url = f"{login}@{hosts}/{database.name}?target_session_attrs=read-write"

    assert len((await read(url)).tenants) == 10


async def test_tls_settings_reach_libpq(database: Database) -> None:
    with pytest.raises(SourceUnreachable):
        await read(f"{database.url()}?sslmode=require")


async def test_the_position_names_the_source_and_grows(database: Database) -> None:
    first = (await read(database.url())).position
    database.execute("INSERT INTO organization (tenant, status) SELECT 't' || n, 'x' FROM generate_series(1, 1000) n")
    second = (await read(database.url())).position

    assert second.source == first.source
    assert second.source.endswith(f"/{database.name}/public.organization")
    assert second.lsn > first.lsn > 0


async def test_a_table_that_was_swapped_is_the_same_source_and_another_database_is_not(
    database: Database, postgres: PostgresServer
) -> None:
    first = (await read(database.url())).position
    database.execute("CREATE TABLE fresh (LIKE organization); INSERT INTO fresh SELECT * FROM organization")
    database.execute("ALTER TABLE organization RENAME TO old; ALTER TABLE fresh RENAME TO organization")

    assert (await read(database.url())).position.went_back_from(first) == ""
    assert "another database" in (await read(postgres.create_database().url())).position.went_back_from(first)


FILLED_ANEW = "TRUNCATE organization; INSERT INTO organization SELECT n, 't' || n, 'x' FROM generate_series(1, 12) n"
FUNCTION = """
CREATE FUNCTION every_tenant() RETURNS TABLE (tenant text, status text) LANGUAGE sql STABLE SET work_mem = '8MB'
AS 'SELECT tenant::text, status::text FROM organization';
CREATE VIEW above_a_function AS SELECT tenant, status FROM every_tenant()
"""
"""With a setting of its own a function is never inlined: its table is locked only when it runs."""
REWRITTEN = "ALTER TABLE organization ALTER COLUMN id TYPE bigint"


@pytest.mark.parametrize(
    ("table", "change"),
    [
        pytest.param("organization", FILLED_ANEW, id="truncated and filled"),
        pytest.param("above", FILLED_ANEW, id="truncated and filled below a view"),
        pytest.param("above_a_function", FILLED_ANEW, id="truncated and filled below a function"),
        pytest.param("organization", REWRITTEN, id="rewritten"),
    ],
)
async def test_a_table_that_is_made_anew_during_a_read_is_never_seen_empty(
    database: Database, table: str, change: str
) -> None:
    if table == "above":
        database.execute("CREATE VIEW above AS SELECT tenant, status FROM organization")
    if table == "above_a_function":
        database.execute(FUNCTION)
    source = open_source(database.url(), table, "tenant", Limits())

    async with source.read() as reading:
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            database.execute(f"SET lock_timeout = '200ms'; BEGIN; {change}; COMMIT")
        rows = [row async for some in reading.rows(["tenant"]) for row in some]
    await source.close()

    assert len(rows) == 10


async def test_a_role_that_may_read_some_columns_only_is_enough_for_them(database: Database) -> None:
    role, password = database.create_reader()
    database.execute(
        f"REVOKE SELECT ON organization FROM {role}; GRANT SELECT (tenant, status) ON organization TO {role}"
    )

    assert len((await read(database.url(role, password), parameters=("tenant", "status"))).tenants) == 10


async def test_a_table_of_the_same_name_in_an_earlier_schema_is_another_source(database: Database) -> None:
    database.execute("CREATE SCHEMA sooner")
    database.execute(f"ALTER DATABASE {database.name} SET search_path = sooner, public")
    first = (await read(database.url())).position
    database.execute("CREATE TABLE sooner.organization (LIKE public.organization)")

    assert "another database or table" in (await read(database.url())).position.went_back_from(first)


async def test_a_pooler_in_transaction_mode_serves_many_reads_on_one_source(
    database: Database, pgbouncer: Callable[[Database], PgBouncer]
) -> None:
    pooler = pgbouncer(database)
    source = open_source(database.url(port=pooler.port), "organization", "tenant", Limits())
    try:
        for _ in range(25):
            assert len((await read_snapshot(source, TableShape(), None, 30)).tenants) == 10
    finally:
        await source.close()


async def test_a_temporary_table_that_a_pooler_left_in_a_session_is_never_the_source(
    database: Database, pgbouncer: Callable[[Database], PgBouncer]
) -> None:
    pooler = pgbouncer(database)
    with psycopg.connect(database.url(port=pooler.port), autocommit=True, prepare_threshold=None) as other:
        other.execute("CREATE TEMPORARY TABLE organization (id int, tenant text, status text)")

    with pytest.raises(MissingTable):
        await read(database.url(port=pooler.port))


async def test_the_position_is_not_beyond_the_rows(database: Database) -> None:
    source = open_source(database.url(), "organization", "tenant", Limits())
    async with source.read() as reading:
        (here,) = database.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        database.execute("INSERT INTO organization (tenant, status) VALUES ('new', 'active')")
        rows = [row async for some in reading.rows(["tenant"]) for row in some]
    await source.close()

    assert len(rows) == 11, "what is committed after the position may be among the rows, never the other way round"
    assert reading.position.lsn <= int(str(here[0]))


@pytest.mark.parametrize(
    ("written", "hosts"),
    [
        ("postgresql://u:p@h1:5432,h2:5433/db", ("h1:5432", "h2:5433")),
        ("postgres://h1,h2/db?target_session_attrs=any", ("h1", "h2")),
        ("postgresql://u@[::1]:5432,[::2]:5433/db", ("[::1]:5432", "[::2]:5433")),
    ],
)
def test_several_hosts_are_written_as_libpq_has_them(written: str, hosts: tuple[str, ...]) -> None:
    url = database_url(written)

    assert url.query["host"] == hosts
    assert url.database == "db"


@pytest.mark.parametrize(
    "written", ["nonsense", "oracle://x/y", "sqlite://", "sqlite:///:memory:", "postgresql://h:port/x"]
)
def test_what_is_no_database_is_refused_without_repeating_it(written: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        database_url(written)

    assert "source.url" in refused.value.message


async def test_a_table_of_the_same_name_that_appears_during_a_read_is_not_read_instead(database: Database) -> None:
    database.execute("CREATE SCHEMA sooner")
    database.execute(f"ALTER DATABASE {database.name} SET search_path = sooner, public")
    source = open_source(database.url(), "organization", "tenant", Limits())

    async with source.read() as reading:
        database.execute("CREATE TABLE sooner.organization (LIKE public.organization)")
        rows = [row async for some in reading.rows(["tenant"]) for row in some]
    await source.close()

    assert len(rows) == 10


@pytest.mark.parametrize(
    "written",
    [
        "postgresql://u:se,cr/et@127.0.0.1:5432/db",
        "postgresql://u:secret@127.0.0.1:port/db",
        "postgresql://u:secret@127.0.0.1:99999/db",
        "postgresql://u:secret@h1,h2/db?port=6543,6544",
        "postgresql://u:secret@h1:1,h2:x/db",
    ],
)
async def test_a_host_or_port_that_cannot_be_used_is_told_without_a_word_of_the_url(written: str) -> None:
    with pytest.raises((ConfigurationError, SourceError)) as refused:
        await read(written)

    told = f"{refused.value} {refused.value!r}"
    assert not any(part in told for part in ("secret", "se,cr", "cr/et", "99999", "6543"))
