"""Driving long work of the core step by step, so that requests are answered in between."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from tenantry.core.steps import Steps

T = TypeVar("T")


async def driven(steps: Steps[T]) -> T:
    """Run steps to their end, giving way to others after each."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


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
