"""An event loop whose time passes at once: whoever sleeps an hour waits for nothing else than the others."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


class _AtOnce(selectors.SelectSelector):
    """A selector that never waits, and adds up what it should have waited."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("Everybody waits for something that never comes.")
        if not found and timeout:
            self.passed += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on which time passes only while nobody has anything to do."""

    def __init__(self) -> None:
        self._at_once = _AtOnce()
        super().__init__(self._at_once)

    def time(self) -> float:
        return 1000.0 + self._at_once.passed


class VirtualClock:
    """The clock of the loop that runs."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
