"""What is MySQL's and MariaDB's own: text of every type, settings of the server, metadata locks, privileges, names."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from asyncmy.errors import OperationalError
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.mysql import dialect
from sqlalchemy.exc import DBAPIError

from tenantry.adapters.database.mysql import MySQL, _ShortFloat
from tenantry.adapters.database.source import DatabaseReading, DatabaseSource, Limits, open_source
from tenantry.core.errors import (
    MissingColumn,
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
from tenantry.core.tenant import Row
from tenantry.service.refreshing import read_snapshot
from tests.builders import answer_to, served, sets_of
from tests.support.mariadb import PASSWORD, MariaDatabase, MariaServer
from tests.support.processes import free_port

pytestmark = pytest.mark.anyio

ONE_SECOND = timedelta(seconds=1)
LONG = timedelta(minutes=5)


async def read(url: str, table: str = "organization", limits: Limits | None = None, **shape: object) -> Snapshot:
    source = open_source(url, table, "tenant", limits or Limits())
    try:
        return await read_snapshot(source, TableShape(table=table, **shape), None, 30)  # type: ignore[arg-type]
    finally:
        await source.close()


async def values_of(maria: MariaDatabase, kind: str, value: str) -> object:
    """Return the answered value of a column, as a user sees it that may only read."""
    reader = maria.create_reader()
    maria.execute(f"CREATE TABLE one (tenant varchar(9), v {kind}); INSERT INTO one VALUES ('a', {value})")
    maria.execute(f"GRANT SELECT ON one TO {reader[0]}@'127.0.0.1'")
    return sets_of(answer_to(await read(maria.url(*reader), "one")))[0]["v"]


# --- text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("boolean", "true", "true"),
        ("tinyint(1)", "0", "false"),
        ("tinyint(1)", "2", "2"),
        ("tinyint(4)", "1", "1"),
        ("tinyint(1) unsigned", "1", "1"),
        ("bit(1)", "b'1'", "true"),
        ("bit(64)", "b'1111111111111111111111111111111111111111111111111111111111111111'", "18446744073709551615"),
        ("bigint unsigned", "18446744073709551615", "18446744073709551615"),
        ("bigint", "-9223372036854775808", "-9223372036854775808"),
        ("int(6) zerofill", "42", "000042"),
        ("decimal(10,2)", "1.5", "1.50"),
        ("decimal(65,30)", "1e-30", "0." + "0" * 29 + "1"),
        ("double", "1e20", "100000000000000000000"),
        ("double", "0.1", "0.1"),
        ("double", "0.1e0 + 0.2e0", "0.30000000000000004"),
        ("float", "0.1", "0.1"),
        ("float", "16777215", "16777215"),
        ("float", "1e20", "100000000000000000000"),
        ("float", "NULL", ""),
        ("datetime", "'2026-01-02 03:04:05'", "2026-01-02T03:04:05Z"),
        ("datetime(6)", "'2026-01-02 03:04:05.5'", "2026-01-02T03:04:05.500000Z"),
        ("timestamp", "from_unixtime(1767323045)", "2026-01-02T03:04:05Z"),
        ("date", "'2026-01-02'", "2026-01-02"),
        ("time(1)", "'-30:04:05.5'", "-30:04:05.5"),
        ("year", "2026", "2026"),
        ("enum('Gold','Silver')", "'Gold'", "Gold"),
        ("set('x','y')", "'y,x'", "x,y"),
        ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("inet6", "'2001:DB8::1'", "2001:db8::1"),
        ("json", """'{"n": 1.50, "b": true}'""", {"n": "1.50", "b": "true"}),
        ("char(9)", "'a b  '", "a b"),
        ("varchar(9)", "'a b  '", "a b  "),
        ("varchar(9) character set latin1", "'ä€'", "ä€"),
        ("varchar(9) character set utf16", "'ä€😀'", "ä€😀"),
        ("longtext", "repeat('x', 30000)", "x" * 30000),
        ("text", "NULL", ""),
    ],
    ids=lambda part: str(part)[:24],
)
async def test_a_value_of_any_type_has_one_text(maria: MariaDatabase, kind: str, value: str, text: object) -> None:
    assert await values_of(maria, kind, value) == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_short_float_has_the_shortest_text_that_names_it(number: float) -> None:
    text = _ShortFloat().process_result_value(repr(number), dialect())

    assert text is not None
    assert struct.pack("f", float(text)) == struct.pack("f", number)
    digits = len(text.partition("e")[0].lstrip("-0.").replace(".", "").strip("0"))
    assert digits <= 6 or struct.pack("f", float(f"{number:.{digits - 2}e}")) != struct.pack("f", number)


@pytest.mark.parametrize("kind", ["blob", "varbinary(9)", "binary(3)", "point"])
async def test_bytes_are_refused(maria: MariaDatabase, kind: str) -> None:
    with pytest.raises(RefusedColumn, match="bytes"):
        await values_of(maria, kind, "NULL")


async def test_text_that_only_looks_like_a_declaration_of_json_is_text(maria: MariaDatabase) -> None:
    kind = "longtext COMMENT ' CHECK (json_valid(`v`))', w longtext CHECK (json_valid(w) OR w = ''), x int"

    assert await values_of(maria, kind, """'{"a": 1}', '{}', 1""") == '{"a": 1}'


async def test_ids_that_are_numbers_or_end_in_spaces_are_in_the_order_of_their_bytes(maria: MariaDatabase) -> None:
    maria.execute("CREATE TABLE one (tenant varchar(9)); INSERT INTO one VALUES ('a'), ('a '), ('a\t'), ('B'), ('a!')")
    maria.execute("CREATE TABLE two (tenant bigint); INSERT INTO two VALUES (9), (10), (-1), (100)")

    assert await in_order(maria, "one") == ["B", "a", "a\t", "a ", "a!"]
    assert await in_order(maria, "two") == ["-1", "10", "100", "9"]


async def in_order(maria: MariaDatabase, table: str) -> list[object]:
    source = open_source(maria.url(), table, "tenant", Limits())
    async with source.read() as reading:
        rows = await all_of(reading)
    await source.close()
    return [row[0] for row in rows]


HOSTILE = {
    "sql_select_limit": "3",
    "sql_mode": "'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
    "time_zone": "'+09:00'",
    "group_concat_max_len": "4",
    "sql_quote_show_create": "0",
    "sql_auto_is_null": "1",
    "tx_isolation": "'READ-UNCOMMITTED'",
    "max_statement_time": "0.001",
}


@pytest.fixture
def hostile(mariadb: MariaServer) -> Iterator[None]:
    """Let the server give each new session the worst of settings."""
    before = {name: mariadb.execute(f"SELECT @@global.{name}")[0][0] for name in HOSTILE}
    mariadb.execute("".join(f"SET GLOBAL {name} = {value};" for name, value in HOSTILE.items()))
    yield
    restored = {name: f"'{value}'" if isinstance(value, str) else str(value) for name, value in before.items()}
    mariadb.execute("SET SESSION max_statement_time = 0")
    with mariadb.connect() as session:
        session.execute("SET SESSION max_statement_time = 0")
        session.execute("".join(f"SET GLOBAL {name} = {value};" for name, value in restored.items()))


async def test_no_setting_of_the_server_shapes_an_answer(maria: MariaDatabase, hostile: None) -> None:
    with maria.connect() as session:
        session.execute("SET SESSION max_statement_time = 0, time_zone = '+00:00', sql_mode = ''")
        session.execute("CREATE TABLE one (tenant char(9), at timestamp, settings json)")
        moment = "'2026-01-02 03:04:05'"
        session.execute(f"""INSERT INTO one VALUES ('a', {moment}, '{{"x": 1}}'), ('it''s', {moment}, NULL)""")
        session.execute("INSERT INTO one (tenant, at) VALUES ('c', NULL), ('d', NULL), ('e', NULL)")
        session.execute(
            "CREATE VIEW above AS SELECT tenant, at,"
            " (SELECT GROUP_CONCAT(o.tenant ORDER BY 1 SEPARATOR '') FROM organization o) AS all_of_them FROM one"
        )

    with maria.connect() as unfinished:
        unfinished.execute("SET SESSION max_statement_time = 0; BEGIN; INSERT INTO one (tenant) VALUES ('z')")
        table, view = await read(maria.url(), "one"), await read(maria.url(), "above")

    assert served(table) == served(view) == ["a", "c", "d", "e", "it's"]
    assert sets_of(answer_to(table))[0] == {"tenant": "a", "at": "2026-01-02T03:04:05Z", "settings": {"x": "1"}}
    assert len(str(sets_of(answer_to(view))[0]["all_of_them"])) > 100


# --- tables and columns ----------------------------------------------------------------------------------------


async def test_a_view_another_schema_and_odd_names_are_tables_too(maria: MariaDatabase, mariadb: MariaServer) -> None:
    other = mariadb.create_database()
    other.execute(
        "CREATE TABLE `o%d:d ``one` (tenant varchar(9), `a ``:b%` json); INSERT INTO `o%d:d ``one` VALUES ('a', '[1]')"
    )
    maria.execute("CREATE VIEW `select` AS SELECT tenant, status FROM organization")

    snapshot = await read(maria.url(), f"{other.name}.o%d:d `one")

    assert sets_of(answer_to(snapshot)) == [{"tenant": "a", "a `:b%": ["1"]}]
    assert len((await read(maria.url(), "select")).tenants) == 10


async def test_generated_and_invisible_columns_are_columns(maria: MariaDatabase) -> None:
    maria.execute(
        "ALTER TABLE organization ADD upper_id varchar(9) AS (upper(left(tenant, 4))) STORED,"
        " ADD hidden int INVISIBLE DEFAULT 7"
    )

    first = sets_of(answer_to(await read(maria.url())))[0]

    assert first == {"hidden": "7", "id": "1", "status": "active", "tenant": "acme-corp", "upper_id": "ACME"}


async def test_names_are_compared_as_they_are_written(maria: MariaDatabase) -> None:
    maria.execute("CREATE TABLE Organization (tenant varchar(9)); INSERT INTO Organization VALUES ('a')")

    with pytest.raises(MissingColumn, match="Did you mean 'status'"):
        await read(maria.url(), parameters=("tenant", "Status"))
    with pytest.raises(MissingTable):
        await read(maria.url(), "ORGANIZATION")
    with pytest.raises(MissingTable, match=r"there is 'information_schema\.ENGINES'"):
        await read(maria.url(), "information_schema.engines")
    assert served(await read(maria.url(), "Organization")) == ["a"]


async def test_a_user_that_may_only_select_is_enough(maria: MariaDatabase) -> None:
    assert len((await read(maria.url(*maria.create_reader(), scheme="mariadb"))).tenants) == 10


async def test_a_column_that_the_user_may_not_read_is_never_left_out_in_silence(maria: MariaDatabase) -> None:
    user, password = maria.create_reader()
    maria.execute(f"REVOKE SELECT ON organization FROM {user}@'127.0.0.1'")
    maria.execute(f"GRANT SELECT (id, tenant) ON organization TO {user}@'127.0.0.1'")

    with pytest.raises(SourceDenied):
        await read(maria.url(user, password))


async def test_a_temporary_table_of_another_session_is_never_the_source(maria: MariaDatabase) -> None:
    with maria.connect() as other:
        other.execute("CREATE TEMPORARY TABLE passing (tenant varchar(9))")

        with pytest.raises(MissingTable):
            await read(maria.url(), "passing")


async def test_the_transaction_is_read_only(maria: MariaDatabase) -> None:
    maria.execute(
        "CREATE FUNCTION sneak() RETURNS int BEGIN DELETE FROM organization; RETURN 1; END;"
        "CREATE VIEW sneaky AS SELECT 'a' AS tenant, sneak() AS status"
    )

    with pytest.raises(SourceError):
        await read(maria.url(), "sneaky")

    assert len(maria.execute("SELECT 1 FROM organization")) == 10


async def test_a_text_of_two_statements_is_an_error(maria: MariaDatabase) -> None:
    source = open_source(maria.url(), "organization", "tenant", Limits())

    async with source.read() as reading:
        with pytest.raises(DBAPIError):
            await reading._connection.exec_driver_sql("COMMIT; DELETE FROM organization")
    await source.close()

    assert len(maria.execute("SELECT 1 FROM organization")) == 10


# --- locks and time --------------------------------------------------------------------------------------------


async def test_a_lock_ends_the_read_in_time(maria: MariaDatabase) -> None:
    with maria.connect() as blocker:
        blocker.execute("LOCK TABLES organization WRITE")

        with pytest.raises(SourceTooSlow, match="longer than it may"):
            await read(maria.url(), limits=Limits(lock=timedelta(milliseconds=100), statement=LONG))


async def test_a_statement_ends_in_time_on_the_server_too(maria: MariaDatabase) -> None:
    maria.execute("CREATE VIEW slow AS SELECT o.* FROM organization o WHERE SLEEP(5) = 0")

    with pytest.raises(SourceTooSlow, match="longer than it may"):
        await read(maria.url(), "slow", Limits(statement=timedelta(milliseconds=100)))

    assert running(maria) == 0


def running(maria: MariaDatabase) -> int:
    """Count the statements that read the tenants' database."""
    own = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND COMMAND = 'Query'"
    return int(str(maria.execute(f"{own} AND ID <> CONNECTION_ID()")[0][0]))


