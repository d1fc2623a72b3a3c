"""How it all stands, at a glance: the source, how changes are heard and told, and each ApplicationSet that uses us."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tenantry.core.errors import ClusterError, NotReady
from tenantry.core.gaps import gaps_of
from tenantry.core.ledger import SetLedger, SetName
from tenantry.core.live import LiveName
from tenantry.service.facts import SnapshotFacts
from tenantry.service.feeding import Feeder
from tenantry.service.ledger import Ledger
from tenantry.service.nudging import Nudger, Told
from tenantry.service.overview import Overview
from tenantry.service.replicas import Replicas
from tenantry.service.standing import held_in
from tenantry.service.whereabouts import States, Whereabouts


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How changes are heard of."""

    name: str
    is_heard: bool
    """Whether they are now; tenants are read by the timer all the same."""


@dataclass(frozen=True, slots=True)
class NamespaceStatus:
    """A namespace whose ApplicationSets are told of changes."""

    namespace: str
    """`*` for every one."""

    problem: str | None
    """Why they cannot be seen now; null while they can."""


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """A process that shares the state database, and was seen in the last half minute."""

    id: str
    version: str
    is_this: bool
    """Whether it is the one that tells."""

    is_newest: bool
    """Whether it has the newest configuration, by which alone is answered."""

    seen_seconds: float
    """Since it was seen."""


@dataclass(frozen=True, slots=True)
class SetStatus:
    """An ApplicationSet that asked, or that is in the cluster and uses us."""

    application_set: str
    consumer: str | None
    """Whose token it asks with; null where it never asked."""

    namespace: str | None
    """Where it is in the cluster; null where it was not seen there."""

    tenants: int | None
    """How many it was last answered with; null where nothing is remembered."""

    held: int
    """Removals that wait for somebody's word."""

    last_answer: datetime | None
    last_nudge_seconds: float | None
    """Since it was last told of a change; null where this process never told it."""

    pending_seconds: float | None
    """For how long it should have been told of a change, and was not."""

    applications: int | None
    """How many Argo CD counts as its own."""

    problem: str | None
    """What its condition `ErrorOccurred` says."""

    gaps: Sequence[str]
    """What of it in the cluster the guard cannot see through."""

    states: States | None
    """Of its Applications; null while they cannot be seen."""

    unmatched: int | None
    """Applications of it that are no answered tenant's, as its template names them now: the next pass deletes them.

    Null while that cannot be seen, and where Argo CD deletes none.
    """


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """How it all stands."""

    version: str
    snapshot: SnapshotFacts | None
    """Null before the first read."""

    problem: str | None
    """Why no ApplicationSet is answered now; null while they are."""

    feed: FeedStatus | None
    """Null where tenants are read by the timer alone."""

    cluster: Sequence[NamespaceStatus] | None
    """Null without access to a cluster: then Argo CD polls."""

    applications_problem: str | None
    """Why Applications cannot be seen though there is access; null while they can."""

    replicas: Sequence[ReplicaStatus] | None
    """Null where the state is of one process alone."""

    replica_problem: str | None
    """Why this process does not answer, or not what is new, and leaves that to others; null while it does."""

    application_sets: Sequence[SetStatus]


