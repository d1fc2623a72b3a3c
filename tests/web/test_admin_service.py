"""The admin API of a whole service: over its socket and over TCP, with real servers and real tokens."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import in_a_process
from tests.contract.bed import SQLiteFile
from tests.support.processes import free_port
from tests.support.service import TOKEN, Reply, RunningService, ask
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]
LIST = "/api/admin/v1/tenants"
ADMIN = "the-admin's-own"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, by the standard library: not by the client under test."""

    def __init__(self, path: Path) -> None:
        super().__init__("tenantry", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


@pytest.fixture
def file(tmp_path: Path) -> SQLiteFile:
    made = SQLiteFile(tmp_path / "tenants.db")
    made.execute(
        "CREATE TABLE organization (tenant TEXT, status TEXT);"
        "INSERT INTO organization VALUES ('acme', 'active'), ('be/ta', 'trial'), ('gamma', 'inactive')"
    )
    return made


def environment(file: SQLiteFile, **more: str) -> dict[str, str]:
    states = {"STATE": "status", "SERVE": "active,trial", "RETIRE": "inactive"}
    settings = {f"TENANTRY_SOURCE_{name}": value for name, value in states.items()}
    return {"TENANTRY_SOURCE_URL": file.url, **settings, **more}


def by_socket(path: Path, target: str = LIST, method: str = "GET") -> Reply:
    connection = UnixConnection(path)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def over_tcp(service: RunningService, token: str, target: str = LIST) -> Reply:
    return service.ask(method="GET", path=target, body=b"", token=token)


def events(service: RunningService, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def test_the_socket_answers_without_a_token_and_is_nobody_elses(serving: Serving, file: SQLiteFile) -> None:
    service = serving(environment(file))

    reply = by_socket(service.socket)

    assert reply.status == 200
    assert [(one["id"], one["served"]) for one in reply.json()["tenants"]] == [
        ("acme", True),
        ("be/ta", True),
        ("gamma", False),
    ]
    assert stat.S_IMODE(service.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(service.data.stat().st_mode) == 0o700


def test_the_socket_has_probes_and_pages_and_not_the_plugin(serving: Serving, file: SQLiteFile) -> None:
    service = serving(environment(file))

    statuses = {
        path: by_socket(service.socket, path).status
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/api/v1/getparams.execute")
    }

    assert set(statuses.values()) == {200, 404}
    assert [path for path, status in statuses.items() if status == 404] == ["/api/v1/getparams.execute"]


def test_connections_of_the_socket_are_kept(serving: Serving, file: SQLiteFile) -> None:
    connection = UnixConnection(serving(environment(file)).socket)
    try:
        for tenant in ("acme", "be%2Fta", "gamma"):
            connection.request("GET", f"{LIST}/{tenant}")
            response = connection.getresponse()
            assert (response.status, response.getheader("content-length")) == (200, str(len(response.read())))
            assert connection.sock is not None
    finally:
        connection.close()


def test_over_tcp_there_is_nothing_without_an_admin_token(serving: Serving, file: SQLiteFile) -> None:
    service = serving(environment(file))

    assert [over_tcp(service, token).status for token in (TOKEN, ADMIN, "")] == [404] * 3


def test_over_tcp_the_admin_token_opens_what_the_plugins_does_not_and_the_reverse(
    serving: Serving, file: SQLiteFile
) -> None:
    service = serving(environment(file, TENANTRY_ADMIN_TOKEN=ADMIN))

    assert [over_tcp(service, token).status for token in (ADMIN, TOKEN, "wrong")] == [200, 403, 401]
    assert [service.ask(token=token).status for token in (ADMIN, TOKEN, "wrong")] == [403, 200, 401]
    assert over_tcp(service, ADMIN, f"{LIST}/be%2Fta").json()["tenant"]["id"] == "be/ta"


def test_a_prepared_answer_is_not_given_for_the_admin_token(serving: Serving, file: SQLiteFile) -> None:
    service = serving(environment(file, TENANTRY_ADMIN_TOKEN=ADMIN))

    assert [service.ask(token=token).status for token in (TOKEN, TOKEN, ADMIN, TOKEN)] == [200, 200, 403, 200]


def test_the_admin_token_of_a_file_changes_without_a_restart(
    serving: Serving, file: SQLiteFile, tmp_path: Path
) -> None:
    token = tmp_path / "admin" / "token"
    token.parent.mkdir()
    token.write_text(f"{ADMIN}\n")
    service = serving(environment(file, TENANTRY_ADMIN_TOKEN_FILE=str(token)))
    assert over_tcp(service, ADMIN).status == 200

    token.write_text("another-one\n")

    eventually(lambda: over_tcp(service, "another-one").status == 200)
    assert over_tcp(service, ADMIN).status == 401


def test_an_admin_token_that_argo_cd_has_too_is_refused_at_the_start(tmp_path: Path, file: SQLiteFile) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "argocd.1").write_text(ADMIN)

    ended = in_a_process(
        "serve", "--tokens-directory", "tokens", cwd=tmp_path,
        environment=environment(file, TENANTRY_ADMIN_TOKEN=ADMIN),
    )  # fmt: skip

    assert (ended.code, ended.out) == (2, "")
    assert "The admin token is one of the plugin's too" in ended.err
    assert ADMIN not in ended.err


def test_an_admin_token_that_becomes_argo_cds_is_refused_from_then_on(
    serving: Serving, file: SQLiteFile, tmp_path: Path
) -> None:
    directory = tmp_path / "tokens"
    directory.mkdir()
    service = serving(environment(file, TENANTRY_ADMIN_TOKEN=ADMIN, TENANTRY_TOKENS_DIRECTORY=str(directory)))
    assert over_tcp(service, ADMIN).status == 200

    (directory / "argocd.1").write_text(ADMIN)

    eventually(lambda: over_tcp(service, ADMIN).status == 403)


def test_where_the_probes_have_a_port_of_their_own_the_admin_api_is_not_there(
    serving: Serving, file: SQLiteFile
) -> None:
    probes = free_port()
    more = {"TENANTRY_SERVER_OPS_ADDRESS": f"127.0.0.1:{probes}", "TENANTRY_ADMIN_TOKEN": ADMIN}
    service = RunningService(file.path.parent, environment(file, **more))
    service.begin()
    try:
        eventually(lambda: ask(probes, method="GET", path="/readyz", body=b"").status == 200)
        assert over_tcp(service, ADMIN).status == 200
        assert ask(probes, method="GET", path=LIST, body=b"", token=ADMIN).status == 404
        assert by_socket(service.socket, "/readyz").status == 200
    finally:
        service.stop()


def test_the_socket_is_gone_with_the_service(serving: Serving, file: SQLiteFile) -> None:
    service = serving(environment(file))

    assert service.stop() == 0

    assert not service.socket.exists()
    assert events(service, "listening")[0]["admin_socket"] == str(service.socket)


def test_what_a_killed_service_left_behind_is_replaced_by_the_next(serving: Serving, file: SQLiteFile) -> None:
    killed = serving(environment(file))
    killed.stop(signal.SIGKILL)
    assert killed.socket.is_socket()

    serving(environment(file, TENANTRY_DATA_DIRECTORY=str(killed.data)))

    assert by_socket(killed.socket).status == 200


def test_a_second_service_leaves_the_socket_to_the_first_and_serves_all_the_same(
    serving: Serving, file: SQLiteFile
) -> None:
    first = serving(environment(file))
    before = first.socket.stat().st_ino

    second = serving(environment(file, TENANTRY_DATA_DIRECTORY=str(first.data)))

    assert second.ask().status == 200
    (told,) = eventually(lambda: events(second, "admin_socket_unavailable"))
    assert (told["level"], told["reason"]) == ("warning", "another process uses it")
    second.stop()
    assert by_socket(first.socket).status == 200
    assert first.socket.stat().st_ino == before


@pytest.mark.parametrize("place", ["tenants.db/data", "/proc/nowhere"])
def test_without_its_directory_it_serves_and_says_so(serving: Serving, file: SQLiteFile, place: str) -> None:
    directory = file.path.parent / place

    service = serving(environment(file, TENANTRY_DATA_DIRECTORY=str(directory), TENANTRY_ADMIN_TOKEN=ADMIN))

    assert service.ask().status == 200
    assert over_tcp(service, ADMIN).status == 200
    (told,) = eventually(lambda: events(service, "admin_socket_unavailable"))
    assert told["path"] == str(directory / "admin.sock")
    assert "data.directory" in told["remedy"]


def test_a_path_that_is_too_long_for_a_socket_ends_the_start_with_the_way_out(tmp_path: Path, file: SQLiteFile) -> None:
    ended = in_a_process(
        "serve", "--data-directory", tmp_path / ("x" * 120), cwd=tmp_path,
        environment=environment(file, AUTH_TOKEN="x"),
    )  # fmt: skip

    assert (ended.code, ended.out) == (2, "")
    assert "Give a shorter one as admin.socket." in ended.err


def test_neither_token_nor_tenant_is_in_the_log(serving: Serving, file: SQLiteFile) -> None:
    service = serving(environment(file, TENANTRY_ADMIN_TOKEN=ADMIN))

    over_tcp(service, ADMIN, f"{LIST}/acme")
    over_tcp(service, "nearly-a-secret", f"{LIST}/acme")
    eventually(lambda: events(service, "admin_refused"))

    service.stop()
    log = service.log.read_text()
    assert not [word for word in (ADMIN, "nearly-a-secret", "acme") if word in log]


def test_a_successor_takes_the_socket_over_once_the_service_before_has_ended(
    serving: Serving, file: SQLiteFile, tmp_path: Path
) -> None:
    data = {"TENANTRY_DATA_DIRECTORY": str(tmp_path / "shared")}
    before = serving(environment(file, **data))
    after = serving(environment(file, **data))
    path = tmp_path / "shared" / "admin.sock"
    eventually(lambda: bool(events(after, "admin_socket_unavailable")), within=30, what="The log line")
    assert [event["reason"] for event in events(after, "admin_socket_unavailable")] == ["another process uses it"]

    assert before.stop() == 0

    eventually(lambda: bool(events(after, "admin_socket_made")), within=30, what="The socket of the successor")
    assert by_socket(path).status == 200
    assert after.stop() == 0
    assert not path.exists()


def test_a_socket_that_somebody_removed_is_made_again(serving: Serving, file: SQLiteFile) -> None:
    service = serving(environment(file))
    service.socket.unlink()

    eventually(lambda: bool(events(service, "admin_socket_made")), within=30, what="The new socket")

    assert by_socket(service.socket).status == 200
    assert stat.S_IMODE(service.socket.stat().st_mode) == 0o600
    assert service.stop() == 0
    assert not service.socket.exists()
