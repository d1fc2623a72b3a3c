"""A terminal for a page of the docs: its commands run one after the other, some of them in the background."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.processes import ends_with_parent
from tests.support.service import ask
from tests.support.waiting import eventually

_MARK = "=-=-= ended with"
_PATIENCE = 120.0
_SOME_LINES = "(?:[^\n]*\n)*"


def printed_as(output: Sequence[str]) -> re.Pattern[str]:
    """Return what matches the documented output: `…` stands for anything, on a line of its own for any lines."""
    lines = [
        _SOME_LINES if line.strip() == "…" else "[^\n]*".join(map(re.escape, line.rstrip().split("…"))) + "\n"
        for line in output
    ]
    return re.compile("".join(lines))


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in lines)


class Terminal:
    """A shell that keeps its variables, and at most one program in the background that serves `port`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], port: int) -> None:
        """Open a shell in `folder` with nothing but `environment`."""
        self._folder = folder
        self._environment = dict(environment)
        self._port = port
        self._background: subprocess.Popen[bytes] | None = None
        self._started = 0
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=ends_with_parent(),  # noqa: PLW1509 -- the child only calls libc
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_background()
        self._shell.kill()
        self._shell.wait()
        for stream in (self._shell.stdin, self._shell.stdout):
            if stream is not None:
                stream.close()

    def run(self, line: str) -> tuple[int, str]:
        """Run a line, and return its exit code and all that it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{{ {line}\n}} < /dev/null\nprintf '\\n{_MARK} %s\\n' \"$?\"\n")
        self._shell.stdin.flush()
        printed: list[str] = []
        alarm = threading.Timer(_PATIENCE, self._shell.kill)
        alarm.start()
        try:
            for text in self._shell.stdout:
                if text.startswith(_MARK):
                    return int(text.removeprefix(_MARK)), _tidy("".join(printed))
                printed.append(text)
        finally:
            alarm.cancel()
        raise AssertionError(f"`{line}` did not end within {_PATIENCE} s. So far: {''.join(printed)}")

    def start(self, line: str, output: Sequence[str]) -> None:
        """Start a line in the background, in the place of the one before; wait until it serves and has printed."""
        self.stop_background()
        eventually(self._port_is_free, within=_PATIENCE, what=f"A free port {self._port}")
        self._started += 1
        log = self._folder / f"background-{self._started}.log"
        with log.open("wb") as stream:
            self._background = subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-c", line],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=ends_with_parent(),  # noqa: PLW1509 -- the child only calls libc
            )
        expected = printed_as(output)
        eventually(
            lambda: self._has_ended() or (self._serves() and expected.search(_tidy(log.read_text()))),
            within=_PATIENCE,
            what=f"What `{line}` should print, {expected.pattern!r},",
        )
        assert not self._has_ended(), f"`{line}` ended and printed:\n{log.read_text()}"

    def stop_background(self) -> None:
        """Press Ctrl-C."""
        if self._background is None:
            return
        for how in (signal.SIGINT, signal.SIGKILL):
            try:
                os.killpg(self._background.pid, how)
                self._background.wait(20)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._background.wait()
        self._background = None

    def _has_ended(self) -> bool:
        return self._background is not None and self._background.poll() is not None

    def _serves(self) -> bool:
        return ask(self._port, path="/readyz", method="GET", body=b"").status == 200

    def _port_is_free(self) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", self._port))
        return True
