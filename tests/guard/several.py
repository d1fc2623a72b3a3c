"""A world of several replicas: any of them answers who asks, and others answer, write and read in between."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tenantry.core.errors import EditedInput, NotReady, OlderConfiguration, ReplicaBehind, RequestRefused, StateMoved
from tenantry.core.ledger import SetName
from tenantry.service.answering import Reply
from tenantry.service.replicas import ALIVE
from tests.guard.model import Answer, Broken
from tests.guard.people import ME
from tests.guard.replica import Replica
from tests.guard.requests import REQUESTS, text_of
from tests.guard.running import Running
from tests.guard.sharing import Died
from tests.guard.together import Asked, Key

_MEANWHILE = ("delete", "delete_some", "put_back", "restore", "change", "move", "insert", "rename", "retire", "resize")


@dataclass
class _Asking:
    """A request on its way."""

    one: Replica
    name: SetName
    given: str
    parameters: dict[str, object]
    came: float
    crossings: int
    reads: bool = False
    """Whether its replica reads where that is needed."""

    @property
    def key(self) -> Key:
        return self.name, self.given


class Several(Running):
    """Several guards, and who asks them."""

    # --- requests --------------------------------------------------------------------------------------------------

    def poll(self, a: int, b: int) -> None:
        """Let each request go to any of them."""
        self._give_signs()
        for number, request in enumerate(REQUESTS):
            if number not in self.silent:
                self._turn(self._awake((a * 10 + b) >> number))
                self._ask(*request)
                self.clock.pass_by(seconds=0.1)

    def ask_each(self, a: int, b: int) -> None:
        """Ask all of them for the same."""
        for number in range(len(self.replicas)):
            self._turn(self._awake(b + number))
            self._ask(*REQUESTS[a % len(REQUESTS)])

    def _ask(self, name: SetName, parameters: dict[str, object]) -> None:
        self.asking, self.is_asked = (name, parameters), True
        self.run(self._asked(self.replica, name, parameters))
        self.is_asked = False

    async def _asked(self, one: Replica, name: SetName, parameters: dict[str, object]) -> None:
        self._turn(one)
        self._tick()
        one.asked = self.clock.seconds
        this = _Asking(one, name, text_of(parameters), parameters, self.clock.seconds, self.crossings)
        history = len(self.model.history.get(this.key, ()))
        self.model.hears(this.came)
        try:
            reply, is_prepared = await self._reply(this)
        except (EditedInput, NotReady, RequestRefused) as error:
            self._turn(one)
            self.counts[type(error).__name__] += 1
            self._refused(this, error, is_crossed=self.crossings > this.crossings)
            return
        except Died as died:
            self._died(this, history, is_written=died.is_written)
            return
        finally:
            self.dies = False
        self._turn(one)
        answer = {item["tenant"]: item for item in json.loads(reply.answer.body)["output"]["parameters"]}
        self._judge(this, answer, history, is_prepared=is_prepared)
        one.prepared[this.key] = reply

    async def _reply(self, this: _Asking) -> tuple[Reply, bool]:
        """Answer as the service does: what is prepared leaves if it is good still, and nobody wrote."""
        one, guarding = this.one, this.one.here.guarding
        self.asks += 1
        this.reads = bool(self.asks % 4)
        guarding.catching_up.read_now = (lambda: self._read_now(one)) if this.reads else None
        prepared, one.failed = one.prepared.pop(this.key, None), False
        await guarding.confirm()
        if prepared is not None and prepared.ticket.is_good():
            return prepared, True
        return await one.here.reply(this.parameters, this.name), False

    def _refused(self, this: _Asking, error: Exception, *, is_crossed: bool) -> None:
        """Check that a refusal has its reason."""
        one = this.one
        match error:
            case EditedInput() if not is_crossed:
                self.model.refused(*this.key, this.parameters, self.here.ledger.now())
            case OlderConfiguration():
                self.model.refused_as_older(one.configuration, this.came, self._signs_of(one))
            case ReplicaBehind() if this.reads and not (
                one.standby or one.failed or is_crossed or self._is_half_restored
            ):
                raise Broken(f"replica {one.slot} said that it was behind, and had just read the primary")
            case StateMoved():
                raise Broken("others wrote once, and it was not tried again")

    @property
    def _is_half_restored(self) -> bool:
        """Whether some of them still have what was there before a backup was restored, and go by it."""
        return any(one.process < self.restored for one in self.replicas)

    def _written(self) -> None:
        if self.dies:
            raise Died(is_written=True)

    def _died(self, this: _Asking, history: int, *, is_written: bool) -> None:
        """What was written and did not leave counts as if it had: nobody knows how far it came."""
        self._turn(this.one)
        self.counts["died"] += 1
        if is_written and this.given in self.store.inputs(this.name):
            self._judge(this, self.store.released(*this.key), history, is_prepared=False)
        self._stop(this.one, leaves=False)

    def _judge(self, this: _Asking, answer: Answer, history: int, *, is_prepared: bool) -> None:
        one, name = this.one, this.name
        if self.store.broken is not None:
            raise Broken("it was answered, and nobody knows whether others have answered since")
        now, holds = self.here.ledger.now(), self.store.holds(name)
        given = Asked(
            *this.key,
            this.parameters,
            answer,
            now,
            self.holds.get(name, {}),
            holds,
            came=this.came,
            primaries=self._primaries_besides(one),
            is_crossed=self.crossings > this.crossings,
        )
        is_written = self.store.released(*this.key) == answer
        self.counts[f"answered by {one.slot}"] += 1
        self.model.answered_by(one.configuration, this.came, self.clock.seconds, self._signs_of(one))
        if is_prepared:
            self.counts["prepared"] += 1
            self.model.repeated(given)
        elif not is_written and self.crossings > this.crossings and self.model.overlapped(given, history):
            self.counts["overlapped"] += 1
        elif not is_written:
            raise Broken(f"{this.key} was answered otherwise than is written")
        else:
            self.model.answered(given)
            self.holds[name] = holds

    def _primaries_besides(self, one: Replica) -> list[int]:
        return [
            other.slot
            for other in self.replicas
            if other is not one
            and not other.standby
            and other.is_up
            and other.source == one.source
            and self.clock.seconds - other.seen < ALIVE
        ]

    def tidy(self, a: int, b: int) -> None:
        self.run(self.here.guarding.touch())
        for name in self.model.sets:
            before, after = self.holds.get(name, {}), self.store.holds(name)
            self.model.holds_ended(name, before.keys() - after.keys(), self.here.ledger.now())
            self.holds[name] = after
            self.model.previews_ended(name, self.store.inputs(name))

    # --- what happens in between -----------------------------------------------------------------------------------

    def cross(self, a: int, b: int) -> None:
        """Let something happen just before one of the next looks at the ledger, or before one of the next writes."""
        self.crossed = (a % 2 if b % 2 else a % 5, a, b)

    def race(self, a: int, b: int) -> None:
        """Delete some, and have another one answer just before it is written that they leave."""
        self.delete_some(a, b)
        for _ in range(2):
            self._commit()
            self._read_all()
            self.poll(a, b)
            self.clock.pass_by(seconds=61)
        self._read_all()
        self.crossed = (0, a, 3)
        self.poll(b, a)

    def hide(self, a: int, b: int) -> None:
        """Commit what only one of them sees, at a place in the log at which the others have read as well."""
        self.database.log()
        self._read_all()
        getattr(self, _MEANWHILE[a])(b, a)
        self._commit()
        self._read(self._awake(b))
        self.ask_each(a, b)

    def look_late(self, a: int, b: int) -> None:
        """Have one find rows that are younger than the place at which it found the log, and others read in between."""
        one = self._awake(b)
        if one.begun is None:
            self._begin_read(one, looks=False)
        self.database.log()
        for other in self.replicas:
            if other.answers and other is not one:
                self._read(other)
        getattr(self, _MEANWHILE[a])(b, a)
        self._commit()
        self._publish(one)
        self.ask_each(a, b)

    async def _cross(self, before: str) -> None:
        if self.crossed is None:
            return
        after, a, b = self.crossed
        if b % 2 and before != "write":
            return
        if after:
            self.crossed = (after - 1, a, b)
            return
        self.crossed = None
        if b == 8 and self.is_asked:
            self.dies = bool(a % 2)
            if self.dies:
                return
            raise Died(is_written=False)
        back, others = self.replica, [one for one in self.replicas if one.answers and one is not self.replica]
        if not others:
            return
        self.crossings += 1
        self.counts["crossed"] += 1
        other = others[a % len(others)]
        if b % 3:
            getattr(self, _MEANWHILE[a])(b, a)
            self._commit()
            self._read(other)
        self._turn(other)
        if b == 9:
            await self._freeze_meanwhile()
        await self._asked(other, *self.asking)
        for request in REQUESTS[b % len(REQUESTS) :][: a % 4]:
            await self._asked(other, *request)
        self._turn(back)

    async def _freeze_meanwhile(self) -> None:
        await self.here.say.freeze(None, ME)
        self.model.frozen = True
