"""Deciding what an ApplicationSet is answered: who comes, who may leave, and who has to stay.

A pure function of what was answered before, what the rows say now, and what people said. Rows alone remove; within
limits; never the last; never at once. Whoever stays, stays with the parameters that were released last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tenantry.core.errors import EditedInput
from tenantry.core.guard import Excess, GuardMode, Policy, excess
from tenantry.core.ledger import FIRST_PASS, Baseline, Hold, Input, Loss, Rule, SetLedger, SourceLedger, Word, with_size
from tenantry.core.lens import difference, digest_of
from tenantry.core.steps import Steps, sliced

POLL = 1.0
"""Seconds after which another request for an input is another poll, and not the same one once more."""

MOST_ADDITIONS = 20
MOST_PERCENT = 25
"""Tenants that may come while others are held, of which percentage the larger counts."""

APPROVED_FOR = 24 * 3600.0
"""Seconds for which an approval stands, if nothing else is said."""

_VALUES = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Read(NamedTuple):
    """A successful read of all rows."""

    number: int
    began: float
    """On a clock that only ever grows, as all reads of this process."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and what the rows say to it."""

    input: Input
    candidate: Mapping[str, bytes]
    """The parameter sets that the rows give, by id."""

    lens: str
    layout: str
    now: float
    """On the ledger's clock."""

    read: Read
    absences: Mapping[str, Read] = field(default_factory=dict)
    """Since which read each tenant is missing from this input, in all reads since."""

    elsewhere: Callable[[str], Collection[Input]] = lambda _: ()
    """Tells which other inputs of the ApplicationSet, of those given by `SetLedger.live`, select a tenant now."""

    fit: Callable[[bytes], bytes] = lambda encoded: encoded
    """Gives a parameter set the keys of the present layout."""

    allow_empty: bool = False
    doubtful: bool = False
    """Whether some row has no usable id, so that it may be anybody's."""

    unreadable: Collection[str] = ()
    """Tenants that have a row which cannot be used, and no last good parameters but the released ones."""

    name: str | None = None
    """The field by which Applications are named."""

    cause: Callable[[Read], str] = lambda _: ""
    """Says what the read found by which tenants went missing."""

    lens_since: int = 0
    """The number of the first read of this process since which nothing but rows has changed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered, and what has to be remembered of it."""

    ledger: SetLedger
    put: Mapping[str, bytes]
    """Parameter sets that are new or changed in the baseline."""

    dropped: Mapping[str, Word | None]
    """Tenants who leave, and by whose word."""

    lost: Sequence[Loss]
    kept: Collection[str]
    """Tenants who are answered with what was released last, whatever the rows say."""

    waiting: Collection[str]
    """Those of the rows who are not answered."""

    absences: Mapping[str, Read]
    began: Sequence[Hold]
    ended: Sequence[Hold]
    would_hold: Mapping[Rule, int]
    """In mode observe: how many would have been held."""

    to_record: bool
    """Whether the answer may leave only after this was written."""

    unsettled: bool
    """Whether another read, or another answer of the ApplicationSet, may change this one with the same rows."""

    @property
    def released(self) -> Callable[[Input], Mapping[str, bytes]]:
        """Give the parameter sets that are answered to an input."""
        return lambda given: self.ledger.baselines[given].released


def decide(own: SetLedger, source: SourceLedger, policy: Policy, asked: Asked, number: int) -> Steps[Decision]:
    """Return what an input is answered; raises EditedInput for a new one by which tenants would be lost.

    `number` is what holds that begin with this decision are known by.
    """
    baseline = own.baselines.get(asked.input)
    if baseline is None:
        return _first(own, policy, asked)
    return (yield from _Judgement(own, source, policy, asked, number, baseline).decision())


def _first(own: SetLedger, policy: Policy, asked: Asked) -> Decision:
    """Answer a new input: nobody is missing from it, but its ApplicationSet may have dropped another for it."""
    began = own.began
    if began is not None and asked.now - began > FIRST_PASS and not _is_admitted(own, asked):
        lost = list(_lost_with_the_others(own, policy, asked))
        if lost:
            raise EditedInput(
                "This ApplicationSet asks with input parameters that are new, and without those that it asked with "
                f"before it would lose {len(lost)} tenant{'' if len(lost) == 1 else 's'}. The new input is known as "
                f"{input_digest(asked.input)}."
            )
    baseline = Baseline(asked.candidate, asked.lens, asked.layout, asked.now, asked.now)
    ledger = msgspec.structs.replace(
        own,
        baselines={**own.baselines, asked.input: baseline},
        admitted=_without(own.admitted, (input_digest(asked.input),)),
    )
    ledger = _sized(ledger, policy, asked)
    return Decision(ledger, asked.candidate, {}, (), (), (), {}, (), (), {}, to_record=True, unsettled=True)


