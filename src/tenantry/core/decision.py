"""Deciding what an ApplicationSet is answered: who comes, who may leave, and who has to stay.

A pure function of what was answered before, what the rows say now, and what people said. Rows alone remove; within
limits; never the last; never at once. Whoever stays, stays with the parameters that were released last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from tenantry.core.asking import POLL, TOUCH, Asked, Decision, Read, approval, is_another, present, sized, value_in
from tenantry.core.first_answer import first_decision
from tenantry.core.guard import Excess, GuardMode, Policy, excess
from tenantry.core.ledger import Baseline, Hold, Input, Loss, Rule, SetLedger, SourceLedger, Word
from tenantry.core.lens import difference
from tenantry.core.steps import Steps, sliced

MOST_ADDITIONS = 20
MOST_PERCENT = 25
"""Tenants that may come while others are held, of which percentage the larger counts."""


def decide(own: SetLedger, source: SourceLedger, policy: Policy, asked: Asked, number: int) -> Steps[Decision]:
    """Return what an input is answered; raises EditedInput for a new one by which tenants would be lost.

    `number` is what holds that begin with this decision are known by.
    """
    baseline = own.baselines.get(asked.input)
    if baseline is None:
        return (yield from first_decision(own, source, policy, asked))
    return (yield from _Judgement(own, source, policy, asked, number, baseline).decision())


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
        self._live = own.live(asked.now)
        self._kept: set[str] = set()
        self._dropped: dict[str, Word | None] = {}
        self._wanting: list[str] = []
        """Those whose removal counts and who need the limits' leave."""

        self._unsettled: list[str] = []
        self._lost: list[Loss] = []
        self._absences: dict[str, Read] = {}
        self._arriving: Sequence[str] = ()
        self._began: list[Hold] = []
        self._would: dict[Rule, int] = {}

    def decision(self) -> Steps[Decision]:
        asked, before = self._asked, self._baseline.released
        for tenants in sliced(list(before)):
            for tenant in tenants:
                after = asked.candidate.get(tenant)
                replaced = after is not None and asked.is_lost(before[tenant], after, self._policy.identity)
                if after is None or replaced:
                    self._judge(tenant, replaced=replaced)
                elif tenant in self._own.pins:
                    self._kept.add(tenant)
            yield
        self._arriving = yield from self._new()
        self._judge_together()
        yield
        waiting = self._additions_that_wait(self._arriving)
        return (yield from self._decided(set(waiting)))

    def _new(self) -> Steps[Sequence[str]]:
        """Return the tenants for whom Applications would be made."""
        asked, before, sight = self._asked, self._baseline.released, self._asked.sight
        if sight.sees_all:
            yield
            return [tenant for tenant in asked.candidate if tenant not in before]
        new: list[str] = []
        for some in sliced(list(asked.candidate)):
            new += [
                tenant
                for tenant in some
                if (known := before.get(tenant)) is not asked.candidate[tenant]
                and not (known is not None and tenant in self._own.pins)
                and sight.sees(asked.candidate[tenant])
                and (known is None or not sight.sees(known))
            ]
            yield
        return new

    def _judge(self, tenant: str, *, replaced: bool) -> None:
        """Find out whether a missing tenant stays, leaves, or wants to.

        One that is `replaced` is there, and another Application or none comes of what it has.
        """
        asked = self._asked
        since = asked.absences.get(tenant)
        stays = tenant in asked.unreadable or tenant in self._own.pins
        loses_nothing = self._has_no_application(tenant)
        if not stays and loses_nothing:
            if self._may_be_there:
                self._kept.add(tenant)
            else:
                self._leave(tenant, None)
            return
        if not stays:
            self._absences[tenant] = since or asked.read
            if self._observes and asked.lets_go:
                self._wanting.append(tenant)
                return
        self._kept.add(tenant)
        if not loses_nothing and self._is_across_lenses(tenant, since):
            self._hold((tenant,), Excess(Rule.LENS, _OTHER_LENS.format(difference(self._baseline.lens, asked.lens))))
        elif self._may_be_there and not stays:
            self._unsettled.append(tenant)
        elif not stays:
            self._judge_doubtless(tenant, since, replaced=replaced)

    def _is_across_lenses(self, tenant: str, since: Read | None) -> bool:
        """Tell whether a tenant went missing with something else than rows, which is seen by this decision alone."""
        asked = self._asked
        return (
            asked.lens != self._baseline.lens
            and (since is None or (asked.judged.get(tenant) != since and asked.lens_at(since) != self._baseline.lens))
            and (asked.input, tenant) not in self._own.holds
            and not self._observes
        )

    @property
    def _may_be_there(self) -> bool:
        """Whether any row that is missing may be there all the same."""
        return self._asked.doubtful or not self._asked.lets_go

    @property
    def _observes(self) -> bool:
        """Whether nobody is to be held; but a freeze is somebody's word."""
        return self._policy.mode is GuardMode.OBSERVE and not self._frozen

    def _judge_doubtless(self, tenant: str, since: Read | None, *, replaced: bool) -> None:
        asked = self._asked
        word = approval(self._own, tenant, asked.now)
        if (asked.input, tenant) in self._own.holds:
            if word and not self._frozen:
                self._leave(tenant, word)
        elif not replaced and (others := asked.elsewhere(tenant)) and not self._all_have(others, tenant):
            pass  # It moves: it stays until all of them were answered with it.
        elif not replaced and self._has_moved(tenant, since, others):
            if not self._frozen:
                self._leave(tenant, None)
        elif since is None or not self._is_settled(since):
            self._unsettled.append(tenant)
        elif self._frozen:
            self._hold((tenant,), Excess(Rule.FREEZE, _FROZEN))
        elif word:
            self._leave(tenant, word)
        else:
            self._wanting.append(tenant)

    def _has_no_application(self, tenant: str) -> bool:
        """Tell whether Argo CD's own selector leaves out a tenant that is not held: its removal costs nothing.

        One that waits to come, for it would get an Application, has none so far.
        """
        sight, hold = self._asked.sight, self._own.holds.get((self._asked.input, tenant))
        is_held = hold is not None and hold.rule is not Rule.REPLACEMENT
        return sight.is_current and not is_held and not sight.may_see(self._baseline.released[tenant])

    def _all_have(self, others: Collection[Input], tenant: str) -> bool:
        return all(tenant in self._own.baselines[one].released for one in others)

    def _has_moved(self, tenant: str, since: Read | None, others: Collection[Input]) -> bool:
        """Tell whether a tenant came to one of these inputs when it left this one, or after, as who it was.

        Where it had been before, or is another one by its identity, it has another Application, and the one of this
        input is lost.
        """
        if self._asked.read.began < self._asked.anew:
            return False
        gone, before = (since or self._asked.read).number, self._baseline.released[tenant]
        return any(
            (came := self._asked.came(one, tenant)) is not None
            and came >= gone
            and not is_another(before, self._own.baselines[one].released[tenant], self._policy.identity)
            for one in others
        )

    def _is_settled(self, since: Read) -> bool:
        read = self._asked.read
        if read.began < self._asked.anew:
            return False
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
                self._cause(tenant),
            )
            for tenant in tenants
        ]

    def _cause(self, tenant: str) -> str:
        asked = self._asked
        cause = asked.cause(self._absences.get(tenant, asked.read))
        after = asked.candidate.get(tenant)
        if after is None:
            return cause
        is_left_out = asked.sight.loses(self._baseline.released[tenant], after)
        return f"{cause} {_LEFT_OUT if is_left_out else _RENAMED}"

    def _judge_together(self) -> None:
        """Let all who want to leave go, or none of them."""
        wanting = self._wanting
        if not wanting:
            return
        if self._waits_for_others(wanting):
            self._unsettled += wanting
            return
        against = self._against(wanting)
        if self._observes:
            if against:
                self._would[against.rule] = len(wanting)
        elif against:
            self._hold(wanting, against)
            return
        for tenant in wanting:
            self._leave(tenant, None)
            application = self._asked.application_of(self._baseline.released[tenant])
            self._lost.append(Loss(tenant, self._asked.input, self._asked.now, application))

    def _against(self, wanting: Sequence[str]) -> Excess | None:
        """Return why these may not leave together; None if they may."""
        asked, policy = self._asked, self._policy
        if policy.mode is GuardMode.UPSERT_ONLY:
            return Excess(Rule.UPSERT_ONLY, "guard.mode is upsert-only.")
        if found := excess(policy, self._own, self._source, wanting, present(self._own, asked), asked.now):
            return found
        if not (self._is_anybody_here(wanting) or self._is_anybody_elsewhere() or asked.allow_empty):
            return Excess(Rule.LAST, "The ApplicationSet would be left with no tenant, and has no allowEmpty.")
        return None

    def _waits_for_others(self, wanting: Sequence[str]) -> bool:
        """Tell whether only other inputs have anybody, and it is not known whether they were asked for since.

        It is once this one was polled twice since these are missing: other processes may have been asked besides.
        """
        asked = self._asked
        if self._observes or asked.allow_empty or self._is_anybody_here(wanting) or not self._is_anybody_elsewhere():
            return False
        return any(asked.watched_since < self._absences[tenant].began for tenant in wanting)

    def _is_anybody_here(self, wanting: Sequence[str]) -> bool:
        return self._is_anybody_left(wanting) or self._is_anybody_sure_to_come()

    def _is_anybody_elsewhere(self) -> bool:
        """Tell whether another input has somebody: one that nobody asks for any more keeps no Application."""
        asked = self._asked
        return any(asked.count(given, self._live[given].released) for given in asked.in_step if given in self._live)

    def _is_anybody_left(self, wanting: Sequence[str]) -> bool:
        """Tell whether somebody still has an Application if these leave.

        Whose identity changed comes again in the same answer.
        """
        asked, leaving = self._asked, {*wanting, *self._dropped}
        return any(
            asked.sight.sees(encoded)
            for tenant, before in self._baseline.released.items()
            if (encoded := asked.candidate.get(tenant) if tenant in leaving else before) is not None
        )

    def _is_anybody_sure_to_come(self) -> bool:
        """Tell whether there is somebody new who does not wait: where others are held, that is not sure."""
        held = bool(self._own.holds) or bool(self._began)
        return not held and bool(self._arriving)

    def _additions_that_wait(self, new: Sequence[str]) -> Collection[str]:
        """Return the new tenants who wait while others are held: too many, or with the name of one who stays."""
        asked, own = self._asked, self._own
        taken = self._names_of_the_kept() if self._kept else set()
        waiting = {tenant for tenant in new if taken and self._name_in(asked.candidate[tenant]) in taken}
        held = self._is_anybody_held()
        if self._baseline.edited:
            pass  # Who is new is so by the edit, and replaces nobody.
        elif held or (self._unsettled and self._against(self._unsettled)):
            size, before = present(own, asked), own.additions if held else 0
            if before + len(new) > max(MOST_ADDITIONS, size * MOST_PERCENT // 100):
                waiting.update(new)
        return {tenant for tenant in waiting if not approval(own, tenant, asked.now)}

    def _is_anybody_held(self) -> bool:
        ended = self._dropped.keys() | {tenant for tenant in self._asked.candidate if tenant not in self._kept}
        return bool(self._began) or any(
            self._is_in_the_way(hold) and (given != self._asked.input or tenant not in ended)
            for (given, tenant), hold in self._own.holds.items()
        )

    def _is_in_the_way(self, hold: Hold) -> bool:
        """Tell whether additions wait for a hold: not for one that is approved, or that no request can end."""
        if hold.rule is Rule.REPLACEMENT or not (hold.input == self._asked.input or hold.input in self._live):
            return False
        return bool(self._frozen) or approval(self._own, hold.tenant, self._asked.now) is None

    def _names_of_the_kept(self) -> set[bytes | None]:
        released = self._baseline.released
        return {self._name_in(released[tenant]) for tenant in self._kept} - {None}

    def _name_in(self, encoded: bytes) -> bytes | None:
        return None if self._asked.name is None else value_in(encoded, self._asked.name)

    def _decided(self, waiting: set[str]) -> Steps[Decision]:
        asked, before = self._asked, self._baseline
        put: dict[str, bytes] = {}
        released = dict(asked.candidate)
        for tenant in waiting:
            del released[tenant]
        # Who comes by what they have now, and not by being there at all, stays without an Application.
        self._kept |= waiting & before.released.keys()
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
        arrived = [tenant for tenant in self._arriving if tenant not in waiting]
        holds, ended = self._holds(waiting)
        anybody = any(map(self._is_in_the_way, holds.values()))
        used = {tenant: msgspec.structs.replace(word, used=True) for tenant, word in self._dropped.items() if word}
        spent = self._spent(arrived, ended, holds)
        back = [one for one in used if one in released and asked.sight.sees(released[one])]
        spent.update(one for one in back if self._is_renamed_everywhere(one, released))
        ledger = msgspec.structs.replace(
            own,
            baselines={**own.baselines, asked.input: baseline},
            losses=(*own.losses, *self._lost),
            holds=holds,
            approvals={
                tenant: word
                for tenant, word in {**own.approvals, **used}.items()
                if tenant not in spent and word.stands(asked.now)
            },
            additions=own.additions + (0 if before.edited else len(arrived)) if anybody else 0,
            spec=asked.spec,
        )
        ledger = sized(ledger, self._policy, asked)
        meaning = (before.lens, before.layout, before.polled, before.edited) == (
            asked.lens,
            asked.layout,
            polled,
            False,
        )
        is_back = asked.now - before.last > TOUCH
        said = ledger.approvals != own.approvals or ledger.additions != own.additions or ledger.sizes != own.sizes
        settling = bool(waiting) or any(
            (asked.input, absent) not in holds or approval(own, absent, asked.now) for absent in self._absences
        )
        return Decision(
            ledger=ledger,
            put=put,
            came=new,
            dropped=self._dropped,
            lost=self._lost,
            kept=frozenset(self._kept),
            waiting=frozenset(waiting),
            absences=self._absences,
            began=[hold for key, hold in holds.items() if own.holds.get(key) != hold],
            ended=ended,
            would_hold=self._would,
            to_record=bool(put or self._dropped or said or is_back or not meaning or holds != own.holds)
            or ledger.spec != own.spec,
            unsettled=settling or not polled or any(tenant in self._kept for tenant in asked.unreadable),
            settling=settling,
        )

    def _is_renamed_everywhere(self, tenant: str, released: Mapping[str, bytes]) -> bool:
        """Tell whether no other input waits for the name under which a tenant came again in this one."""
        return not any(
            tenant in one.released and is_another(one.released[tenant], released[tenant], self._policy.identity)
            for given, one in self._own.known().items()
            if given != self._asked.input
        )

    def _spent(self, new: Sequence[str], ended: Sequence[Hold], holds: Collection[tuple[Input, str]]) -> set[str]:
        """Return whose approval has had its time: who left by it and is back, or was held or waited and is not now."""
        back = {tenant for tenant in new if (word := self._own.approvals.get(tenant)) and word.used}
        still = {tenant for _, tenant in holds} if ended else ()
        for hold in ended:
            if hold.tenant not in self._dropped and (hold.rule is not Rule.REPLACEMENT or hold.tenant not in still):
                back.add(hold.tenant)
        return back

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
_LEFT_OUT = "By its row, the ApplicationSet's own selector would leave it out."
_RENAMED = "By its row, it would have an Application of another name."
_REPLACING = "It is new, while others are held whom it may replace."
