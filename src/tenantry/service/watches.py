"""Following what there is of a kind in some namespaces: a list, then what happens, and anew whenever that is lost."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

from tenantry.core.errors import ClusterError
from tenantry.service.ports import Observer
from tenantry.service.waiting import backoff

Seen = TypeVar("Seen")

_BREATH = 0.2
"""Seconds between two watches where nothing failed."""


class Watches(ABC, Generic[Seen]):
    """One watch for each namespace."""

    kind: str
    """What is watched, for people."""

    def __init__(self, observer: Observer, namespaces: Sequence[str]) -> None:
        """Know nothing yet."""
        self._observer = observer
        self.namespaces = namespaces
        self.looked = asyncio.Event()
        """Set once every namespace was looked at, whether that could be done or not."""

        self.problems: dict[str, ClusterError | None] = {}
        """By namespace, once it was looked at: why nothing of it can be seen now; None while it can."""

    @abstractmethod
    def _watched(self, namespace: str) -> AsyncGenerator[Seen, None]:
        """Give all of a namespace, then what happens; raises ClusterError."""

    @abstractmethod
    def _take(self, namespace: str, seen: Seen) -> None:
        """Take in what was seen."""

    @property
    def is_whole(self) -> bool:
        """Whether all of every namespace can be seen now."""
        return len(self.problems) == len(self.namespaces) and not any(self.problems.values())

    async def run(self) -> None:
        """Follow for ever; begin anew whenever a watch is lost."""
        async with asyncio.TaskGroup() as tasks:
            for namespace in self.namespaces:
                tasks.create_task(self._follow(namespace))

    async def _follow(self, namespace: str) -> None:
        failures = 0
        while True:
            try:
                async with aclosing(self._watched(namespace)) as seen:
                    self._take(namespace, await anext(seen))
                    self._note(namespace, None)
                    async for one in seen:
                        failures = self._is_back(namespace, failures)
                        self._take(namespace, one)
                failures = self._is_back(namespace, failures)
            except ClusterError as error:
                self._lost(error, namespace, is_first=not failures)
                failures += 1
            except Exception as error:  # noqa: BLE001 -- without a cluster Argo CD polls, and the next try comes
                self._observer.failed(error)
                self._lost(ClusterError(), namespace, is_first=not failures)
                failures += 1
            await asyncio.sleep(backoff(failures) if failures else _BREATH)

    def _is_back(self, namespace: str, failures: int) -> int:
        """Begin anew with short waits: a list alone does not show that what happens is seen too."""
        if failures:
            self._observer.told("cluster_back", {"namespace": namespace, "of": self.kind})
        return 0

    def _lost(self, error: ClusterError, namespace: str, *, is_first: bool) -> None:
        if is_first:
            fields: dict[str, object] = {"namespace": namespace, "of": self.kind}
            self._observer.told("cluster_lost", {**fields, "reason": error.what, "remedy": error.advice})
        self._note(namespace, error)

    def _note(self, namespace: str, problem: ClusterError | None) -> None:
        self.problems[namespace] = problem
        if len(self.problems) == len(self.namespaces):
            self.looked.set()
