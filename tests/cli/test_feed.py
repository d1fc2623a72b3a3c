"""Hearing of changes as the service runs: by a trigger, on request, and not reading where nothing has changed."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx2
import psycopg
import pytest

from tenantry.core.trigger import trigger_sql
from tests.support.postgres import Database
from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]
NEVER = {"TENANTRY_SNAPSHOT_REFRESH": "1h", "TENANTRY_SNAPSHOT_MAX_STALE": "2h"}


def metric(service: RunningService, name: str) -> float:
    text = service.ask(path="/metrics", method="GET", body=b"").body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def tenantry(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-m", "tenantry", *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, env={**kept, **environment}, cwd="/"
    )


def test_a_trigger_that_is_printed_makes_a_change_heard_at_once(serving: Serving, database: Database) -> None:
    environment = database.tutorial_environment()
    printed = tenantry("manifests", "trigger", **environment)
    assert printed.returncode == 0, printed.stderr
    with psycopg.connect(database.url(), autocommit=True) as owner:
        owner.execute(printed.stdout)
    assert "A trigger tells of each change" in tenantry("check", **environment, AUTH_TOKEN="t").stdout
    service = serving({**environment, **NEVER})

    database.execute("INSERT INTO organization (tenant, status) VALUES ('new-one', 'active')")

    eventually(lambda: "new-one" in service.ask().tenants(), what="The new tenant")


def test_without_a_trigger_check_tells_how_soon_a_change_is_noticed_and_how_to_hear_it(database: Database) -> None:
    told = tenantry("check", **database.tutorial_environment(), AUTH_TOKEN="t").stdout

    assert "The table has no trigger" in told
    assert "`tenantry manifests trigger` prints one" in told


def test_tenants_are_not_read_while_it_is_proven_that_nothing_changed(serving: Serving, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection, connection:
        connection.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY)")
        connection.execute("INSERT INTO organization VALUES ('a')")
    service = serving({"TENANTRY_SOURCE_URL": f"sqlite:///{tmp_path}/t.db", "TENANTRY_SNAPSHOT_REFRESH": "300ms"})
    spared = 'tenantry_reads_total{outcome="spared"}'
    eventually(lambda: metric(service, spared) > 0, what="A read that was spared")
    read = metric(service, 'tenantry_reads_total{outcome="ok"}')
    before = metric(service, spared)

    eventually(lambda: metric(service, spared) >= before + 3, what="More of them")

    assert metric(service, 'tenantry_reads_total{outcome="ok"}') == read
    with closing(sqlite3.connect(tmp_path / "t.db")) as connection, connection:
        connection.execute("INSERT INTO organization VALUES ('b')")
    eventually(lambda: service.ask().tenants() == ["a", "b"], what="The new tenant")


@pytest.mark.parametrize("how", ["SIGHUP", "the admin API"])
def test_tenants_are_read_when_somebody_asks_for_it(serving: Serving, database: Database, how: str) -> None:
    service = serving({**database.tutorial_environment(), **NEVER})
    ok = 'tenantry_reads_total{outcome="ok"}'
    eventually(lambda: metric(service, ok) > 0, what="The first read")
    before = metric(service, ok)

    if how == "SIGHUP":
        os.kill(service.pid, signal.SIGHUP)
    else:
        transport = httpx2.HTTPTransport(uds=str(service.socket))
        with httpx2.Client(transport=transport, timeout=30) as client:
            answer = client.post("http://tenantry/api/admin/v1/refresh")
        assert (answer.status_code, json.loads(answer.content)["tenants"]) == (200, len(service.ask().tenants()))

    eventually(lambda: metric(service, ok) > before, what="Another read")


@pytest.mark.parametrize(
    ("url", "more", "told"),
    [
        ("sqlite:///t.db", {}, "The trigger is for PostgreSQL"),
        ("postgresql://h/d", {"TENANTRY_SOURCE_QUERY": "SELECT tenant FROM a"}, "Name a table that source.query reads"),
    ],
)
def test_a_trigger_that_cannot_be_printed_is_said_so(url: str, more: dict[str, str], told: str) -> None:
    ended = tenantry("manifests", "trigger", TENANTRY_SOURCE_URL=url, **more)

    assert (ended.returncode, told in ended.stderr) == (2, True), ended.stderr


def test_names_are_quoted_in_the_trigger() -> None:
    printed = trigger_sql('my "tenants".orgs', "it's")

    assert 'ON "my ""tenants"""."orgs"' in printed
    assert "('it''s')" in printed