def input_digest(given: Input) -> str:
    """Return what an input is called where its text is too long."""
    return digest_of(given)[:10]


def _is_admitted(own: SetLedger, asked: Asked) -> bool:
    word = own.admitted.get(input_digest(asked.input))
    return word is not None and word.stands(asked.now)


def _lost_with_the_others(own: SetLedger, policy: Policy, asked: Asked) -> Iterator[str]:
    seen = set[str]()
    for baseline in own.known().values():
        for tenant, before in baseline.released.items():
            if tenant in seen or _approved(own, tenant, asked.now):
                continue
            after = asked.candidate.get(tenant)
            if after is None or is_another(before, after, policy.identity):
                seen.add(tenant)
                yield tenant


def is_another(before: bytes, after: bytes, identity: Sequence[str]) -> bool:
    """Tell whether two parameter sets of one tenant make two Applications: a field of the identity differs."""
    if before == after:
        return False
    old, new = _VALUES.decode(before), _VALUES.decode(after)
    return any(name in old and name in new and bytes(old[name]) != bytes(new[name]) for name in identity)


def _approved(own: SetLedger, tenant: str, now: float) -> Word | None:
    word = own.approvals.get(tenant)
    return word if word is not None and word.stands(now) else None


def _without(words: Mapping[str, Word], names: Collection[str]) -> Mapping[str, Word]:
    return {name: word for name, word in words.items() if name not in names} if names else words


def _sized(ledger: SetLedger, policy: Policy, asked: Asked) -> SetLedger:
    """Return a ledger that knows how large its ApplicationSet is now."""
    oldest = asked.now - policy.longest
    sizes = with_size(ledger.sizes, asked.now, _present(ledger, asked), oldest)
    losses = tuple(loss for loss in ledger.losses if loss.at > oldest)
    return msgspec.structs.replace(ledger, sizes=sizes, losses=losses)


def _present(ledger: SetLedger, asked: Asked) -> int:
    live = {**ledger.live(asked.now), asked.input: ledger.baselines[asked.input]}
    return sum(len(one.released) for one in live.values())


