"""Following the ApplicationSets of a cluster: which there are that use us, kept up to date by a watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from tenantry.core.application import Application
from tenantry.core.live import LiveName, LiveSet
from tenantry.service.ports import Observer
from tenantry.service.watches import Watches


class Listed(NamedTuple):
    """All ApplicationSets that there are."""

    sets: Sequence[LiveSet]


class Gone(NamedTuple):
    """An ApplicationSet, or an Application, that is not there any more."""

    name: LiveName


Seen: TypeAlias = Listed | LiveSet | Gone


class Applications(NamedTuple):
    """All Applications that ApplicationSets own."""

    found: Sequence[Application]


SeenOfApplications: TypeAlias = Applications | Application | Gone


class Cluster(Protocol):
    """Where ApplicationSets are."""

    def watch(self, namespace: str) -> AsyncGenerator[Seen, None]:
        """Give all of a namespace, or of every one for `*`, then what happens to them; raises ClusterError.

        Ends, or raises, when not all that happens can be given any more: who goes on begins anew.
        """
        ...

    def applications(self, namespace: str) -> AsyncGenerator[SeenOfApplications, None]:
        """Give all Applications of a namespace that ApplicationSets own, then what happens to them, as `watch` does."""
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


class Following(Watches[Seen]):
    """Knows the ApplicationSets of some namespaces."""

    kind = "ApplicationSets"

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
        super().__init__(observer, namespaces)
        self._cluster = cluster
        self._config_maps = config_maps
        self._changed = changed
        self.noticed: Callable[[], None] = lambda: None
        """Called whenever something was seen, before anybody else is told: set by whoever has to know it first."""

        self._live: dict[str, dict[LiveName, LiveSet]] = {}

    @property
    def live(self) -> Iterator[LiveSet]:
        """Those that use us."""
        return (live for of in self._live.values() for live in of.values())

    def _watched(self, namespace: str) -> AsyncGenerator[Seen, None]:
        return self._cluster.watch(namespace)

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
