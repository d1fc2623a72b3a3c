"""What the other processes that share a ledger told Argo CD of: who asks then is to be answered with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tenantry.service.ports import Clock


@dataclass(slots=True)
class Nudge:
    """A nudge that is being counted."""

    number: int | None = None


class OthersNudges:
    """Tells by the number of all nudges that there were when another process counted one."""

    def __init__(self, clock: Clock) -> None:
        """Know of none."""
        self._clock = clock
        self._own = self._others = 0
        self.seen = -math.inf
        """When the last of theirs was found, on the monotonic clock."""

    def take(self, counted: int) -> None:
        """Take how many nudges of any ApplicationSet any process has counted so far."""
        others = counted - self._own
        if others > self._others:
            self.seen = self._clock.monotonic()
        self._others = others

    @contextmanager
    def own(self) -> Iterator[Nudge]:
        """Count one here, and say its number.

        It is one of ours before it is there, so that a look at the same time takes nobody else's for ours.
        """
        self._own += 1
        nudge = Nudge()
        try:
            yield nudge
        finally:
            if nudge.number is None:
                self._own -= 1