class _Judgement:
    """One decision about an input that was answered before."""

    def __init__(
        self, own: SetLedger, source: SourceLedger, policy: Policy, asked: Asked, number: int, baseline: Baseline
    ) -> None:
        self._own = own
        self._source = source
        self._policy = policy
        self._asked = asked
        self._number = number
        self._baseline = baseline
        self._frozen = own.freeze or source.freeze
        self._kept: set[str] = set()
        self._dropped: dict[str, Word | None] = {}
        self._wanting: list[str] = []
        """Those whose removal counts and who need the limits' leave."""

        self._unsettled: list[str] = []
        self._lost: list[Loss] = []
        self._absences: dict[str, Read] = {}
        self._began: list[Hold] = []
        self._would: dict[Rule, int] = {}

    def decision(self) -> Steps[Decision]:
        asked, before = self._asked, self._baseline.released
        for tenants in sliced(list(before)):
            for tenant in tenants:
                after = asked.candidate.get(tenant)
                renamed = after is not None and is_another(before[tenant], after, self._policy.identity)
                if after is None or renamed:
                    self._judge(tenant, renamed=renamed)
                elif tenant in self._own.pins:
                    self._kept.add(tenant)
            yield
        self._judge_together()
        new = [tenant for tenant in asked.candidate if tenant not in before]
        yield
        waiting = self._additions_that_wait(new)
        return (yield from self._decided(set(waiting)))

    def _judge(self, tenant: str, *, renamed: bool) -> None:
        """Find out whether a missing tenant stays, leaves, or wants to."""
        asked = self._asked
        since = asked.absences.get(tenant)
        stays = tenant in asked.unreadable or tenant in self._own.pins
        if not stays:
            self._absences[tenant] = since or asked.read
            if self._policy.mode is GuardMode.OBSERVE:
                self._wanting.append(tenant)
                return
        self._kept.add(tenant)
        if self._is_across_lenses(tenant, since):
            self._hold((tenant,), Excess(Rule.LENS, _OTHER_LENS.format(difference(self._baseline.lens, asked.lens))))
        elif asked.doubtful and not stays:
            self._unsettled.append(tenant)
        elif not stays:
            self._judge_doubtless(tenant, since, renamed=renamed)

    def _is_across_lenses(self, tenant: str, since: Read | None) -> bool:
        """Tell whether a tenant went missing with something else than rows, which is seen by this decision alone."""
        asked = self._asked
        return (
            asked.lens != self._baseline.lens
            and (since is None or since.number >= asked.lens_since)
            and (asked.input, tenant) not in self._own.holds
            and self._policy.mode is not GuardMode.OBSERVE
        )

    def _judge_doubtless(self, tenant: str, since: Read | None, *, renamed: bool) -> None:
        asked = self._asked
        word = _approved(self._own, tenant, asked.now)
        if (asked.input, tenant) in self._own.holds:
            if word and not self._frozen:
                self._leave(tenant, word)
        elif not renamed and (others := asked.elsewhere(tenant)):
            self._move(tenant, others)
        elif since is None or not self._is_settled(since):
            self._unsettled.append(tenant)
        elif self._frozen:
            self._hold((tenant,), Excess(Rule.FREEZE, _FROZEN))
        elif word:
            self._leave(tenant, word)
        else:
            self._wanting.append(tenant)

    def _move(self, tenant: str, others: Collection[Input]) -> None:
        """Let a tenant leave for other inputs of the ApplicationSet, once all of them were answered with it."""
        if not self._frozen and all(tenant in self._own.baselines[one].released for one in others):
            self._leave(tenant, None)

    def _is_settled(self, since: Read) -> bool:
        read = self._asked.read
        return read.number > since.number and read.began - since.began >= self._policy.settle

    def _leave(self, tenant: str, word: Word | None) -> None:
        self._kept.discard(tenant)
        # Who comes again at once, under another name, is not missing any more.
        self._absences.pop(tenant, None)
        self._dropped[tenant] = word

    def _hold(self, tenants: Sequence[str], why: Excess) -> None:
        asked = self._asked
        self._began += [
            Hold(
                asked.input,
                tenant,
                why.rule,
                asked.now,
                self._number,
                why.because,
                asked.cause(self._absences.get(tenant, asked.read)),
            )
            for tenant in tenants
        ]

    def _judge_together(self) -> None:
        """Let all who want to leave go, or none of them."""
        wanting = self._wanting
        if not wanting:
            return
        against = self._against(wanting)
        if self._policy.mode is GuardMode.OBSERVE:
            if against:
                self._would[against.rule] = len(wanting)
        elif against:
            self._hold(wanting, against)
            return
        for tenant in wanting:
            self._leave(tenant, None)
            self._lost.append(Loss(tenant, self._asked.input, self._asked.now))

    def _against(self, wanting: Sequence[str]) -> Excess | None:
        """Return why these may not leave together; None if they may."""
        asked, policy = self._asked, self._policy
        if policy.mode is GuardMode.UPSERT_ONLY:
            return Excess(Rule.UPSERT_ONLY, "guard.mode is upsert-only.")
        live = {**self._own.live(asked.now), asked.input: self._baseline}
        present = sum(len(one.released) for one in live.values())
        if found := excess(policy, self._own, self._source, wanting, present, asked.now):
            return found
        leaving = {*wanting, *self._dropped}
        # Whose identity changed comes again in the same answer.
        staying = any(tenant not in leaving or tenant in asked.candidate for tenant in self._baseline.released)
        staying = staying or self._is_anybody_sure_to_come()
        others = any(one.released for given, one in live.items() if given != asked.input)
        if not (staying or others or asked.allow_empty):
            return Excess(Rule.LAST, "The ApplicationSet would be left with no tenant, and has no allowEmpty.")
        return None

    def _is_anybody_sure_to_come(self) -> bool:
        """Tell whether there is somebody new who does not wait: where others are held, that is not sure."""
        held = bool(self._own.holds) or bool(self._began)
        return not held and any(tenant not in self._baseline.released for tenant in self._asked.candidate)

    def _additions_that_wait(self, new: Sequence[str]) -> Collection[str]:
        """Return the new tenants who wait while others are held: too many, or with the name of one who stays."""
        asked, own = self._asked, self._own
        taken = self._names_of_the_kept() if self._kept else set()
        waiting = {tenant for tenant in new if taken and self._name_in(asked.candidate[tenant]) in taken}
        if self._is_anybody_held() or (self._unsettled and self._against(self._unsettled)):
            size = sum(len(one.released) for one in {**own.live(asked.now), asked.input: self._baseline}.values())
            if own.additions + len(new) > max(MOST_ADDITIONS, size * MOST_PERCENT // 100):
                waiting.update(new)
        return {tenant for tenant in waiting if not _approved(own, tenant, asked.now)}

    def _is_anybody_held(self) -> bool:
        ended = self._dropped.keys() | {tenant for tenant in self._asked.candidate if tenant not in self._kept}
        return bool(self._began) or any(
            hold.rule is not Rule.REPLACEMENT and (given != self._asked.input or tenant not in ended)
            for (given, tenant), hold in self._own.holds.items()
        )

    def _names_of_the_kept(self) -> set[bytes | None]:
        released = self._baseline.released
        return {self._name_in(released[tenant]) for tenant in self._kept} - {None}

    def _name_in(self, encoded: bytes) -> bytes | None:
        if self._asked.name is None:
            return None
        name = _VALUES.decode(encoded).get(self._asked.name)
        return None if name is None else bytes(name)

    def _decided(self, waiting: set[str]) -> Steps[Decision]:
        asked, before = self._asked, self._baseline
        put: dict[str, bytes] = {}
        released = dict(asked.candidate)
        for tenant in waiting:
            del released[tenant]
        yield
        for tenants in sliced(sorted(self._kept)):
            for tenant in tenants:
                encoded = before.released[tenant]
                released[tenant] = encoded if before.layout == asked.layout else asked.fit(encoded)
            yield
        for some in sliced(list(released.items())):
            put.update((tenant, encoded) for tenant, encoded in some if before.released.get(tenant) != encoded)
            yield
        return self._with_ledger(put, released, waiting)

    def _with_ledger(self, put: dict[str, bytes], released: Mapping[str, bytes], waiting: set[str]) -> Decision:
        asked, own, before = self._asked, self._own, self._baseline
        polled = before.polled or asked.now - before.first >= POLL
        baseline = Baseline(released, asked.lens, asked.layout, before.first, asked.now, polled)
        new = [tenant for tenant in put if tenant not in before.released]
        holds, ended = self._holds(waiting)
        anybody = any(hold.rule is not Rule.REPLACEMENT for hold in holds.values())
        used = {tenant: msgspec.structs.replace(word, used=True) for tenant, word in self._dropped.items() if word}
        returned = [tenant for tenant in (*new, *self._returned(ended)) if self._is_spent(tenant, ended)]
        returned += [tenant for tenant in used if tenant in released and self._is_renamed_everywhere(tenant, released)]
        ledger = msgspec.structs.replace(
            own,
            baselines={**own.baselines, asked.input: baseline},
            losses=(*own.losses, *self._lost),
            holds=holds,
            approvals=_without({**own.approvals, **used}, returned),
            additions=own.additions + len(new) if anybody else 0,
        )
        ledger = _sized(ledger, self._policy, asked)
        meaning = (before.lens, before.layout, before.polled) == (asked.lens, asked.layout, polled)
        spent = ledger.approvals != own.approvals or ledger.additions != own.additions
        return Decision(
            ledger=ledger,
            put=put,
            dropped=self._dropped,
            lost=self._lost,
            kept=frozenset(self._kept),
            waiting=frozenset(waiting),
            absences=self._absences,
            began=[hold for key, hold in holds.items() if own.holds.get(key) != hold],
            ended=ended,
            would_hold=self._would,
            to_record=bool(put or self._dropped or spent or not meaning or holds != own.holds),
            unsettled=not polled
            or bool(waiting)
            or any(tenant in self._kept for tenant in asked.unreadable)
            or any(
                (asked.input, absent) not in holds or _approved(own, absent, asked.now) for absent in self._absences
            ),
        )

    def _is_renamed_everywhere(self, tenant: str, released: Mapping[str, bytes]) -> bool:
        """Tell whether no other input waits for the name under which a tenant came again in this one."""
        return not any(
            tenant in one.released and is_another(one.released[tenant], released[tenant], self._policy.identity)
            for given, one in self._own.known().items()
            if given != self._asked.input
        )

    def _returned(self, ended: Sequence[Hold]) -> list[str]:
        return [hold.tenant for hold in ended if hold.rule is not Rule.REPLACEMENT and hold.tenant not in self._dropped]

    def _is_spent(self, tenant: str, ended: Sequence[Hold]) -> bool:
        """Tell whether an approval has had its time: its tenant left by it and is back, or was held and is back."""
        word = self._own.approvals.get(tenant)
        return word is not None and (word.used or tenant in self._returned(ended))

    def _holds(self, waiting: Collection[str]) -> tuple[Mapping[tuple[Input, str], Hold], Sequence[Hold]]:
        """Return who is held now, and which holds have ended."""
        asked, own = self._asked, self._own
        holds = dict(own.holds)
        ended = [
            hold
            for (given, tenant), hold in own.holds.items()
            if given == asked.input
            and (tenant not in waiting if hold.rule is Rule.REPLACEMENT else tenant not in self._kept)
        ]
        for hold in ended:
            del holds[asked.input, hold.tenant]
        for hold in self._began:
            holds[asked.input, hold.tenant] = hold
        for tenant in waiting:
            holds.setdefault(
                (asked.input, tenant),
                Hold(asked.input, tenant, Rule.REPLACEMENT, asked.now, self._number, _REPLACING),
            )
        return holds, ended


_OTHER_LENS = "It went missing when something else than rows changed: {}."
_FROZEN = "Removals were frozen."
_REPLACING = "It is new, while others are held whom it may replace."
