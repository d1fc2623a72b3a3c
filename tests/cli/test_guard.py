"""`tenantry guard`: looking at holds and speaking about them, by the socket, over TCP and at the state database."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

ADMIN = "admin-token-of-the-tests"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def guard(*arguments: str, **environment: str) -> Ended:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-m", "tenantry", "guard", *arguments]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, env={**kept, **environment}, cwd="/"
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


class Table:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "tenants.db"
        self.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY)")
        self.execute(*(f"INSERT INTO organization VALUES ('t{n:02}')" for n in range(10)))

    def execute(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


@pytest.fixture
def service(serving: Serving, table: Table) -> RunningService:
    """Return a service that holds six of ten tenants."""
    running = serving(
        {
            "TENANTRY_SOURCE_URL": f"sqlite:///{table.path}",
            "TENANTRY_GUARD_MODE": "hold",
            "TENANTRY_GUARD_SETTLE": "0s",
            "TENANTRY_ADMIN_TOKEN": ADMIN,
        }
    )
    running.ask()
    table.execute("DELETE FROM organization WHERE tenant > 't03'")
    eventually(lambda: running.ask().status == 200 and held(running) == 6, what="The hold")
    return running


def held(service: RunningService) -> int:
    found: int = json.loads(service.ask(path="/readyz", method="GET", body=b"").body)["guard"]["held"]
    return found


def here(service: RunningService) -> tuple[str, str]:
    return ("--socket", str(service.socket))


def test_the_same_is_told_by_the_socket_and_over_tcp(service: RunningService) -> None:
    by_socket = guard("holds", "-o", "json", *here(service))
    over_tcp = guard("holds", "-o", "json", "--url", f"http://127.0.0.1:{service.port}", TENANTRY_ADMIN_TOKEN=ADMIN)

    assert by_socket.code == over_tcp.code == 0
    (hold,) = json.loads(by_socket.out)
    assert json.loads(over_tcp.out) == [hold]
    assert (hold["application_set"], hold["number"], hold["rule"], hold["tenants"]) == ("test", 6, "limit", None)


def test_a_plugin_token_neither_looks_nor_speaks(service: RunningService) -> None:
    for arguments in (("holds",), ("approve", "test", "t09", "--why", "mine")):
        ended = guard(*arguments, "--url", f"http://127.0.0.1:{service.port}", TENANTRY_ADMIN_TOKEN="test-token")

        assert ended.code == 1
        assert "plugin token" in ended.err
    assert held(service) == 6


def test_show_names_who_is_held_why_and_the_command_that_approves_them(service: RunningService) -> None:
    shown = guard("show", "test", *here(service))

    assert shown.code == 0
    assert [line.strip() for line in shown.out.splitlines() if line.startswith("  t0")] == [
        f"t0{n}" for n in range(4, 10)
    ]
    assert "6 of 10 tenants of the ApplicationSet would leave" in shown.out
    assert "where the one before had found 10 and 10" in shown.out
    (command,) = [line.strip() for line in shown.out.splitlines() if "guard approve" in line]

    approved = guard(*command.replace("'…'", "meant").split()[2:], *here(service))

    assert (approved.code, approved.out) == (0, "Approved 6 tenants of test.\n")
    assert service.ask().tenants() == ["t00", "t01", "t02", "t03"]
    assert held(service) == 0


REFUSED = [
    (("approve", "test", "nobody", "--why", "x"), "'nobody' is not known there."),
    (("approve", "test", "t09", "nobody", "--why", "x"), "'nobody' is not known there."),
    (("approve", "tset", "t09", "--why", "x"), "Did you mean 'test'?"),
    (("approve", "test", "--why", "x"), "Name at least one tenant, or a decision."),
    (("approve", "test", "--decision", "999", "--why", "x"), "Decision 999 holds nobody"),
    (("approve", "test", "t09", "--digest", "0", "--why", "x"), "whose digest is '0'"),
    (("approve", "test", "t09", "--why", " "), "Say why"),
    (("approve", "test", "t09", "--why", "…"), "Say why"),
    (("approve", "test", "t09", "--why", "x", "--for", "40d"), "a second to 30 days"),
    (("withdraw", "test", "t09", "--why", "x"), "Nobody approved 't09'"),
    (("unfreeze", "--why", "x"), "There is no freeze"),
    (("unpin", "test", "t09", "--why", "x"), "Nobody pinned 't09'"),
    (("show", "test", "--consumer", "other"), "no ApplicationSet 'test' of consumer 'other'"),
    (("history", "test", "--at", "1000d"), "the history begins at"),
    (("history", "test", "--at", "2100-01-01"), "yet to come"),
    (("history", "test", "--at", "9999-12-31T23:59:59.999999Z"), "yet to come"),
    (("history", "--consumer", "default"), "Name the ApplicationSet"),
    (("freeze", "--consumer", "default", "--why", "x"), "Name the ApplicationSet"),
    (("unfreeze", "--consumer", "default", "--why", "x"), "Name the ApplicationSet"),
    (("approve", "test", "--input", "nosuch", "--why", "x"), "names no input"),
    (("approve", "test", "t09", "--input", "0123456789", "--why", "x"), "one after the other"),
    (("approve", "test", "--decision", "1", "--input", "0123456789", "--why", "x"), "one after the other"),
    (("show", "a/b"), "There is no ApplicationSet 'a/b'. Known: test."),
    (("show", ".."), "There is no ApplicationSet '..'. Known: test."),
]


def test_what_cannot_be_meant_changes_nothing_and_says_so(service: RunningService) -> None:
    for arguments, told in REFUSED:
        ended = guard(*arguments, *here(service))

        assert ended.code == 1, arguments
        assert told in ended.err
        assert "Traceback" not in ended.err
    assert held(service) == 6


@pytest.mark.parametrize(
    "arguments",
    [
        ("approve", "test", "t09"),
        ("approve", "test", "t09", "--why", "x", "--for", "soon"),
        ("history", "--since", "yesterday"),
        ("holds", "--state", "oracle://x"),
        ("pin", "test", "--why", "x"),
        ("show", ""),
        ("show", "\udcff"),
        ("approve", "test", "\udcff", "--why", "x"),
        ("history", "--since", "9999999d"),
        ("holds", "--state", "sqlite:////none/of.db"),
        ("holds", "--state", "postgresql://u:pw@h/d"),
    ],
)
def test_wrong_use_ends_with_2_and_asks_nobody(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = guard(*arguments, "--socket", str(tmp_path / "none.sock"))

    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_the_state_is_looked_at_and_changed_while_the_service_is_down(service: RunningService) -> None:
    state = ("--state", f"sqlite:///{service.data}/tenantry-state.db")

    refused = guard("holds", *state)
    assert (refused.code, f"process {service.pid}" in refused.err) == (3, True)
    service.stop()

    assert json.loads(guard("holds", "-o", "json", *state).out)[0]["number"] == 6
    assert guard("approve", "test", "t09", "--why", "offline", "--by", "ann", *state).code == 0
    words = json.loads(guard("show", "test", "-o", "json", *state).out)["approvals"]
    assert [(word["about"], word["by"]) for word in words] == [("t09", "ann")]
    service.start()
    assert "t09" not in service.ask().tenants()
    history = json.loads(guard("history", "test", "--tenant", "t09", "-o", "json", *here(service)).out)
    assert history["events"][-1]["why"] == "approved"


class Another(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"x": 1}')

    def log_message(self, *_: object) -> None:
        return


@pytest.mark.parametrize("command", [("holds",), ("show",), ("show", "x"), ("history",)])
def test_what_answers_otherwise_is_not_tenantry(command: tuple[str, ...]) -> None:
    with HTTPServer(("127.0.0.1", 0), Another) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended = guard(*command, "--url", f"http://127.0.0.1:{server.server_port}", TENANTRY_ADMIN_TOKEN=ADMIN)
        server.shutdown()

    assert (ended.code, "is not tenantry, or another version of it" in ended.err) == (3, True), ended


def test_a_guard_that_was_off_meanwhile_brings_nobody_back(service: RunningService, table: Table) -> None:
    service.stop()
    service.environment["TENANTRY_GUARD_MODE"] = "off"
    service.start()
    assert len(service.ask().tenants()) == 4
    state = f"{service.data}/tenantry-state.db"
    eventually(lambda: 'unguarded":1' in _whole(state), what="That nobody remembers")
    service.stop()
    service.environment["TENANTRY_GUARD_MODE"] = "hold"

    service.start()

    assert len(service.ask().tenants()) == 4
    assert '"event":"answers_forgotten","level":"warning"' in service.log.read_text()
    assert held(service) == 0


def _whole(state: str) -> str:
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
        found: str = connection.execute("SELECT document FROM ledger").fetchone()[0]
        return found


def test_a_state_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "typo.db"

    for arguments in (("holds",), ("freeze", "--why", "moving")):
        ended = guard(*arguments, "--state", f"sqlite:///{path}", TENANTRY_CONFIG=str(tmp_path / "none.yaml"))

        assert (ended.code, f"There is no file '{path}'." in ended.err) == (3, True)
    assert list(tmp_path.iterdir()) == []


def test_the_command_that_a_look_at_the_state_shows_says_that_it_is_for_the_state(service: RunningService) -> None:
    service.stop()

    shown = guard("show", "test", "--state", f"sqlite:///{service.data}/tenantry-state.db")

    (command,) = [line.strip() for line in shown.out.splitlines() if "guard approve" in line]
    assert command.endswith("--why '…' --state '…'")


def test_every_word_is_written_down_with_who_and_why(service: RunningService) -> None:
    said = [
        ("freeze", "--why", "one"),
        ("unfreeze", "--why", "two"),
        ("freeze", "test", "--why", "three"),
        ("unfreeze", "test", "--why", "four"),
        ("pin", "test", "t00", "--why", "five"),
        ("unpin", "test", "t00", "--why", "six"),
        ("approve", "test", "t00", "--for", "2h", "--why", "seven"),
        ("withdraw", "test", "t00", "--why", "eight"),
    ]

    for arguments in said:
        assert guard(*arguments, "--by", "ann", *here(service)).code == 0

    events = json.loads(guard("history", "-o", "json", *here(service)).out)["events"]
    assert [(event["by"], event["why"]) for event in events if event["by"]] == [
        ("ann", arguments[-1]) for arguments in said
    ]


def test_without_a_guard_the_commands_say_that_it_is_off(serving: Serving, table: Table) -> None:
    service = serving({"TENANTRY_SOURCE_URL": f"sqlite:///{table.path}"})

    ended = guard("holds", *here(service))

    assert ended.code == 1
    assert "There is no guard: `guard.mode` is off." in ended.err