async def test_a_transaction_whose_client_fell_silent_ends_and_lets_an_alter_table_through(
    maria: MariaDatabase,
) -> None:
    source = open_source(maria.url(), "organization", "tenant", Limits(read=ONE_SECOND))

    async def read_late() -> None:
        async with source.read() as reading:
            maria.execute("SET lock_wait_timeout = 20; ALTER TABLE organization ADD since int")
            await all_of(reading)

    with pytest.raises(SourceUnreachable):
        await read_late()
    await source.close()


async def all_of(reading: DatabaseReading, *columns: str) -> list[Row]:
    return [row async for some in reading.rows(columns or ["tenant"]) for row in some]


FILLED_ANEW = "TRUNCATE organization; INSERT INTO organization (tenant, status) SELECT seq, 'x' FROM seq_1_to_12"
SWAPPED = (
    "CREATE TABLE fresh LIKE organization; RENAME TABLE organization TO old, fresh TO organization; DROP TABLE old"
)
FUNCTION = """
CREATE FUNCTION state_of(wanted varchar(99) CHARACTER SET utf8mb4) RETURNS varchar(50) READS SQL DATA
    RETURN (SELECT status FROM organization WHERE tenant = wanted);
CREATE TABLE names AS SELECT tenant FROM organization;
CREATE VIEW above_a_function AS SELECT tenant, state_of(tenant) AS status FROM names
"""


