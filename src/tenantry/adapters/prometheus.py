"""Metrics: counters from what is observed, gauges collected from the truth at each scrape.

Labels are bounded: never a tenant, and ApplicationSets by name only after their token was accepted, and only so many.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

import tenantry
from tenantry.core.errors import TenantryError
from tenantry.core.snapshot import Snapshot
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.standing import Standing
from tenantry.service.whereabouts import States

OTHERS = "(others)"
"""The label of ApplicationSets beyond `metrics.max_sets`."""

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class SnapshotGauges(Collector):
    """Gauges of the snapshot in use."""

    def __init__(self, snapshots: SnapshotHolder) -> None:
        """Look at what `snapshots` holds."""
        self._snapshots = snapshots

    def collect(self) -> Iterable[Metric]:
        """Return the gauges; those without a value yet are left out."""
        snapshot, age = self._snapshots.latest, self._snapshots.age
        yield _gauge("tenantry_tenants", "Tenants in the snapshot in use.", len(snapshot.tenants) if snapshot else None)
        yield _gauge(
            "tenantry_quarantined_tenants",
            "Rows that cannot be used; their tenants keep their last good parameters.",
            len(snapshot.quarantined) if snapshot else None,
        )
        yield _gauge("tenantry_snapshot_age_seconds", "Seconds since the read behind the snapshot in use began.", age)


class GuardGauges(Collector):
    """Gauges of the guard."""

    def __init__(self, standing: Callable[[], Standing], loose: Mapping[str, bool], max_sets: int) -> None:
        """Ask `standing` at each scrape; `loose` tells what is set loosely, and what is not."""
        self._standing = standing
        self._loose = loose
        self._max_sets = max_sets

    def collect(self) -> Iterable[Metric]:
        """Return the gauges."""
        standing = self._standing()
        held = GaugeMetricFamily(
            "tenantry_held_removals", "Removals that wait for somebody's word.", labels=["application_set"]
        )
        by_name: dict[str, int] = {}
        for (_, application_set), number in sorted(standing.held.items()):
            known = application_set in by_name or len(by_name) < self._max_sets
            label = application_set if known else OTHERS
            by_name[label] = by_name.get(label, 0) + number
        for label, number in by_name.items():
            held.add_metric([label], number)
        loose = GaugeMetricFamily(
            "tenantry_guard_loose",
            "What is set so that the guard does less than it could: 1 where it is.",
            labels=["what"],
        )
        for what, is_so in self._loose.items():
            loose.add_metric([what], is_so)
        yield from (held, loose)
        yield _gauge("tenantry_frozen", "Freezes of removals that stand.", standing.frozen)
        yield _gauge("tenantry_state_ok", "Whether the state database could be used the last time.", standing.is_well)


class ReplicaGauges(Collector):
    """Gauges of the processes that share a state database."""

    def __init__(self, replicas: Callable[[], Sequence[bool]], reasons: Mapping[str, Callable[[], bool]]) -> None:
        """Ask at each scrape who is there, whether of the newest configuration, and why this one is behind."""
        self._replicas = replicas
        self._reasons = reasons

    def collect(self) -> Iterable[Metric]:
        """Return the gauges."""
        there = GaugeMetricFamily(
            "tenantry_replicas", "Replicas that were seen in the last half minute.", labels=["configuration"]
        )
        found = self._replicas()
        for is_newest, label in ((True, "newest"), (False, "another")):
            there.add_metric([label], sum(one is is_newest for one in found))
        behind = GaugeMetricFamily(
            "tenantry_replica_behind",
            "Whether this replica leaves answers to others: its configuration is older, or what it has read is.",
            labels=["why"],
        )
        for why, is_so in self._reasons.items():
            behind.add_metric([why], is_so())
        yield from (there, behind)


class AnswerGauges(Collector):
    """Gauges of the last answer that each ApplicationSet got."""

    def __init__(self, last_answers: Mapping[str, tuple[int, int, float]]) -> None:
        """Look at `last_answers`: by ApplicationSet the number of tenants, the body's CRC-32, and when."""
        self._last_answers = last_answers

    def collect(self) -> Iterable[Metric]:
        """Return the gauges."""
        tenants = GaugeMetricFamily(
            "tenantry_answer_tenants", "Tenants in the last answer.", labels=["application_set"]
        )
        content = GaugeMetricFamily(
            "tenantry_answer_checksum",
            "CRC-32 of the last answer: a number that stays is an answer that stayed.",
            labels=["application_set"],
        )
        last = GaugeMetricFamily(
            "tenantry_last_answer_timestamp_seconds",
            "When the last answer left, in Unix time.",
            labels=["application_set"],
        )
        for application_set, (number, checksum, moment) in self._last_answers.items():
            tenants.add_metric([application_set], number)
            content.add_metric([application_set], checksum)
            last.add_metric([application_set], moment)
        yield from (tenants, content, last)


