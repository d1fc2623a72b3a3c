"""The first answer to an input: nobody is missing from it, but its ApplicationSet may have dropped another for it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenantry.core.asking import Asked, Decision, approval, input_digest, present, sized
from tenantry.core.errors import EditedInput, counted, quoted
from tenantry.core.guard import GuardMode, Policy, excess
from tenantry.core.ledger import FIRST_PASS, Baseline, Loss, Rule, SetLedger, SourceLedger
from tenantry.core.steps import Steps, sliced


def first_decision(own: SetLedger, source: SourceLedger, policy: Policy, asked: Asked) -> Steps[Decision]:
    """Answer as the rows say; raises EditedInput where somebody would be lost by it who may not be."""
    lost = yield from _lost_with_the_others(own, source, policy, asked)
    by_rows = [loss for loss in lost if _is_gone(loss, asked)]
    would: dict[Rule, int] = {}
    if problem := _problem_of_two(own, policy, asked) or _problem(own, source, policy, asked, lost, by_rows):
        if policy.mode is not GuardMode.OBSERVE:
            raise problem
        would, by_rows = {Rule.LENS: len(lost)}, []
    baseline = Baseline(asked.candidate, asked.lens, asked.layout, asked.now, asked.now)
    digest = input_digest(asked.input)
    ledger = msgspec.structs.replace(
        own,
        baselines={**own.baselines, asked.input: baseline},
        losses=(*own.losses, *by_rows),
        admitted={name: word for name, word in own.admitted.items() if name != digest},
        spec=asked.spec,
    )
    return Decision(
        ledger=sized(ledger, policy, asked),
        put=asked.candidate,
        lost=by_rows,
        would_hold=would,
        to_record=True,
        unsettled=True,
    )


def _lost_with_the_others(own: SetLedger, source: SourceLedger, policy: Policy, asked: Asked) -> Steps[Sequence[Loss]]:
    """Return whom the ApplicationSet would lose if it asked no more for what it asked for so far; each once.

    Where its spec is known, that is what none of its generators can ask for.
    """
    began = own.began
    if began is None or asked.now - began <= FIRST_PASS:
        return []
    frozen = own.freeze or source.freeze
    lost: dict[str, Loss] = {}
    for given, baseline in own.known().items():
        if asked.still_asks(given):
            continue
        for tenants in sliced(list(baseline.released)):
            for tenant in tenants:
                if asked.is_live and not asked.count(given, {tenant: baseline.released[tenant]}):
                    continue
                after = asked.candidate.get(tenant)
                if after is not None and not asked.is_lost(baseline.released[tenant], after, policy.identity):
                    continue
                if frozen or tenant in own.pins or not approval(own, tenant, asked.now):
                    lost.setdefault(tenant, Loss(tenant, given, asked.now))
            yield
    return list(lost.values())


def _is_gone(loss: Loss, asked: Asked) -> bool:
    """Tell whether it is the rows that cost a tenant its place, and not only that another input is asked for."""
    return loss.tenant in asked.candidate or not asked.elsewhere(loss.tenant)


def _problem(
    own: SetLedger,
    source: SourceLedger,
    policy: Policy,
    asked: Asked,
    lost: Sequence[Loss],
    by_rows: Sequence[Loss],
) -> EditedInput | None:
    """Return why the ApplicationSet may not lose these for another input; None if it may."""
    if not lost:
        return None
    digest = input_digest(asked.input)
    word = own.admitted.get(digest)
    if word is None or not word.stands(asked.now):
        return EditedInput(
            "This ApplicationSet asks with input parameters that are new, and without those that it asked with "
            f"before it would lose {counted(lost)}. The new input is known as {digest}."
        )
    stays = [loss for loss in lost if loss.tenant in own.pins or loss.tenant in asked.unreadable]
    gone = [loss.tenant for loss in by_rows]
    because = None
    if own.freeze or source.freeze:
        because = f"removals are frozen, and it would lose {counted(lost)}"
    elif stays:
        because = f"it would lose {counted(stays)} pinned, or with a row that cannot be used"
    elif by_rows and asked.doubtful:
        because = f"a row has no usable id, and may be that of {counted(by_rows)} it would lose"
    elif by_rows and policy.mode is GuardMode.UPSERT_ONLY:
        because = f"{counted(by_rows)} would be lost by rows and not by the edit, and guard.mode is upsert-only"
    elif by_rows and not asked.candidate and not asked.allow_empty:
        because = "nobody has a row any more, and it would be left with no tenant"
    elif by_rows and (against := excess(policy, own, source, gone, present(own, asked), asked.now)):
        because = f"besides the edit, rows would cost it more than they may: {against.because.rstrip('.')}"
    if because is None:
        return None
    return EditedInput(
        f"The new input {digest} of this ApplicationSet was approved, but {because}.",
        remedy="Wait until that has ended, or approve by name who is to leave.",
    )


def _problem_of_two(own: SetLedger, policy: Policy, asked: Asked) -> EditedInput | None:
    """Say so if another consumer has this very ApplicationSet with tenants more, which this one would never get.

    They may be one under two tokens: then whoever is held would be let go by a change of the token.
    """
    if own.baselines:
        return None
    for consumer, released in asked.twins.items():
        lost = [
            tenant
            for tenant, before in released.items()
            if (after := asked.candidate.get(tenant)) is None or asked.is_lost(before, after, policy.identity)
        ]
        if lost:
            return EditedInput(
                f"This consumer has never asked for this ApplicationSet, and consumer {quoted(consumer)} has one of "
                f"this name, with the same input parameters and {counted(lost)} more, held or not settled yet. If "
                "the two are one, with another token now, it would lose them.",
                remedy="If they are one, take the other consumer's token away: then this one takes over what is known. "
                "If they are two, end the holds of the other first: `tenantry guard holds`.",
            )
    return None