@pytest.mark.parametrize("table", ["organization", "above", "above_a_function"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(FILLED_ANEW, id="truncated and filled"),
        pytest.param("ALTER TABLE organization MODIFY id int, DROP PRIMARY KEY", id="rewritten"),
        pytest.param(SWAPPED, id="swapped"),
    ],
)
async def test_a_table_that_is_made_anew_during_a_read_is_never_seen_empty(
    maria: MariaDatabase, table: str, change: str
) -> None:
    if table == "above":
        maria.execute("CREATE VIEW above AS SELECT tenant, status FROM organization")
    if table == "above_a_function":
        maria.execute(FUNCTION)
    source = open_source(maria.url(), table, "tenant", Limits())

    async with source.read() as reading:
        with contextlib.suppress(OperationalError):
            maria.execute(f"SET lock_wait_timeout = 0; {change}")
        rows = await all_of(reading, "tenant", "status")
    await source.close()

    assert len([state for _, state in rows if state]) == 10


async def test_all_slices_are_of_one_moment(maria: MariaDatabase) -> None:
    maria.execute("INSERT INTO organization (tenant, status) SELECT seq, 'x' FROM seq_1_to_5000")
    source = open_source(maria.url(), "organization", "tenant", Limits())

    async with source.read() as reading:
        rows: list[Row] = []
        async for some in reading.rows(["status"]):
            maria.execute("UPDATE organization SET status = 'y' WHERE status = 'x' LIMIT 500")
            rows += some
    await source.close()

    assert len(rows) == 5010
    assert ("y",) not in rows


