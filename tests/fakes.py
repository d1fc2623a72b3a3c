"""Stand-ins behind our own ports; each passes the contract suite of its port."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from tenantry.core.columns import Column
from tenantry.core.errors import SourceError, StateError, StateMoved, StateUnwritable, TenantryError
from tenantry.core.history import Event
from tenantry.core.ledger import SetLedger, SetName
from tenantry.core.live import LiveName, live_set, spec_of
from tenantry.core.position import Position
from tenantry.core.snapshot import Snapshot
from tenantry.core.spec import Spec
from tenantry.core.tenant import Row
from tenantry.service.state import Changes, Counted, EventQuery, Remembered, Replica, Whole
from tests.builders import HERE, TUTORIAL_COLUMNS


class FakeClock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def pass_by(self, **delta: float) -> None:
        self.seconds += timedelta(**delta).total_seconds()


class FakeTokens:
    """Tokens by consumer."""

    def __init__(self, **by_consumer: str) -> None:
        self._by_token = {token: consumer for consumer, token in by_consumer.items()}

    def consumer_of(self, presented: str) -> str | None:
        return self._by_token.get(presented)

    @property
    def count(self) -> int:
        return len(self._by_token)

    @property
    def consumers(self) -> frozenset[str]:
        return frozenset(self._by_token.values())


class FakeSpecs:
    """ApplicationSets as they are in the cluster, by what their generators say."""

    def __init__(self) -> None:
        self.sets: dict[SetName, Spec] = {}
        self.unheard: dict[SetName, Spec] = {}
        """What is there already, and was not heard of."""

        self.is_down = False
        self.is_silent = False
        """Whether the cluster gives nothing when it is asked, though what was heard of it is known."""

        self.settled = True
        self._changed: Callable[[str], None] = lambda _: None

    def listen(self, changed: Callable[[str], None]) -> None:
        self._changed = changed

    def put(
        self, *generators: Mapping[str, object], name: str = "prod", consumer: str = "argocd", uid: str = ""
    ) -> None:
        """Apply an ApplicationSet with these generators."""
        self.sets[SetName(consumer, name)] = spec_with(*generators, uid=uid)
        self._changed(name)

    def apply(self, spec: Mapping[str, object], name: str = "prod", consumer: str = "argocd") -> None:
        """Apply an ApplicationSet with this spec."""
        self.sets[SetName(consumer, name)] = spec_of(live_set({"spec": spec}).plugins)
        self._changed(name)

    def edit_unheard(self, *generators: Mapping[str, object], name: str = "prod", consumer: str = "argocd") -> None:
        self.unheard[SetName(consumer, name)] = spec_with(*generators)

    def of(self, name: SetName) -> Spec | None:
        return None if self.is_down else self.sets.get(name)

    def may_come(self, name: SetName) -> bool:
        return False

    async def ready(self) -> None:
        return

    async def look(self, name: SetName) -> Spec | None:
        if self.is_silent:
            return None
        if not self.is_down and name in self.unheard:
            self.sets[name] = self.unheard.pop(name)
            self.settled = False
            self._changed(name.application_set)
        return self.of(name)

    def is_settled(self, name: SetName) -> bool:
        return self.settled


def spec_with(*generators: Mapping[str, object], uid: str = "") -> Spec:
    """Return what the guard is to know of an ApplicationSet with these generators."""
    return spec_of(live_set({"metadata": {"uid": uid}, "spec": {"generators": list(generators)}}).plugins)


@dataclass
class FakeSource:
    """A table in memory that can be broken: before the first row, or after some."""

    rows: list[dict[str, object]]
    columns: Sequence[Column] = TUTORIAL_COLUMNS
    position: Position = HERE
    id_column: str = "tenant"
    broken: Exception | None = None
    cut_after: int | None = None
    reads: int = 0
    closed: bool = False
    reached: int = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[FakeReading]:
        self.reads += 1
        if self.broken is not None:
            raise self.broken
        yield FakeReading(self)

    async def close(self) -> None:
        self.closed = True


@dataclass
class FakeReading:
    """A read under way."""

    source: FakeSource

    @property
    def position(self) -> Position:
        return self.source.position

    @property
    def columns(self) -> Sequence[Column]:
        return self.source.columns

    async def reached(self) -> int:
        return self.source.reached

    async def rows(self, columns: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        ordered = sorted(self.source.rows, key=lambda row: str(row.get(self.source.id_column)))
        for n, row in enumerate(ordered):
            if n == self.source.cut_after:
                raise SourceError
            yield [tuple(row.get(name) for name in columns)]


@dataclass
class Recorder:
    """An observer that remembers."""

    published: list[tuple[Snapshot, bool]] = field(default_factory=list)
    failures: list[TenantryError] = field(default_factory=list)
    answers: list[tuple[str, str, int]] = field(default_factory=list)
    refusals: list[tuple[int, TenantryError, str, str]] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    spared: int = 0
    heard: list[float | None] = field(default_factory=list)

    def snapshot_published(
        self, snapshot: Snapshot, seconds: float, *, changed: bool, heard: float | None = None
    ) -> None:
        self.published.append((snapshot, changed))
        self.heard.append(heard)

    def read_spared(self) -> None:
        self.spared += 1

    def read_failed(self, error: TenantryError, cause: str, seconds: float) -> None:
        self.failures.append(error)

    def answered(
        self, application_set: str, consumer: str, tenants: int, checksum: int, seconds: float, *, held: bool
    ) -> None:
        self.answers.append((application_set, consumer, tenants))

    def refused(self, status: int, error: TenantryError, seconds: float, application_set: str, consumer: str) -> None:
        self.refusals.append((status, error, application_set, consumer))

    def failed(self, error: BaseException) -> None:
        self.faults.append(error)

    def told(self, event: str, fields: dict[str, object]) -> None:
        self.events.append(event)


def rows_of(*pairs: tuple[str, str]) -> list[dict[str, object]]:
    """Return rows of the tutorial's table."""
    return [{"id": str(n), "tenant": tenant, "status": status} for n, (tenant, status) in enumerate(pairs, 1)]


