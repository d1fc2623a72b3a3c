"""`python -m tests.replicas.races`: have two replicas remove at the same moment, again and again.

Two real services share one PostgreSQL. In every race both want to let two tenants go, where three may: of two
ApplicationSets only one loses any, and of one ApplicationSet that asks both replicas nobody is counted twice.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg

from tests.support.postgres import PostgresServer
from tests.support.service import PATH, TOKEN, RunningService
from tests.support.waiting import eventually

MAY_LEAVE = 3
TENANTS = 10
"""Of each ApplicationSet."""

_WANTING = 2
_ROUNDS = 200
_MOST_TOLD = 2000
"""Characters of a document or a log that go into a failure."""

_APART = 0.002
"""Seconds between two requests of a race at most: a release takes as long."""


class TooMany(AssertionError):
    """More left than may, or nobody did."""


class Replica:
    """A replica, and a connection to it that is kept."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.service = RunningService(folder, environment)
        self.service.begin()

    def ready(self) -> Replica:
        eventually(lambda: self.service.ask(path="/readyz", method="GET", body=b"").status == 200, within=60)
        self._connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=30)
        return self

    def ask(self, name: str) -> set[str]:
        """Return the tenants that an ApplicationSet is answered."""
        body = json.dumps({"applicationSetName": name, "input": {"parameters": {"status": name[0]}}})
        status, answer = self._requested("POST", PATH, body)
        if status != 200:
            raise TooMany(f"A race was lost to status {status}: {answer!r}")
        found: Any = json.loads(answer)
        return {item["tenant"] for item in found["output"]["parameters"]}

    def reads(self) -> int:
        """Return how many reads there were, and those that were not needed."""
        return sum(int(float(value)) for name, value in self._metrics() if name.startswith("tenantry_reads_total"))

    def tenants(self) -> int:
        return next((int(float(value)) for name, value in self._metrics() if name == "tenantry_tenants"), -1)

    def _metrics(self) -> list[Sequence[str]]:
        _, text = self._requested("GET", "/metrics", "")
        return [line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#")]

    def _requested(self, method: str, path: str, body: str) -> tuple[int, bytes]:
        self._connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}"})
        response = self._connection.getresponse()
        return response.status, response.read()


