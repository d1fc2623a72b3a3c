"""What a decision is made from: a request, and all that is known around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from tenantry.core.asking import Asked, Decision, Read, is_another
from tenantry.core.decision import decide
from tenantry.core.errors import LostField, RequestRefused, listed
from tenantry.core.fields import Naming
from tenantry.core.guard import GuardMode, Policy
from tenantry.core.keeping import Fitting
from tenantry.core.ledger import Baseline, Input, SetLedger, SetName
from tenantry.core.lens import lens_of
from tenantry.core.selection import parse_selection
from tenantry.core.sight import SEES_ALL, Sight, is_within
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import Steps, sliced
from tenantry.core.tenant import Tenant
from tenantry.service.answering import Question
from tenantry.service.keys import Key, Keys, KnownSet, parameters_of
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Clock
from tenantry.service.specs import NO_SPECS, Known, Specs
from tenantry.service.watching import Watching, is_doubtful, unreadable_in

_ASKED_ANEW = 60.0
_UNKNOWN = Known(None, is_live=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One request on its way."""

    of: KnownSet
    key: Key
    question: Question
    read: Read
    began: float = -math.inf
    """When it came, on the clock of reads."""

    lets_go: bool = True
    """Whether what was read may be proof that somebody is gone."""


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
        self.specs: Specs = NO_SPECS
        self._fittings: tuple[Snapshot, Fitting, dict[str, Fitting]] | None = None

    def decided(self, this: Request, candidate: Mapping[str, bytes], fitting: Fitting) -> Steps[Decision]:
        """Decide what a request is answered; raises EditedInput."""
        own, asked = self._asked(this, candidate, fitting)
        policy = self._policy_of(this.key.set_name)
        return (yield from decide(own, self._ledger.source, policy, asked, self._ledger.number))

    def go_freely(self, this: Request, decision: Decision) -> bool:
        """Tell whether anybody leaves because a selector gives no Application."""
        baseline = self._ledger.own(this.key.set_name).baselines.get(this.key.input)
        sight = self.sight(this.key.set_name, this.key.input)
        if baseline is None or sight.sees_all or not sight.is_current:
            return False
        return any(not sight.may_see(baseline.released[one]) for one in decision.dropped if one in baseline.released)

    def _policy_of(self, name: SetName) -> Policy:
        return replace(self._policy, identity=self.identity(name))

    def identity(self, name: SetName) -> tuple[str, ...]:
        """Return the fields whose change gives a tenant of an ApplicationSet another Application."""
        spec = self.known(name).spec
        return self._policy.identity if spec is None else tuple(dict.fromkeys((*self._policy.identity, *spec.identity)))

    def observes(self, name: SetName) -> bool:
        """Tell whether nobody is to be held or refused; but a freeze is somebody's word."""
        frozen = self._ledger.own(name).freeze or self._ledger.whole.freeze
        return self._policy.mode is GuardMode.OBSERVE and not frozen

    def known(self, name: SetName) -> Known:
        """Return what is known of an ApplicationSet in the cluster, remembered where it cannot be seen now.

        Without access nothing is: what is remembered would keep tenants for ever by a spec that was edited since.
        """
        if self.specs is NO_SPECS:
            return _UNKNOWN
        spec = self.specs.of(name)
        return Known(self._ledger.own(name).spec, is_live=False) if spec is None else Known(spec, is_live=True)

    def require_fields(self, name: SetName, given: Input, snapshot: Snapshot) -> None:
        """Raise LostField if Argo CD tells Applications apart by a field that was answered, and cannot be any more.

        Nobody could be held: all parameter sets of an answer have the same keys.
        """
        spec, baseline = self.known(name).spec, self._ledger.own(name).baselines.get(given)
        if spec is None or baseline is None or not baseline.released or self.observes(name):
            return
        before = msgspec.json.decode(next(iter(baseline.released.values())), type=dict[str, msgspec.Raw])
        gone = before.keys() - set(snapshot.mapping.names)
        lost = [field for field in spec.fields_of(given) if any(is_within(field, one) for one in gone)]
        if lost:
            raise LostField(
                f"Argo CD selects or names Applications of this ApplicationSet by {listed(lost)}, which the tenants "
                "had, and have no more."
            )

    def sight(self, name: SetName, given: Input) -> Sight:
        """Return who has an Application of those that an input is answered with."""
        known = self.known(name)
        if known.spec is None:
            return SEES_ALL
        selectors = known.spec.selectors_of(given)
        key = self._keys.key(name, given)
        if key.sight is None or key.sight[0] != (selectors, known.is_live):
            key.sight = ((selectors, known.is_live), Sight(selectors, is_current=known.is_live))
        return key.sight[1]

    def count(self, name: SetName, given: Input, released: Mapping[str, bytes]) -> int:
        """Return how many of those that an input is answered with have an Application."""
        sight = self.sight(name, given)
        return len(released) - len(sight.unseen(released)) if not sight.sees_all else len(released)

    def _asked(self, this: Request, candidate: Mapping[str, bytes], fitting: Fitting) -> tuple[SetLedger, Asked]:
        """Return what is known of the ApplicationSet, and what is asked."""
        snapshot, key = this.question.snapshot, this.key
        known = self.known(key.set_name)
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
            watched_since=key.polled_before if self._ledger.is_shared else math.inf,
            twins=self._twins(key) if not own.baselines else {},
            judged=key.judged,
            lets_go=this.lets_go,
            anew=self._ledger.anew(key.set_name),
            lens_at=lambda read: self._lens_at(key, read),
            spec=known.spec,
            is_live=known.is_live,
            standing=self._ledger.source.standing,
            application_of=known.spec.application_of if known.spec else lambda _: "",
            sight=self.sight(key.set_name, key.input),
            count=lambda given, released: self.count(key.set_name, given, released),
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
        sight = self.sight(this.key.set_name, this.key.input)
        identity = self.identity(this.key.set_name)
        staying = yield from self._staying(own, baseline, candidate, sight, identity)
        if not staying:
            return usual, candidate
        tree = yield from usual.with_leaves_of([baseline.released[tenant] for tenant in staying])
        if tree == snapshot.tree:
            return usual, candidate
        fitting = Fitting(snapshot, tree)
        fitting = others.setdefault(fitting.layout, fitting)
        return fitting, (yield from fitting.candidate(chosen))

    def _staying(
        self,
        own: SetLedger,
        baseline: Baseline,
        candidate: Mapping[str, bytes],
        sight: Sight,
        identity: Sequence[str],
    ) -> Steps[Collection[str]]:
        """Return who may stay as released: who is missing, pinned, or another one, and whom a selector leaves out."""
        released = baseline.released
        staying = released.keys() - candidate.keys() | (released.keys() & own.pins.keys())
        if identity or not sight.sees_all:
            for some in sliced(list(candidate)):
                staying.update(
                    one
                    for one in some
                    if one in released
                    and (
                        is_another(released[one], candidate[one], identity)
                        or sight.loses(released[one], candidate[one])
                    )
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
        snapshot, name = this.question.snapshot, this.key.set_name
        known = self.known(name)
        others: list[tuple[Input, Sight, list[Callable[[Tenant], bool]]]] | None = None

        def elsewhere(tenant: str) -> Collection[Input]:
            nonlocal others
            found = snapshot.tenants.get(tenant)
            if found is None:
                return ()
            if others is None:
                live = [given for given in own.live(self._ledger.now()) if given != this.key.input]
                others = [
                    (given, self.sight(name, given), [clause.predicate() for clause in selection.clauses])
                    for given in live
                    if (selection := self._keys.selection(name, given, snapshot)) is not None
                    and not (known.is_live and known.spec is not None and not known.spec.may_ask(given))
                ]
            return [
                given
                for given, sight, predicates in others
                if all(meets(found) for meets in predicates) and sight.sees(found.encoded)
            ]

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
