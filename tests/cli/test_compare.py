"""`tenantry compare` against the rival, and against things that are no plugin."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.contract.bed import SQLiteFile
from tests.support.postgres import Database, PostgresServer
from tests.support.processes import free_port
from tests.support.service import RIVAL, TOKEN, RunningService

Serving = Callable[..., RunningService]


@pytest.fixture
def rival(database: Database, serving: Serving) -> str:
    """Return the base URL of the rival, on the tutorial's data."""
    return f"http://127.0.0.1:{serving(database.tutorial_environment(), command=RIVAL).port}"


def ours(database: Database) -> dict[str, str]:
    return {**database.tutorial_environment(), "AUTH_TOKEN": TOKEN}


def test_the_same_data_has_no_difference(tenantry: Command, database: Database, rival: str) -> None:
    ended = tenantry("compare", "--against", rival, **ours(database))

    assert (ended.code, ended.out) == (
        0,
        "Only tenantry has: tenantLabel, tenantName (not counted).\n10 tenants on both sides, no differences.\n",
    )


@pytest.mark.parametrize("end", ["", "/"])
def test_a_base_url_may_end_in_a_slash_as_in_the_config_map(
    tenantry: Command, database: Database, rival: str, end: str
) -> None:
    assert tenantry("compare", "--against", rival + end, **ours(database)).code == 0


def test_a_changed_row_is_named_by_tenant_and_field(
    tenantry: Command, database: Database, postgres: PostgresServer, rival: str
) -> None:
    changed = postgres.create_database()
    changed.execute("UPDATE organization SET status = 'trial' WHERE tenant = 'acme-corp'")

    ended = tenantry("compare", "--against", rival, **ours(changed))

    assert ended.code == 1
    assert ended.out == (
        "TENANT     FIELD   OURS   THEIRS\nacme-corp  status  trial  active\n"
        "Only tenantry has: tenantLabel, tenantName (not counted).\n10 tenants on both sides, 1 difference.\n"
    )


def test_missing_and_new_tenants_are_differences(
    tenantry: Command, database: Database, postgres: PostgresServer, rival: str
) -> None:
    changed = postgres.create_database()
    changed.execute("UPDATE organization SET tenant = 'acme' WHERE tenant = 'acme-corp'")

    ended = tenantry("compare", "--against", rival, "-o", "json", **ours(changed))

    assert ended.code == 1
    assert json.loads(ended.out) == {
        "against": rival,
        "tenants": 9,
        "differences": [
            {"tenant": "acme", "field": "", "ours": "(present)", "theirs": "(absent)"},
            {"tenant": "acme-corp", "field": "", "ours": "(absent)", "theirs": "(present)"},
        ],
        "only_ours": ["tenantLabel", "tenantName"],
    }


def test_a_field_that_only_we_have_is_told_and_not_counted(
    tenantry: Command, database: Database, postgres: PostgresServer, rival: str
) -> None:
    wider = postgres.create_database()
    wider.execute("ALTER TABLE organization ADD plan text DEFAULT 'gold'")

    ended = tenantry("compare", "--against", rival, "--source-parameters", "tenant,status,plan", **ours(wider))

    assert ended.code == 0
    assert "Only tenantry has: plan, tenantLabel, tenantName (not counted)." in ended.out


def test_what_the_rival_does_not_select_is_a_difference(tenantry: Command, database: Database, rival: str) -> None:
    ended = tenantry("compare", "--against", rival, "status=active", "-o", "yaml", **ours(database))

    assert ended.code == 1
    assert "tenants: 3\n" in ended.out
    assert "- field: ''\n  ours: (absent)\n  tenant: beta-solutions\n  theirs: (present)\n" in ended.out


