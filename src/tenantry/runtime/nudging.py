"""Telling Argo CD, from the cluster that there is access to until the end of the service."""

from __future__ import annotations

import asyncio

from tenantry.config.settings import Settings
from tenantry.core.live import LiveName
from tenantry.runtime.building import SystemClock, cluster_of
from tenantry.runtime.guard import Guard
from tenantry.service.answering import Unguarded
from tenantry.service.nudging import Nudger
from tenantry.service.ports import Observer, Tokens
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.specs import ClusterSpecs
from tenantry.service.unremembered import Unremembered


class _InMemory:
    """Counts nudges from the time on, since nothing is remembered: a number is never given twice."""

    def __init__(self, clock: SystemClock) -> None:
        self._number = int(clock.now().timestamp() * 1000)

    async def count(self, name: LiveName, digest: str) -> int:  # noqa: ARG002 -- the port
        self._number += 1
        return self._number


def nudger_of(
    settings: Settings,
    guard: Guard | None,
    unguarded: Unguarded,
    snapshots: SnapshotHolder,
    tokens: Tokens,
    observer: Observer,
) -> Nudger | None:
    """Return who tells Argo CD of changes; None without access to a cluster. Raises ConfigurationError."""
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
    if guard is not None:
        guard.guarding.look_by(
            ClusterSpecs(
                cluster,
                nudger.following,
                tokens,
                clock,
                consumers=kubernetes.consumers,
                changed=guard.guarding.spec_changed,
            )
        )
    return nudger


async def nudged(nudger: Nudger | None, observer: Observer) -> None:
    """Tell Argo CD for ever, or say that it has to poll."""
    if nudger is None:
        observer.told(
            "nudges_off", {"told": "Changes reach Argo CD with its next poll: there is no access to a cluster."}
        )
        await asyncio.Event().wait()
    else:
        await nudger.run()
