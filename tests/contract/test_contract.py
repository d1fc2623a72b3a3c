"""The acceptance cases of the plugin contract, each with its number; databases, files and sockets are real."""

from __future__ import annotations

import gzip
import json
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tenantry.config.settings import ServerSettings
from tenantry.core.errors import SourceDenied, SourceTooSlow, SourceUnreachable, TenantryError
from tenantry.runtime import EmbeddedServer
from tenantry.web.asgi import Receive, Scope, Send
from tenantry.web.plugin import PATH
from tests.builders import snapshot_of, tenants
from tests.contract.bed import MariaDBBed, ServerBed, SQLiteFile, bed, locked, waits_for_a_lock
from tests.contract.cases import case
from tests.fakes import FakeSource, rows_of
from tests.support.mariadb import MariaServer
from tests.support.postgres import Database, PostgresServer
from tests.support.service import RunningService
from tests.support.waiting import eventually
from tests.web import harness
from tests.web.harness import door, request

Serving = Callable[..., RunningService]

LAST = "Connection: close\r\n"
"""Asks the server to close after its response, so that nothing that follows is missed."""


@pytest.fixture
def file(tmp_path: Path) -> SQLiteFile:
    """Return a database with the tutorial's table and two tenants."""
    made = SQLiteFile(tmp_path / "tenants.db")
    made.execute(
        "CREATE TABLE organization (tenant TEXT, status TEXT);"
        "INSERT INTO organization VALUES ('acme', 'active'), ('beta', 'trial')"
    )
    return made


@pytest.fixture(params=["database", "maria"], ids=["postgresql", "mariadb"])
def served_by(request: pytest.FixtureRequest) -> ServerBed:
    """Return a fresh database of each server with the tutorial's table."""
    found = request.getfixturevalue(request.param)
    return found if isinstance(found, Database) else MariaDBBed(found)


