"""Load on a program: wrk with sixteen connections, and a single client that keeps to its schedule."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.processes import HEADERS, PATH, CannotMeasure, Running, question
from bench.report import Bar, Figure, percentile, plain

CONNECTIONS = 16
_HEAD_END = b"\r\n\r\n"

SCRIPT = """
wrk.method = "{method}"
{body}
{headers}
done = function(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'MEASURED {{"requests": %d, "bytes": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, ' ..
        '"status": %d, "broken": %d, "late": %d}}\\n',
        summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
"""


@dataclass(frozen=True)
class Round:
    """What one round of load gave."""

    per_second: float
    p50: float
    """Milliseconds, as p99."""

    p99: float

    processor: float
    """Microseconds of processor time for each answer, of the program alone."""


@dataclass(frozen=True)
class Contender:
    """A program and what it is asked for: `size` bytes are the body of each answer."""

    running: Running
    path: str
    method: str
    coding: str
    size: int
    seconds: float

    def round(self, work: Path) -> Round:
        """Load it for a while; any answer that is not 200, or is smaller than it should be, ends the measurement."""
        used = self.running.processor_seconds()
        measured = self._measured(work)
        used = self.running.processor_seconds() - used
        wrong = {name: measured[name] for name in ("status", "broken", "late") if measured[name]}
        if wrong or measured["bytes"] < measured["requests"] * self.size or not measured["requests"]:
            raise CannotMeasure(f"{self.running.name} gave wrong answers under load: {measured}")
        seconds = measured["microseconds"] / 1e6
        return Round(
            measured["requests"] / seconds,
            measured["p50"] / 1000,
            measured["p99"] / 1000,
            used / measured["requests"] * 1e6,
        )

    def warm_up(self, work: Path) -> None:
        """Load it for a second that is not counted."""
        replace(self, seconds=1.0)._measured(work)  # noqa: SLF001 -- our own

    def _measured(self, work: Path) -> dict[str, float]:
        script = work / "load.lua"
        headers = {**HEADERS, "Accept-Encoding": self.coding}
        script.write_text(
            SCRIPT.format(
                method=self.method,
                body=f"wrk.body = [[{question().decode()}]]" if self.method == "POST" else "",
                headers="\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()),
            )
        )
        url = f"http://127.0.0.1:{self.running.port}{self.path}"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{self.seconds:g}s", "--timeout", "60s", "-s", str(script), url]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=self.seconds + 120)
        found = re.search(r"^MEASURED (.*)$", done.stdout, re.MULTILINE)
        if not found:
            raise CannotMeasure(f"wrk failed: {(done.stderr or done.stdout)[-300:]}")
        measured: dict[str, float] = json.loads(found[1])
        return measured


def interleaved(contenders: Sequence[Contender], rounds: int, work: Path) -> list[list[Round]]:
    """Load each in turn, again and again, so that noise of the machine hits all of them."""
    taken: list[list[Round]] = [[] for _ in contenders]
    for _ in range(rounds):
        for rows, contender in zip(taken, contenders, strict=True):
            rows.append(contender.round(work))
    return taken


class SteadyClient(threading.Thread):
    """Asks one small question again and again over one connection, and keeps how long each answer took."""

    def __init__(self, running: Running, parameters: dict[str, object], every: float) -> None:
        super().__init__(name="steady client")
        body = question(parameters)
        lines = [f"POST {PATH} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in HEADERS.items()]
        self._request = "\r\n".join(lines).encode() + _HEAD_END + body
        self._running = running
        self._every = every
        self._enough = threading.Event()
        self.taken: list[tuple[float, float]] = []
        """When each question was sent, on the monotonic clock, and how many seconds later its answer was there."""

        self.wrong: bytes = b""

    def run(self) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self._running.port), timeout=60) as connection:
                self._ask_on(connection)
        except (OSError, CannotMeasure) as error:
            self.wrong = str(error).encode()

    def _ask_on(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not self._enough.is_set() and not self.wrong:
            began = time.monotonic()
            connection.sendall(self._request)
            answer = _answer(connection)
            self.taken.append((began, time.monotonic() - began))
            if not answer.startswith(b"HTTP/1.1 200") or answer.count(b'"tenant":') != 1:
                self.wrong = answer
            time.sleep(max(0.0, began + self._every - time.monotonic()))

    def stop(self) -> None:
        """End, and hold what came against what should have come."""
        self._enough.set()
        self.join()
        if self.wrong or not self.taken:
            raise CannotMeasure(f"A small answer was wrong: {self.wrong[:300]!r}")


def small_answers_meanwhile(
    client: SteadyClient, rounds: Sequence[Sequence[tuple[float, float]]], meanwhile: str, detail: str = ""
) -> Figure:
    """Return how long a client waited for what it asked within the spans of each round, or an instant before."""
    taken = [
        [seconds * 1000 for began, seconds in client.taken if any(a - 0.01 <= began <= b for a, b in spans)]
        for spans in rounds
    ]
    # Where all is over in a moment, it asked nothing meanwhile.
    taken = [times for times in taken if times] or [[client.taken[-1][1] * 1000]]
    every = [time for times in taken for time in times]
    return Figure(
        f"p99 of a small answer while {meanwhile}",
        [percentile(times, 0.99) for times in taken],
        "ms",
        Bar(50),
        f"p50 {plain(percentile(every, 0.5))} ms, most {plain(max(every))} ms; "
        f"{len(every):,} questions, 5 ms apart{detail}",
        whole=percentile(every, 0.99),
    )


def _answer(connection: socket.socket) -> bytes:
    got = b""
    while _HEAD_END not in got:
        got += _some(connection)
    head, _, body = got.partition(_HEAD_END)
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    length = int(found[1]) if found else 0
    while len(body) < length:
        body += _some(connection)
    return head + _HEAD_END + body


def _some(connection: socket.socket) -> bytes:
    got = connection.recv(1 << 16)
    if not got:
        raise CannotMeasure("The service closed a connection.")
    return got