async def test_what_a_function_below_a_view_reads_is_of_that_moment_too(maria: MariaDatabase) -> None:
    maria.execute(
        "CREATE FUNCTION state_of(wanted int) RETURNS varchar(50) READS SQL DATA"
        " RETURN (SELECT status FROM organization WHERE id = wanted AND SLEEP(0.05) = 0);"
        "CREATE TABLE numbers AS SELECT id AS tenant FROM organization;"
        "CREATE VIEW above AS SELECT tenant, state_of(tenant) AS status FROM numbers"
    )
    source = open_source(maria.url(), "above", "tenant", Limits())

    async with source.read() as reading:
        rows = asyncio.create_task(all_of(reading, "tenant", "status"))
        while running(maria) == 0:
            await asyncio.sleep(0.01)
        maria.execute("UPDATE organization SET status = 'new'")
        states = {state for _, state in await rows}
    await source.close()

    assert "new" not in states


async def test_rows_that_nobody_takes_yet_stay_on_the_server(maria: MariaDatabase) -> None:
    maria.execute("ALTER TABLE organization MODIFY status text")
    maria.execute("INSERT INTO organization (tenant, status) SELECT seq, repeat('x', 1000) FROM seq_1_to_20000")
    source = open_source(maria.url(), "organization", "tenant", Limits())
    largest = 0

    async with source.read() as reading:
        async for _ in reading.rows(["tenant", "status"]):
            for _ in range(20):
                await asyncio.sleep(0)
            largest = max(largest, received(source))
    await source.close()

    assert 0 < largest < 1_000_000, "of twenty million bytes"