@pytest.fixture(params=["postgresql", "mariadb"])
def mortal(request: pytest.FixtureRequest) -> ServerBed:
    """Return such a database on a server that may be stopped."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("own_postgres")
        return server.create_database()
    own: MariaServer = request.getfixturevalue("own_mariadb")
    return MariaDBBed(own.create_database())


def table(file: SQLiteFile, columns: str, *rows: str) -> str:
    """Replace the table by another one; returns the URL."""
    values = "".join(f"INSERT INTO organization VALUES ({row});" for row in rows)
    file.execute(f"DROP TABLE organization; CREATE TABLE organization ({columns}); {values}")
    return file.url


# --- A. wire and auth ------------------------------------------------------------------------------------------


@case(1)
@pytest.mark.anyio
async def test_a_body_without_parameters_gets_every_tenant() -> None:
    async with harness.serving(door().app) as server, server.client() as client:
        assert len((await client.ask(b'{"applicationSetName":"a","input":{}}\n')).tenants) == 10


@case(2)
@pytest.mark.anyio
async def test_a_base_url_that_ends_in_two_slashes_is_refused_and_never_redirected() -> None:
    async with harness.serving(door().app) as server, server.client() as client:
        reply = await client.ask(path="/" + PATH)

    assert reply.status == 404
    assert "baseUrl" in reply.message


@case(3)
@pytest.mark.anyio
async def test_a_get_as_after_a_followed_redirect_is_refused() -> None:
    async with harness.serving(door().app) as server, server.client() as client:
        reply = await client.ask(b"", method="GET")

    assert reply.status == 405
    assert "redirect" in reply.message


@case(4)
@pytest.mark.anyio
async def test_without_authorization_not_a_byte_of_a_tenant_is_sent() -> None:
    async with harness.serving(door().app) as server, server.client() as client:
        await client.send(request(token=None, extra=LAST))
        everything = await client.rest()

    assert everything.startswith(b"HTTP/1.1 401 ")
    assert b"tenant-" not in everything


@case(5)
def test_an_unresolved_secret_reference_is_named_in_answer_and_log_without_any_token(
    file: SQLiteFile, serving: Serving
) -> None:
    service = serving({"TENANTRY_SOURCE_URL": file.url})

    replies = [service.ask(token=token) for token in ("$plugin.tenants.token", "mistaken")]

    assert [reply.status for reply in replies] == [401, 401]
    assert ["unresolved Secret reference" in reply.json()["message"] for reply in replies] == [True, False]
    eventually(lambda: "unresolved Secret reference" in service.log.read_text())
    assert 'tenantry_requests_total{status="401"} 2.0' in service.ask(path="/metrics", method="GET").body.decode()
    service.stop()
    assert not [token for token in ("plugin.tenants", "mistaken", "test-token") if token in service.log.read_text()]


@case(6)
@pytest.mark.anyio
async def test_a_wrong_token_gets_exactly_one_response_and_the_handler_stops() -> None:
    here = door()
    async with harness.serving(here.app) as server, server.client() as client:
        await client.send(request(token="wrong", extra=LAST))
        everything = await client.rest()

    assert everything.count(b"HTTP/1.1 ") == 1
    assert (len(here.seen.refusals), here.seen.answers) == (1, [])


@case(7)
def test_both_tokens_of_a_rotation_open_until_the_old_one_is_taken_away(
    file: SQLiteFile, serving: Serving, tmp_path: Path
) -> None:
    folder = tmp_path / "tokens"
    folder.mkdir()
    (folder / "argocd.1").write_text("the-old-one\n")
    environment = {"TENANTRY_SOURCE_URL": file.url, "TENANTRY_TOKENS_DIRECTORY": str(folder), "AUTH_TOKEN": ""}
    service = serving(environment)

    def statuses() -> list[int]:
        return [service.ask(token=token).status for token in ("the-old-one", "the-new-one")]

    assert statuses() == [200, 401]
    (folder / "argocd.2").write_text("the-new-one\n")
    eventually(lambda: statuses() == [200, 200])
    (folder / "argocd.1").unlink()
    eventually(lambda: statuses() == [401, 200])


@case(8)
@pytest.mark.anyio
async def test_an_answer_of_two_megabytes_has_its_length_and_leaves_the_connection_usable() -> None:
    here = door(snapshot_of(tenants(10_000, note="x" * 150)))
    async with harness.serving(here.app) as server, server.client() as client:
        replies = [await client.ask() for _ in range(20)]

        assert server.connections == 1

    assert len(replies[0].body) > 2_000_000
    assert {reply.header("content-length") for reply in replies} == {str(len(replies[0].body))}
    assert not any(reply.header("transfer-encoding") for reply in replies)


@case(9)
@pytest.mark.anyio
async def test_an_idle_connection_is_kept_longer_than_argo_cd_keeps_it() -> None:
    settings = ServerSettings()
    server = EmbeddedServer(door().app, settings.address, settings)

    assert settings.keep_alive > timedelta(seconds=90)
    assert server.config.timeout_keep_alive == settings.keep_alive.total_seconds()


@case(9)
@pytest.mark.anyio
async def test_an_idle_connection_is_not_cut_by_the_limit_for_headers() -> None:
    async with harness.serving(door().app, header=0.2) as server, server.client() as idle:
        assert (await idle.ask()).status == 200
        async with server.client() as late:
            assert await late.rest() == b""

        assert (await idle.ask()).status == 200


@case(10)
@pytest.mark.anyio
async def test_a_large_answer_is_gzipped_for_those_who_ask_and_plain_for_the_others() -> None:
    here = door(snapshot_of(tenants(1000)))
    async with harness.serving(here.app) as server, server.client() as client:
        packed = await client.ask(extra="Accept-Encoding: gzip\r\n")
        plain = await client.ask()

    assert (packed.header("content-encoding"), plain.header("content-encoding")) == ("gzip", None)
    assert packed.header("content-length") == str(len(packed.body))
    assert len(packed.body) < len(plain.body) / 5
    assert gzip.decompress(packed.body) == plain.body


# --- B. never turn a failure into an empty list ----------------------------------------------------------------


@case(11)
def test_while_the_database_is_down_the_last_good_answer_is_given_until_it_is_too_old(
    mortal: ServerBed, serving: Serving
) -> None:
    database = mortal
    service = serving(database.tutorial_environment())
    impatient = serving({**database.tutorial_environment(), "TENANTRY_SNAPSHOT_MAX_STALE": "1s"})
    before = service.ask().body

    database.server.stop()
    late = serving(database.tutorial_environment(), ready=False)

    eventually(lambda: refusal(impatient, b"max_stale"))
    eventually(lambda: refusal(late, b"The tenants have not been read yet: The database is not reachable."))
    assert [service.ask().body for _ in range(2)] == [before, before]
    database.server.start()
    eventually(lambda: impatient.ask().body == late.ask().body == before, within=30)


def refusal(service: RunningService, words: bytes) -> bool:
    reply = service.ask()
    return reply.status == 503 and words in reply.body


@case(12)
def test_while_a_read_takes_long_the_last_good_answer_comes_at_once(served_by: ServerBed, serving: Serving) -> None:
    database = served_by
    slow = {"TENANTRY_SOURCE_LOCK_TIMEOUT": "10s", "TENANTRY_SOURCE_FEED": "off"}
    service = serving({**database.tutorial_environment(), **slow})

    with locked(database):
        eventually(lambda: waits_for_a_lock(database), what="A read that waits")
        assert len(service.ask(timeout=5).tenants()) == 10
        late = serving({**database.tutorial_environment(), **slow}, ready=False)
        reply = late.ask(timeout=5)

    assert reply.status == 503
    assert "not been read yet" in reply.json()["message"]
    eventually(lambda: len(late.ask().tenants()) == 10)


@case(13)
@pytest.mark.anyio
async def test_a_fault_while_the_answer_is_made_is_a_whole_message_and_never_a_part_of_an_answer() -> None:
    good = snapshot_of(tenants(5000))
    last = list(good.tenants)[-1]
    broken = replace(good, tenants={**good.tenants, last: good.tenants["tenant-0000"]})
    async with harness.serving(door(broken).app) as server, server.client() as client:
        await client.send(request(extra=LAST))
        everything = await client.rest()

    assert everything.startswith(b"HTTP/1.1 500 ")
    assert json.loads(everything.partition(b"\r\n\r\n")[2])["message"].startswith("The answer failed its own check")


REFUSED = [
    pytest.param(request(b"{"), 400, id="not JSON"),
    pytest.param(request(b"{}"), 400, id="no name"),
    pytest.param(request(b'{"applicationSetName":"a","input":{"parameters":{"plam":"gold"}}}'), 400, id="not a field"),
    pytest.param(request(b'{"applicationSetName":"a","input":{"parameters":{"view":"x"}}}'), 400, id="reserved"),
    pytest.param(request(token=None), 401, id="no token"),
    pytest.param(request(token="wrong"), 401, id="wrong token"),
    pytest.param(request(token="$a:b"), 401, id="unresolved token"),
    pytest.param(b"nonsense\r\n\r\n", 400, id="not HTTP"),
]
BY_A_FRAMEWORK = [
    pytest.param(request(b'{"applicationSetName":7}'), 400, id="validation"),
    pytest.param(request(path="/elsewhere"), 404, id="404"),
    pytest.param(request(method="GET", path="/openapi.jso"), 404, id="404 of a GET"),
    pytest.param(request(method="PUT"), 405, id="405"),
    pytest.param(request(method="DELETE", path="/docs"), 405, id="405 of a page"),
    pytest.param(request(b"a" * 2000), 413, id="413"),
    pytest.param(request(path="/broken"), 500, id="500"),
]


@case(14, 15)
@pytest.mark.anyio
@pytest.mark.parametrize(("sent", "status"), REFUSED + BY_A_FRAMEWORK)
async def test_every_error_is_an_object_with_a_message_at_its_top_whoever_made_it(sent: bytes, status: int) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    here = door(max_body=1000, more={"/broken": broken})
    async with harness.serving(here.app) as server, server.client() as client:
        await client.send(sent)
        reply = await client.reply()

    assert reply.status == status
    assert list(reply.json) == ["message"]
    assert reply.message


@case(16)
@pytest.mark.anyio
@pytest.mark.parametrize("error", [SourceUnreachable(), SourceDenied(), SourceTooSlow("The read took longer.")])
async def test_an_error_repeated_for_an_hour_says_the_same_words_each_time(error: TenantryError) -> None:
    source = FakeSource(rows_of(("acme", "active")), broken=error)
    here = await bed("sqlite:////nowhere/at/all.db", max_stale=60)
    here.refresher._source = source
    told = set()

    for _ in range(60):
        here.door.clock.pass_by(minutes=1)
        await here.refresh()
        told.add(await here.message())

    assert source.reads == 60
    assert len(told) == 1
    assert len(told.pop().encode()) <= 1024


@case(16)
@pytest.mark.anyio
async def test_no_error_tells_of_tenants_statements_or_times(file: SQLiteFile) -> None:
    url = table(file, "tenant TEXT, status TEXT", "'acme', x'ff'", "'beta', 'active'", "'acme', 'trial'")
    here = await bed(url)
    first = await here.message()

    here.door.clock.pass_by(hours=1)
    await here.refresh()

    assert await here.message() == first
    assert not [word for word in ("acme", "beta", "SELECT", "organization", ":", "20") if word in first]


@case(17)
def test_a_service_that_has_read_nothing_yet_is_not_ready_and_answers_nothing(
    file: SQLiteFile, serving: Serving, tmp_path: Path
) -> None:
    service = serving({"TENANTRY_SOURCE_URL": f"sqlite:///{tmp_path}/not-there-yet.db"}, ready=False)

    def why() -> str:
        return str(service.ask(path="/readyz", method="GET").json()["message"])

    eventually(lambda: "not been read yet: " in why(), what="The end of the first attempt to read")

    ready, answer = service.ask(path="/readyz", method="GET"), service.ask()

    assert (ready.status, answer.status) == (503, 503)
    assert "not been read yet" in ready.json()["message"]
    assert answer.json()["message"] in ready.json()["reasons"]


@case(24)
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        pytest.param("REAL", "1.5", "9e999", id="an infinite number"),
        pytest.param("JSON", "'{\"a\":1}'", "'{\"a\":NaN}'", id="NaN in JSON"),
        pytest.param("JSON", "'{\"a\":1}'", "'{\"a\":-Infinity}'", id="infinity in JSON"),
        pytest.param("TEXT", "'x'", "cast(x'ff' AS TEXT)", id="text that is not UTF-8"),
        pytest.param("TEXT", "'x'", "x'fffe'", id="bytes"),
    ],
)
async def test_a_value_that_json_cannot_hold_leaves_its_tenant_as_it_was(
    file: SQLiteFile, column: str, good: str, bad: str
) -> None:
    url = table(file, f"tenant TEXT, odd {column}", f"'acme', {good}", f"'beta', {good}")
    here = await bed(url)
    before = await here.items()

    file.execute(f"UPDATE organization SET odd = {bad} WHERE tenant = 'acme'")
    await here.refresh()

    assert await here.items() == before
    assert here.door.snapshots.current().quarantined[0].kept


@case(24)
def test_a_value_that_json_cannot_hold_leaves_its_tenant_as_it_was_in_postgresql(
    database: Database, serving: Serving
) -> None:
    database.execute("ALTER TABLE organization ADD odd float8 NOT NULL DEFAULT 1.5")
    environment = {"TENANTRY_SOURCE_URL": database.url(), "TENANTRY_SOURCE_PARAMETERS": "tenant,odd"}
    service = serving(environment)
    before = service.ask().body

    database.execute("UPDATE organization SET odd = 'NaN' WHERE tenant = 'acme-corp'")

    eventually(lambda: b"quarantined_tenants 1.0" in service.ask(path="/metrics", method="GET").body)
    assert service.ask().body == before


@case(25)
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("parameters", "number"),
    [
        pytest.param("{}", 10, id="all"),
        pytest.param('{"tenant":"tenant-0003"}', 1, id="one"),
        pytest.param('{"tenant":"nobody"}', 0, id="none"),
    ],
)
async def test_a_success_is_exactly_200_with_a_list_of_objects(parameters: str, number: int) -> None:
    body = f'{{"applicationSetName":"a","input":{{"parameters":{parameters}}}}}'.encode()
    async with harness.serving(door().app) as server, server.client() as client:
        reply = await client.ask(body)

    assert reply.status == 200
    assert list(reply.json) == ["output"]
    items = reply.json["output"]["parameters"]
    assert len(items) == number
    assert all(isinstance(item, dict) and item for item in items)


# --- C. the shape of parameters --------------------------------------------------------------------------------


@case(26, 27)
@pytest.mark.anyio
@pytest.mark.parametrize("number", ["1234567", "9007199254740993", "-9223372036854775808", "1000000", "0"])
@pytest.mark.parametrize("column", ["INTEGER", "TEXT", "NUMERIC", "JSON"])
async def test_a_number_keeps_its_digits(file: SQLiteFile, number: str, column: str) -> None:
    stored = f"'{number}'" if column == "JSON" else number
    here = await bed(table(file, f"tenant TEXT, number {column}", f"'acme', {stored}"))

    assert await here.items() == [{"tenant": "acme", "number": number}]


@case(26, 27)
def test_a_number_keeps_its_digits_on_a_server(served_by: ServerBed, serving: Serving) -> None:
    json, wide = ("json", "65, 2") if isinstance(served_by, MariaDBBed) else ("jsonb", "40, 2")
    served_by.execute(
        f"CREATE TABLE numbered (id bigint, exact numeric({wide}), settings {json});"
        "INSERT INTO numbered VALUES (9007199254740993, 1000000, '{}'),"
        """(1234567, 12345678901234567890123456789.50, '{"n": 9007199254740993, "m": 1e30}')"""
    )
    environment = {
        "TENANTRY_SOURCE_URL": served_by.url(),
        "TENANTRY_SOURCE_TABLE": "numbered",
        "TENANTRY_SOURCE_ID": "id",
    }
    items = serving(environment).ask().json()["output"]["parameters"]

    names = ("tenantLabel", "tenantName")
    assert [{name: value for name, value in item.items() if name not in names} for item in items] == [
        {
            "exact": "12345678901234567890123456789.50",
            "id": "1234567",
            "settings": {"m": "1" + "0" * 30, "n": "9007199254740993"},
        },
        {"exact": "1000000.00", "id": "9007199254740993", "settings": {"m": "", "n": ""}},
    ]


@case(28)
@pytest.mark.anyio
async def test_a_null_is_an_empty_text_under_its_key(file: SQLiteFile) -> None:
    columns = "tenant TEXT, word TEXT, number INTEGER, settings JSON"
    here = await bed(table(file, columns, "'acme', NULL, NULL, NULL", "'beta', 'x', 1, '{\"a\":null,\"b\":[null]}'"))

    assert await here.items() == [
        {"tenant": "acme", "word": "", "number": "", "settings": {"a": "", "b": ""}},
        {"tenant": "beta", "word": "x", "number": "1", "settings": {"a": "", "b": [""]}},
    ]


@case(29)
@pytest.mark.anyio
async def test_a_template_that_must_find_every_key_renders_for_every_tenant(file: SQLiteFile) -> None:
    documents = ['{"tier":"gold"}', '{"limits":{"cpu":2}}', "{}", '{"limits":{"memory":"1Gi"},"beta":true}']
    rows = [f"'tenant-{n}', '{document}'" for n, document in enumerate(documents)]
    here = await bed(table(file, "tenant TEXT, settings JSON", *rows, "'tenant-9', NULL"))
    template = "{tenant} {settings[tier]} {settings[limits][cpu]} {settings[limits][memory]} {settings[beta]}"

    rendered = [string.Formatter().vformat(template, (), item).split(" ") for item in await here.items()]

    assert rendered == [
        ["tenant-0", "gold", "", "", ""],
        ["tenant-1", "", "2", "", ""],
        ["tenant-2", "", "", "", ""],
        ["tenant-3", "", "", "1Gi", "true"],
        ["tenant-9", "", "", "", ""],
    ]


@case(30)
@pytest.mark.anyio
@pytest.mark.parametrize("name", ["generator", "values"])
async def test_a_column_that_argo_cd_overwrites_is_refused(file: SQLiteFile, name: str) -> None:
    url = table(file, f'tenant TEXT, "{name}" TEXT', "'acme', 'x'")

    assert f"'{name}'" in await (await bed(url)).message()
    assert f"'{name}'" in await (await bed(url, parameters=("tenant", name))).message()
    assert await (await bed(url, parameters=("tenant",))).items() == [{"tenant": "acme"}]


@case(31)
@pytest.mark.anyio
async def test_two_columns_that_flatten_to_one_name_are_refused(file: SQLiteFile) -> None:
    url = table(file, 'tenant TEXT, a JSON, "a.b" TEXT', "'acme', '{\"b\":1}', 'x'")

    assert "'a.b' flattens to the same dotted name" in await (await bed(url)).message()


@case(31)
@pytest.mark.anyio
async def test_keys_of_json_that_flatten_to_one_name_leave_their_tenant_as_it_was(file: SQLiteFile) -> None:
    good = ['\'{"b":{"c":1}}\''] * 3
    here = await bed(table(file, "tenant TEXT, a JSON", *[f"'t{n}', {one}" for n, one in enumerate(good)]))
    before = await here.items()

    file.execute("""UPDATE organization SET a = '{"b":{"c":1},"b.c":2}' WHERE tenant = 't1'""")
    await here.refresh()

    assert await here.items() == before
    assert "flattens" in here.door.snapshots.current().quarantined[0].reason


@case(32)
@pytest.mark.anyio
async def test_an_empty_list_or_object_keeps_its_key_as_text(file: SQLiteFile) -> None:
    documents = ['{"list":[],"list2":[1],"deep":[[],{}]}', '{"list":["x"]}', '{"list":[],"list2":[]}']
    rows = [f"'t{n}', '{document}', '[]'" for n, document in enumerate(documents)]
    here = await bed(table(file, "tenant TEXT, settings JSON, alone JSON", *rows))

    assert [(item["alone"], item["settings"]) for item in await here.items()] == [
        ("[]", {"list": "[]", "list2": ["1"], "deep": ["[]", "{}"]}),
        ("[]", {"list": ["x"], "list2": "", "deep": ""}),
        ("[]", {"list": "[]", "list2": "[]", "deep": ""}),
    ]


AS_JSON = """settings %s DEFAULT '{"b": 1, "a": {"d": [], "c": null}}'"""
REWRITTEN = (
    "UPDATE organization SET status = status",
    "VACUUM FULL organization",
    "CLUSTER organization USING organization_pkey",
)
REWRITTEN_IN_MARIADB = ("UPDATE organization SET status = status", "ALTER TABLE organization ENGINE = InnoDB, FORCE")


@case(38)
def test_the_same_data_gives_the_same_bytes_in_every_process_and_after_every_read(
    served_by: ServerBed, serving: Serving
) -> None:
    of_mariadb = isinstance(served_by, MariaDBBed)
    served_by.execute("ALTER TABLE organization ADD " + AS_JSON % ("json" if of_mariadb else "jsonb"))
    environment = {
        "TENANTRY_SOURCE_URL": served_by.url(),
        "TENANTRY_SOURCE_TABLE": "organization",
        "TENANTRY_SOURCE_FEED": "off",
    }
    services = [serving(environment) for _ in range(2)]
    first = [service.ask().body for service in services]

    for statement in REWRITTEN_IN_MARIADB if of_mariadb else REWRITTEN:
        served_by.execute(statement)
    reads = [number_of_reads(service) for service in services]
    eventually(lambda: all(number_of_reads(one) > before + 1 for one, before in zip(services, reads, strict=True)))

    assert {service.ask().body for service in services} == set(first)
    assert len(set(first)) == 1


def number_of_reads(service: RunningService) -> float:
    text = service.ask(path="/metrics", method="GET").body.decode()
    return float(text.partition('tenantry_reads_total{outcome="ok"} ')[2].partition("\n")[0])
