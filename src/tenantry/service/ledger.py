"""The ledger in memory, written through to its store: what an unchanged answer needs costs no query."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tenantry.core.errors import StateError, StateMoved, StateUnreachable
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import Input, Loss, SetLedger, SetName, SourceLedger, Word, with_size
from tenantry.core.live import LiveName
from tenantry.core.position import Position
from tenantry.service.counting import Counts
from tenantry.service.elsewhere import Elsewhere
from tenantry.service.others import OthersNudges
from tenantry.service.ports import Clock
from tenantry.service.standing import Standing, held_in
from tenantry.service.state import Changes, EventQuery, LedgerStore, Origin, Remembered, Replica, SetChange, Whole

_NOTHING = SetLedger()
_MOST_CROSSINGS = 20
"""How often others may write about other ApplicationSets while one tries to write about its own."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What is to be written."""

    change: SetChange | None
    seen: int
    events: Sequence[Event]
    names: Mapping[str, str]
    freeze: Word | msgspec.UnsetType | None
    configuration: str | None
    of_all: bool


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
        self._counts = Counts(lambda name, given: given in self.own(name).baselines)
        self._source: SourceLedger | None = None
        self.still_stands: Callable[[SetName, Loss], bool] = lambda _, __: False
        """Tells whether the Application of who was let go is there still: set by whoever can see it."""

        self._writes = -1
        self._base = self._began = 0.0
        self._failure: StateError | None = StateUnreachable("The state database has not been read yet.")
        self.elsewhere = Elsewhere()
        self.nudges = OthersNudges(clock)
        self._stands: dict[str, Origin] = {}
        self._all_changed = 0
        self._changed: dict[SetName, int] = {}
        self.configurations: Sequence[str] = ()
        """By which was answered, the newest one last."""

        self.generation = 0
        """Grows with each reading of the store: what was derived from what another process changed is void then."""

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
            of, present = self._whole, self._counts.present
            self._source = SourceLedger(losses, of.sizes, present, of.freeze, standing)
        return self._source

    def standing_changed(self) -> None:
        """Ask anew whose Application is there still."""
        self._source = None

    def own(self, name: SetName) -> SetLedger:
        """Return what is known of an ApplicationSet."""
        return self._sets.get(name, _NOTHING)

    def anew(self, name: SetName) -> float:
        """Return when it was read that somebody else had answered an ApplicationSet, on the monotonic clock."""
        return self.elsewhere.anew(name)

    def learned(self, name: SetName, given: Input) -> float | None:
        """Return when it was read what another process had answered an input last; None if this one answered it."""
        return self.elsewhere.learned(name, given)

    def version_of(self, name: SetName) -> int:
        """Return the generation since which nobody else has changed what answers to an ApplicationSet depend on."""
        return max(self._all_changed, self._changed.get(name, 0))

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
            found = await (self._store.catch_up(self._writes, self._sets) if self.is_open else self._store.load())
        except StateError as error:
            self._failure = error
            raise
        self.generation += 1
        if not self.is_open or (found.whole.freeze, found.configurations) != (self._whole.freeze, self.configurations):
            self._all_changed = self.generation
        for name in self._sets.keys() | found.sets.keys():
            self._take(name, self.own(name), found.sets.get(name, _NOTHING))
        self._sets, self._whole, self.configurations = dict(found.sets), found.whole, found.configurations
        for source, origin in self._stands.items():
            self._stand(source, origin)
        self._source, self._failure, self._writes = None, None, found.writes
        # A clock that was set back, or one that was ahead when it was written, must not bring a window back; and one
        # that is ahead on a single machine, or steps there, must not end the windows of all.
        opened = self._clock.now().timestamp() if found.now is None else found.now
        self._base = max(found.clock, self.now() if self._base else opened)
        self._began = self._clock.monotonic()
        return found

    def _take(self, name: SetName, before: SetLedger, after: SetLedger) -> None:
        """Take what another process changed of an ApplicationSet."""
        if after is before:
            return
        self._changed[name] = self.generation
        self._counts.replace(before, after)
        self.elsewhere.read(name, before, after, self._clock.monotonic())

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
            writes, nudges = await self._store.counts()
        except StateError as error:
            self._failure = error
            raise
        self._failure = None
        self.nudges.take(nudges)
        return writes

    async def write(
        self,
        change: SetChange | None,
        seen: int,
        *,
        events: Sequence[Event] = (),
        names: Mapping[str, str] | None = None,
        freeze: Word | msgspec.UnsetType | None = msgspec.UNSET,
        configuration: str | None = None,
        of_all: bool = True,
    ) -> None:
        """Write what changed, and only then remember it; raises StateError, and then nothing has changed.

        `seen` is the generation that the change was made from: what was read anew since is never written over. A change
        that is not `of_all` was made from what is known of its own ApplicationSet alone. The `configuration` by which
        it was made is the newest one from then on.
        Whoever asks may go away meanwhile: what was begun is ended.
        """
        said = _Said(change, seen, tuple(events), names or {}, freeze, configuration, of_all)
        await asyncio.shield(asyncio.ensure_future(self._written(said)))

    async def _written(self, said: _Said) -> None:
        async with self._writing:
            self.require()
            for again in range(_MOST_CROSSINGS + 1):
                self._refuse_if_moved(said)
                try:
                    return await self._write_once(said)
                except StateMoved:
                    if again == _MOST_CROSSINGS:
                        raise
        return None

    def _refuse_if_moved(self, said: _Said) -> None:
        """Raise StateMoved if another process changed what a change was made from."""
        latest = self.generation if said.of_all or said.change is None else self.version_of(said.change.name)
        if latest > said.seen:
            raise StateMoved

    async def _write_once(self, said: _Said) -> None:
        now, change = self.now(), said.change
        before = _NOTHING if change is None else self.own(change.formerly or change.name)
        counts = self._counts.changed(before, change)
        size = self._counts.after(counts)
        whole = msgspec.structs.replace(self._whole, sizes=with_size(self._whole.sizes, now, size, now - self._longest))
        if said.freeze is not msgspec.UNSET:
            whole = msgspec.structs.replace(whole, freeze=said.freeze)
        newest = None if said.configuration in (None, *self.configurations[-1:]) else said.configuration
        sets = () if change is None else (change,)
        noted = self._noted
        await self._stored(Changes(now, sets, whole, said.names, (*noted, *said.events), newest))
        self._noted = self._noted[len(noted) :]
        self._whole, self._source = whole, None
        self._counts.take(counts)
        if newest is not None:
            self.configurations = (*(one for one in self.configurations if one != newest), newest)
        if change is not None:
            self._remember_change(change)

    def _remember_change(self, change: SetChange) -> None:
        self.elsewhere.wrote(change, self.own(change.formerly or change.name))
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

    def leave_out(self, name: SetName, given: Input, unseen: frozenset[str]) -> None:
        """Note whom Argo CD's own selectors leave out of an answer: they count as nobody where tenants are counted."""
        if self._counts.leave_out(name, given, unseen):
            self._source = None

    def remember(self, name: SetName, own: SetLedger, seen: int) -> None:
        """Take what needs no writing: when an input was last asked for, and what follows from time alone.

        Raises StateMoved if another process changed the ApplicationSet since the generation `seen`.
        """
        if self.version_of(name) > seen:
            raise StateMoved
        self._sets[name] = own

    def note(self, event: Event) -> None:
        """Take an event into the history with whatever is written next."""
        self._noted += (event,)

    def stand_at(self, position: Position, turns: int) -> None:
        """Note where the source stands; it is written with whatever is written next."""
        self._stands[position.source] = origin = Origin(position.timeline, position.lsn, position.standby, turns)
        self._stand(position.source, origin)

    def _stand(self, source: str, origin: Origin) -> None:
        """Note where a source stands, unless it is known to stand further on: another process reads its standby."""
        known = self._whole.origins.get(source)
        if known is None or _progress(known) < _progress(origin):
            origins = {**self._whole.origins, source: origin}
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

    async def replicas(self, this: Replica) -> Sequence[Replica]:
        """Note that this process is there, and return all that are; raises StateError."""
        return await self._store.seen(this)

    async def leave(self, replica: str) -> None:
        """Note that this process is there no more; raises StateError."""
        await self._store.gone(replica)

    async def count(self, name: LiveName, digest: str, lately: float) -> int | None:
        """Return the number of the next nudge; None if another process counted it lately. Raises StateError."""
        with self.nudges.own() as own:
            own.number = await self._store.nudge(name, digest, self.now(), lately if self.is_shared else 0.0)
        return own.number

    async def give_back(self, name: LiveName, number: int) -> None:
        """Let others count at once what was counted and could not be sent; raises StateError."""
        await self._store.give_back(name, number)

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


def _progress(origin: Origin) -> tuple[int, int, int]:
    return origin.turns, origin.timeline, origin.lsn
