"""What several processes in one test share: a ledger that others write to in between, and a loop without waiting."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tenantry.core.errors import StateMoved
from tenantry.core.ledger import SetLedger, SetName
from tenantry.service.state import Changes, Counted, Remembered, Replica
from tests.fakes import FakeStore
from tests.guard.model import Answer, Holds

Crossing = Callable[[str], Awaitable[None]]
"""Lets something happen before what is named."""


async def nothing(before: str) -> None:
    """Let nothing happen in between."""


class Died(Exception):
    """A process that is no more, in the middle of what it did."""

    def __init__(self, *, is_written: bool) -> None:
        super().__init__("It died.")
        self.is_written = is_written


class SharedStore(FakeStore):
    """A ledger of several processes; before each look at it, and each write, something else may happen."""

    def __init__(self, now: float, clock: Callable[[], float], counts: Counter[str]) -> None:
        """Begin `now`; whoever comes too late to write is counted."""
        super().__init__(is_shared=True, now=now)
        self.clock, self._counts = clock, counts
        self.crossing: Crossing = nothing
        self.written_now: Callable[[], None] = lambda: None

    async def counts(self) -> Counted:
        await self.crossing("counts")
        return await super().counts()

    async def catch_up(self, writes: int, known: Mapping[SetName, SetLedger]) -> Remembered:
        await self.crossing("catch_up")
        return await super().catch_up(writes, known)

    async def write(self, changes: Changes, writes: int) -> None:
        await self.crossing("write")
        try:
            await super().write(changes, writes)
        except StateMoved:
            self._counts["decided anew"] += 1
            raise
        self.written_now()

    async def seen(self, replica: Replica) -> list[Replica]:
        await self.crossing("seen")
        return await super().seen(replica)

    def stands_at(self, source: str) -> int:
        """Return how far the log of a database had come, as far as was written."""
        origin = self._whole.origins.get(source)
        return origin.lsn if origin is not None else 0

    def holds(self, name: SetName) -> Holds:
        """Return who is held, whatever some process knows of it."""
        return dict(self._sets[name].holds) if name in self._sets else {}

    def inputs(self, name: SetName) -> Sequence[str]:
        """Return which inputs are remembered."""
        return list(self._sets[name].baselines) if name in self._sets else ()

    def released(self, name: SetName, given: str) -> Answer:
        """Return what an input was answered last, as far as it was written."""
        return {tenant: json.loads(one) for tenant, one in self._sets[name].baselines[given].released.items()}


class Loop(asyncio.SelectorEventLoop):
    """An event loop on which every sleep is over at once, and every timeout is met as if it had not been."""

    def __init__(self) -> None:
        self._waits = _Waits()
        super().__init__(self._waits)

    def time(self) -> float:
        return self._waits.passed


class _Waits(selectors.DefaultSelector):
    """Adds up for how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> Any:  # noqa: ANN401 -- as it is there
        if timeout is None:
            raise AssertionError("everybody waits for somebody else")
        self.passed += max(timeout, 0.0)
        return super().select(0)
