"""Driving long work of the core step by step, so that requests are answered in between."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tenantry.core.steps import Steps

T = TypeVar("T")


LONGEST_TURN = 0.001
"""Seconds of work between two pauses.

A pause lets every other task have its turn, so a request that takes three turns waits for three of these.
"""


class Turn:
    """A turn of work on the event loop, which ends when it was long enough."""

    def __init__(self) -> None:
        """Begin."""
        self._began = time.perf_counter()

    async def give_way(self) -> None:
        """Let others have their turn if this one was long enough."""
        if time.perf_counter() - self._began > LONGEST_TURN:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


async def driven(steps: Steps[T]) -> T:
    """Run steps to their end, giving way to others."""
    turn = Turn()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await turn.give_way()


@contextmanager
def no_collection() -> Iterator[None]:
    """Hold back garbage collection: a pass over a hundred thousand new objects stalls every request."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def collect_young() -> None:
    """Look through what the last slice of a read left: bit by bit, instead of all at the end."""
    gc.collect(0)


def settle() -> None:
    """Take what is there for good, libraries above all, out of every later pass."""
    gc.collect()
    gc.freeze()
