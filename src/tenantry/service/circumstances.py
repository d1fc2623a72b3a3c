"""What a decision is made from: a request, and all that is known around it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tenantry.core.asking import Asked, Read, is_another
from tenantry.core.errors import RequestRefused
from tenantry.core.fields import Naming
from tenantry.core.guard import Policy
from tenantry.core.keeping import Fitting
from tenantry.core.ledger import Baseline, Input, SetLedger
from tenantry.core.lens import lens_of
from tenantry.core.selection import parse_selection
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import Steps, sliced
from tenantry.core.tenant import Tenant
from tenantry.service.answering import Question
from tenantry.service.keys import Key, Keys, KnownSet, parameters_of
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Clock
from tenantry.service.watching import Watching, is_doubtful, unreadable_in

_ASKED_ANEW = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request on its way."""

    of: KnownSet
    key: Key
    question: Question
    read: Read


class Circumstances:
    """Gathers what a decision needs to know."""

    def __init__(
        self,
        keys: Keys,
        ledger: Ledger,
        policy: Policy,
        watching: Watching,
        clock: Clock,
        *,
        shape: str,
        naming: Naming,
    ) -> None:
        """Know what `ledger` remembers and `watching` has seen; `shape` is the digest of the configuration."""
        self._keys = keys
        self._ledger = ledger
        self._policy = policy
        self._watching = watching
        self._clock = clock
        self._shape = shape
        self.naming = naming
        self._fittings: tuple[Snapshot, Fitting, dict[str, Fitting]] | None = None

    def asked(self, this: Request, candidate: Mapping[str, bytes], fitting: Fitting) -> tuple[SetLedger, Asked]:
        """Return what is known of the ApplicationSet, and what is asked."""
        snapshot, key = this.question.snapshot, this.key
        own = self.with_times(this.of, self._ledger.own(key.set_name))
        origin = self._watching.origin(snapshot.position)
        asked = Asked(
            input=key.input,
            candidate=candidate,
            lens=lens_of(self._shape, origin, this.question.selection, snapshot.mapping),
            layout=fitting.layout,
            now=self._ledger.now(),
            read=this.read,
            absences=key.absences,
            elsewhere=self._elsewhere(this, own),
            fit=fitting,
            allow_empty=this.question.selection.allow_empty,
            doubtful=is_doubtful(snapshot),
            unreadable=unreadable_in(snapshot),
            name=self.naming.name_field,
            cause=self._watching.cause,
            came=lambda given, tenant: this.of.keys[given].came.get(tenant) if given in this.of.keys else None,
            in_step=this.of.in_step_with(key),
            twins=self._twins(key) if not own.baselines else {},
            judged=key.judged,
            anew=self._ledger.anew(key.set_name),
            lens_at=lambda read: self._lens_at(key, read),
        )
        return own, asked

    def _lens_at(self, key: Key, read: Read) -> str:
        epoch = self._watching.epoch_of(read)
        if epoch is None:
            return ""
        try:
            selection = parse_selection(parameters_of(key.input), epoch.vocabulary, key.set_name.application_set)
        except RequestRefused:
            return ""
        return lens_of(self._shape, epoch.origin, selection, epoch.mapping)

    def fitted(self, this: Request, chosen: Sequence[Tenant]) -> Steps[tuple[Fitting, Mapping[str, bytes]]]:
        """Return what the rows say, in a layout that has a place for all that those have who may stay."""
        snapshot = this.question.snapshot
        if self._fittings is None or self._fittings[0] is not snapshot:
            self._fittings = (snapshot, Fitting(snapshot), {})
        _, usual, others = self._fittings
        candidate = yield from usual.candidate(chosen)
        own = self._ledger.own(this.key.set_name)
        baseline = own.baselines.get(this.key.input)
        if baseline is None:
            return usual, candidate
        staying = yield from self._staying(own, baseline, candidate)
        if not staying:
            return usual, candidate
        tree = yield from usual.with_leaves_of([baseline.released[tenant] for tenant in staying])
        if tree == snapshot.tree:
            return usual, candidate
        fitting = Fitting(snapshot, tree)
        fitting = others.setdefault(fitting.layout, fitting)
        return fitting, (yield from fitting.candidate(chosen))

    def _staying(self, own: SetLedger, baseline: Baseline, candidate: Mapping[str, bytes]) -> Steps[Collection[str]]:
        """Return who may stay as released: who is missing, is pinned, or has become another one."""
        released, identity = baseline.released, self._policy.identity
        staying = released.keys() - candidate.keys() | (released.keys() & own.pins.keys())
        if identity:
            for some in sliced(list(candidate)):
                staying.update(
                    one for one in some if one in released and is_another(released[one], candidate[one], identity)
                )
                yield
        return staying

    def with_times(self, of: KnownSet, own: SetLedger) -> SetLedger:
        """Return a ledger that knows of the requests that were answered without a decision."""
        offset = self._ledger.now() - self._clock.monotonic()
        asked = {
            given: msgspec.structs.replace(baseline, last=key.asked + offset)
            for given, key in of.keys.items()
            if key.asked and (baseline := own.baselines.get(given)) and key.asked + offset > baseline.last + _ASKED_ANEW
        }
        return msgspec.structs.replace(own, baselines={**own.baselines, **asked}) if asked else own

    def _elsewhere(self, this: Request, own: SetLedger) -> Callable[[str], Collection[Input]]:
        """Return what tells which other live inputs of an ApplicationSet select a tenant now."""
        snapshot = this.question.snapshot
        others: list[tuple[Input, list[Callable[[Tenant], bool]]]] | None = None

        def elsewhere(tenant: str) -> Collection[Input]:
            nonlocal others
            found = snapshot.tenants.get(tenant)
            if found is None:
                return ()
            if others is None:
                live = [given for given in own.live(self._ledger.now()) if given != this.key.input]
                others = [
                    (given, [clause.predicate() for clause in selection.clauses])
                    for given in live
                    if (selection := self._keys.selection(this.key.set_name, given, snapshot)) is not None
                ]
            return [given for given, predicates in others if all(meets(found) for meets in predicates)]

        return elsewhere

    def _twins(self, key: Key) -> Mapping[str, Mapping[str, bytes]]:
        """Return what other consumers were answered lately for the same input of an ApplicationSet of this name."""
        now, own = self._ledger.now(), key.set_name
        return {
            name.consumer: live[key.input].released
            for name, other in self._ledger.sets.items()
            if name.application_set == own.application_set
            and name.consumer != own.consumer
            and key.input in (live := self.with_times(self._keys.of(name), other).live(now))
        }