def received(source: DatabaseSource) -> int:
    """Return the size of the buffer of rows that came."""
    assert isinstance(source._database, MySQL)
    return len(source._database._line._proto.buffer)  # type: ignore[union-attr]


# --- failures --------------------------------------------------------------------------------------------------


async def test_what_fails_is_told_apart(maria: MariaDatabase) -> None:
    user, password = maria.create_reader()
    login = maria.url().rpartition("/")[0]
    maria.execute("CREATE TABLE base (tenant int); CREATE VIEW broken AS SELECT tenant FROM base; DROP TABLE base")

    with pytest.raises(SourceLoginFailed):
        await read(maria.url(password="wrong"))
    with pytest.raises(SourceUnreachable):
        await read(maria.url(port=free_port()))
    with pytest.raises(SourceUnreachable):
        await read(f"{login}/nothing")
    with pytest.raises(MissingTable, match="Table 'nothing' does not exist"):
        await read(maria.url(), "nothing")
    with pytest.raises(MissingTable):
        await read(login, "organization")
    with pytest.raises(MissingTable, match="The view of tenants refers to"):
        await read(maria.url(), "broken")
    maria.execute(
        f"REVOKE SELECT ON organization FROM {user}@'127.0.0.1'; GRANT SELECT ON broken TO {user}@'127.0.0.1'"
    )
    with pytest.raises(SourceDenied):
        await read(maria.url(user, password))


async def test_a_server_that_takes_no_more_connections_is_not_reachable(maria: MariaDatabase) -> None:
    user, password = maria.create_reader()
    maria.execute(f"ALTER USER {user}@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")

    with maria.server.connect(maria.name, user, password), pytest.raises(SourceUnreachable):
        await read(maria.url(user, password))


