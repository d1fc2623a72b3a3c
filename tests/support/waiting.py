"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], *, within: float = 15.0, every: float = 0.02, what: str = "") -> T:
    """Return the first true value of `probe`; an exception counts as not yet. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    last: object = None
    while True:
        try:
            last = found = probe()
            if found:
                return found
        except Exception as error:  # noqa: BLE001 -- whatever it is, it may pass
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'It'} did not come within {within} s; last: {last!r}")
        time.sleep(every)
