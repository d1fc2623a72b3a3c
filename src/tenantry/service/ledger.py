"""The ledger in memory, written through to its store: what an unchanged answer needs costs no query."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tenantry.core.errors import StateError, StateMoved, StateUnreachable
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import Hold, Input, Loss, SetLedger, SetName, SourceLedger, Word, with_size
from tenantry.core.live import LiveName
from tenantry.core.position import Position
from tenantry.service.ports import Clock
from tenantry.service.state import Changes, EventQuery, LedgerStore, Origin, Remembered, SetChange, Whole

_NOTHING = SetLedger()
_LATELY = 5.0
"""Seconds in which the process that counted a nudge sends it, or nobody does."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the guard stands, for metrics and probes."""

    held: Mapping[SetName, int]
    """Held removals of each ApplicationSet that has some."""

    frozen: int
    """Freezes that stand: of single ApplicationSets, and of all together."""

    is_well: bool
    """Whether the store could be used the last time."""


class Ledger:
    """What the guard remembers; one process writes at a time, one write after the other."""

    def __init__(self, store: LedgerStore, clock: Clock, longest_window: float) -> None:
        """Know nothing until `open` was called; sizes are kept for `longest_window` seconds."""
        self._store = store
        self._clock = clock
        self._longest = longest_window
        self._writing = asyncio.Lock()
        self._noted: tuple[Event, ...] = ()
        self._look: asyncio.Future[None] | None = None
        self._next_look: asyncio.Future[None] | None = None
        self._sets: dict[SetName, SetLedger] = {}
        self._whole = Whole(made=0.0)
        self._counts: dict[str, int] = {}
        self._unseen: dict[tuple[SetName, Input], frozenset[str]] = {}
        self._source: SourceLedger | None = None
        self.still_stands: Callable[[SetName, Loss], bool] = lambda _, __: False
        """Tells whether the Application of who was let go is there still: set by whoever can see it."""

        self._writes = -1
        self._base = self._began = 0.0
        self._failure: StateError | None = StateUnreachable("The state database has not been read yet.")
        self._anew: dict[SetName, float] = {}
        self.generation = 0
        """Grows with each reading of the whole store: what was derived from the ledger before is void then."""

    # --- reading ---------------------------------------------------------------------------------------------------

    @property
    def failure(self) -> StateError | None:
        """Why the store could not be used last; None while all is well."""
        return self._failure

    @property
    def is_open(self) -> bool:
        """Whether it was read from its store."""
        return self._writes >= 0

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write to its store."""
        return self._store.is_shared

    @property
    def sets(self) -> Mapping[SetName, SetLedger]:
        """Every ApplicationSet that is known."""
        return self._sets

    @property
    def whole(self) -> Whole:
        """What is known of all of them together."""
        return self._whole

    @property
    def number(self) -> int:
        """The number of the next write, by which the holds of a decision are known."""
        return self._writes + 1

    @property
    def standing(self) -> Standing:
        """How many are held where, and what is frozen."""
        held = {name: number for name, own in self._sets.items() if (number := held_in(own))}
        frozen = sum(own.freeze is not None for own in self._sets.values()) + (self._whole.freeze is not None)
        return Standing(held, frozen, self._failure is None)

    @property
    def source(self) -> SourceLedger:
        """What is known of all ApplicationSets, as far as limits need it."""
        if self._source is None:
            losses = tuple(loss for own in self._sets.values() for loss in own.losses)
            standing = frozenset(
                loss for name, own in self._sets.items() for loss in own.losses if self.still_stands(name, loss)
            )
            present = len(self._counts) - self._hidden({})
            self._source = SourceLedger(losses, self._whole.sizes, present, self._whole.freeze, standing)
        return self._source

    def standing_changed(self) -> None:
        """Ask anew whose Application is there still."""
        self._source = None

    def own(self, name: SetName) -> SetLedger:
        """Return what is known of an ApplicationSet."""
        return self._sets.get(name, _NOTHING)

    def anew(self, name: SetName) -> float:
        """Return when it was read that somebody else had answered an ApplicationSet, on the monotonic clock."""
        return self._anew.get(name, -math.inf)

    def now(self) -> float:
        """Return seconds that grow with the machine's monotonic clock, and are never less than what was written."""
        return self._base + self._clock.monotonic() - self._began

    def origin_of(self, source: str) -> Origin | None:
        """Return where a source stood when it was last released from."""
        return self._whole.origins.get(source)

    def require(self) -> None:
        """Raise StateError while nothing is known."""
        if not self.is_open:
            raise self._failure or StateUnreachable()

    # --- the store -------------------------------------------------------------------------------------------------

    async def open(self) -> Remembered:
        """Read all of it; raises StateError."""
        async with self._writing:
            return await self._read()

    async def _read(self) -> Remembered:
        try:
            found = await self._store.load()
        except StateError as error:
            self._failure = error
            raise
        counts: dict[str, int] = {}
        for own in found.sets.values():
            for baseline in own.baselines.values():
                for tenant in baseline.released:
                    counts[tenant] = counts.get(tenant, 0) + 1
        for name, own in found.sets.items():
            if _answers(own) != _answers(self._sets.get(name, _NOTHING)):
                self._anew[name] = self._clock.monotonic()
        self._sets, self._whole, self._counts = dict(found.sets), found.whole, counts
        self._source, self._failure, self._writes = None, None, found.writes
        # A clock that was set back, or one that was ahead when it was written, must not bring a window back.
        self._base = max(self._clock.now().timestamp(), found.clock, self.now() if self._base else 0.0)
        self._began = self._clock.monotonic()
        self.generation += 1
        return found

    async def confirm(self) -> None:
        """Make sure that nobody else wrote to a shared store, or read it anew; raises StateError.

        All who come while one looks share the next look, which begins after each of them came.
        """
        if not self.is_shared:
            return
        if self._next_look is None:
            self._next_look = asyncio.ensure_future(self._look_after(self._look))
        await asyncio.shield(self._next_look)

    async def _look_after(self, before: asyncio.Future[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._look, self._next_look = self._next_look, None
        if await self._known() != self._writes:
            async with self._writing:
                if await self._known() != self._writes:
                    await self._read()

    async def _known(self) -> int:
        try:
            writes = await self._store.writes()
        except StateError as error:
            self._failure = error
            raise
        self._failure = None
        return writes

    async def write(
        self,
        change: SetChange | None,
        seen: int,
        *,
        events: Sequence[Event] = (),
        names: Mapping[str, str] | None = None,
        freeze: Word | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> None:
        """Write what changed, and only then remember it; raises StateError, and then nothing has changed.

        `seen` is the generation that the change was made from: what was read anew since is never written over.
        Whoever asks may go away meanwhile: what was begun is ended.
        """
        await asyncio.shield(asyncio.ensure_future(self._written(change, seen, events, names or {}, freeze)))

    async def _written(
        self,
        change: SetChange | None,
        seen: int,
        events: Sequence[Event],
        names: Mapping[str, str],
        freeze: Word | msgspec.UnsetType | None,
    ) -> None:
        async with self._writing:
            self.require()
            if seen != self.generation:
                raise StateMoved
            now = self.now()
            counts = self._counted(change)
            size = len(self._counts) + sum((after > 0) - (tenant in self._counts) for tenant, after in counts.items())
            size -= self._hidden(counts)
            whole = msgspec.structs.replace(
                self._whole, sizes=with_size(self._whole.sizes, now, size, now - self._longest)
            )
            if freeze is not msgspec.UNSET:
                whole = msgspec.structs.replace(whole, freeze=freeze)
            sets = () if change is None else (change,)
            noted = self._noted
            await self._stored(Changes(now, sets, whole, names, (*noted, *events)))
            self._noted = self._noted[len(noted) :]
            self._whole, self._source = whole, None
            self._recount(counts)
            if change is not None:
                if change.formerly is not None:
                    del self._sets[change.formerly]
                self._sets[change.name] = change.ledger

    async def _stored(self, changes: Changes) -> None:
        try:
            await self._store.write(changes, self._writes)
        except StateMoved:
            await self._read()
            raise
        except StateError as error:
            self._failure = error
            raise
        self._failure = None
        self._writes += 1

    def _counted(self, change: SetChange | None) -> dict[str, int]:
        """Return in how many inputs those tenants will be whom a change puts somewhere new or drops."""
        counts: dict[str, int] = {}
        if change is None:
            return counts
        before = self.own(change.formerly or change.name).baselines
        for given, parameters in change.put.items():
            known = before[given].released if given in before else {}
            for tenant in parameters:
                if tenant not in known:
                    counts[tenant] = counts.get(tenant, self._counts.get(tenant, 0)) + 1
        for tenants in change.dropped.values():
            for tenant in tenants:
                counts[tenant] = counts.get(tenant, self._counts.get(tenant, 0)) - 1
        return counts

    def leave_out(self, name: SetName, given: Input, unseen: frozenset[str]) -> None:
        """Note whom Argo CD's own selectors leave out of an answer: they count as nobody where tenants are counted."""
        if self._unseen.get((name, given), frozenset()) != unseen:
            self._unseen[name, given] = unseen
            self._source = None

    def _hidden(self, counts: Mapping[str, int]) -> int:
        """Return how many tenants are answered, and left out of every answer that has them; `counts` come first."""
        times: dict[str, int] = {}
        for (name, given), unseen in self._unseen.items():
            if given in self.own(name).baselines:
                for tenant in unseen:
                    times[tenant] = times.get(tenant, 0) + 1
        known = self._counts
        return sum(0 < counts.get(tenant, known.get(tenant, 0)) <= number for tenant, number in times.items())

    def _recount(self, counts: Mapping[str, int]) -> None:
        for tenant, number in counts.items():
            if number > 0:
                self._counts[tenant] = number
            else:
                self._counts.pop(tenant, None)

    def remember(self, name: SetName, own: SetLedger, seen: int) -> None:
        """Take what needs no writing: when an input was last asked for, and what follows from time alone.

        Raises StateMoved if the ledger was read anew since the generation `seen`.
        """
        if seen != self.generation:
            raise StateMoved
        self._sets[name] = own

    def note(self, event: Event) -> None:
        """Take an event into the history with whatever is written next."""
        self._noted += (event,)

    def stand_at(self, position: Position, turns: int) -> None:
        """Note where the source stands; it is written with whatever is written next."""
        origin = Origin(position.timeline, position.lsn, position.standby, turns)
        if self._whole.origins.get(position.source) != origin:
            origins = {**self._whole.origins, position.source: origin}
            self._whole = msgspec.structs.replace(self._whole, origins=origins)

    async def answer_unguarded(self) -> None:
        """Write down that answers are not remembered from now on; raises StateError."""
        if self._sets and self._whole.unguarded is None:
            self._whole = msgspec.structs.replace(self._whole, unguarded=self.now())
            await self.write(None, self.generation)

    async def forget_answers(self) -> bool:
        """Forget what ApplicationSets were answered, if others followed that nobody remembers; raises StateError.

        Whoever left meanwhile would come back. Returns whether there was something to forget.
        """
        if self._whole.unguarded is None:
            return False
        for name, own in list(self._sets.items()):
            dropped = {given: tuple(one.released) for given, one in own.baselines.items()}
            left = msgspec.structs.replace(
                own, baselines={}, holds={}, approvals={}, admitted={}, sizes=(), additions=0
            )
            event = Event(self.now(), EventKind.FORGOTTEN, *name, because="It was answered without a guard since.")
            await self.write(SetChange(name, left, dropped=dropped), self.generation, events=[event])
        self._whole = msgspec.structs.replace(self._whole, unguarded=None)
        await self.write(None, self.generation)
        return True

    async def count(self, name: LiveName, digest: str) -> int | None:
        """Return the number of the next nudge; None if another process is just about to send it. Raises StateError."""
        return await self._store.nudge(name, digest, self.now(), _LATELY if self.is_shared else 0.0)

    async def names_besides(self, made: Callable[[str], str]) -> Mapping[str, str]:
        """Return, by id, the released names that are not what `made` gives; raises StateError."""
        return await self._store.names_besides(made)

    async def events(self, asked: EventQuery) -> Sequence[Event]:
        """Return a part of the history, in its order; raises StateError."""
        return await self._store.events(asked)

    async def forget(self, seconds: float) -> None:
        """Forget the history that is older than so many seconds; raises StateError."""
        await self._store.forget(self.now() - seconds)

    async def close(self) -> None:
        """Give the store back."""
        async with self._writing:
            await self._store.close()


def _answers(own: SetLedger) -> Mapping[Input, Mapping[str, bytes]]:
    return {given: one.released for given, one in own.baselines.items()}


def held_in(own: SetLedger) -> int:
    """Return how many removals an ApplicationSet has held."""
    return len(removals_held(own.holds.values()))


def removals_held(holds: Iterable[Hold]) -> Collection[tuple[Input, str]]:
    """Return the removals among holds, which additions that wait are not."""
    return {(hold.input, hold.tenant) for hold in holds if hold.rule != "replacement"}