class Track:
    """One table, one state, and two replicas."""

    def __init__(self, folder: Path, server: PostgresServer, seed: int) -> None:
        self.chance = random.Random(seed)
        self.winners: Counter[str] = Counter()
        self.table, self.state = server.create_database(), server.create_database("template1")
        self.execute("DELETE FROM organization")
        self.rows = {name: [f"{name}{number}" for number in range(TENANTS)] for name in ("a", "b")}
        for name, tenants in self.rows.items():
            self._put_back(name, tenants)
        environment = {
            **self.table.tutorial_environment(),
            "TENANTRY_STATE_URL": self.state.url(),
            "TENANTRY_GUARD_MODE": "hold",
            "TENANTRY_GUARD_SETTLE": "0s",
            "TENANTRY_GUARD_LIMITS": f"1h:0:{MAY_LEAVE}",
            "TENANTRY_SNAPSHOT_REFRESH": "100ms",
        }
        self.replicas = [Replica(folder, environment) for _ in range(2)]
        self._threads = ThreadPoolExecutor(2)
        self._start = threading.Barrier(2)
        self._ledger = psycopg.connect(self.state.url(), autocommit=True)
        for replica in self.replicas:
            replica.ready()

    def execute(self, statement: str) -> None:
        self.table.execute(statement)

    def close(self) -> None:
        self._threads.shutdown()
        self._ledger.close()
        for replica in self.replicas:
            replica.service.stop()

    def _put_back(self, name: str, tenants: Sequence[str]) -> None:
        for tenant in tenants:
            self.execute(f"INSERT INTO organization (tenant, status) VALUES ('{tenant}', '{name}')")

    def race(self, names: Sequence[str]) -> None:
        """Have each replica let two go of its ApplicationSet; raises TooMany."""
        self._prepare(set(names))
        gone = {name: set(self.chance.sample(self.rows[name], _WANTING)) for name in names}
        both = "', '".join(sorted(set().union(*gone.values())))
        self.execute(f"DELETE FROM organization WHERE tenant IN ('{both}')")
        left = 2 * TENANTS - len(set().union(*gone.values()))
        for replica in self.replicas:
            eventually(lambda replica=replica: replica.tenants() == left, every=0.01)  # type: ignore[misc]
        before = [replica.reads() for replica in self.replicas]
        for replica, number in zip(self.replicas, before, strict=True):
            eventually(lambda replica=replica, number=number: replica.reads() >= number + 2, every=0.01)  # type: ignore[misc]
        answers = self._at_once(names)
        removed = self._removed(names, answers)
        self._judge(names, removed)
        for name, tenants in gone.items():
            self._put_back(name, sorted(tenants))

    def _prepare(self, names: set[str]) -> None:
        """Answer everybody, and forget who ever left, as if that were long ago."""
        for name in names:
            for replica in self.replicas:
                eventually(lambda name=name, replica=replica: len(replica.ask(name)) == TENANTS, every=0.01)  # type: ignore[misc]
        self._ledger.execute(
            "WITH other AS (UPDATE tenantry.ledger SET writes = writes + 1) "
            "UPDATE tenantry.application_set SET document = (document::jsonb - 'losses')::text"
        )
        for name in names:
            for replica in self.replicas:
                replica.ask(name)

    def _at_once(self, names: Sequence[str]) -> list[set[str]]:
        """Ask both replicas at one moment, as often as it takes until somebody let go; return what they answered."""
        for _ in range(_ROUNDS):
            waits = [self.chance.uniform(0, _APART), 0.0]
            self.chance.shuffle(waits)
            asked: list[Callable[[], set[str]]] = [
                lambda replica=replica, name=name, wait=wait: self._asked(replica, name, wait)  # type: ignore[misc]
                for replica, name, wait in zip(self.replicas, names, waits, strict=True)
            ]
            answers = [one.result() for one in [self._threads.submit(work) for work in asked]]
            if any(len(answer) < TENANTS for answer in answers):
                return answers
        raise self._explained(TooMany("Nobody let go of anybody."))

    def _explained(self, broken: TooMany) -> TooMany:
        """Note what is needed to understand it: what is written down, and what each replica has read and said."""
        for (document,) in self._ledger.execute("SELECT document FROM tenantry.application_set").fetchall():
            broken.add_note(f"Written down: {document[:_MOST_TOLD]}")
        for replica in self.replicas:
            read = f"{replica.reads()} reads, the last of {replica.tenants()} tenants"
            broken.add_note(f"A replica: {read}; its log ends with:\n{replica.service.log.read_text()[-_MOST_TOLD:]}")
        return broken

    def _asked(self, replica: Replica, name: str, wait: float) -> set[str]:
        self._start.wait(30)
        threading.Event().wait(wait)
        return replica.ask(name)

    def _removed(self, names: Sequence[str], answers: Sequence[set[str]]) -> set[str]:
        """Return who left, by what was answered then and is answered now, by either replica."""
        everybody = [*zip(names, answers, strict=True)]
        everybody += [(name, replica.ask(name)) for name in names for replica in self.replicas]
        return {tenant for name, answer in everybody for tenant in self.rows[name] if tenant not in answer}

    def _judge(self, names: Sequence[str], removed: set[str]) -> None:
        found = self._ledger.execute("SELECT document::jsonb -> 'losses' FROM tenantry.application_set").fetchall()
        counted = [loss["tenant"] for (losses,) in found for loss in losses or ()]
        if len(removed) > MAY_LEAVE or sorted(counted) != sorted(removed):
            told = f"{len(removed)} left, and {len(counted)} were counted, where {MAY_LEAVE} may leave."
            raise self._explained(TooMany(told))
        self.winners["one ApplicationSet" if len(set(names)) == 1 else f"{min(removed)[0]} of two"] += 1


def races(times: int, seed: int) -> str:
    """Race so often, and return what was seen; raises TooMany."""
    folder = Path(tempfile.mkdtemp(prefix="tenantry-races-"))
    folder.chmod(0o755)
    server = PostgresServer(folder / "postgres")
    server.start()
    server.make_template()
    try:
        track = Track(folder, server, seed)
        try:
            for number in range(times):
                track.race(("a", "b") if number % 2 else ("a", "a"))
        finally:
            track.close()
        told = ", ".join(f"{number} {what}" for what, number in sorted(track.winners.items()))
        return f"{times} races, seed {seed}: never more than the limits. Who let go: {told}."
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Race as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    try:
        print(races(asked.times, asked.seed))
    except TooMany as broken:
        print(broken, *getattr(broken, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
