"""Long work on the event loop, in turns."""

from __future__ import annotations

import asyncio
import time

import pytest

from tenantry.core.steps import Steps
from tenantry.service.driving import LONGEST_TURN, Turn, driven

pytestmark = pytest.mark.anyio


class Watch:
    """A clock that goes on by what a test says, at each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        self._now, self._seconds = 0.0, seconds
        monkeypatch.setattr(time, "perf_counter", self.look)

    def look(self) -> float:
        self._now += self._seconds
        return self._now


async def others_had(turns: int, *, of: Steps[str] | None) -> bool:
    """Tell whether others had exactly so many turns while steps, or one call of `give_way`, were under way."""
    count = 0

    async def other() -> None:
        nonlocal count
        while True:
            count += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    if of is None:
        await Turn().give_way()
    else:
        assert await driven(of) == "done"
    task.cancel()
    return count == turns


def steps() -> Steps[str]:
    for _ in range(5):
        yield
    return "done"


@pytest.mark.parametrize(("seconds", "turns"), [(LONGEST_TURN / 20, 0), (LONGEST_TURN * 2, 5)])
async def test_others_have_their_turn_when_one_was_long(
    monkeypatch: pytest.MonkeyPatch, seconds: float, turns: int
) -> None:
    Watch(monkeypatch, seconds)

    assert await others_had(turns, of=steps())
    assert await others_had(min(turns, 1), of=None)
