"""The service as shipped, with a timer around each stage of a request's way: `python -m bench.stages FILE`.

A profiler that looks at every call makes small functions look large, and one that samples from a thread sees the event
loop only where it lets go of the interpreter. A few timers of our own say the same each time, and what they cost
is measured and taken off again. At the end the file has what each stage took in all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any, TypeVar

from tenantry.adapters.logs import LogObserver
from tenantry.adapters.prometheus import PrometheusObserver
from tenantry.service.guarding import Guarding
from tenantry.web import plugin
from tenantry.web.app import FrontDoor
from tenantry.web.plugin import PluginEndpoint
from tenantry.web.protocol import LimitedProtocol

Function = TypeVar("Function", bound=Callable[..., Any])

OUTSIDE = "event loop: looking for bytes and reading them"
WRITE = "writing to the socket"
STAGES: dict[str, tuple[tuple[object, str], ...]] = {
    "HTTP: parsing bytes, limits": ((LimitedProtocol, "data_received"),),
    "HTTP: from headers to a request (uvicorn)": (
        (LimitedProtocol, "on_message_begin"),
        (LimitedProtocol, "on_headers_complete"),
        (LimitedProtocol, "on_body"),
        (LimitedProtocol, "on_message_complete"),
    ),
    "HTTP: timers against slow and idle peers": (
        (LimitedProtocol, "_begin_headers"),
        (LimitedProtocol, "_end_headers"),
        (LimitedProtocol, "_limit_headers"),
        (LimitedProtocol, "_unset_keepalive_if_required"),
        (LimitedProtocol, "on_response_complete"),
        (LimitedProtocol, "_begin_idleness"),
    ),
    "dispatch to the prepared answer": (
        (LimitedProtocol, "_answered_at_once"),
        (FrontDoor, "at_once"),
        (PluginEndpoint, "at_once"),
    ),
    "auth: the token": ((plugin, "consumer_of"),),
    "the answer by the bytes of its request": ((PluginEndpoint, "_known"), (plugin, "takes_gzip")),
    "the guard's ticket": ((Guarding, "is_good"),),
    WRITE: (),
    "metrics": ((PrometheusObserver, "answered"),),
    "log: the line": ((LogObserver, "answered"),),
}
"""The functions of each stage; what they call that is in no stage of its own counts as theirs."""


_IDLE = 1_000_000
"""Nanoseconds between two stages beyond which nobody was asking."""


@dataclass
class Spent:
    """What a stage took."""

    nanoseconds: int = 0
    calls: int = 0
    inner: int = 0
    """Calls of other timed functions out of this stage."""


class Timers:
    """Time between entering and leaving stages, each moment of it in one stage only."""

    def __init__(self) -> None:
        self.outside = Spent()
        self.stages = {name: Spent() for name in STAGES}
        self._current = self.outside
        self._since = perf_counter_ns()

    def timed(self, stage: Spent, function: Function) -> Function:
        """Return a function whose time counts as a stage's."""

        def wrapped(*given: Any, **named: Any) -> Any:  # noqa: ANN401 -- whatever the function takes and returns
            now = perf_counter_ns()
            before = self._current
            gone = now - self._since
            if gone < _IDLE or before is not self.outside:
                before.nanoseconds += gone
            before.inner += 1
            stage.calls += 1
            self._current = stage
            self._since = perf_counter_ns()
            try:
                return function(*given, **named)
            finally:
                now = perf_counter_ns()
                stage.nanoseconds += now - self._since
                self._current = before
                self._since = perf_counter_ns()

        return wrapped  # type: ignore[return-value]

    def cost(self) -> tuple[float, float]:
        """Return the nanoseconds that a timer adds to its own stage, and to the stage that calls it."""
        number = 20_000
        own, caller = Spent(), Spent()
        inner = self.timed(own, _nothing)

        def calls() -> None:
            for _ in range(number):
                inner()

        def plain() -> None:
            for _ in range(number):
                _nothing()

        self.timed(caller, calls)()
        before = perf_counter_ns()
        plain()
        bare = (perf_counter_ns() - before) / number
        # That a function is called at all counts as its caller's.
        return own.nanoseconds / number, max(0.0, caller.nanoseconds / number - bare)

    def told(self) -> dict[str, Any]:
        """Return what each stage took, without what the timers add."""
        own, caller = (min(cost) for cost in zip(*(self.cost() for _ in range(5)), strict=True))
        stages = {
            name: (spent.nanoseconds - spent.calls * own - spent.inner * caller) / 1000
            for name, spent in {OUTSIDE: self.outside, **self.stages}.items()
        }
        return {"requests": self.stages[WRITE].calls, "microseconds": stages, "timer": (own + caller) / 1000}


class _Transport:
    """A transport whose writes are timed; everything else is the real one's."""

    def __init__(self, real: Any, timers: Timers) -> None:  # noqa: ANN401 -- uvloop's own type
        self._real = real
        self.writelines = timers.timed(timers.stages[WRITE], real.writelines)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever a transport has
        return getattr(self._real, name)


def put_in(timers: Timers) -> None:
    """Put the timers around the stages of this process."""
    for stage, places in STAGES.items():
        for owner, name in places:
            setattr(owner, name, timers.timed(timers.stages[stage], getattr(owner, name)))
    made = LimitedProtocol.connection_made

    def connection_made(self: LimitedProtocol, transport: Any) -> None:  # noqa: ANN401 -- uvloop's own type
        made(self, _Transport(transport, timers))  # type: ignore[arg-type]

    LimitedProtocol.connection_made = connection_made  # type: ignore[method-assign]


def _nothing() -> None:
    """Do nothing."""


def main() -> None:
    """Serve until SIGTERM, then write what was timed."""
    from tenantry.cli.main import commands

    file = Path(sys.argv[1])
    timers = Timers()
    put_in(timers)
    try:
        commands(["serve"], standalone_mode=False)
    finally:
        file.write_text(json.dumps(timers.told()))


if __name__ == "__main__":
    main()
