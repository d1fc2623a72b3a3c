"""`tenantry tenants`: what the running service knows, by its socket and over TCP."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tenantry.core.sharding import shard_of
from tests.cli.conftest import Command, Ended
from tests.contract.bed import SQLiteFile
from tests.support.processes import free_port
from tests.support.service import TOKEN, RunningService
from tests.support.waiting import eventually
from tests.web.test_admin_service import by_socket

Serving = Callable[..., RunningService]
ADMIN = "the-admin's-own"
STATES = {"STATE": "status", "SERVE": "active,trial", "RETIRE": "inactive", "PARAMETERS": "tenant,status,plan"}


@pytest.fixture
def file(tmp_path: Path) -> SQLiteFile:
    made = SQLiteFile(tmp_path / "tenants.db")
    made.execute(
        "CREATE TABLE organization (tenant TEXT, status TEXT, plan TEXT);"
        "INSERT INTO organization VALUES ('acme-corp', 'active', 'pro'), ('be/ta', 'trial', NULL);"
        "INSERT INTO organization VALUES ('old', 'inactive', 'x')"
    )
    return made


@pytest.fixture
def service(serving: Serving, file: SQLiteFile) -> RunningService:
    states = {f"TENANTRY_SOURCE_{name}": value for name, value in STATES.items()}
    return serving({"TENANTRY_SOURCE_URL": file.url, "TENANTRY_ADMIN_TOKEN": ADMIN, **states})


@pytest.fixture
def ask(tenantry: Command, service: RunningService) -> Callable[..., Ended]:
    """Return a way to ask by the socket."""
    return lambda command, *arguments: tenantry("tenants", command, "--socket", service.socket, *arguments)


Ask = Callable[..., Ended]

# --- list --------------------------------------------------------------------------------------------------------


def test_a_list_is_a_table_with_a_line_of_facts(ask: Ask) -> None:
    ended = ask("list")

    assert ended.code == 0
    assert ended.out == (
        "ID         STATE     SERVED  NAME              QUARANTINED\n"
        "acme-corp  active    yes     acme-corp\n"
        "be/ta      trial     yes     be-ta-p1flfwhk16\n"
        "old        inactive  no      old\n"
    )
    assert ended.err.startswith("3 shown. 2 served, 1 retired, 0 rows in quarantine; read ")


def test_a_list_can_be_of_one_state(ask: Ask) -> None:
    assert [line.split()[0] for line in ask("list", "--state", "trial").out.splitlines()] == ["ID", "be/ta"]


def test_a_state_that_there_is_not_ends_with_1_and_the_nearest(ask: Ask) -> None:
    ended = ask("list", "--state", "trail")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("There is no state 'trail'. Known: active, inactive, trial. Did you mean 'trial'?")


def test_an_empty_state_is_no_wish_to_see_all(ask: Ask) -> None:
    ended = ask("list", "--state", "")

    assert (ended.code, ended.out) == (1, "")


def test_the_quarantined_are_listed_with_column_and_reason(ask: Ask, service: RunningService, file: SQLiteFile) -> None:
    file.execute("UPDATE organization SET status = 'paused' WHERE tenant = 'be/ta'")
    wait_for(service, "quarantined", 1)

    ended = ask("list", "--quarantined")

    assert ended.code == 0
    assert ended.out.splitlines()[1:] == [
        "be/ta  trial  yes     be-ta-p1flfwhk16  status has a state that neither source.serve nor source.retire lists"
    ]


def wait_for(service: RunningService, fact: str, number: int) -> None:
    eventually(lambda: by_socket(service.socket).json()["snapshot"][fact] == number, what=fact)


def test_json_is_the_apis_own_answer(ask: Ask, service: RunningService) -> None:
    document = json.loads(ask("list", "-o", "json").out)
    theirs = by_socket(service.socket).json()

    assert document["tenants"] == theirs["tenants"]
    assert set(document) == set(theirs)
    assert set(document["snapshot"]) == set(theirs["snapshot"])
    assert document["next"] is None


def test_yaml_is_the_same_document(ask: Ask) -> None:
    as_yaml: Any = YAML(typ="safe").load(ask("list", "-o", "yaml").out)

    assert as_yaml["tenants"] == json.loads(ask("list", "-o", "json").out)["tenants"]


def test_more_tenants_than_a_page_has_are_one_list(ask: Ask, service: RunningService, file: SQLiteFile) -> None:
    file.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2499) "
        "INSERT INTO organization SELECT printf('t%05d', i), 'active', 'x' FROM n"
    )
    wait_for(service, "tenants", 2502)

    document = json.loads(ask("list", "-o", "json").out)

    assert [one["id"] for one in document["tenants"]] == [
        "acme-corp",
        "be/ta",
        "old",
        *[f"t{n:05}" for n in range(2500)],
    ]


# --- show --------------------------------------------------------------------------------------------------------


def test_a_tenant_is_shown_with_its_reason_its_parameters_and_its_row(ask: Ask) -> None:
    ended = ask("show", "be/ta")

    assert ended.code == 0
    head, fields, row = ended.out.split("\n\n")
    assert head == (
        "ID     STATE  SERVED  NAME              QUARANTINED\n"
        "be/ta  trial  yes     be-ta-p1flfwhk16\n"
        "Served.\n"
        "Label: be-ta-p1flfwhk16"
    )
    assert fields.splitlines()[:4] == ["FIELD        VALUE", "plan", "status       trial", "tenant       be/ta"]
    assert [line.split()[0] for line in fields.splitlines()[4:]] == ["tenantLabel", "tenantName"]
    assert row == "COLUMN  VALUE\nplan    (NULL)\nstatus  trial\ntenant  be/ta\n"


def test_a_tenant_is_shown_with_its_part_of_so_many_shards(ask: Ask) -> None:
    part = f"{shard_of('be/ta', 64)} of 64"

    assert f"Shards: {part}\n" in ask("show", "be/ta", "--shards", "64").out
    assert json.loads(ask("list", "--shards", "64", "-o", "json").out)["tenants"][1]["shards"] == [
        {"index": shard_of("be/ta", 64), "count": 64}
    ]


def test_a_tenant_is_shown_with_its_views_and_the_shards_that_are_asked_for(
    tenantry: Command, serving: Serving, file: SQLiteFile, tmp_path: Path
) -> None:
    configuration = tmp_path / "tenantry.yaml"
    configuration.write_text("views: {on-trial: {status: trial}, pro: {plan: pro}, some: {status: [trial, active]}}")
    service = serving({"TENANTRY_SOURCE_URL": file.url, "TENANTRY_CONFIG": str(configuration)})
    asked = service.ask({"shard": {"index": 0, "count": 16}})

    shown = tenantry("tenants", "show", "be/ta", "--socket", service.socket).out

    assert asked.status == 200
    assert f"Views: on-trial, some\nShards: {shard_of('be/ta', 16)} of 16\n" in shown


def test_a_retired_tenant_is_not_unknown(ask: Ask) -> None:
    ended = ask("show", "old")

    assert ended.code == 0
    assert "Not served: its state is 'inactive', which is not in source.serve." in ended.out
    assert "COLUMN" not in ended.out


def test_a_quarantined_tenant_says_since_when(ask: Ask, service: RunningService, file: SQLiteFile) -> None:
    file.execute("UPDATE organization SET status = 'paused' WHERE tenant = 'be/ta'")
    wait_for(service, "quarantined", 1)

    ended = ask("show", "be/ta")
    shown = json.loads(ask("show", "be/ta", "-o", "json").out)["tenant"]

    assert "Served with its last good parameters. Row 2, column 'status', has a state" in ended.out
    assert f"Quarantined since {shown['quarantined']['since']}." in ended.out


def test_a_tenant_in_doubt_says_so_in_a_list(ask: Ask, service: RunningService, file: SQLiteFile) -> None:
    file.execute("UPDATE organization SET tenant = NULL WHERE tenant = 'be/ta'")
    wait_for(service, "quarantined", 1)

    ended = ask("list")

    assert ended.out.splitlines()[2] == "be/ta      trial     yes     be-ta-p1flfwhk16  in doubt"
    assert "1 row in quarantine, 1 in doubt; read" in ended.err


def test_rows_without_an_id_stand_below_the_quarantined_tenants(
    ask: Ask, service: RunningService, file: SQLiteFile
) -> None:
    file.execute("UPDATE organization SET status = 'paused' WHERE tenant = 'be/ta'")
    file.execute("INSERT INTO organization VALUES (NULL, 'active', 'x')")
    wait_for(service, "quarantined", 2)

    head, quarantined, nameless = ask("list", "--quarantined").out.splitlines()

    assert head.startswith("ID")
    assert quarantined.startswith("be/ta")
    assert re.fullmatch(r"Row [1-4], column 'tenant', .+\.", nameless)


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", YAML(typ="safe").load)])
def test_a_tenant_as_a_document_is_the_apis_own_answer(
    ask: Ask, service: RunningService, form: str, read: Callable[[str], Any]
) -> None:
    printed = read(ask("show", "be/ta", "-o", form).out)
    answered = by_socket(service.socket, "/api/admin/v1/tenants/be%2Fta").json()

    assert printed["snapshot"].keys() == answered["snapshot"].keys()
    assert printed["tenant"] == answered["tenant"]


def test_a_tenant_that_is_not_answered_now_is_shown_with_a_warning(
    tenantry: Command, serving: Serving, file: SQLiteFile
) -> None:
    service = serving({"TENANTRY_SOURCE_URL": file.url, "TENANTRY_SNAPSHOT_MAX_STALE": "4s"})
    file.execute("DROP TABLE organization")
    eventually(lambda: service.ask().status == 503, within=30, what="The end of answers")

    ended = tenantry("tenants", "show", "be/ta", "--socket", service.socket)

    assert ended.code == 0
    assert "warning: ApplicationSets are not answered now. The last good read of the tenants is older" in ended.err


def test_a_file_that_is_no_socket_is_called_so(tenantry: Command, tmp_path: Path) -> None:
    ended = tenantry("tenants", "list", "--socket", tmp_path)

    assert ended.code == 3
    assert "There is something else than a socket at" in ended.err


@pytest.mark.parametrize("url", ["http://me:geheim@127.0.0.1:1", "http://127.0.0.1:1?x=1", "http://127.0.0.1:1/#x"])
def test_an_address_with_a_user_a_query_or_a_fragment_is_wrong_use(tenantry: Command, url: str) -> None:
    ended = tenantry("tenants", "list", "--url", url)

    assert ended.code == 2
    assert "give the base URL alone" in ended.err
    assert "geheim" not in ended.err


@pytest.mark.parametrize(("tenant", "code", "why"), [("\udcff", 2, "not UTF-8"), ("x" * 70_000, 1, "too long")])
def test_an_id_that_nobody_can_have_is_told_so(ask: Ask, tenant: str, code: int, why: str) -> None:
    ended = ask("show", tenant)

    assert (ended.code, ended.out) == (code, "")
    assert why in ended.err
    assert "Traceback" not in ended.err


def test_a_tenant_that_there_is_not_ends_with_1_and_the_nearest(ask: Ask) -> None:
    ended = ask("show", "acme-crop")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "There is no tenant with the id 'acme-crop'. Did you mean 'acme-corp'? `tenantry tenants list` lists the "
        "tenants that there are.\n"
    )


@pytest.mark.parametrize("tenant", ["..", ".", "a/../b", "a b", "100%", "?x=1", "#", "東京", "-x", "é/"])
def test_any_id_can_be_shown(ask: Ask, service: RunningService, file: SQLiteFile, tenant: str) -> None:
    file.execute(f"INSERT INTO organization VALUES ('{tenant}', 'active', 'x')")
    wait_for(service, "tenants", 3)

    ended = ask("show", "-o", "json", "--", tenant)

    assert json.loads(ended.out)["tenant"]["id"] == tenant


def test_nothing_that_a_terminal_obeys_is_printed(ask: Ask, service: RunningService, file: SQLiteFile) -> None:
    file.execute("INSERT INTO organization VALUES ('e' || char(27) || '[31mvil' || char(155), 'active', 'x')")
    wait_for(service, "quarantined", 1)

    printed = [ask("list", "-o", form) for form in ("table", "json", "yaml")] + [ask("show", "\x1b[2J\x9b")]

    assert [ended.code for ended in printed] == [0, 0, 0, 1]
    for ended in printed:
        assert all(character.isprintable() or character == "\n" for character in ended.out + ended.err), ended


# --- ways to the service -----------------------------------------------------------------------------------------


def test_the_socket_is_that_of_the_configuration(tenantry: Command, service: RunningService, tmp_path: Path) -> None:
    configuration = tmp_path / "tenantry.yaml"
    configuration.write_text(f"data:\n  directory: {service.data}\n")

    for way in (
        tenantry("tenants", "list", "--config", configuration),
        tenantry("tenants", "list", TENANTRY_DATA_DIRECTORY=str(service.data)),
        tenantry("tenants", "list", TENANTRY_ADMIN_SOCKET=str(service.socket)),
    ):
        assert (way.code, len(way.out.splitlines())) == (0, 4)


def test_over_tcp_it_shows_the_admin_token(tenantry: Command, service: RunningService, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{service.port}"
    token = tmp_path / "token"
    token.write_text(f"{ADMIN}\n")

    for way in (
        tenantry("tenants", "show", "be/ta", "--url", url, TENANTRY_ADMIN_TOKEN=ADMIN),
        tenantry("tenants", "show", "be/ta", "--url", f"{url}/", TENANTRY_ADMIN_TOKEN_FILE=str(token)),
    ):
        assert way.code == 0
        assert "Served." in way.out


@pytest.mark.parametrize(("token", "why"), [("wrong", "not the admin token"), (TOKEN, "is a plugin token")])
def test_a_token_that_is_refused_ends_with_1(tenantry: Command, service: RunningService, token: str, why: str) -> None:
    ended = tenantry("tenants", "list", "--url", f"http://127.0.0.1:{service.port}", TENANTRY_ADMIN_TOKEN=token)

    assert (ended.code, ended.out) == (1, "")
    assert why in ended.err
    assert token not in ended.err


def test_a_service_without_an_admin_token_says_how_to_give_one(
    tenantry: Command, serving: Serving, file: SQLiteFile
) -> None:
    url = f"http://127.0.0.1:{serving({'TENANTRY_SOURCE_URL': file.url}).port}"

    ended = tenantry("tenants", "show", "acme-corp", "--url", url, TENANTRY_ADMIN_TOKEN=ADMIN)

    assert (ended.code, ended.out) == (1, "")
    assert "Over TCP it is off until the service has TENANTRY_ADMIN_TOKEN or admin.token_file." in ended.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--url", "http://h:1", "--socket", "s"], "Give --socket or --url, not both."),
        (["--url", "http://h:1"], "--url needs the admin token: give it as TENANTRY_ADMIN_TOKEN or admin.token_file."),
        (["--url", "h:1"], "'h:1' is not the base URL of a service"),
        (["--config", "/no/such/file"], "/no/such/file"),
    ],
)
def test_wrong_use_ends_with_2_and_says_why(tenantry: Command, arguments: list[str], why: str) -> None:
    ended = tenantry("tenants", "list", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert why in ended.err


def test_an_admin_token_file_that_cannot_be_read_ends_with_2(tenantry: Command, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    for name, why in (("nowhere", "No such file"), ("binary", "it is not text")):
        ended = tenantry("tenants", "list", "--url", "http://h:1", TENANTRY_ADMIN_TOKEN_FILE=str(tmp_path / name))
        assert ended.code == 2
        assert why in ended.err


# --- nobody there ------------------------------------------------------------------------------------------------


def test_without_a_service_it_ends_with_3_and_says_where_it_looked(tenantry: Command, tmp_path: Path) -> None:
    ended = tenantry("tenants", "list", TENANTRY_DATA_DIRECTORY=str(tmp_path / "data"))

    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith(f"There is no socket '{tmp_path}/data/admin.sock'. The service does not run here")
    assert all(way in ended.err for way in ("--config", "--socket", "--url"))


def test_a_service_that_has_ended_is_told(tenantry: Command, tmp_path: Path) -> None:
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    ended = tenantry("tenants", "list", "--socket", path)

    assert ended.code == 3
    assert ended.err == f"Nobody listens any more at the socket '{path}'. Its service has ended: start it again.\n"


@pytest.mark.parametrize("path", ["a-file", "a-file/below", "x" * 200])
def test_what_is_no_socket_ends_with_3(tenantry: Command, tmp_path: Path, path: str) -> None:
    (tmp_path / "a-file").write_text("")

    ended = tenantry("tenants", "list", "--socket", tmp_path / path)

    assert (ended.code, ended.out) == (3, "")
    assert "Traceback" not in ended.err


def test_a_port_at_which_nobody_is_ends_with_3(tenantry: Command) -> None:
    ended = tenantry("tenants", "list", "--url", f"http://127.0.0.1:{free_port()}", TENANTRY_ADMIN_TOKEN=ADMIN)

    assert (ended.code, ended.out) == (3, "")
    assert "Check that it runs" in ended.err


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Serve something that is not tenantry."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("arguments", [["list"], ["show", "acme"]])
@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"{}"), (200, b"[]"), (502, b"Bad Gateway"), (302, b""), (404, b'{"detail":"Not Found"}')],
)
def test_what_is_not_tenantry_ends_with_3(tenantry: Command, arguments: list[str], status: int, body: bytes) -> None:
    with answering(status, body) as url:
        ended = tenantry("tenants", *arguments, "--url", url, TENANTRY_ADMIN_TOKEN=ADMIN)

    assert (ended.code, ended.out) == (3, "")
    assert "is not tenantry" in ended.err


def test_a_refusal_by_another_has_nothing_that_a_terminal_obeys(tenantry: Command) -> None:
    with answering(400, b'{"message": "\\u001b[2J\\u009b gone"}') as url:
        ended = tenantry("tenants", "list", "--url", url, TENANTRY_ADMIN_TOKEN=ADMIN)

    assert ended.code == 1
    assert ended.err.strip().isprintable()
