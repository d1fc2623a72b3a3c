"""`tenantry serve` in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import in_a_process
from tests.contract.bed import SQLiteFile
from tests.support.processes import end, free_port, start
from tests.support.service import TOKEN, Reply, RunningService, ask
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]


def test_without_a_source_the_ways_to_give_one_are_told(tmp_path: Path) -> None:
    ended = in_a_process("serve", cwd=tmp_path, environment={"AUTH_TOKEN": "x"})

    assert (ended.code, ended.out) == (2, "")
    for way in ("source.url", "TENANTRY_SOURCE_URL", "--source-url", "DB_HOST", "tenantry demo"):
        assert way in ended.err


def test_without_a_token_the_ways_to_give_one_are_told(tmp_path: Path, file: SQLiteFile) -> None:
    ended = in_a_process("serve", "--source-url", file.url, cwd=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    for way in ("AUTH_TOKEN", "tokens.file", "tokens.directory"):
        assert way in ended.err


def test_every_mistake_is_told_at_once_and_nothing_is_served(tmp_path: Path) -> None:
    (tmp_path / "tenantry.yaml").write_text("sorce: {}\nserver:\n  address: everywhere\n")

    ended = in_a_process("serve", "--config", "tenantry.yaml", "--snapshot-refresh", "soon", cwd=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    assert all(word in ended.err for word in ("sorce", "server.address", "snapshot.refresh"))
    assert "Traceback" not in ended.err


def test_an_address_that_is_taken_ends_with_2_and_says_so(tmp_path: Path, file: SQLiteFile) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"

        ended = in_a_process(
            "serve", "--server-address", address, "--source-url", file.url,
            cwd=tmp_path, environment={"AUTH_TOKEN": "x"},
        )  # fmt: skip

    assert (ended.code, ended.out) == (2, "")
    assert f"Cannot listen on {address}" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_it_answers_until_a_signal_and_ends_with_0(serving: Serving, file: SQLiteFile, how: signal.Signals) -> None:
    service = serving({"TENANTRY_SOURCE_URL": file.url})

    assert service.ask({"status": "active"}).tenants() == ["acme", "gamma"]
    assert service.stop(how) == 0


def test_the_probes_can_have_a_port_of_their_own(tmp_path: Path, file: SQLiteFile) -> None:
    plugin, probes = free_port(), free_port()
    environment = {
        **os.environ,
        "AUTH_TOKEN": TOKEN,
        "TENANTRY_SOURCE_URL": file.url,
        "TENANTRY_DATA_DIRECTORY": str(tmp_path / "data"),
        "TENANTRY_SERVER_ADDRESS": f"127.0.0.1:{plugin}",
        "TENANTRY_SERVER_OPS_ADDRESS": f"127.0.0.1:{probes}",
        "TENANTRY_SERVER_DRAIN": "0s",
    }

    process = start([sys.executable, "-m", "tenantry", "serve"], tmp_path / "log", environment=environment)
    try:
        eventually(lambda: probe(probes, "/readyz").status == 200)
        assert ask(plugin).status == 200
        assert [probe(plugin, path).status for path in ("/healthz", "/readyz", "/metrics")] == [404] * 3
        assert ask(probes).status == 404
    finally:
        assert end(process) == 0


def probe(port: int, path: str) -> Reply:
    return ask(port, method="GET", path=path, body=b"")
