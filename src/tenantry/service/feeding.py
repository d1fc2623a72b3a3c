"""Hearing of changes: a feed gives hints, a hint asks for a read, and a read is the truth."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import Enum
from typing import Protocol

from tenantry.core.errors import SourceError
from tenantry.service.ports import Clock, Observer

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 10.0
"""Seconds between two tries to connect, drawn at random up to a bound that doubles."""


class Look(Enum):
    """What a feed finds out."""

    CHANGED = "changed"
    """Tenants have changed, or may have since nobody looked: the first look of each connection."""

    MAYBE = "maybe"
    """Something in the database has changed: perhaps tenants."""

    SAME = "same"
    """No tenant has changed since the look before."""


class Feed(Protocol):
    """Tells what happens in the database of tenants."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    @property
    def identity(self) -> str | None:
        """What the names of the sources begin with, about which it can tell that nothing has changed."""
        ...

    @property
    def is_told(self) -> bool:
        """Whether it hears of a commit when it happens, and not with its next look."""
        ...

    def looks(self) -> AsyncGenerator[Look, None]:
        """Connect, and give a look for each change and now and then; raises SourceError when the connection is lost."""
        ...


class Hearer(Protocol):
    """Who reads tenants."""

    def signal(self, *, heard: bool = False) -> None:
        """Read soon; `heard` if a commit was told of just now."""
        ...

    def hint(self) -> None:
        """Read, if the last read was long ago."""
        ...


class Feeder:
    """Follows a feed for ever, and tells who reads."""

    def __init__(self, feed: Feed, hearer: Hearer, observer: Observer, clock: Clock) -> None:
        """Follow `feed` for `hearer`."""
        self._feed = feed
        self._hearer = hearer
        self._observer = observer
        self._clock = clock
        self._failures = 0
        self._proven_at: float | None = None
        self._changed_at = math.inf
        self._looked_at = -math.inf

    @property
    def name(self) -> str:
        """What the feed is called."""
        return self._feed.name

    @property
    def is_heard(self) -> bool:
        """Whether changes are heard of now."""
        return not self._failures and self._looked_at > -math.inf

    def proven(self, source: str, began: float) -> float | None:
        """Return until when it is proven that no tenant of a source has changed since a read that began then."""
        identity = self._feed.identity
        if self._proven_at is None or began < self._changed_at or identity is None:
            return None
        return self._proven_at if source.startswith(f"{identity}/") else None

    async def run(self) -> None:
        """Follow; connect again whenever the connection is lost."""
        while True:
            try:
                async with aclosing(self._feed.looks()) as looks:
                    self._take(await anext(looks), is_first=True)
                    async for look in looks:
                        self._is_back()
                        self._take(look)
            except SourceError as error:
                self._lost(error)
            except Exception as error:  # noqa: BLE001 -- without a feed tenants are read by the timer all the same
                self._observer.failed(error)
                self._lost(SourceError())
            finally:
                self._proven_at, self._changed_at = None, math.inf
            bound = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(self._failures, 16))
            await asyncio.sleep(bound * random.uniform(0.5, 1.0))  # noqa: S311 -- no secret

    def _take(self, look: Look, *, is_first: bool = False) -> None:
        if look is not Look.SAME:
            self._proven_at, self._changed_at = None, self._clock.monotonic()
        # What a look proves it proves until it began, which is not before the one before it was taken.
        began, self._looked_at = self._looked_at, self._clock.monotonic()
        match look:
            case Look.CHANGED:
                self._hearer.signal(heard=self._feed.is_told and not is_first)
            case Look.MAYBE:
                self._hearer.hint()
            case Look.SAME:
                self._proven_at = began

    def _is_back(self) -> None:
        """Begin anew with short waits: one look alone, which costs a read, does not show that the connection holds."""
        if self._failures:
            self._observer.told("feed_back", {"feed": self._feed.name})
            self._failures = 0

    def _lost(self, error: SourceError) -> None:
        """Say it once: reads go on by the timer, and tell of themselves."""
        if not self._failures:
            remedy = "Tenants are read by the timer meanwhile; it connects again by itself."
            self._observer.told("feed_lost", {"feed": self._feed.name, "reason": error.what, "remedy": remedy})
        self._failures += 1
