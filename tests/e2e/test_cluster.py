"""`make cluster`: what it prints works, and nothing of it stays."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from lightkube import Client, KubeConfig

from tests.e2e.argocd import Application
from tests.support.processes import children_of
from tests.support.service import ROOT, ask
from tests.support.waiting import eventually

READY = "Ctrl-C ends everything"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run it, and return what it printed when it was ready."""
    out = tmp_path / "out"
    with (
        out.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.cluster"], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            eventually(lambda: READY in out.read_text() or process.poll(), within=120, what="The cluster")
            yield process, out.read_text()
        finally:
            process.kill()


def after(words: str, told: str) -> str:
    """Return what stands after some words, to the end of the word or of the quoted text."""
    found = re.search(re.escape(words) + (r"([^']+)" if words.endswith("'") else r"([^\s']+)"), told)
    assert found, told
    return found[1]


def test_what_it_prints_works_and_it_ends_without_a_trace(cluster: tuple[subprocess.Popen[bytes], str]) -> None:
    process, told = cluster
    kubeconfig = Path(after("KUBECONFIG=", told))
    port, token = int(after("http://127.0.0.1:", told).partition("/")[0]), after("Bearer ", told)
    body = after("-d '", told).encode()

    with psycopg.connect(after("psql '", told), autocommit=True) as connection:
        connection.execute("INSERT INTO organization (tenant, status) VALUES ('kilo-media', 'active')")
    eventually(lambda: "kilo-media" in ask(port, token=token, body=body).tenants(), what="The newcomer")
    kubernetes = Client(KubeConfig.from_file(kubeconfig))
    eventually(lambda: kubernetes.get(Application, "foobar-app-kilo-media"), within=60, what="Its Application")
    kubernetes.close()
    started = children_of(process.pid)
    assert len(started) == 5
    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 0
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert not kubeconfig.parent.exists()
    with pytest.raises(OSError, match="refused"):
        ask(port, token=token)