def test_the_other_plugins_token_may_come_from_a_file(
    tenantry: Command, database: Database, rival: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")

    ended = tenantry("compare", "--against", rival, "--token-file", token, **database.tutorial_environment())

    assert ended.code == 0


def test_a_token_that_the_other_plugin_refuses_is_told_with_its_status(
    tenantry: Command, database: Database, rival: str
) -> None:
    ended = tenantry("compare", "--against", rival, **{**ours(database), "AUTH_TOKEN": "wrong"})

    assert (ended.code, ended.out) == (3, "")
    assert "answered with status 403" in ended.err


def test_a_plugin_that_is_not_there_is_not_reachable(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry(
        "compare", "--against", f"http://127.0.0.1:{free_port()}", AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url
    )

    assert (ended.code, ended.out) == (3, "")
    assert "could not be asked (ConnectError)" in ended.err


@pytest.mark.parametrize(
    "url",
    [
        "plugin.argocd:8080",
        "plugin",
        "ftp://plugin",
        "http://",
        "http://a:b",
        "http://\n",
        "http://[::1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:-1",
    ],
)
def test_an_address_that_is_none_is_wrong_use_and_told_in_a_sentence(
    tenantry: Command, file: SQLiteFile, url: str
) -> None:
    ended = tenantry("compare", "--against", url, AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url)

    assert (ended.code, ended.out) == (2, "")
    assert "is not the base URL of a plugin, such as http://plugin.argocd:8080" in " ".join(ended.err.split())


def test_a_host_that_no_network_has_is_not_reachable(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("compare", "--against", "http://ü..x", AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url)

    assert (ended.code, ended.out) == (3, "")


def test_a_token_file_that_is_not_text_is_wrong_use(tenantry: Command, file: SQLiteFile, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_bytes(b"\xff\xfe")

    ended = tenantry("compare", "--against", "http://127.0.0.1:1", "--token-file", token, TENANTRY_SOURCE_URL=file.url)

    assert (ended.code, ended.out) == (2, "")
    assert "is not text" in ended.err


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """Serve one answer, whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        thread.join()


DEEP = b'{"output":{"parameters":[{"tenant":' + b"[" * 5000 + b"]" * 5000 + b"}]}}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b'{"output":{"parameters":null}}', id="no list"),
        pytest.param(b'{"output":{"parameters":[null]}}', id="a list of no objects"),
        pytest.param(b"<html>", id="no JSON"),
        pytest.param(DEEP, id="JSON that is nested too deep"),
    ],
)
def test_an_answer_that_is_none_is_never_taken_for_an_empty_one(
    tenantry: Command, file: SQLiteFile, body: bytes
) -> None:
    with answering(body) as url:
        ended = tenantry("compare", "--against", url, AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url)

    assert (ended.code, ended.out) == (3, "")
    assert "cannot be read" in ended.err


def test_numbers_and_nulls_of_the_other_side_are_shown_as_argo_cd_renders_them(
    tenantry: Command, file: SQLiteFile
) -> None:
    theirs = [{"tenant": "acme", "status": None}, {"tenant": "beta", "status": 1000000}]
    body = json.dumps({"output": {"parameters": theirs}}).encode()

    with answering(body) as url:
        ended = tenantry(
            "compare", "--against", url, "-o", "json", "--source-parameters", "tenant,status",
            AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url,
        )  # fmt: skip

    found = [(one["tenant"], one["field"], one["ours"], one["theirs"]) for one in json.loads(ended.out)["differences"]]
    assert found == [
        ("acme", "status", "active", "<nil> (null)"),
        ("beta", "status", "trial", "1e+06 (number)"),
        ("gamma", "", "(present)", "(absent)"),
    ]


def test_without_the_id_among_the_parameters_nothing_can_be_matched(tenantry: Command, file: SQLiteFile) -> None:
    with answering(b'{"output":{"parameters":[]}}') as url:
        ended = tenantry(
            "compare", "--against", url, "--source-parameters", "status", AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url
        )

    assert (ended.code, ended.out) == (2, "")
    assert "source.parameters" in ended.err