class RequestTally(Collector):
    """Requests, their outcomes and their seconds.

    The library's own counters take a lock for each number; ours are changed by the event loop alone.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self._statuses: dict[str, int] = {"200": 0}
        self._outcomes = dict.fromkeys(("released", "held", "refused"), 0)
        self._buckets = [0] * (len(_SECONDS) + 1)
        self._sum = 0.0

    def count(self, status: str, outcome: str, seconds: float) -> None:
        """Count a request."""
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._outcomes[outcome] += 1
        self._buckets[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterable[Metric]:
        """Return the counters and the histogram."""
        requests = CounterMetricFamily(
            "tenantry_requests", "Requests on the plugin's path, by HTTP status.", labels=["status"]
        )
        for status, number in self._statuses.items():
            requests.add_metric([status], number)
        bounds = (*map(floatToGoString, _SECONDS), "+Inf")
        seconds = HistogramMetricFamily(
            "tenantry_request_seconds",
            "Seconds from a request's headers to its response.",
            buckets=list(zip(bounds, accumulate(self._buckets), strict=True)),
            sum_value=self._sum,
        )
        answers = CounterMetricFamily("tenantry_answers", "Outcomes of requests.", labels=["outcome"])
        for outcome, number in self._outcomes.items():
            answers.add_metric([outcome], number)
        yield from (requests, seconds, answers)


_NOTIFIED = {
    "notification_delivered": "delivered",
    "notification_failed": "failed",
    "notification_dropped": "dropped",
}


def _gauge(name: str, text: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, text)
    if value is not None:
        family.add_metric([], value)
    return family


_NUDGED = {"nudged": "sent", "nudge_failed": "failed"}


class NudgeGauges(Collector):
    """Gauges of what Argo CD is to be told."""

    def __init__(self, pending: Callable[[], float], is_seen: Callable[[], bool]) -> None:
        """Ask both at each scrape."""
        self._pending = pending
        self._is_seen = is_seen

    def collect(self) -> Iterable[Metric]:
        """Return the gauges."""
        yield _gauge(
            "tenantry_nudge_pending_seconds",
            "Seconds for which the oldest change has waited for Argo CD to be told; 0 where none does.",
            self._pending(),
        )
        yield _gauge("tenantry_cluster_ok", "Whether the ApplicationSets in the cluster can be seen.", self._is_seen())


class ApplicationGauges(Collector):
    """Gauges of what became of answers in the cluster."""

    def __init__(self, states: Callable[[], Mapping[str, States]], max_sets: int) -> None:
        """Ask at each scrape, and name at most `max_sets` ApplicationSets."""
        self._states = states
        self._max_sets = max_sets

    def collect(self) -> Iterable[Metric]:
        """Return the gauges."""
        applications = GaugeMetricFamily(
            "tenantry_applications",
            "Applications of each ApplicationSet: all that it owns, and those of them in some states.",
            labels=["application_set", "state"],
        )
        served = GaugeMetricFamily(
            "tenantry_served_applications_deleting",
            "Tenants that are answered, and whose Application is being deleted all the same.",
            labels=["application_set"],
        )
        by_name: dict[str, States] = {}
        for application_set, states in sorted(self._states().items()):
            label = application_set if len(by_name) < self._max_sets else OTHERS
            by_name[label] = by_name[label].with_more(states) if label in by_name else states
        for name, states in by_name.items():
            applications.add_metric([name, "owned"], states.owned)
            applications.add_metric([name, "out_of_sync"], states.out_of_sync)
            applications.add_metric([name, "degraded"], states.degraded)
            applications.add_metric([name, "deleting"], states.being_deleted)
            served.add_metric([name], states.served_being_deleted)
        yield from (applications, served)


class PrometheusObserver:
    """Counts what is observed."""

    def __init__(self, snapshots: SnapshotHolder, max_sets: int, now: Callable[[], float] = time.time) -> None:
        """Count, naming at most `max_sets` ApplicationSets."""
        self._max_sets = max_sets
        self._now = now
        registry = self.registry = CollectorRegistry(auto_describe=False)
        registry.register(SnapshotGauges(snapshots))
        self._tally = RequestTally()
        registry.register(self._tally)
        self._read_seconds = Histogram(
            "tenantry_read_seconds", "Seconds from the start of a read to its snapshot.", registry=registry
        )
        self._change_seconds = Histogram(
            "tenantry_change_seconds",
            "Seconds from hearing of a commit to the snapshot that has it, where the database tells of commits.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._nudge_seconds = Histogram(
            "tenantry_nudge_seconds",
            "Seconds from finding that an ApplicationSet's answer changed until Argo CD was told.",
            buckets=_SECONDS,
            registry=registry,
        )
        nudges = Counter("tenantry_nudges", "Tries to tell Argo CD of a change.", ["outcome"], registry=registry)
        self._nudged = {event: nudges.labels(outcome) for event, outcome in _NUDGED.items()}
        self._reads = Counter(
            "tenantry_reads",
            "Reads of the tenants: `ok`, `failed`, or `spared`, which was proven to find nothing new.",
            ["outcome"],
            registry=registry,
        )
        self._failures = Counter("tenantry_failures", "Faults that should never happen.", registry=registry)
        notifications = Counter(
            "tenantry_notifications", "Notifications of holds, to notify.url.", ["outcome"], registry=registry
        )
        self._notified = {event: notifications.labels(outcome) for event, outcome in _NOTIFIED.items()}
        build = Gauge("tenantry_build_info", "The version that runs.", ["version"], registry=registry)
        build.labels(tenantry.__version__).set(1)
        self._read_ok, self._read_failed = self._reads.labels("ok"), self._reads.labels("failed")
        self._read_spared = self._reads.labels("spared")
        self._last_answers: dict[str, tuple[int, int, float]] = {}
        registry.register(AnswerGauges(self._last_answers))

    def watch_guard(self, standing: Callable[[], Standing], loose: Mapping[str, bool]) -> None:
        """Show how the guard stands, too."""
        self.registry.register(GuardGauges(standing, loose, self._max_sets))

    def watch_replicas(self, replicas: Callable[[], Sequence[bool]], reasons: Mapping[str, Callable[[], bool]]) -> None:
        """Show who shares the state database, too."""
        self.registry.register(ReplicaGauges(replicas, reasons))

    def watch_nudges(self, pending: Callable[[], float], is_seen: Callable[[], bool]) -> None:
        """Show what Argo CD is to be told, too."""
        self.registry.register(NudgeGauges(pending, is_seen))

    def watch_applications(self, states: Callable[[], Mapping[str, States]]) -> None:
        """Show what became of answers, too."""
        self.registry.register(ApplicationGauges(states, self._max_sets))

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def snapshot_published(
        self,
        snapshot: Snapshot,  # noqa: ARG002
        seconds: float,
        *,
        changed: bool,
        heard: float | None = None,
    ) -> None:
        """Count a read."""
        self._read_ok.inc()
        self._read_seconds.observe(seconds)
        if changed and heard is not None:
            self._change_seconds.observe(heard)

    def read_spared(self) -> None:
        """Count a read that was not needed."""
        self._read_spared.inc()

    def read_failed(self, error: TenantryError, cause: str, seconds: float) -> None:  # noqa: ARG002
        """Count a failed read."""
        self._read_failed.inc()

    def answered(  # noqa: D102 -- the port's
        self,
        application_set: str,
        consumer: str,  # noqa: ARG002
        tenants: int,
        checksum: int,
        seconds: float,
        *,
        held: bool,
    ) -> None:
        self._tally.count("200", "held" if held else "released", seconds)
        known = application_set in self._last_answers or len(self._last_answers) < self._max_sets
        self._last_answers[application_set if known else OTHERS] = (tenants, checksum, self._now())

    def refused(self, status: int, error: TenantryError, seconds: float, application_set: str, consumer: str) -> None:  # noqa: ARG002
        """Count a refusal."""
        self._tally.count(str(status), "refused", seconds)

    def failed(self, error: BaseException) -> None:  # noqa: ARG002
        """Count a fault."""
        self._failures.inc()

    def told(self, event: str, fields: dict[str, object]) -> None:
        """Count notifications and nudges, and leave other events to the log."""
        if (nudges := self._nudged.get(event)) is not None:
            nudges.inc()
            if isinstance(seconds := fields.get("seconds"), float):
                self._nudge_seconds.observe(seconds)
        counter = self._notified.get(event)
        if counter is not None:
            number = fields.get("notifications")
            counter.inc(number if isinstance(number, int) else 1)
