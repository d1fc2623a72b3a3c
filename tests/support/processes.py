"""Processes that end with the test, however it ends; and ports that nobody uses."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import secrets
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


_WORKERS = 8
"""Workers that have ports of their own."""

_GIVEN: set[int] = set()


def free_port() -> int:
    """Return a loopback port that is free now, and that no outgoing connection gets while a server is stopped.

    None is given twice, in this process or beside it by another worker of the same run of tests.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    while True:
        port = 20000 + _WORKERS * secrets.randbelow(12000 // _WORKERS) + worker
        if port in _GIVEN:
            continue
        _GIVEN.add(port)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def server_user() -> str | None:
    """Return the user under which a server that refuses root can run; None when we are not root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def ends_with_parent(user: str | None = None) -> Callable[[], None]:
    """Return what a child does before it begins: die with its parent, and become another user."""
    libc = ctypes.CDLL(None)
    entry = pwd.getpwnam(user) if user else None

    def prepare() -> None:
        if entry is not None:
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


def start(
    command: Sequence[str], log: Path, *, user: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program with its output in `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environment is None else dict(environment),
            preexec_fn=ends_with_parent(user),  # noqa: PLW1509 -- the child only calls libc
            cwd="/" if user else None,
        )


class Program:
    """A program that can be ended, held still and begun again, as it was."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare to run `command` with its output in `log`; it does not run yet."""
        self.log = log
        self._command = list(command)
        self._user = user
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        self._process = start(self._command, self.log, user=self._user, environment=self._environment)

    @property
    def is_begun(self) -> bool:
        """Whether it was begun, and nobody ended it since; it may have ended by itself."""
        return self._process is not None

    @property
    def code(self) -> int | None:
        """Return the exit code of one that ended by itself; None for any other."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        """Return the process's id."""
        assert self._process is not None
        return self._process.pid

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it, for sure, and return its exit code; 0 if it does not run."""
        process, self._process = self._process, None
        return 0 if process is None else end(process, how)

    def kill(self) -> None:
        """End it without a word, and what it started with it."""
        self._signal(signal.SIGKILL)
        self.end(signal.SIGKILL)

    def pause(self) -> None:
        """Hold it still, and what it started."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        for pid in (self._process.pid, *children_of(self._process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started and that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = status.read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid:
                found.append(int(status.parent.name))
    return found


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, within: float = 20.0) -> int:
    """End a program, for sure."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(5)
