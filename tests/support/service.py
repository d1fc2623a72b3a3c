"""A service in a process of its own, tenantry or another plugin, and a client that asks it as Argo CD does."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.processes import Program, free_port
from tests.support.waiting import eventually

TOKEN = "test-token"
PATH = "/api/v1/getparams.execute"
TENANTRY = (sys.executable, "-m", "tenantry", "serve")
RIVAL = (sys.executable, "-m", "tests.rival")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 -- whatever was sent
        """Return the decoded body."""
        return json.loads(self.body)

    def tenants(self) -> list[str]:
        """Return the tenants of an answer."""
        return [item["tenant"] for item in self.json()["output"]["parameters"]]


def ask(
    port: int,
    parameters: Mapping[str, object] | None = None,
    *,
    token: str = TOKEN,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    path: str = PATH,
    timeout: float = 30.0,
) -> Reply:
    """Ask on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    if body is None:
        body = json.dumps({"applicationSetName": "test", "input": {"parameters": dict(parameters or {})}}).encode()
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {token}", **(headers or {})})
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


class RunningService:
    """A service from start to end."""

    def __init__(self, folder: Path, environment: Mapping[str, str], command: Sequence[str] = TENANTRY) -> None:
        """Prepare to run `command` with nothing of this process's environment but what programs need."""
        self.port = free_port()
        self.log = folder / f"service-{self.port}.log"
        self.data = folder / f"data-{self.port}"
        self.socket = self.data / "admin.sock"
        self._command = list(command)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            "AUTH_TOKEN": TOKEN,
            "TENANTRY_DATA_DIRECTORY": str(self.data),
            "PYTHONPATH": str(ROOT),
            "TENANTRY_SERVER_ADDRESS": f"127.0.0.1:{self.port}",
            "TENANTRY_SERVER_DRAIN": "0s",
            "TENANTRY_SNAPSHOT_REFRESH": "200ms",
            # What rows alone do shows where nothing is held.
            "TENANTRY_GUARD_MODE": "off",
            **environment,
        }
        if tuple(command) == RIVAL:
            self._command += ["--port", str(self.port)]
        self.program = Program(self._command, self.log, environment=self.environment)

    def start(self, *, ready: bool = True) -> RunningService:
        """Start, and wait until it is ready, or only until it listens."""
        self.begin()
        path = "/readyz" if ready else "/healthz"
        eventually(lambda: self._answers(path), within=30, what=f"The service ({self.log})")
        return self

    def begin(self) -> None:
        """Start, and wait for nothing."""
        self.program.begin()

    def _answers(self, path: str) -> bool:
        if self.program.code is not None:
            raise RuntimeError(f"it ended with {self.program.code}: {self.log.read_text()}")
        return self.ask(path=path, method="GET", body=b"").status == 200

    def ask(self, parameters: Mapping[str, object] | None = None, **how: Any) -> Reply:  # noqa: ANN401 -- see `ask`
        """Ask it."""
        return ask(self.port, parameters, **how)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        return self.program.end(how)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self.stop(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self.program.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