async def test_a_read_whose_connection_is_killed_fails_and_the_next_one_succeeds(
    maria: MariaDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    maria.execute("INSERT INTO organization (tenant, status) SELECT seq, repeat('x', 50) FROM seq_1_to_50000")
    source = open_source(maria.url(), "organization", "tenant", Limits())

    async def killed() -> None:
        async with source.read() as reading:
            slices = reading.rows(["tenant", "status"])
            await anext(slices)
            maria.execute(f"KILL {thread_of(source)}")
            async for _ in slices:
                pass

    with pytest.raises(SourceUnreachable):
        await killed()
    again = await read_snapshot(source, TableShape(), None, 30)
    await source.close()

    assert len(again.tenants) == 50010
    assert caplog.messages == []


def thread_of(source: DatabaseSource) -> int:
    assert isinstance(source._database, MySQL)
    assert source._database._line is not None
    return source._database._line.thread_id()


async def test_no_error_holds_the_password_or_a_row(maria: MariaDatabase) -> None:
    maria.execute("CREATE VIEW odd AS SELECT tenant, (SELECT tenant FROM organization) AS status FROM organization")

    for url, table in ((maria.url(), "odd"), (maria.url(password=PASSWORD + "x"), "organization")):
        with pytest.raises(SourceError) as failed:
            await read(url, table)
        assert "acme" not in failed.value.message
        assert "pass word" not in str(failed.value)


async def test_what_the_server_warns_of_is_not_logged(maria: MariaDatabase, caplog: pytest.LogCaptureFixture) -> None:
    # Each statement that names a function of this name gets a note: the server has one, too.
    maria.execute(
        "CREATE FUNCTION slow(given varchar(255)) RETURNS varchar(255) RETURN given;"
        "CREATE VIEW odd AS SELECT slow(tenant) AS tenant FROM organization"
    )
    caplog.clear()

    await read(maria.url(), "odd")

    assert caplog.messages == []


def test_without_the_driver_the_way_to_install_it_is_told() -> None:
    hidden = (
        "import sys; sys.modules['asyncmy'] = None\n"
        "from tenantry.adapters.database.source import Limits, open_source\n"
        "open_source('mysql://h/d', 't', 'i', Limits())"
    )

    ended = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)

    assert "ConfigurationError" in ended.stderr
    assert "pip install 'tenantry[mysql]'" in ended.stderr


def test_a_process_ends_although_a_connection_was_left_open(maria: MariaDatabase, tmp_path: Path) -> None:
    leaving = (
        "import asyncio, sys\nfrom tenantry.adapters.database.source import Limits, open_source\n"
        "async def main():\n"
        "    async with open_source(sys.argv[1], 'organization', 'tenant', Limits()).read() as reading:\n"
        "        print(len([row async for rows in reading.rows(['tenant']) for row in rows]))\n"
        "asyncio.run(main())"
    )

    ended = subprocess.run(
        [sys.executable, "-c", leaving, maria.url()], capture_output=True, text=True, timeout=30, check=False
    )

    assert (ended.returncode, ended.stdout) == (0, "10\n")


# --- position --------------------------------------------------------------------------------------------------


async def test_the_position_names_the_source_and_grows(maria: MariaDatabase) -> None:
    first = (await read(maria.url())).position
    maria.execute("INSERT INTO organization (tenant, status) SELECT seq, 'x' FROM seq_1_to_1000")
    second = (await read(maria.url())).position

    assert second.source == first.source
    assert second.source.endswith(f"/{maria.name}.organization")
    assert second.lsn > first.lsn > 0
    assert not first.standby


async def test_the_position_is_not_beyond_the_rows(maria: MariaDatabase) -> None:
    source = open_source(maria.url(), "organization", "tenant", Limits())
    async with source.read() as reading:
        maria.execute("INSERT INTO organization (tenant, status) VALUES ('new', 'active')")
        rows = await all_of(reading)
    await source.close()

    assert len(rows) == 11, "what is committed after the position may be among the rows, never the other way round"


async def test_a_table_that_was_swapped_is_the_same_source_and_another_database_is_not(
    maria: MariaDatabase, mariadb: MariaServer
) -> None:
    first = (await read(maria.url())).position
    maria.execute(SWAPPED)

    assert (await read(maria.url())).position.went_back_from(first) == ""
    assert "another database" in (await read(mariadb.create_database().url())).position.went_back_from(first)


async def test_a_server_that_is_read_only_is_taken_for_a_standby(maria: MariaDatabase, mariadb: MariaServer) -> None:
    mariadb.execute("SET GLOBAL read_only = 1")
    try:
        position = (await read(maria.url())).position
    finally:
        mariadb.execute("SET GLOBAL read_only = 0")

    assert position.standby
