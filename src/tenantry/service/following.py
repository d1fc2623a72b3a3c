"""Following the ApplicationSets of a cluster: which there are that use us, kept up to date by a watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
from typing import NamedTuple, Protocol, TypeAlias

from tenantry.core.errors import ClusterError
from tenantry.core.live import LiveName, LiveSet
from tenantry.service.ports import Observer
from tenantry.service.waiting import backoff

_BREATH = 0.2
"""Seconds between two watches where nothing failed."""


class Listed(NamedTuple):
    """All ApplicationSets that there are."""

    sets: Sequence[LiveSet]


class Gone(NamedTuple):
    """An ApplicationSet that is not there any more."""

    name: LiveName


Seen: TypeAlias = Listed | LiveSet | Gone


class Cluster(Protocol):
    """Where ApplicationSets are."""

    def watch(self, namespace: str) -> AsyncGenerator[Seen, None]:
        """Give all of a namespace, or of every one for `*`, then what happens to them; raises ClusterError.

        Ends, or raises, when not all that happens can be given any more: who goes on begins anew.
        """
        ...

    async def find(self, name: LiveName) -> LiveSet | None:
        """Return an ApplicationSet as it is now, whatever was heard; None if there is none. Raises ClusterError."""
        ...

    async def refresh(self, name: LiveName, value: str) -> None:
        """Set the annotation for which Argo CD makes a pass; raises ClusterError."""
        ...

    async def close(self) -> None:
        """Give back all connections."""
        ...


class Following:
    """Knows the ApplicationSets of some namespaces."""

    def __init__(
        self,
        cluster: Cluster,
        observer: Observer,
        *,
        namespaces: Sequence[str],
        config_maps: Collection[str] | None,
        changed: Callable[[Collection[LiveName]], None],
    ) -> None:
        """Know those that use a plugin by `config_maps`, or by any for None.

        `changed` is called with the names of those that are gone whenever something was seen.
        """
        self._cluster = cluster
        self._observer = observer
        self.namespaces = namespaces
        self._config_maps = config_maps
        self._changed = changed
        self.noticed: Callable[[], None] = lambda: None
        """Called whenever something was seen, before anybody else is told: set by whoever has to know it first."""

        self._live: dict[str, dict[LiveName, LiveSet]] = {}
        self.looked = asyncio.Event()
        """Set once every namespace was looked at, whether that could be done or not."""

        self.problems: dict[str, ClusterError | None] = {}
        """By namespace, once it was looked at: why its ApplicationSets cannot be seen now; None while they can."""

    @property
    def live(self) -> Iterator[LiveSet]:
        """Those that use us."""
        return (live for of in self._live.values() for live in of.values())

    @property
    def is_whole(self) -> bool:
        """Whether the ApplicationSets of every namespace can be seen now."""
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
                async with aclosing(self._cluster.watch(namespace)) as seen:
                    self._take(namespace, await anext(seen))
                    self._note(namespace, None)
                    async for one in seen:
                        failures = self._is_back(namespace, failures)
                        self._take(namespace, one)
                failures = self._is_back(namespace, failures)
            except ClusterError as error:
                self._lost(error, namespace, is_first=not failures)
                failures += 1
            except Exception as error:  # noqa: BLE001 -- without nudges Argo CD polls, and the next try comes
                self._observer.failed(error)
                self._lost(ClusterError(), namespace, is_first=not failures)
                failures += 1
            await asyncio.sleep(backoff(failures) if failures else _BREATH)

    def _is_back(self, namespace: str, failures: int) -> int:
        """Begin anew with short waits: a list alone does not show that what happens is seen too."""
        if failures:
            self._observer.told("cluster_back", {"namespace": namespace})
        return 0

    def _lost(self, error: ClusterError, namespace: str, *, is_first: bool) -> None:
        if is_first:
            fields: dict[str, object] = {"namespace": namespace, "reason": error.what, "remedy": error.advice}
            self._observer.told("cluster_lost", fields)
        self._note(namespace, error)

    def _note(self, namespace: str, problem: ClusterError | None) -> None:
        self.problems[namespace] = problem
        if len(self.problems) == len(self.namespaces):
            self.looked.set()

    def _take(self, namespace: str, seen: Seen) -> None:
        before = {live.name for live in self.live}
        if isinstance(seen, Listed):
            self._live[namespace] = {}
            for live in seen.sets:
                self._put(namespace, live)
        elif isinstance(seen, Gone):
            self._live[namespace].pop(seen.name, None)
        else:
            self._put(namespace, seen)
        self.noticed()
        self._changed(before - {live.name for live in self.live})

    def ours(self, live: LiveSet) -> LiveSet | None:
        """Return what of an ApplicationSet uses us; None if nothing does."""
        return live.asking(self._config_maps)

    def _put(self, namespace: str, live: LiveSet) -> None:
        ours = self.ours(live)
        if ours is None:
            self._live[namespace].pop(live.name, None)
        else:
            self._live[namespace][live.name] = ours
