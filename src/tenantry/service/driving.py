"""Driving long work of the core step by step, so that requests are answered in between."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tenantry.core.steps import Steps

P = ParamSpec("P")
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


def to_its_end(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let work go on to its end where whoever waits for it is cancelled: it holds a lock, and may have begun to write.

    Given back half-way, the lock would let others write from what is not known to be out of date.
    """

    @wraps(work)
    async def whole(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.ensure_future(work(*args, **kwargs))
        task.add_done_callback(_heard)
        return await asyncio.shield(task)

    return whole


def _heard(task: asyncio.Future[T]) -> None:
    """Take the error of work that nobody waits for any more: who asks next gets it again."""
    if not task.cancelled():
        task.exception()


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
