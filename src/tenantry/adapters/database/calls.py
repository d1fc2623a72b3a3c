"""Calls of a driver, which are never cancelled in their midst.

Cancelled in a call, aiosqlite 0.22 may wait for ever for a thread that has ended, and psycopg 3.3 waits up to ten
seconds for a server that does not answer. So a call has a task of its own: who no longer wants it makes the
connection end it, waits a moment, and only then leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

MOMENT = 1.0
"""Seconds for which the end of a call is waited for, at each of the ways to end it."""


class Stoppable(Protocol):
    """A connection whose call can be ended from outside."""

    async def interrupt(self) -> None:
        """Ask for the end of the call."""
        ...

    def hang_up(self) -> None:
        """End the connection below the call, without a word to the other side."""
        ...


async def undisturbed(call: Coroutine[Any, Any, T], connection: Stoppable) -> T:
    """Return what `call` returns; cancelled, first see to its end, which takes a few moments at most."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end(task, connection)
        raise


async def briefly(call: Coroutine[Any, Any, object], connection: Stoppable) -> None:
    """Wait for the end of a clean-up, whatever it raises; if it takes long, the connection goes first."""
    task = asyncio.ensure_future(call)
    if not await _ended(task):
        connection.hang_up()
        await _ended(task)


async def _end(task: asyncio.Future[Any], connection: Stoppable) -> None:
    asking = asyncio.ensure_future(connection.interrupt())
    asking.add_done_callback(_forgotten)
    if await _ended(task):
        await _ended(asking)
        return
    connection.hang_up()
    if not await _ended(task):
        task.cancel()
        await _ended(task)


async def _ended(task: asyncio.Future[Any]) -> bool:
    task.add_done_callback(_forgotten)
    done, _ = await asyncio.wait([task], timeout=MOMENT)
    return bool(done)


def _forgotten(task: asyncio.Future[Any]) -> None:
    """Take the error of a task, which asyncio would log: what counts is that it ended."""
    if not task.cancelled():
        task.exception()
