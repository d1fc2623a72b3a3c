"""Answering through the guard: what leaves is what was decided and written.

An answer in which nobody is missing and nobody waits stays good for as long as its snapshot; every other one is decided
anew with the next read. Whatever people say makes the answers of their ApplicationSet void.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from tenantry.core.answer import Answer, answer_as_released, encoded_answer
from tenantry.core.asking import TOUCH, Decision
from tenantry.core.errors import ReplicaBehind, StateError, StateMoved
from tenantry.core.fields import Naming
from tenantry.core.guard import Policy
from tenantry.core.history import Event, EventKind
from tenantry.core.keeping import Fitting
from tenantry.core.ledger import SetName
from tenantry.core.steps import Steps, sliced
from tenantry.core.tenant import Kept
from tenantry.service.answering import Answering, PluginRequest, Reply
from tenantry.service.catching_up import CatchingUp, changes
from tenantry.service.circumstances import Circumstances, Request
from tenantry.service.driving import driven, to_its_end
from tenantry.service.editing import Editing
from tenantry.service.foreseeing import Foreseeing
from tenantry.service.keys import Key, Keys, KnownSet, input_of
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Clock, Observer, Tokens
from tenantry.service.recognising import Owned, Recognising
from tenantry.service.releasing import events_of, told_of
from tenantry.service.replicas import Replicas
from tenantry.service.snapshots import SnapshotHolder, last_good_unknown
from tenantry.service.specs import Specs
from tenantry.service.state import Replica, SetChange
from tenantry.service.trying import Tries, while_moved
from tenantry.service.upkeep import Upkeep
from tenantry.service.watching import Watching, is_doubtful


@dataclass(slots=True)
class _Ticket:
    """For how long an answer may be sent again."""

    guarding: Guarding
    key: Key
    of: KnownSet
    revision: str
    version: int
    generation: int
    read: int | None
    """Where the next read may change it."""

    def is_good(self) -> bool:
        """Tell whether the answer is still what would be decided; raises NotReady."""
        return self.guarding.is_good(self)


@dataclass(frozen=True, slots=True)
class _Coming:
    """A request as it came."""

    request: PluginRequest
    began: float
    """When, on the clock of reads."""

    lets_go: bool = True
    """Whether somebody may leave by it."""

    looked: bool = False
    """Whether the cluster was asked for it."""


class Guarding:
    """Turns requests into answers that the guard has let through."""

    def __init__(
        self,
        answering: Answering,
        snapshots: SnapshotHolder,
        ledger: Ledger,
        policy: Policy,
        tokens: Tokens,
        observer: Observer,
        clock: Clock,
        *,
        shape: str,
        naming: Naming,
        this: Replica,
    ) -> None:
        """Guard what `answering` finds; `shape` is the digest of the configuration of tenants.

        `this` is what other processes are to know of this one.
        """
        self._answering = answering
        self._snapshots = snapshots
        self._ledger = ledger
        self._tokens = tokens
        self._observer = observer
        self._clock = clock
        self._naming = naming
        self._keys = Keys()
        ledger.elsewhere.answered = self._keys.answered_elsewhere
        self._removing = asyncio.Lock()
        self._editing = Editing(ledger)
        self.watching = Watching(self._keys, ledger, policy, observer, clock)
        self._circumstances = Circumstances(
            self._keys, ledger, policy, self.watching, clock, shape=shape, naming=naming
        )
        self.catching_up = CatchingUp(ledger, snapshots, self.watching, observer)
        self.replicas = Replicas(
            ledger, snapshots, self.catching_up, observer, clock, this=this, turns=lambda: self.watching.turns
        )
        self._upkeep = Upkeep(self._keys, ledger, self._circumstances, tokens, self._removing, self._tell_of_holds)
        self.touch = self._upkeep.touch
        self._recognising = Recognising(ledger, self._circumstances, naming.label_of, observer)
        self.sight = self.watching.sight = self._circumstances.sight
        self.watching.identity = self._circumstances.identity
        self.foreseeing = Foreseeing(
            answering, snapshots, ledger, self._keys, self._circumstances, self.watching, self.require_to_answer
        )
        self.foreseeing.may_follow = self.catching_up.may_follow

    # --- answering -------------------------------------------------------------------------------------------------

    @property
    def is_local(self) -> bool:
        """Whether an answer that is prepared can be sent without asking anybody."""
        return not self._ledger.is_shared

    async def confirm(self) -> None:
        """Make sure that no other process has changed what answers depend on; raises StateError."""
        await self._ledger.confirm()

    def is_good(self, ticket: _Ticket) -> bool:
        """Tell whether an answer may be sent again, and note that it was asked for; raises NotReady."""
        snapshots, now = self._snapshots, self._clock.monotonic()
        if (
            self.catching_up.is_told
            or snapshots.fresh().revision != ticket.revision
            or (ticket.read is not None and ticket.read != snapshots.read.number)
            or ticket.version != ticket.of.version + self._keys.version
            or ticket.generation < self._ledger.version_of(ticket.key.set_name)
            or now - ticket.key.asked > TOUCH  # That it is asked for again is written down first.
        ):
            return False
        ticket.key.note_request(now)
        return True

    async def answer(self, consumer: str, request: PluginRequest) -> Reply:
        """Return the answer.

        Raises NotReady, RequestRefused, EditedInput, UnknownApplications, LostField or InvalidAnswer.
        """
        self._ledger.require()
        name, tries = SetName(consumer, request.application_set), Tries()
        coming = _Coming(request, self._clock.monotonic())
        while True:
            try:
                return await self._tried(name, coming)
            except ReplicaBehind:
                if not coming.lets_go:
                    self.catching_up.refused(name, input_of(request))
                    raise
                if not await self.catching_up.read(tries.left) or not await tries.another():
                    # Who would leave stays until a read says so again: nobody else is to wait for that.
                    coming = replace(coming, lets_go=False)

    async def _tried(self, name: SetName, coming: _Coming) -> Reply:
        """Answer from the snapshot in use; raises ReplicaBehind where another process answered from a later one."""
        await self._ledger.confirm()
        await self.catching_up.heed()
        snapshot = self._snapshots.fresh()
        self._answering.question(coming.request, snapshot)  # What cannot be understood waits for nobody.
        coming = replace(coming, looked=await self._editing.look(name, input_of(coming.request)))
        of = self._keys.of(name)
        await of.lock.acquire()
        return await self._under_lock(name, of, coming)

    @to_its_end
    async def _under_lock(self, name: SetName, of: KnownSet, coming: _Coming) -> Reply:
        """Answer, and give the lock of the ApplicationSet back."""
        try:
            return await self._locked(name, of, coming)
        finally:
            of.lock.release()

    @while_moved
    async def _locked(self, name: SetName, of: KnownSet, coming: _Coming) -> Reply:
        """Answer by what is known now."""
        request = coming.request
        configuration = await self.replicas.admitted(self._snapshots.fresh().position.source)
        await self._upkeep.take_over(name)
        given = input_of(request)
        await self._editing.take_over(name, given)
        key = self._keys.key(name, given)
        snapshot, read = self._snapshots.fresh(), self._snapshots.read
        question = self._answering.question(request, snapshot)
        if not snapshot.complete and given not in self._ledger.own(name).baselines:
            raise last_good_unknown(snapshot)
        await self._recognising.require(name, of, snapshot, self.watching.origin(snapshot.position))
        if self._editing.is_preview(name, given, looked=coming.looked):
            return Reply(await self._answering.of(question), NEVER_AGAIN)
        self._circumstances.require_fields(name, given, snapshot)
        return await self._answered(
            Request(of, key, question, read, coming.began, lets_go=coming.lets_go), configuration
        )

    async def _answered(self, this: Request, configuration: str | None) -> Reply:
        chosen = await driven(this.question.index.chosen(this.question.selection))
        fitting, candidate = await driven(self._circumstances.fitted(this, chosen))
        # Of before the decision: whatever another process releases while it is written makes the ticket void.
        seen, version = self._ledger.generation, this.of.version + self._keys.version
        decision = await self._decided(this, candidate, fitting)
        try:
            if decision.dropped or decision.lost:
                # Limits and freezes are over all ApplicationSets, so those who remove do it one after the other.
                async with self._removing:
                    seen, version = self._ledger.generation, this.of.version + self._keys.version
                    decision = await self._decided(this, candidate, fitting)
                    await self._recorded(this, decision, seen, configuration)
            else:
                await self._recorded(this, decision, seen, configuration)
        except StateMoved:
            raise
        except StateError as error:
            return await self._previous(this, error)
        self._note(this, decision)
        if version == this.of.version + self._keys.version and self.watching.latest <= this.read.number:
            this.key.is_due = decision.settling
        held = bool(decision.kept or decision.waiting)
        as_the_rows_say = not held and fitting.is_of_snapshot
        answer = await (self._answering.of(this.question, chosen) if as_the_rows_say else self._made(this, decision))
        if decision.would_hold:
            self._tell_what_would_be_held(this.key, decision)
        # Leaves that nobody has any more go with the next read.
        is_final = not decision.unsettled and (held or as_the_rows_say)
        ticket = _Ticket(
            self,
            this.key,
            this.of,
            this.question.snapshot.revision,
            version,
            seen,
            None if is_final else this.read.number,
        )
        return Reply(answer, ticket, is_held=held)

    async def _decided(self, this: Request, candidate: Mapping[str, bytes], fitting: Fitting) -> Decision:
        """Decide, and note where what changes was read; raises ReplicaBehind if it may not follow what was answered."""
        key, position = this.key, this.question.snapshot.position
        self.catching_up.require_to_be_new(this)
        decision = await driven(self._circumstances.decided(this, candidate, fitting))
        leaving = bool(decision.dropped or decision.lost)
        if leaving and not self.catching_up.lets_go(position, await self.replicas.beside(position)):
            this = replace(this, lets_go=False)
            decision = await driven(self._circumstances.decided(this, candidate, fitting))
        if self._circumstances.go_freely(this, decision):
            # What was heard of the selector may be minutes old, and a wider one gives them Applications.
            spec = await self._circumstances.specs.look(key.set_name)
            this = this if spec is not None else replace(this, lets_go=False)
            decision = await driven(self._circumstances.decided(this, candidate, fitting))
        self.catching_up.require(this, decision)
        before = self._ledger.own(key.set_name).baselines.get(key.input)
        origin = before.origin if before is not None else None
        if before is None or changes(decision):
            origin = position.released(self.watching.turns)
        baselines = dict(decision.ledger.baselines)
        baselines[key.input] = msgspec.structs.replace(baselines[key.input], origin=origin)
        return replace(decision, ledger=msgspec.structs.replace(decision.ledger, baselines=baselines))

    async def _made(self, this: Request, decision: Decision) -> Answer:
        released = decision.ledger.baselines[this.key.input].released

        def steps() -> Steps[Answer]:
            ids = sorted(released)
            yield
            sent: list[Kept] = []
            for some in sliced(ids):
                sent += [Kept(tenant, released[tenant]) for tenant in some]
                yield
            return (yield from encoded_answer(sent, this.question.snapshot))

        return await driven(steps())

    # --- recording -------------------------------------------------------------------------------------------------

    async def _recorded(self, this: Request, decision: Decision, seen: int, configuration: str | None) -> None:
        """Write what a decision changes, before its answer leaves; raises StateError, and then nothing changed.

        `seen` is the generation of the ledger by which was decided, `configuration` what is the newest one by this.
        """
        key = this.key
        released = decision.ledger.baselines[key.input].released
        self._ledger.leave_out(
            key.set_name, key.input, self._circumstances.sight(key.set_name, key.input).unseen(released)
        )
        if not decision.to_record and (configuration is None or self.replicas.is_newest(configuration)):
            self._ledger.remember(key.set_name, decision.ledger, seen)
            return
        own = self._ledger.own(key.set_name)
        before = own.baselines.get(key.input)
        known = before.released if before is not None else {}
        came = tuple(sorted(tenant for tenant in decision.put if tenant not in known))
        left = tuple(tenant for tenant in decision.dropped if tenant in known and tenant not in decision.put)
        change = SetChange(
            key.set_name,
            decision.ledger,
            put={key.input: decision.put},
            dropped={key.input: left},
        )
        names = {tenant: self._naming.name_of(tenant) for tenant in came} if self._naming.name_field else {}
        events = events_of(key.set_name, key.input, decision, came, self._ledger.now(), is_first=before is None)
        # Limits are over all ApplicationSets, and what several consumers have is compared with a first answer.
        of_all = bool(decision.dropped or decision.lost or decision.began or not own.baselines)
        await self._ledger.write(change, seen, events=events, names=names, configuration=configuration, of_all=of_all)
        self._tell_of_holds(events)

    async def _previous(self, this: Request, error: StateError) -> Reply:
        """Answer what was answered before, where nobody else can have answered otherwise; else raise `error`."""
        baseline = self._ledger.own(this.key.set_name).baselines.get(this.key.input)
        if self._ledger.is_shared or baseline is None:
            raise error
        self._observer.told("state_failed", {"reason": error.what, "remedy": error.advice})
        revision = this.question.snapshot.revision
        answer = await driven(answer_as_released(baseline.released, revision))
        return Reply(answer, NEVER_AGAIN, is_held=True)

    def _note(self, this: Request, decision: Decision) -> None:
        """Remember since when tenants are missing, unless a later read is known to say otherwise."""
        key = this.key
        key.note_request(self._clock.monotonic())
        key.allow_empty = this.question.selection.allow_empty
        key.difference = None
        if decision.put or decision.dropped:
            this.of.foreseen_anew()
        self._note_arrivals(this, decision)
        key.judged = decision.absences
        if is_doubtful(this.question.snapshot):
            key.absences = {}
        elif this.read.number >= self.watching.latest:
            key.absences = decision.absences
        else:
            released = decision.ledger.baselines[key.input].released
            key.absences = {tenant: since for tenant, since in key.absences.items() if tenant in released}

    def _note_arrivals(self, this: Request, decision: Decision) -> None:
        """Remember by which read those came who are in another input too: they may have moved from there."""
        key, baselines = this.key, decision.ledger.baselines
        came = {**key.came, **dict.fromkeys(decision.came, this.read.number)}
        others = [one.released for given, one in baselines.items() if given != key.input]
        released = baselines[key.input].released
        key.came = {
            tenant: number
            for tenant, number in came.items()
            if tenant in released and any(tenant in other for other in others)
        }

    def _tell_of_holds(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind in (EventKind.HELD, EventKind.HOLD_ENDED):
                self._observer.told(_TOLD[event.kind], told_of(event))

    def _tell_what_would_be_held(self, key: Key, decision: Decision) -> None:
        for rule, number in decision.would_hold.items():
            fields = {"consumer": key.set_name.consumer, "application_set": key.set_name.application_set}
            self._observer.told("would_hold", {**fields, "rule": str(rule), "tenants": number})

    # --- what people say, and who asks -----------------------------------------------------------------------------

    def lock_of(self, name: SetName | None) -> asyncio.Lock:
        """Return the lock under which an ApplicationSet's ledger changes, or under which anybody leaves any of them."""
        return self._removing if name is None else self._keys.of(name).lock

    def spoken(self, name: SetName | None) -> None:
        """Make void what was answered to an ApplicationSet, or to all of them."""
        self._keys.spoken(name)
        self.foreseeing.wake()

    def look_by(self, specs: Specs, owned: Owned | None = None) -> None:
        """Judge by what ApplicationSets are in the cluster, and by what they own."""
        self._editing.specs = self._circumstances.specs = specs
        self._recognising.owned = owned

    def spec_changed(self, application_set: str) -> None:
        """Make void what was answered to ApplicationSets of a name: they may take something else of it now."""
        for name in [one for one in self._ledger.sets if one.application_set == application_set]:
            self._count_anew(name)
            self.spoken(name)

    def _count_anew(self, name: SetName) -> None:
        for given, baseline in self._ledger.own(name).baselines.items():
            unseen = self._circumstances.sight(name, given).unseen(baseline.released)
            self._ledger.leave_out(name, given, unseen)

    # --- reads -----------------------------------------------------------------------------------------------------

    def keep_names(self, naming: Naming) -> None:
        """Take the naming that knows of released names."""
        self._naming = naming
        self._circumstances.naming = naming
        for name in self._ledger.sets:
            self._count_anew(name)

    def require_to_answer(self) -> None:
        """Raise NotReady while nobody could be answered by this process."""
        self.require()
        self.replicas.require()

    def require(self) -> None:
        """Raise NotReady while an ApplicationSet that was answered before could not be answered."""
        self._ledger.require()
        if self._ledger.is_shared and self._ledger.failure is not None:
            raise self._ledger.failure
        snapshot = self._snapshots.fresh()
        if not snapshot.complete and not self._ledger.sets:
            raise last_good_unknown(snapshot)


class _Never:
    """For an answer that is not to be sent again without another look."""

    def is_good(self) -> bool:
        return False


NEVER_AGAIN = _Never()
_TOLD = {EventKind.HELD: "hold_began", EventKind.HOLD_ENDED: "hold_ended"}
