"""The other half of the invariant: nobody stays, waits or is refused without a reason that a person could give."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tenantry.core.guard import GuardMode
from tenantry.core.ledger import Hold, Rule, SetName
from tests.guard.model import (
    DAY,
    IDENTITY,
    Answer,
    Broken,
    Given,
    Item,
    Known,
    Left,
    Missing,
    Model,
    ReadOf,
    is_same,
    most,
    removals,
    selects,
)

MOST_ADDITIONS, MOST_PERCENT = 20, 25


class Judge(Model):
    """Hears of everything, and says when an answer is wrong."""

    # --- what is heard ---------------------------------------------------------------------------------------------

    def found(self, read: ReadOf) -> None:
        """Hear of a read: whoever is back has not been missing."""
        restarted = bool(self.reads) and self.reads[-1].process != read.process
        self.reads.append(read)
        for known in self.sets.values():
            for name, missing in known.missing.items():
                known.missing[name] = {
                    tenant: since
                    for tenant, since in missing.items()
                    if not (restarted or read.doubtful or self._is_back(read, known, name, tenant, since))
                }

    def _is_back(self, read: ReadOf, known: Known, name: str, tenant: str, since: Missing) -> bool:
        item = known.answers[name][tenant]
        there = self.is_there(read, known.parameters[name], tenant, item) or tenant in read.unreadable
        selected = tenant in read.rows and selects(known.parameters[name], read.rows[tenant])
        # Who has another identity waits anew with each change of its row, also of the types of its fields.
        return there or (selected and (read.rows[tenant] != since.row or read.kind != since.read.kind))

    def answered(self, given: Given, *, failing: bool = False) -> None:
        """Hear of an answer; where the state is `failing`, the one before it may leave again, whatever rows say."""
        known = self.of(given.name)
        before = known.answers.get(given.input)
        if failing and before is None:
            raise Broken("an input was answered for the first time, and that was not written")
        if failing and given.answer == before:
            self.note_request(known, given.input, given.now, surely=False)
            return
        if before is None:
            self._check_first(given, known)
        else:
            self._check_members(before, given, known)
            self.check_leaving(given, known)
            kept = self._kept(before, given)
            self._check_staying(kept, given, known)
            self._check_coming(before, kept, given, known)
            self._check_new_holds(kept, given, known)
            self._note_words(before, given, known)
        self.note(given, known)

    def refused(self, name: SetName, given: str, parameters: Mapping[str, object], now: float) -> None:
        """Hear that an input was refused as an edited one."""
        known = self.of(name)
        answer: Answer = {tenant: dict(row) for tenant, row in self._selected(parameters).items()}
        if given in known.answers or self.policy.mode is GuardMode.OBSERVE:
            raise Broken(f"{given} was refused, and is known, or the guard only observes")
        if not (self._is_another_consumers(name, given, answer, now) or self._may_refuse(known, given, answer, now)):
            raise Broken(f"{given} was refused, and would cost nobody")

    def _is_another_consumers(self, name: SetName, given: str, answer: Answer, now: float) -> bool:
        """Tell whether another consumer has this very ApplicationSet, with tenants more."""
        return not self.of(name).answers and any(
            given in other.polled and now - other.asked[given] < DAY and _lacks(other.answers[given], answer)
            for one, other in self.sets.items()
            if one != name and one.application_set == name.application_set and given in other.answers
        )

    def _may_refuse(self, known: Known, given: str, answer: Answer, now: float) -> bool:
        lost = known.lost_by(answer, now, frozen=self.is_frozen(known))
        if not lost or now >= known.admitted.get(given, 0.0):
            return bool(lost)
        gone = self._gone_besides(known, lost, given, answer, now)
        beyond = any(
            many > most(limit, min(sizes))
            for limit in self.policy.limits
            for _, many, sizes in self.counted(known, limit, now, gone)
        )
        kept = [one for one in lost if one in known.pinned or one in self.read.unreadable]
        no_one = self.read.doubtful or self.policy.mode is GuardMode.UPSERT_ONLY or not answer
        return bool(self.is_frozen(known) or kept or beyond or (gone and no_one))

    def _gone_besides(
        self, known: Known, lost: Mapping[str, str], given: str, answer: Answer, now: float
    ) -> Mapping[str, str]:
        """Return those whom the rows cost their place, and not only another input: no live one selects them."""
        return {
            tenant: one
            for tenant, one in lost.items()
            if tenant in answer
            or tenant not in self.read.rows
            or not any(selects(known.parameters[live], self.read.rows[tenant]) for live in known.live(now, given))
        }

    def holds_ended(self, name: SetName, ended: Collection[tuple[str, str]], now: float) -> None:
        """Hear which holds ended without a request: approved ones, of inputs that nobody asks for."""
        known = self.of(name)
        for given, tenant in ended:
            if given in known.live(now, "") or not known.is_approved(tenant, now):
                raise Broken(f"the hold of {tenant} in {given} ended, and nobody let it")
            known.answers[given].pop(tenant, None)
            known.missing.get(given, {}).pop(tenant, None)

    def previews_ended(self, name: SetName, left: Collection[str]) -> None:
        """Hear which inputs are still remembered."""
        known = self.of(name)
        latest = max(known.asked.values(), default=0.0)
        for one in set(known.answers) - set(left):
            if one in known.polled or latest - known.asked[one] < DAY:
                raise Broken(f"{one} was forgotten, and was no preview")
            for by_input in (known.answers, known.parameters, known.first, known.asked, known.lenses, known.missing):
                by_input.pop(one, None)

    # --- who is in an answer ---------------------------------------------------------------------------------------

    def _selected(self, parameters: Mapping[str, object]) -> Mapping[str, Item]:
        return self.read.selected(parameters)

    def _check_first(self, given: Given, known: Known) -> None:
        selected = self._selected(given.parameters)
        if set(given.answer) != set(selected):
            raise Broken(f"a new input was answered {set(given.answer) ^ set(selected)} otherwise than rows say")
        if self.policy.mode is GuardMode.OBSERVE:
            return
        if self._is_another_consumers(given.name, given.input, given.answer, given.now):
            raise Broken(f"{given.input} is new, and was answered although it may be another consumer's")
        if lost := known.lost_by(given.answer, given.now, frozen=self.is_frozen(known)):
            if given.now >= known.admitted.get(given.input, 0.0) or self.is_frozen(known):
                raise Broken(f"{given.input} is new, and was answered although {lost} might be lost")
            gone = self._gone_besides(known, lost, given.input, given.answer, given.now)
            if kept := [one for one in lost if one in known.pinned or one in self.read.unreadable]:
                raise Broken(f"{given.input} was approved, and would cost {kept}, who are to stay")
            known.left += [Left(given.now, tenant, one) for tenant, one in gone.items()]
            if gone and (self.read.doubtful or self.policy.mode is GuardMode.UPSERT_ONLY):
                raise Broken(f"{given.input} was approved, and cost {gone} besides, who may not leave by rows")
            if gone:
                self.check_limits(known, given.now)
                self.check_last(known, given, list(gone))

    def _check_members(self, before: Answer, given: Given, known: Known) -> None:
        """Whoever is answered is as its row is now, or as it was in the last answer to the very same input."""
        selected = self._selected(given.parameters)
        for tenant, item in given.answer.items():
            if tenant in before and item == before[tenant]:
                continue
            if tenant not in selected or not _has(item, selected[tenant]):
                raise Broken(f"{tenant} is answered as neither its row nor the answer before has it: {item}")
            if tenant in before and tenant in known.pinned:
                raise Broken(f"{tenant} is pinned, and changed")
        for tenant, row in selected.items():
            if tenant in before and tenant not in given.answer:
                raise Broken(f"{tenant} has its row, and left")
            is_pending = tenant in before and before[tenant][IDENTITY] != row[IDENTITY]
            stays = tenant in before and (tenant in known.pinned or is_pending)
            if tenant in given.answer and not stays and not _has(given.answer[tenant], row):
                raise Broken(f"{tenant} does not have what its row has: {given.answer[tenant]}, {row}")

    def _check_staying(self, kept: Sequence[str], given: Given, known: Known) -> None:
        """Whoever stays although no row says so does it for a reason."""
        selected, missing = self._selected(given.parameters), known.missing.get(given.input, {})
        now_missing: dict[str, Missing] = {}
        for tenant in kept:
            if tenant in known.pinned or tenant in self.read.unreadable:
                continue
            since = missing.get(tenant, Missing(self.read, selected.get(tenant)))
            now_missing[tenant] = since
            if not self._has_reason(tenant, since, given, known):
                raise Broken(f"{tenant} stays for no reason, missing since {since.read.began}")
        known.missing[given.input] = {} if self.read.doubtful else now_missing

    def _kept(self, before: Answer, given: Given) -> list[str]:
        """Return who is answered although no row says so."""
        selected = self._selected(given.parameters)
        return [
            tenant
            for tenant, item in given.answer.items()
            if tenant in before and (tenant not in selected or item[IDENTITY] != selected[tenant][IDENTITY])
        ]

    def _has_reason(self, tenant: str, since: Missing, given: Given, known: Known) -> bool:
        if self.observes(known):
            return False
        if self.read.doubtful or tenant in given.is_held:
            return True
        is_renamed = tenant in self._selected(given.parameters)
        if not is_renamed and (others := known.elsewhere(tenant, given, self.read)):
            if any(tenant not in known.answers[one] for one in others):
                return True
            item = known.answers[given.input][tenant]
            gone = self.first_gone(tenant, given, item)
            if self.is_frozen(known) and known.moved(item, gone, others, self.read.process):
                return True
            if known.moved(item, since.read.number, others, self.read.process):
                return False
        reads = self.read.number - since.read.number
        return reads < 1 or self.read.began - since.read.began < self.policy.settle

    # --- who comes -------------------------------------------------------------------------------------------------

    def _check_coming(self, before: Answer, kept: Sequence[str], given: Given, known: Known) -> None:
        """Whoever has a row comes at once, unless it may replace those who stay."""
        pinned = given.unseen & known.pinned
        new = [one for one in self._selected(given.parameters) if one not in before and one not in pinned]
        came = [tenant for tenant in new if tenant in given.answer]
        waiting = [tenant for tenant in new if tenant not in given.answer]
        unapproved = [tenant for tenant in came if not known.is_approved(tenant, given.now)]
        held = any(self._is_in_the_way(known, hold, given) for hold in removals(given.after).values())
        most = max(MOST_ADDITIONS, known.size(given.now, given.input) * MOST_PERCENT // 100)
        before_them = known.came if held else 0
        if unapproved and before_them + len(came) > most and (held or self._are_many_missing(kept, given, known)):
            raise Broken(f"{len(came)} came after {before_them}, while those stay whom they may replace")
        if waiting and before_them + len(new) <= most:
            raise Broken(f"{waiting} wait, and are not many")
        if waiting and not (held or kept):
            raise Broken(f"{waiting} wait, and nobody is held")
        if untold := [tenant for tenant in waiting if (given.input, tenant) not in given.after]:
            raise Broken(f"{untold} wait, and operators are not told")
        known.came = before_them + len(came) if held else 0

    def _is_in_the_way(self, known: Known, hold: Hold, given: Given) -> bool:
        """Tell whether new tenants wait for a hold: it is not approved, and somebody asks for its input."""
        asked = hold.input in (given.input, *known.live(given.now, given.input))
        return asked and (self.is_frozen(known) or not known.is_approved(hold.tenant, given.now))

    def _are_many_missing(self, kept: Sequence[str], given: Given, known: Known) -> bool:
        """Tell whether more stay without a row than a limit would ever let go."""
        missing = [
            tenant
            for tenant in kept
            if tenant not in known.pinned
            and tenant not in self.read.unreadable
            and not known.elsewhere(tenant, given, self.read)
        ]
        return any(
            len(missing) > most(limit, max(sizes_of))
            for limit in self.policy.limits
            for of, _, sizes_of in self.counted(known, limit, given.now, ())
            if of == "the set"
        )

    # --- who is held -----------------------------------------------------------------------------------------------

    def _check_new_holds(self, kept: Sequence[str], given: Given, known: Known) -> None:
        """A hold has the reason that it gives, and ends with the return of its tenant."""
        began = {tenant: hold for tenant, hold in given.began.items() if hold.rule is not Rule.REPLACEMENT}
        if began and self.observes(known):
            raise Broken(f"{began} are held where the guard only observes")
        for rule in {hold.rule for hold in began.values()}:
            tenants = [tenant for tenant, hold in began.items() if hold.rule is rule]
            if not self._is_justified(rule, tenants, given, known):
                raise Broken(f"{tenants} are held because of the {rule} rule, which was not met")
        if wrong := given.is_held - {*kept, *known.pinned}:
            raise Broken(f"{wrong} are told to be held, and are not")

    def _is_justified(self, rule: Rule, tenants: Sequence[str], given: Given, known: Known) -> bool:
        match rule:
            case Rule.LENS:
                lens = self.read.lens_for(given.parameters)
                since = [one for tenant, one in known.missing[given.input].items() if tenant in tenants]
                seen_before = [one for one in since if one.read.lens_for(given.parameters) != lens]
                return known.lenses[given.input][-1][1] != lens and not seen_before
            case Rule.FREEZE:
                return self.is_frozen(known)
            case Rule.UPSERT_ONLY:
                return self.policy.mode is GuardMode.UPSERT_ONLY
            case Rule.LAST:
                in_step = known.in_step(given.input, given.now, self.read.process, surely=True)
                others = any(known.answers[one] for one in in_step)
                return set(given.answer) <= set(tenants) and not others and not given.parameters.get("allowEmpty")
        return any(
            lost > most(limit, min(sizes))
            for limit in self.policy.limits
            for of, lost, sizes in self.counted(known, limit, given.now, tenants)
            if of == {Rule.LIMIT: "the set", Rule.SOURCE_LIMIT: "the source"}[rule]
        )

    # --- whose word has had its time -------------------------------------------------------------------------------

    def _note_words(self, before: Answer, given: Given, known: Known) -> None:
        """An approval ends when who left by it comes back, also under another name, or who was held returns."""
        held = [tenant for tenant in given.held if (given.input, tenant) not in given.after]
        still = {tenant for _, tenant in given.after}
        waited = {
            tenant
            for (one, tenant), hold in given.before.items()
            if one == given.input and hold.rule is Rule.REPLACEMENT and tenant not in still
        }
        returned = {tenant for tenant in held if is_same(before, given.answer, tenant)} | waited
        came = {tenant for tenant in given.answer if tenant not in before}
        for tenant in returned | came:
            word = known.approved.get(tenant)
            if word is not None and (word.used or tenant in returned):
                del known.approved[tenant]
        for tenant in known.renamed:
            others = [
                known.answers[one]
                for one in known.answers
                if one != given.input and known.knows(one) and tenant in known.answers[one]
            ]
            if all(is_same(other, given.answer, tenant) for other in others):
                known.approved.pop(tenant, None)
        known.renamed.clear()


def _lacks(before: Answer, after: Answer) -> bool:
    return any(not is_same(before, after, tenant) for tenant in before)


def _has(item: Item, row: Item) -> bool:
    return all(item[name] == value for name, value in row.items())
