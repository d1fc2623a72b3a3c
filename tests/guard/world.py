"""A world for the guard to stand in: tenants that come and go, people, requests, faults and time.

Every step is a name and two small numbers, so that a random walk and Hypothesis can take the same ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from tenantry.core.columns import Kind
from tenantry.core.errors import (
    EditedInput,
    LastGoodIncomplete,
    NotReady,
    RequestRefused,
    StateUnwritable,
    UnknownApplications,
)
from tenantry.core.ledger import SetName
from tenantry.service.answering import Reply
from tenantry.service.approving import Subject
from tests.builders import columns_of
from tests.fakes import FakeStore
from tests.guard.cluster import InCluster
from tests.guard.here import Here, policy
from tests.guard.lives import LIVES, Life
from tests.guard.model import FIRST_PASS, IDENTITY, Broken, Given, ReadOf
from tests.guard.people import ME, People
from tests.guard.reasons import Judge
from tests.guard.requests import EDITED, REQUESTS, text_of

T = TypeVar("T")
NAMES = ("plan", "region", "size", "status", "subdomain", "tenant")
SECONDS = (1.0, 2.0, 5.0, 31.0, 61.0, 61.0, 1200.0, 3700.0, 90_000.0, 700_000.0)


class World(People):
    """The guard, the model, and what happens to both."""

    def __init__(self, life: int = 0) -> None:
        how = LIVES[life % len(LIVES)]
        super().__init__(how.many)
        self.life = life
        self.loop = asyncio.new_event_loop()
        self.policy = policy(how.mode, how.settle, identity=(IDENTITY,))
        self.model = Judge(self.policy)
        self.process = self.edits = self.refusals = 0
        self.lsn = 1 << 30
        self.silent: set[int] = set()
        self.prepared: dict[tuple[SetName, str], tuple[int, Reply]] = {}
        self.taken: list[tuple[str, int, int]] = []
        self.cluster = InCluster() if how.in_cluster else None
        self.begin(how)

    def begin(self, how: Life) -> None:
        """Start what answers, and read."""
        self.here = self.run(Here(self.policy).start())
        if self.cluster is not None:
            self.model.inputs_of_specs = self.cluster.appear_in(self.here)
        self.read(0, 0)

    def close(self) -> None:
        """End."""
        self.loop.close()

    def do(self, action: str, a: int, b: int) -> None:
        """Take one step; raises Broken where the invariant does not hold any more."""
        self.taken.append((action, a, b))
        getattr(self, action)(a, b)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a result."""
        return self.loop.run_until_complete(work)

    # --- time and reads --------------------------------------------------------------------------------------------

    def wait(self, a: int, b: int) -> None:
        self.here.clock.pass_by(seconds=SECONDS[a % len(SECONDS)])

    def read(self, a: int, b: int) -> None:
        self.lsn += 1
        self.here.position = replace(self.here.position, lsn=self.lsn)
        kinds = {**dict.fromkeys(NAMES, Kind.TEXT), "size": self.kind}
        try:
            snapshot = self.here.read(self.as_read(), columns_of(**kinds))
        except LastGoodIncomplete:
            return
        rows = {
            tenant: {name: str(value) for name, value in zip(NAMES, found.values, strict=True) if name != "tenant"}
            for tenant, found in snapshot.tenants.items()
        }
        unreadable = frozenset(row.tenant for row in snapshot.quarantined if row.tenant and not row.kept)
        began, number = self.here.clock.monotonic(), len(self.model.reads)
        doubtful = self.nameless
        self.model.found(ReadOf(number, began, rows, self.process, self._lens(), self.kind.value, doubtful, unreadable))

    def _lens(self) -> str:
        origin = self.here.guarding.watching.origin(self.here.position)
        return f"{self.here.shape}/{self.here.position.source}/{origin}"

    def read_for_long(self, a: int, b: int) -> None:
        for _ in range(2):
            self.here.clock.pass_by(seconds=31)
            self.read(a, b)
        self.here.clock.pass_by(seconds=1)
        self.read(a, b)

    # --- requests --------------------------------------------------------------------------------------------------

    def ask(self, a: int, b: int) -> None:
        self._ask(*REQUESTS[a % len(REQUESTS)])

    def poll(self, a: int, b: int) -> None:
        for number, request in enumerate(REQUESTS):
            if number not in self.silent:
                self._ask(*request)
                self.here.clock.pass_by(seconds=0.1)

    def settle(self, a: int, b: int) -> None:
        """Let what happened take effect: everybody asks before and after the time of settling."""
        self.read(a, b)
        self.poll(a, b)
        self.here.clock.pass_by(seconds=61)
        self.read(a, b)
        self.poll(a, b)

    def lose(self, a: int, b: int) -> None:
        """Delete up to nine, and let it take effect."""
        self.delete_some(a, b)
        self.settle(a, b)

    def rename_and_lose(self, a: int, b: int) -> None:
        """Give a tenant another Application, and delete it as soon as it has that."""
        self.rename(a, b)
        self.settle(a, b)
        self.delete(a, b)
        self.read(a, b)
        self.poll(a, b)

    def lose_and_retype(self, a: int, b: int) -> None:
        """Delete a few, and give a column another type before they have settled."""
        self.delete_some(a % 3, b)
        self.read(a, b)
        self.poll(a, b)
        self.retype(a, b)
        self.settle(a, b)

    def foresee(self, a: int, b: int) -> None:
        """Look ahead, which records nothing, and then ask: who was told had reason to be, and who was not had none."""
        guarding, ledger = self.here.guarding, self.here.ledger
        before, written = dict(ledger.sets), len(self.here.store.written)
        try:
            self.run(guarding.foreseeing.look({name.application_set: False for name in before}))
        except NotReady:
            return
        if any(ledger.sets[name] is not own for name, own in before.items()) or len(self.here.store.written) != written:
            raise Broken("looking ahead was recorded")
        name, parameters = REQUESTS[a % len(REQUESTS)]
        given = text_of({key: value for key, value in parameters.items() if key != "allowEmpty"})
        known = before.get(name)
        if known is None or given not in known.known() or self.here.store.broken is not None:
            return
        key = guarding._keys.key(name, given)
        if key.is_due and key.difference is None:
            return  # It settles, or could not be looked at: it is looked at again with the next read.
        allows_empty = bool(parameters.get("allowEmpty"))
        if allows_empty != (key.asked > 0 and key.allow_empty):
            return
        foreseen, refusals = key.difference is not None, self.refusals
        self._ask(name, parameters)
        after = self.here.own(name).baselines.get(given)
        if self.refusals == refusals and after is not None:
            changed = after.released != known.baselines[given].released
            if changed != foreseen:
                raise Broken(f"{name} {given} is answered otherwise: {changed}; that was foreseen: {foreseen}")

    def ask_otherwise(self, a: int, b: int) -> None:
        name, parameters = EDITED[a % len(EDITED)]
        if self.cluster is not None and self.cluster.sees(name):
            self._preview(name, parameters)
        else:
            self._ask(name, parameters)

    def _preview(self, name: SetName, parameters: dict[str, object]) -> None:
        """Ask for what no generator asks for: it is answered as the rows say, and nothing is remembered."""
        before = self.here.own(name)
        if not any(one in before.known() for one in self.model.inputs_of_specs[name]):
            return  # Nobody could tell that it is one.
        if before.began is None or self.here.ledger.now() - before.began <= FIRST_PASS:
            return  # The cluster is not asked for each input of a first pass, so none is taken for a preview.
        try:
            reply = self.run(self.here.reply(parameters, name))
        except (NotReady, UnknownApplications):
            return
        items = json.loads(reply.answer.body)["output"]["parameters"]
        if {item["tenant"] for item in items} != set(self.model.read.selected(parameters)):
            raise Broken("a preview was answered otherwise than rows say")
        if self.here.own(name) is not before or reply.ticket.is_good():
            raise Broken("a preview was remembered")

    def fall_silent(self, a: int, b: int) -> None:
        """From now on one input is not asked for: its generator was removed."""
        self.silent.add(a % len(REQUESTS))

    def ask_all(self, a: int, b: int) -> None:
        self.silent.clear()

    def tidy(self, a: int, b: int) -> None:
        """Do what the service does now and then: write down who asks, forget previews and what nobody can end."""
        holds = {name: dict(self.here.own(name).holds) for name in self.model.sets}
        self.run(self.here.guarding.touch())
        for name, before in holds.items():
            ended = before.keys() - self.here.own(name).holds.keys()
            self.model.holds_ended(name, ended, self.here.ledger.now())
            self.model.previews_ended(name, list(self.here.own(name).baselines))

    def _ask(self, name: SetName, parameters: dict[str, object]) -> None:
        key = (name, text_of(parameters))
        before = dict(self.here.own(name).holds)
        number, prepared = self.prepared.pop(key, (0, None))
        try:
            # Until the next read it may be sent though it would be decided otherwise.
            good = prepared is not None and prepared.ticket.is_good() and number < self.model.read.number
            reply = self.run(self.here.reply(parameters, name))
        except EditedInput:
            self.refusals += 1
            self.model.refused(*key, parameters, self.here.ledger.now())
            return
        except UnknownApplications as error:
            self.refusals += 1
            assert self.cluster is not None
            self.cluster.refused(name, error, self.model.read.rows, self.here.own(name))
            return
        except (NotReady, RequestRefused):
            self.refusals += 1
            return
        failing = self.here.store.broken is not None
        if good and prepared is not None and not failing and prepared.answer.body != reply.answer.body:
            raise Broken(f"{key} was answered otherwise than what was prepared for it")
        answer = {item["tenant"]: item for item in json.loads(reply.answer.body)["output"]["parameters"]}
        after = dict(self.here.own(name).holds)
        now = self.here.ledger.now()
        unseen: frozenset[str] = frozenset()
        if self.cluster is not None:
            made = self.cluster.made_of(name, answer)
            unseen, answer = frozenset(answer.keys() - made.keys()), made
            parameters = self.cluster.as_seen(name, parameters)
        self.model.answered(Given(*key, parameters, answer, now, before, after, unseen), failing=failing)
        if self.cluster is not None:
            self.cluster.answered(name, key[1], answer, self.model.read.rows)
        if not failing:
            self.prepared[key] = (self.model.read.number, reply)

    def ask_again(self, a: int, b: int) -> None:
        """Ask twice in one moment: nothing has changed, so but for whom somebody let go the answer has not."""
        name, parameters = REQUESTS[a % len(REQUESTS)]
        bodies = []
        for _ in range(2):
            self._ask(name, parameters)
            bodies += [one.answer.body for _, one in [self.prepared.get((name, text_of(parameters)), (0, None))] if one]
        if len(set(bodies)) > 1 and not self.model.of(name).approved:
            raise Broken(f"{name} was answered otherwise at once")

    # --- faults ----------------------------------------------------------------------------------------------------

    def restart(self, a: int, b: int) -> None:
        self._restart()

    def restart_later(self, a: int, b: int) -> None:
        """Start on a machine whose clock is hours away."""
        self.here.clock.pass_by(seconds=SECONDS[a % len(SECONDS)])
        self._restart()

    def _restart(self, **changed: Any) -> None:  # noqa: ANN401 -- the fields of Here
        self.process += 1
        self.prepared.clear()
        self.here.clock.pass_by(seconds=1)
        self.here = self.run(self.here.restarted(**changed))
        if self.cluster is not None:
            self.cluster.appear_in(self.here)
        self.read(0, 0)

    def edit_configuration(self, a: int, b: int) -> None:
        """Edit the configuration, and lose a few tenants in the same moment."""
        self.edits += 1
        self.delete_some(a % 3, b)
        self._restart(shape=f"shape-{self.edits}")

    def another_database(self, a: int, b: int) -> None:
        self.delete_some(a % 3, b)
        self._restart(position=replace(self.here.position, source=f"system/{a % 2}/organization"))

    def restore_a_backup(self, a: int, b: int) -> None:
        """Last night's data: fewer tenants, at an earlier position."""
        self.rows = dict(list(self.rows.items())[: max(1, len(self.rows) - a)])
        self.lsn = max(1, self.lsn - (1 << 21))
        self._restart(position=replace(self.here.position, lsn=self.lsn))

    def spoil_held(self, a: int, b: int) -> None:
        """Make rows unusable whose tenants are held, and start anew: nobody remembers what they had."""
        held = {tenant for own in self.here.ledger.sets.values() for _, tenant in own.holds}
        self.unreadable |= {tenant for tenant in held if tenant in self.rows}
        self._restart()

    def lose_the_ledger(self, a: int, b: int) -> None:
        self.model.forget()
        if self.cluster is not None:
            self.cluster.ledger_was_lost()
        self._restart(store=FakeStore())

    def lose_the_ledger_and_some(self, a: int, b: int) -> None:
        """A pod without a volume, on the night of a bad migration."""
        self.delete_half(a, b)
        self.lose_the_ledger(a, b)

    def admit_strays(self, a: int, b: int) -> None:
        """Say that Applications of which nobody knows may go."""
        for name, digest in self.cluster.waiting() if self.cluster is not None else ():
            subject = Subject(name.application_set, name.consumer, input=digest)
            if self._said(lambda subject=subject: self.here.say.approve(subject, ME, 7200.0)):  # type: ignore[misc]
                assert self.cluster is not None
                self.cluster.admitted(name, digest)

    def fail_to_write(self, a: int, b: int) -> None:
        """One round of requests while the state cannot be written, after one in which it could."""
        self.poll(a, b)
        self.insert(a, b)
        self.delete_some(a % 3, b)
        self.read(a, b)
        self.here.store.broken = StateUnwritable()
        try:
            self.poll(a, b)
        finally:
            self.here.store.broken = None
