"""Trying again what another process came before: for a moment, and not in step with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tenantry.core.errors import StateMoved

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 2.0
"""Seconds after which it is said that it did not work."""

_MOST_TRIES = 100
_SHORTEST, _LONGEST = 0.002, 0.05
"""Seconds to wait at most before the second try, and before late ones."""


class Tries:
    """How often something was tried again, and for how long since it first failed."""

    def __init__(self) -> None:
        """Begin with the first try."""
        self._until: float | None = None
        self._number = 0

    @property
    def left(self) -> float:
        """Seconds that are left for trying again."""
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + PATIENCE
        return max(0.0, self._until - now) if self._number < _MOST_TRIES else 0.0

    async def another(self) -> bool:
        """Wait a little, at random; return whether there is time for another try."""
        self._number += 1
        most = min(_LONGEST, _SHORTEST * 2 ** min(self._number, 10))
        await asyncio.sleep(min(self.left, random.uniform(0, most)))  # noqa: S311 -- no secret
        return self.left > 0


def while_moved(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Do work anew, from what is known then, as long as another process writes first; raises StateMoved at last."""

    @wraps(work)
    async def anew(*args: P.args, **kwargs: P.kwargs) -> T:
        tries = Tries()
        while True:
            try:
                return await work(*args, **kwargs)
            except StateMoved:
                if not await tries.another():
                    raise

    return anew