class FakeStore:
    """A ledger store in memory, which can be broken."""

    def __init__(self, *, is_shared: bool = False, now: float = 0.0) -> None:
        self.is_shared = is_shared
        self.broken: StateError | None = None
        self.unwritable = False
        self.written: list[Changes] = []
        self._writes = 0
        self._clock = now
        self._whole = Whole(made=now)
        self._sets: dict[SetName, SetLedger] = {}
        self._names: dict[str, str] = {}
        self._events: list[Event] = []
        self.nudges: dict[LiveName, tuple[int, str, float]] = {}
        self.configurations: list[str] = []
        self.clock: Callable[[], float] = lambda: now
        """The clock of the server."""

        self.replicas: dict[str, tuple[Replica, float]] = {}
        self._changed: dict[SetName, int] = {}

    async def load(self) -> Remembered:
        self._fail()
        return self._all(dict(self._sets))

    async def catch_up(self, writes: int, known: Mapping[SetName, SetLedger]) -> Remembered:
        self._fail()
        return self._all(
            {
                name: known[name] if name in known and self._changed[name] <= writes else own
                for name, own in self._sets.items()
            }
        )

    def _all(self, sets: Mapping[SetName, SetLedger]) -> Remembered:
        return Remembered(
            self._writes, self._clock, self._whole, sets, tuple(self.configurations), is_new=not self._writes
        )

    async def write(self, changes: Changes, writes: int) -> None:
        self._fail()
        if self.unwritable:
            raise StateUnwritable
        if writes != self._writes:
            raise StateMoved
        self._writes += 1
        self._clock = changes.at
        self._whole = changes.whole or self._whole
        for change in changes.sets:
            if change.formerly is not None:
                del self._sets[change.formerly]
                self._events = [
                    msgspec.structs.replace(event, consumer=change.name.consumer)
                    if event.set_name == change.formerly
                    else event
                    for event in self._events
                ]
            self._sets[change.name] = change.ledger
            self._changed[change.name] = self._writes
        if changes.configuration is not None:
            self.configurations = [*(one for one in self.configurations if one != changes.configuration)]
            self.configurations.append(changes.configuration)
        for tenant, name in changes.names.items():
            self._names.setdefault(tenant, name)
        self._events += [
            msgspec.structs.replace(event, sequence=len(self._events) + n + 1) for n, event in enumerate(changes.events)
        ]
        self.written.append(changes)

    async def counts(self) -> Counted:
        self._fail()
        return Counted(self._writes, sum(number for number, _, _ in self.nudges.values()))

    async def nudge(self, name: LiveName, digest: str, now: float, lately: float) -> int | None:
        self._fail()
        number, last, at = self.nudges.get(name, (0, "", -math.inf))
        if last == digest and at > now - lately:
            return None
        self.nudges[name] = (number + 1, digest, now)
        return number + 1

    async def give_back(self, name: LiveName, number: int) -> None:
        self._fail()
        last, digest, _ = self.nudges.get(name, (0, "", 0.0))
        if last == number:
            self.nudges[name] = (last, digest, -math.inf)

    async def seen(self, replica: Replica) -> list[Replica]:
        self._fail()
        self.replicas[replica.id] = (replica, self.clock())
        return [msgspec.structs.replace(one, age=self.clock() - at) for _, (one, at) in sorted(self.replicas.items())]

    async def gone(self, replica: str) -> None:
        self._fail()
        self.replicas.pop(replica, None)

    async def names_besides(self, made: Callable[[str], str]) -> Mapping[str, str]:
        self._fail()
        return {tenant: name for tenant, name in self._names.items() if made(tenant) != name}

    async def events(self, asked: EventQuery) -> list[Event]:
        self._fail()
        found = [event for event in self._events if _is_asked_for(event, asked)]
        return found if asked.limit is None else found[-asked.limit :]

    async def forget(self, before: float) -> None:
        self._fail()
        self._events = [event for event in self._events if event.at >= before]

    async def close(self) -> None:
        return

    def _fail(self) -> None:
        if self.broken is not None:
            raise self.broken


def _is_asked_for(event: Event, asked: EventQuery) -> bool:
    return (
        (asked.set_name is None or event.set_name in (asked.set_name, None))
        and (asked.tenant is None or event.is_about(asked.tenant))
        and (asked.since is None or event.at >= asked.since)
        and (asked.until is None or event.at <= asked.until)
    )
