"""The programs that are measured: each a process of its own on the loopback interface."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

TOKEN = "bench-token"
PATH = "/api/v1/getparams.execute"
PATIENCE = 60.0
"""Seconds that a program may take to answer for the first time, or to end."""


class CannotMeasure(Exception):
    """Something that is needed is missing, or an answer was wrong."""


class Used(NamedTuple):
    """Seconds of processor time."""

    user: float
    """The main thread itself."""

    kernel: float
    """The kernel, for the main thread."""

    others: float
    """The other threads."""


@dataclass(frozen=True)
class Running:
    """A program that answers on a port."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def peak_memory(self) -> float:
        """Return the largest resident set since the last reset, in MB."""
        return _status_of(self.process.pid, "VmHWM") * 1024 / 1e6

    def memory(self) -> float:
        """Return the resident set, in MB."""
        return _status_of(self.process.pid, "VmRSS") * 1024 / 1e6

    def processor_seconds(self) -> float:
        """Return what it and its children have used so far, which noise of the machine changes less than a rate."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(map(_processor_seconds, (pid, *map(int, children))))

    def thread_seconds(self) -> Used:
        """Return what its main thread and the others beside it have used so far."""
        pid = self.process.pid
        fields = [_fields_of(task) for task in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda one: one.name)]
        main = _fields_of(Path(f"/proc/{pid}/task/{pid}"))
        everybody = sum(user + kernel for user, kernel in fields)
        return Used(main[0], main[1], everybody - sum(main))

    def reset_peak_memory(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


def _processor_seconds(pid: int) -> float:
    return sum(_fields_of(Path(f"/proc/{pid}")))


def _fields_of(process: Path) -> tuple[float, float]:
    """Return the seconds of the processor that a process or a thread used itself, and in the kernel."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


def _status_of(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise CannotMeasure(f"The kernel does not tell {key}.")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def environment(work: Path, **given: str) -> dict[str, str]:
    """Return an environment without settings of its own, whose bytecode is kept in `work`: never in the checkout."""
    ours = ("TENANTRY_", "DB_", "PG", "AUTH_TOKEN", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPYCACHEPREFIX": str(work / "bytecode"), **given}


@contextmanager
def started(name: str, command: Sequence[str], env: Mapping[str, str], port: int, log: Path) -> Iterator[Running]:
    """Run a program, its log in a file as a container's is; end it by SIGTERM, and at last by SIGKILL."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield Running(name, port, process, log)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def tenantry(
    work: Path, database: Mapping[str, str], module: Sequence[str] = ("tenantry", "serve"), **settings: str
) -> Iterator[Running]:
    """Run the service as it is shipped: token, metrics and a line of log for each request."""
    port = free_port()
    env = environment(
        work,
        **{
            "AUTH_TOKEN": TOKEN,
            "TENANTRY_DATA_DIRECTORY": str(work / f"data-{port}"),
            "TENANTRY_SERVER_ADDRESS": f"127.0.0.1:{port}",
            "TENANTRY_SERVER_DRAIN": "0s",
            **database,
            **settings,
        },
    )
    command = [sys.executable, "-m", *module]
    with started("tenantry", command, env, port, work / f"tenantry-{port}.log") as running:
        yield running


@contextmanager
def rival(work: Path, database: Mapping[str, str]) -> Iterator[Running]:
    """Run the stand-in for the tutorial's plugin: the same stack and query, a connection per request."""
    port = free_port()
    env = environment(work, AUTH_TOKEN=TOKEN, **database)
    command = [sys.executable, "-m", "tests.rival", "--port", str(port)]
    with started("the rival", command, env, port, work / f"rival-{port}.log") as running:
        wait_until(running, lambda: status_of(running, "POST", PATH) != 0)
        yield running


NGINX = """
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type application/json;
    client_body_temp_path {work}/nginx-body; proxy_temp_path {work}/nginx-proxy; fastcgi_temp_path {work}/nginx-fastcgi;
    uwsgi_temp_path {work}/nginx-uwsgi; scgi_temp_path {work}/nginx-scgi;
    server {{ listen 127.0.0.1:{port}; root {work}/static; location / {{ gzip_static on; }} }}
}}
"""


@contextmanager
def nginx(work: Path) -> Iterator[Running]:
    """Run nginx over the folder `static`: Debian's defaults, one process as tenantry is one, and no log."""
    port = free_port()
    static = work / "static"
    static.mkdir(exist_ok=True)
    (static / "ready").write_text("")
    for folder in (work, static):
        folder.chmod(0o755)
    configuration = work / "nginx.conf"
    configuration.write_text(NGINX.format(work=work, port=port))
    command = ["nginx", "-c", str(configuration), "-e", "stderr"]
    with started("nginx", command, environment(work), port, work / "nginx.log") as running:
        wait_until(running, lambda: status_of(running, "GET", "/ready") == 200)
        yield running


def question(parameters: Mapping[str, object] | None = None, application_set: str = "bench") -> bytes:
    """Return the body that Argo CD sends."""
    return json.dumps({"applicationSetName": application_set, "input": {"parameters": parameters or {}}}).encode()


HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def ask(
    running: Running,
    parameters: Mapping[str, object] | None = None,
    coding: str = "identity",
    application_set: str = "bench",
) -> bytes:
    """Return the body of an answer, as it was encoded."""
    connection = HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    connection.request("POST", PATH, question(parameters, application_set), {**HEADERS, "Accept-Encoding": coding})
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    if reply.status != 200:
        raise CannotMeasure(f"{running.name} answered {reply.status}: {body[:300].decode(errors='replace')}")
    return body


def get(running: Running, path: str) -> tuple[int, bytes]:
    """Return status and body; the status is 0 while nobody listens."""
    connection = HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, HTTPException):
        return 0, b""
    finally:
        connection.close()


def status_of(running: Running, method: str, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    try:
        connection.request(method, path, question() if method == "POST" else None, HEADERS)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def wait_until(running: Running, done: Callable[[], bool], every: float = 0.005, patience: float = PATIENCE) -> None:
    """Wait for `done()`; a program that ended or took too long cannot be measured."""
    end = time.monotonic() + patience
    while not done():
        if running.process.poll() is not None or time.monotonic() > end:
            tail = running.log.read_text(errors="replace")[-600:]
            raise CannotMeasure(f"{running.name} did not get ready or did not follow: {tail}")
        time.sleep(every)


def wait_ready(running: Running) -> None:
    wait_until(running, lambda: get(running, "/readyz")[0] == 200)
