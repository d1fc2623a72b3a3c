"""The acceptance cases of the plugin contract that are about removals, over HTTP, with the guard as shipped."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.contract.cases import case
from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

SETTLE = "400ms"


class Guarded:
    """A service with its guard, a table of tenants, and an ApplicationSet that polls."""

    def __init__(self, serving: Serving, folder: Path) -> None:
        self.database = folder / "tenants.db"
        self.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY, status TEXT, region TEXT)")
        self._serving = serving
        self.service: RunningService

    def execute(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def insert(self, *tenants: str, region: str = "eu") -> None:
        self.execute(*(f"INSERT INTO organization VALUES ('{tenant}', 'active', '{region}')" for tenant in tenants))

    def serve(self, *inputs: dict[str, object], **environment: str) -> None:
        """Start, and let the ApplicationSet ask for each of its inputs as often as makes it live."""
        self.service = self._serving(
            {
                "TENANTRY_SOURCE_URL": f"sqlite:///{self.database}",
                "TENANTRY_GUARD_MODE": "hold",
                "TENANTRY_GUARD_SETTLE": SETTLE,
                **environment,
            }
        )
        for given in inputs:
            self.service.ask(given)
        for given in inputs:
            eventually(lambda given=given: self._is_live(given), what="A second poll")  # type: ignore[misc]

    def _is_live(self, given: dict[str, object]) -> bool:
        self.service.ask(given)
        text = json.dumps(given, separators=(",", ":"), sort_keys=True)
        return any(one["input"] == text and one["live"] for one in self.show()["inputs"])

    def show(self) -> Any:  # noqa: ANN401 -- JSON
        return json.loads(self.guard("show", "test", "-o", "json"))

    def guard(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tenantry", "guard", *arguments, "--socket", str(self.service.socket)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def metric(self, name: str) -> float:
        text = self.service.ask(path="/metrics", method="GET", body=b"").body.decode()
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name}{{"))

    def holds(self, number: int, given: dict[str, object] | None = None) -> None:
        """Poll until so many are held."""
        eventually(
            lambda: self.service.ask(given).status == 200 and self.metric("tenantry_held_removals") == number,
            what=f"{number} held removals",
        )


@pytest.fixture
def guarded(serving: Serving, tmp_path: Path) -> Guarded:
    return Guarded(serving, tmp_path)


@case(19)
def test_a_set_that_had_tenants_and_matches_none_keeps_them(guarded: Guarded) -> None:
    guarded.insert("acme", "beta")
    guarded.serve({})
    before = guarded.service.ask().body

    guarded.execute("DELETE FROM organization")
    guarded.holds(2)

    assert guarded.service.ask().body == before


@case(19)
@pytest.mark.parametrize("how", ["allowEmpty", "approved"])
def test_a_set_is_emptied_where_its_input_or_a_person_says_so(guarded: Guarded, how: str) -> None:
    given: dict[str, object] = {"allowEmpty": "true"} if how == "allowEmpty" else {}
    guarded.insert("acme", "beta")
    guarded.serve({})
    assert guarded.service.ask(given).tenants() == ["acme", "beta"]

    guarded.execute("DELETE FROM organization")
    if how == "approved":
        guarded.holds(2)
        guarded.guard("approve", "test", "acme", "beta", "--why", "the end")

    eventually(lambda: guarded.service.ask(given).tenants() == [], what="The empty answer")


@case(20)
def test_a_drop_beyond_the_limit_is_held_and_everything_else_goes_on(guarded: Guarded) -> None:
    guarded.insert(*(f"t{n:02}" for n in range(40)))
    guarded.serve({})

    guarded.execute("DELETE FROM organization WHERE tenant < 't10'", "UPDATE organization SET region = 'us'")
    guarded.insert("new")
    guarded.holds(10)

    answer = {one["tenant"]: one for one in guarded.service.ask().json()["output"]["parameters"]}
    assert len(answer) == 41
    assert (answer["t00"]["region"], answer["t10"]["region"]) == ("eu", "us")
    eventually(lambda: '"event":"hold_began"' in guarded.service.log.read_text(), what="The line of the hold")
    assert "t00" not in guarded.service.log.read_text()
    (hold,) = guarded.show()["holds"]
    assert re.match(r"10 of 4[01] tenants of the ApplicationSet would leave", hold["because"])
    assert "a read found 31 rows" in hold["cause"] or "a read found 30 rows" in hold["cause"]
    guarded.guard(*hold["approve"].replace("'…'", "meant").split()[2:])
    assert len(guarded.service.ask().tenants()) == 31


@case(21)
def test_a_first_caller_that_matches_nobody_gets_an_empty_list(guarded: Guarded) -> None:
    guarded.serve()

    reply = guarded.service.ask()

    assert (reply.status, reply.body) == (200, b'{"output":{"parameters":[]}}')


@case(40)
def test_a_tenant_that_moves_in_a_pass_is_never_missing_from_both_rows(guarded: Guarded) -> None:
    guarded.insert(*(f"t{n:02}" for n in range(20)))
    rows: list[dict[str, object]] = [{"region": "eu"}, {"region": "us"}]
    guarded.serve(*rows)
    service = guarded.service

    guarded.execute("UPDATE organization SET region = 'us' WHERE tenant = 't07'")
    seen = []

    def has_moved() -> bool:
        # The pass asks for the row that loses it first.
        there = ["t07" in service.ask(given).tenants() for given in rows]
        seen.append(there)
        return there == [False, True]

    eventually(has_moved, what="The move")
    assert all(any(there) for there in seen)
    assert [True, True] in seen


@case(49)
def test_an_offboarded_tenant_leaves_after_it_settled_and_the_history_says_who_and_why(guarded: Guarded) -> None:
    guarded.insert(*(f"t{n:02}" for n in range(20)))
    guarded.serve({}, TENANTRY_GUARD_MODE="upsert-only")
    guarded.guard("approve", "test", "t07", "--for", "2h", "--why", "ticket 4711", "--by", "ann")

    guarded.execute("DELETE FROM organization WHERE tenant = 't07'")
    eventually(lambda: "t07" not in guarded.service.ask().tenants(), what="Its end")

    history = json.loads(guarded.guard("history", "test", "--tenant", "t07", "-o", "json"))["events"]
    assert [(event["kind"], event["by"], event["why"]) for event in history if event["kind"] == "approved"] == [
        ("approved", "ann", "ticket 4711")
    ]
    assert history[-1]["left"] == ["t07"]
    assert history[-1]["words"] == {"t07": "ann"}


@case(49)
def test_a_tenant_that_is_toggled_off_and_on_within_minutes_stays(guarded: Guarded) -> None:
    guarded.insert("acme", "beta", "gamma")
    guarded.serve({"status": "active"}, TENANTRY_GUARD_SETTLE="60s")

    seen = set()
    for state in ("inactive", "active") * 3:
        guarded.execute(f"UPDATE organization SET status = '{state}' WHERE tenant = 'beta'")
        reads = guarded.metric("tenantry_reads_total")
        eventually(lambda reads=reads: guarded.metric("tenantry_reads_total") >= reads + 2, what="A read")  # type: ignore[misc]
        seen.add(tuple(guarded.service.ask({"status": "active"}).tenants()))

    assert seen == {("acme", "beta", "gamma")}
