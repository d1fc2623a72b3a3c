"""`python -m tests.guard.killed`: kill the service at each step of a release, and look whether anything was forgotten.

Rows go all the while, one before each start. Whatever was killed when, a client never sees more tenants leave than the
limits allow, for a removal is written down before its answer is sent.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tenantry.adapters.database.state import StateStore
from tenantry.config.loading import load
from tenantry.runtime import Service, run
from tenantry.service.state import Changes
from tenantry.web import plugin
from tenantry.web.asgi import Message, Send, send_all
from tests.support.processes import free_port

STEPS = ("before the write", "after the write", "before sending", "in the middle of sending")
TENANTS = 60
MAY_LEAVE = 3
"""Within an hour, of sixty tenants, with the limits as shipped."""

_TOKEN = "test-token"
_PATIENCE = 20.0
_BODY = b'{"applicationSetName":"test","input":{}}'


class Forgotten(AssertionError):
    """A release was not remembered."""


def die() -> None:
    """Be killed as by the kernel."""
    os.kill(os.getpid(), signal.SIGKILL)


def doom(step: str, after: int) -> None:
    """Let this process be killed at a step of a release, at the so many-th time that it comes there."""
    left = Counter({step: after})

    def reached(here: str) -> None:
        left[here] -= 1
        if here == step and left[here] < 0:
            die()

    write = StateStore._write

    def doomed_write(self: StateStore, changes: Changes, writes: int) -> None:
        reached(STEPS[0])
        write(self, changes, writes)
        reached(STEPS[1])

    async def doomed_send(send: Send, messages: Sequence[Message]) -> None:
        if messages[0]["status"] != 200:
            await send_all(send, list(messages))
            return
        reached(STEPS[2])
        body = messages[1]["body"]
        await send(messages[0])
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        reached(STEPS[3])
        await send({"type": "http.response.body", "body": body[len(body) // 2 :]})

    StateStore._write = doomed_write  # type: ignore[method-assign]
    plugin.send_all = doomed_send  # type: ignore[attr-defined]


class Trial:
    """One table, one state, and many lives of a service."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.database = folder / "tenants.db"
        self.rows = [f"t{n:03}" for n in range(TENANTS)]
        self.gone: list[str] = []
        self.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY, plan INTEGER)")
        for tenant in self.rows:
            self.execute(f"INSERT INTO organization VALUES ('{tenant}', 0)")
        self.seen: list[str] = []
        self.left: list[str] = []
        self.killed: Counter[str] = Counter()

    def execute(self, statement: str) -> None:
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement)

    def live(self, step: str) -> None:
        """Let one tenant's row go, start, ask until the service is killed, and judge what was seen."""
        self._delete_one()
        port = free_port()
        pid = self._started(port, step, self.chance.randrange(4))
        try:
            self._ask_until_dead(port, pid)
        finally:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        self.killed[step] += 1

    def _delete_one(self) -> None:
        self.gone.append(self.rows.pop(0))
        self.execute(f"DELETE FROM organization WHERE tenant = '{self.gone[-1]}'")
        if len(self.rows) < TENANTS // 2:
            self.rows.append(self.gone.pop(0))
            self.execute(f"INSERT INTO organization VALUES ('{self.rows[-1]}', 0)")

    def _started(self, port: int, step: str, after: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            with (self.folder / "log").open("ab") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            doom(step, after)
            environment = {
                "AUTH_TOKEN": _TOKEN,
                "TENANTRY_SOURCE_URL": f"sqlite:///{self.database}",
                "TENANTRY_SERVER_ADDRESS": f"127.0.0.1:{port}",
                "TENANTRY_DATA_DIRECTORY": str(self.folder / "data"),
                "TENANTRY_SNAPSHOT_REFRESH": "50ms",
                "TENANTRY_GUARD_SETTLE": "0s",
            }
            run(Service(load(None, environment, {})).run())
        finally:
            os._exit(1)

    def _ask_until_dead(self, port: int, pid: int) -> None:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            answer = _asked(port)
            if answer is not None:
                self._judge(answer)
                # Something to release.
                tenant = self.chance.choice(self.rows)
                self.execute(f"UPDATE organization SET plan = plan + 1 WHERE tenant = '{tenant}'")
            time.sleep(0.01)
        raise Forgotten("The service did not come to the step at which it is killed.")

    def _judge(self, answer: list[str]) -> None:
        """Hold a whole answer against the one before it."""
        gone = [tenant for tenant in self.seen if tenant not in answer]
        self.left += gone
        if len(self.left) > MAY_LEAVE:
            raise Forgotten(f"{len(self.left)} tenants left: {self.left}")
        self.seen = answer


def _asked(port: int) -> list[str] | None:
    """Return who is answered; None where there is no whole answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    try:
        connection.request("POST", plugin.PATH, _BODY, headers)
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            return None
        found: Any = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return [item["tenant"] for item in found["output"]["parameters"]]


def killed(times: int, seed: int) -> str:
    """Kill so often, and return what was seen; raises Forgotten."""
    folder = Path(tempfile.mkdtemp(prefix="tenantry-killed-"))
    try:
        trial = Trial(folder, seed)
        for number in range(times):
            trial.live(STEPS[number % len(STEPS)])
        if not trial.left:
            raise Forgotten("Nobody left at all: nothing was tried.")
        told = ", ".join(f"{number} {step}" for step, number in trial.killed.items())
        return f"{times} times killed ({told}), seed {seed}: {len(trial.left)} tenants left, as the limits allow."
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Kill as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    try:
        print(killed(asked.times, asked.seed))
    except Forgotten as forgotten:
        print(forgotten, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