class Status:
    """Looks at everything, and changes nothing."""

    def __init__(
        self,
        version: str,
        overview: Overview,
        require: Callable[[], object],
        ledger: Ledger | None,
        feeder: Callable[[], Feeder | None],
        nudger: Nudger | None,
        whereabouts: Whereabouts | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        """Look at these; `require` raises NotReady while nobody could be answered."""
        self._version = version
        self._overview = overview
        self._require = require
        self._ledger = ledger
        self._feeder = feeder
        self._nudger = nudger
        self._whereabouts = whereabouts
        self._replicas = replicas

    async def facts(self) -> StatusFacts:
        """Return how it stands now."""
        problem, snapshot = None, None
        try:
            self._require()
        except NotReady as error:
            problem = error.message
        with suppress(NotReady):
            snapshot = self._overview.snapshot()
        feeder, nudger = self._feeder(), self._nudger
        return StatusFacts(
            version=self._version,
            snapshot=snapshot,
            problem=problem,
            feed=None if feeder is None else FeedStatus(feeder.name, feeder.is_heard),
            cluster=None if nudger is None else _namespaces(nudger),
            applications_problem=self._applications_problem(),
            replicas=None if self._replicas is None else _replicas(self._replicas),
            replica_problem=self._replica_problem(),
            application_sets=[await self._with_unmatched(one) for one in self._sets()],
        )

    def _replica_problem(self) -> str | None:
        problem = None if self._replicas is None else self._replicas.problem
        return None if problem is None else problem.message

    async def _with_unmatched(self, one: SetStatus) -> SetStatus:
        """Compare what an ApplicationSet owns with what it is answered."""
        if self._nudger is None or self._whereabouts is None or one.namespace is None:
            return one
        named = LiveName(one.namespace, one.application_set)
        live = next((live for live in self._nudger.following.live if live.name == named), None)
        return one if live is None else replace(one, unmatched=await self._whereabouts.unmatched(live))

    def _applications_problem(self) -> str | None:
        if self._whereabouts is None:
            return None
        problems = self._whereabouts.inventory.problems.values()
        return next((error.message for error in problems if error is not None), None)

    def _states(self, told: Told | None) -> States | None:
        return None if told is None or self._whereabouts is None else self._whereabouts.states(told.live)

    def _sets(self) -> list[SetStatus]:
        told = [] if self._nudger is None else self._nudger.told()
        ledgers = {} if self._ledger is None else self._ledger.sets
        asked, fields = {name.application_set for name in ledgers}, self._overview.fields
        found = [
            _without_ledger(one, fields, self._states(one))
            for one in told
            if one.live.name.application_set not in asked
        ]
        for name, own in ledgers.items():
            there = [one for one in told if one.live.name.application_set == name.application_set]
            found += [_set_status(name, own, one, fields, self._states(one)) for one in (there or (None,))]
        return sorted(found, key=lambda one: (one.application_set, one.namespace or "", one.consumer or ""))


def _replicas(replicas: Replicas) -> list[ReplicaStatus] | None:
    if not replicas.is_shared:
        return None
    return [
        ReplicaStatus(one.id, one.version, one.id == replicas.id, replicas.is_newest(one.configuration), one.age)
        for one in replicas.alive
    ]


def _namespaces(nudger: Nudger) -> list[NamespaceStatus]:
    not_yet = ClusterError("The ApplicationSets have not been listed yet.")
    problems = nudger.following.problems
    return [
        NamespaceStatus(namespace, None if (error := problems.get(namespace, not_yet)) is None else error.message)
        for namespace in nudger.following.namespaces
    ]


def _set_status(
    name: SetName, own: SetLedger, told: Told | None, fields: Collection[str] | None, states: States | None
) -> SetStatus:
    return SetStatus(
        application_set=name.application_set,
        consumer=name.consumer,
        namespace=None if told is None else told.live.name.namespace,
        tenants=sum(len(one.released) for one in own.baselines.values()),
        held=held_in(own),
        last_answer=datetime.fromtimestamp(own.last, UTC) if own.last else None,
        last_nudge_seconds=None if told is None else told.last,
        pending_seconds=None if told is None else told.pending,
        applications=None if told is None else told.live.applications,
        problem=None if told is None else told.live.failure,
        gaps=[] if told is None else [gap.what for gap in gaps_of(told.live, fields)],
        states=states,
        unmatched=None,
    )


def _without_ledger(told: Told, fields: Collection[str] | None, states: States | None) -> SetStatus:
    live = told.live
    return SetStatus(
        application_set=live.name.application_set,
        consumer=None,
        namespace=live.name.namespace,
        tenants=None,
        held=0,
        last_answer=None,
        last_nudge_seconds=told.last,
        pending_seconds=told.pending,
        applications=live.applications,
        problem=live.failure,
        gaps=[gap.what for gap in gaps_of(live, fields)],
        states=states,
        unmatched=None,
    )
