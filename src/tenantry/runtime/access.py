"""Telling Argo CD, from the cluster that there is access to until the end of the service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tenantry.config.settings import Settings
from tenantry.core.live import LiveName
from tenantry.runtime.building import SystemClock, cluster_of, naming_of
from tenantry.runtime.guard import Guard
from tenantry.service.answering import Unguarded
from tenantry.service.inventory import Inventory
from tenantry.service.nudging import Nudger
from tenantry.service.ports import Observer, Tokens
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.specs import ClusterSpecs
from tenantry.service.unremembered import Unremembered
from tenantry.service.whereabouts import Whereabouts


class _InMemory:
    """Counts nudges from the time on, since nothing is remembered: a number is never given twice."""

    def __init__(self, clock: SystemClock) -> None:
        self._number = int(clock.now().timestamp() * 1000)

    async def count(self, name: LiveName, digest: str, lately: float) -> int:  # noqa: ARG002 -- the port
        self._number += 1
        return self._number

    async def give_back(self, name: LiveName, number: int) -> None:
        """Nobody else counts."""


@dataclass(frozen=True, slots=True)
class Access:
    """What is done with access to a cluster."""

    nudger: Nudger
    whereabouts: Whereabouts | None
    """Without a guard nobody knows whose Applications there should be."""


def access_of(
    settings: Settings,
    guard: Guard | None,
    unguarded: Unguarded,
    snapshots: SnapshotHolder,
    tokens: Tokens,
    observer: Observer,
) -> Access | None:
    """Return who looks at Argo CD and tells it of changes; None without access. Raises ConfigurationError."""
    cluster = cluster_of(settings)
    if cluster is None:
        return None
    clock, kubernetes = SystemClock(), settings.kubernetes
    nudger = Nudger(
        cluster,
        Unremembered(unguarded, snapshots) if guard is None else guard.guarding.foreseeing,
        _InMemory(clock) if guard is None else guard.ledger,
        observer,
        clock,
        namespaces=kubernetes.namespaces,
        config_maps=kubernetes.plugin_configmaps,
    )
    snapshots.published = nudger.wake
    if guard is None:
        return Access(nudger, None)
    guarding, inventory = guard.guarding, Inventory(cluster, observer, kubernetes.namespaces)
    specs = ClusterSpecs(
        cluster, nudger.following, tokens, clock, consumers=kubernetes.consumers, changed=guarding.spec_changed
    )
    specs.looked = (nudger.following.looked, inventory.looked)
    whereabouts = Whereabouts(
        nudger.following,
        inventory,
        guard.ledger,
        naming_of(settings.naming).label_of,
        observer,
        sight=guarding.sight,
        is_here=specs.is_ours,
    )
    guarding.look_by(specs, whereabouts)
    guard.ledger.still_stands = whereabouts.still_stands
    return Access(nudger, whereabouts)


async def attended(access: Access | None, observer: Observer) -> None:
    """Follow the cluster and tell Argo CD for ever, or say that it has to poll."""
    if access is None:
        observer.told(
            "nudges_off", {"told": "Changes reach Argo CD with its next poll: there is no access to a cluster."}
        )
        await asyncio.Event().wait()
        return
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(access.nudger.run())
        if access.whereabouts is not None:
            tasks.create_task(access.whereabouts.inventory.run())
            tasks.create_task(access.whereabouts.run())
