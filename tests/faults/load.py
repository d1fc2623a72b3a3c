"""A client that asks all the time, and what it may never see."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Self

from tests.support.service import Reply, RunningService

EVERY = 0.05
"""Seconds between two questions."""

WITHOUT_WAITING = 2.0
"""Seconds within which an answer comes that waits for no database: every fault here lasts longer."""


class WrongAnswer(AssertionError):
    """An answer that would delete tenants, or tell nobody why there is none."""


@dataclass
class Load:
    """Asks every 50 ms from a thread of its own."""

    service: RunningService
    replies: list[tuple[Reply | None, float]] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(40)

    def _run(self) -> None:
        while not self._done.wait(EVERY):
            began = time.monotonic()
            try:
                reply: Reply | None = self.service.ask(timeout=WITHOUT_WAITING + 1)
            except (OSError, HTTPException):
                reply = None
            self.replies.append((reply, time.monotonic() - began))


def check(load: Load, tenants: Sequence[str]) -> None:
    """Hold every reply against the promise: all these tenants, or no 2xx and a message; and nobody waited."""
    if not load.replies:
        raise WrongAnswer("Nothing was asked.")
    for reply, seconds in list(load.replies):
        if seconds > WITHOUT_WAITING:
            raise WrongAnswer(f"An answer waited for {seconds:.1f} s.")
        if reply is None:
            raise WrongAnswer("A connection was lost.")
        _check_content(reply, tenants)


def _check_content(reply: Reply, tenants: Sequence[str]) -> None:
    if reply.status == 200:
        answered = reply.tenants()
        if [tenant for tenant in answered if tenant in tenants] != tenants:
            raise WrongAnswer(f"{len(answered)} tenants of {len(tenants)}.")
    elif not 400 <= reply.status < 600 or not _message(reply):
        raise WrongAnswer(f"Status {reply.status} without a message.")


def _message(reply: Reply) -> str:
    try:
        message = json.loads(reply.body)["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return message if isinstance(message, str) else ""
