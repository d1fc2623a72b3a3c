"""Long work in short steps: a generator that pauses, so that whoever drives it can let others have their turn."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

T = TypeVar("T")
Item = TypeVar("Item")

Steps = Generator[None, None, T]
"""Work that yields at each pause and returns its result at the end."""

SLICE = 1000
"""Tenants between two pauses: about a millisecond of work."""

LARGEST_SLICE = 1 << 16
"""Bytes between two pauses, where tenants are large."""


def sliced(items: Sequence[Item], size: int = SLICE) -> Generator[Sequence[Item], None, None]:
    """Cut a sequence into slices of `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def sliced_by_size(items: Sequence[Item], size: Callable[[Item], int]) -> Generator[Sequence[Item], None, None]:
    """Cut a sequence into slices that are together about as large as `LARGEST_SLICE`, at most `SLICE` items each."""
    for some in sliced(items):
        parts = 1 + sum(map(size, some)) // LARGEST_SLICE
        yield from sliced(some, max(1, len(some) // parts))


def at_once(steps: Steps[T]) -> T:
    """Run all steps without a pause, where nobody is waiting."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
