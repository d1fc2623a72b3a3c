"""What became of answers: the Applications that ApplicationSets own, kept up to date by a watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from tenantry.core.application import Application
from tenantry.core.live import LiveName, LiveSet
from tenantry.service.following import Applications, Cluster, Gone, SeenOfApplications
from tenantry.service.ports import Observer
from tenantry.service.watches import Watches

Key = TypeVar("Key")

_NONE: Mapping[str, Application] = {}


class Inventory(Watches[SeenOfApplications]):
    """Knows the Applications of some namespaces."""

    kind = "Applications"

    def __init__(self, cluster: Cluster, observer: Observer, namespaces: Sequence[str]) -> None:
        """Know nothing until it runs."""
        super().__init__(observer, namespaces)
        self._cluster = cluster
        self.noticed: Callable[[], None] = lambda: None
        """Called whenever one came, went, or is being deleted: set by whoever wants to look then."""

        self._by_name: dict[str, dict[LiveName, Application]] = {}
        self._by_owner: dict[str, dict[str, Application]] = {}
        self._by_label: dict[tuple[str, str], dict[str, Application]] = {}

    def owned(self, live: LiveSet) -> Mapping[str, Application] | None:
        """Return the Applications of an ApplicationSet by name; None while they cannot be seen."""
        if not self._sees(live.name.namespace):
            return None
        return self._by_owner.get(live.uid, _NONE)

    def known_as(self, live: LiveSet, label: str, name: str) -> Iterator[Application]:
        """Give the Applications of an ApplicationSet with a tenant's label, or else with a name, as last seen."""
        yield from self._by_label.get((live.uid, label), {}).values()
        named = self._by_owner.get(live.uid, {}).get(name)
        if named is not None and named.label is None:
            yield named

    def _sees(self, namespace: str) -> bool:
        found = [one for one in (namespace, "*") if one in self.problems]
        return bool(found) and all(self.problems[one] is None for one in found)

    def _watched(self, namespace: str) -> AsyncGenerator[SeenOfApplications, None]:
        return self._cluster.applications(namespace)

    def _take(self, namespace: str, seen: SeenOfApplications) -> None:
        known = self._by_name.setdefault(namespace, {})
        if isinstance(seen, Applications):
            for name in list(known):
                self._drop(known, name)
            for one in seen.found:
                self._put(known, one)
        elif isinstance(seen, Gone):
            self._drop(known, seen.name)
        else:
            before = known.get(LiveName(seen.namespace, seen.name))
            self._put(known, seen)
            if before is not None and before._replace(sync=seen.sync, health=seen.health) == seen:
                return  # As thousands are told at once when something is deployed.
        self.noticed()

    def _put(self, known: dict[LiveName, Application], one: Application) -> None:
        name = LiveName(one.namespace, one.name)
        self._drop(known, name)
        known[name] = one
        self._by_owner.setdefault(one.owner, {})[one.name] = one
        if one.label is not None:
            self._by_label.setdefault((one.owner, one.label), {})[one.name] = one

    def _drop(self, known: dict[LiveName, Application], name: LiveName) -> None:
        if (before := known.pop(name, None)) is None:
            return
        _take_out(self._by_owner, before.owner, before.name)
        if before.label is not None:
            _take_out(self._by_label, (before.owner, before.label), before.name)


def _take_out(index: dict[Key, dict[str, Application]], key: Key, name: str) -> None:
    index[key].pop(name, None)
    if not index[key]:
        del index[key]
