"""How long to wait before another try."""

from __future__ import annotations

import random

_FIRST, _LONGEST = 0.5, 60.0
"""Seconds between two tries of what failed, drawn at random up to a bound that doubles."""


def backoff(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    bound: float = min(_LONGEST, _FIRST * 2 ** min(failures, 16))
    return bound * random.uniform(0.5, 1.0)  # noqa: S311 -- no secret
