"""What the guard sees of ApplicationSets in the cluster, for the consumers whose cluster it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from tenantry.core.errors import ClusterDenied, ClusterError
from tenantry.core.ledger import SetName
from tenantry.core.live import PluginUse, spec_of
from tenantry.core.spec import Spec
from tenantry.service.following import Cluster, Following
from tenantry.service.ports import Clock, Tokens

SETTLED = 60.0
"""Seconds for which a spec has to be as it is before whoever asks for something else cannot be Argo CD's controller.

Its view of the cluster is seconds old at most, where it works at all.
"""

_FIRST_LOOK, _LOOK = 5.0, 3.0
"""Seconds that a request may wait for the first list of ApplicationSets, and for another look at one of them."""

_PATIENCE = 600.0
"""Seconds after the start for which a cluster that cannot be reached may come back, with a controller that deletes."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an ApplicationSet in the cluster."""

    spec: Spec | None
    is_live: bool
    """Whether that is so now, and not only remembered."""


class Specs(Protocol):
    """Who sees ApplicationSets."""

    def of(self, name: SetName) -> Spec | None:
        """Return what an ApplicationSet is now; None where that cannot be seen."""
        ...

    def may_come(self, name: SetName) -> bool:
        """Tell whether an ApplicationSet may be in the cluster, which cannot be seen yet, shortly after the start."""
        ...

    async def ready(self) -> None:
        """Wait, for moments at most, until the cluster was looked at for the first time."""
        ...

    async def look(self, name: SetName) -> Spec | None:
        """Ask the cluster, which may know more than was heard; None where it cannot be asked, or has none."""
        ...

    def is_settled(self, name: SetName) -> bool:
        """Tell whether it has been what it is for longer than a controller takes to hear of it."""
        ...


class _NoSpecs:
    """Without access to a cluster."""

    def of(self, name: SetName) -> Spec | None:  # noqa: ARG002 -- the port
        return None

    def may_come(self, name: SetName) -> bool:  # noqa: ARG002 -- the port
        return False

    async def ready(self) -> None:
        return

    async def look(self, name: SetName) -> Spec | None:  # noqa: ARG002 -- the port
        return None

    def is_settled(self, name: SetName) -> bool:  # noqa: ARG002 -- the port
        return False


NO_SPECS = _NoSpecs()


class ClusterSpecs:
    """ApplicationSets as they are followed."""

    def __init__(
        self,
        cluster: Cluster,
        following: Following,
        tokens: Tokens,
        clock: Clock,
        *,
        consumers: Collection[str] | None,
        changed: Callable[[str], None],
    ) -> None:
        """See them for `consumers`, or for the only one that there is for None.

        `changed` is called with the name of an ApplicationSet whose spec is another one.
        """
        self._cluster = cluster
        self._following = following
        self._tokens = tokens
        self._clock = clock
        self._consumers = consumers
        self._changed = changed
        self._generators: dict[str, tuple[PluginUse, ...]] = {}
        self._known: dict[str, Spec] = {}
        self.looked: tuple[asyncio.Event, ...] = (following.looked,)
        """What has to be set before the first answer, or has taken too long: set more by whoever knows more."""

        self._since: dict[str, float] = {}
        self._began = clock.monotonic()
        self._waited = False
        following.noticed = self._noticed

    def is_ours(self, name: SetName) -> bool:
        """Tell whether an ApplicationSet is one of this cluster, by whose it is."""
        consumers = self._tokens.consumers if self._consumers is None else self._consumers
        return name.consumer in consumers and (self._consumers is not None or len(consumers) == 1)

    def of(self, name: SetName) -> Spec | None:
        """Return what an ApplicationSet is now; None where that cannot be seen."""
        if not self.is_ours(name) or not self._following.is_whole:
            return None
        return self._known.get(name.application_set)

    def may_come(self, name: SetName) -> bool:
        """Tell whether an ApplicationSet may be in the cluster, which cannot be seen yet, shortly after the start.

        Where access is refused, or the cluster cannot be reached for minutes, it is as without access.
        """
        problems = self._following.problems.values()
        return (
            self.is_ours(name)
            and not self._following.is_whole
            and not any(isinstance(problem, ClusterDenied) for problem in problems)
            and self._clock.monotonic() - self._began < _PATIENCE
        )

    def is_settled(self, name: SetName) -> bool:
        """Tell whether it has been what it is for longer than a controller takes to hear of it."""
        since = self._since.get(name.application_set)
        return since is not None and self._clock.monotonic() - since > SETTLED

    async def ready(self) -> None:
        """Wait, for moments at most, until the cluster was looked at for the first time."""
        if not self._waited:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_LOOK):
                    for looked in self.looked:
                        await looked.wait()
            self._waited = True

    async def look(self, name: SetName) -> Spec | None:
        """Ask the cluster, which may know more than was heard; None where it cannot be asked, or has none."""
        if self.of(name) is None:
            return None
        try:
            async with asyncio.timeout(_LOOK):
                generators = await self._generators_of(name.application_set)
        except (ClusterError, TimeoutError):
            return None
        if not generators:
            return None
        if generators != self._generators.get(name.application_set):
            self._take(name.application_set, generators)
        return self._known[name.application_set]

    async def _generators_of(self, application_set: str) -> tuple[PluginUse, ...]:
        named = [live.name for live in self._following.live if live.name.application_set == application_set]
        generators: list[PluginUse] = []
        for live in named:
            found = await self._cluster.find(live)
            ours = None if found is None else self._following.ours(found)
            generators += ours.plugins if ours else ()
        return tuple(generators)

    def _take(self, application_set: str, generators: tuple[PluginUse, ...]) -> None:
        self._generators[application_set] = generators
        self._known[application_set] = spec_of(generators)
        self._since[application_set] = self._clock.monotonic()
        self._changed(application_set)

    def _noticed(self) -> None:
        """Take in what was seen."""
        generators: dict[str, tuple[PluginUse, ...]] = {}
        for live in self._following.live:
            name = live.name.application_set
            generators[name] = (*generators.get(name, ()), *live.plugins)
        for name in self._generators.keys() - generators.keys():
            del self._generators[name], self._known[name]
            self._changed(name)
        for name, found in generators.items():
            if found != self._generators.get(name):
                self._take(name, found)
