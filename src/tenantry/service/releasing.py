"""What a decision adds to the history, and what log and webhook are told of it."""

from __future__ import annotations

from tenantry.core.asking import Decision
from tenantry.core.history import FIRST, Event, EventKind
from tenantry.core.ledger import Hold, Input, Rule, SetName


def events_of(
    name: SetName, given: Input, decision: Decision, came: tuple[str, ...], now: float, *, is_first: bool
) -> list[Event]:
    """Return what a decision adds to the history."""
    events: list[Event] = []
    changed = len(decision.put) - len(came)
    if is_first or came or changed or decision.dropped:
        events.append(
            Event(
                now,
                EventKind.RELEASED,
                *name,
                input=given,
                came=came,
                left=tuple(sorted(decision.dropped)),
                changed=changed,
                words={tenant: word.by for tenant, word in decision.dropped.items() if word is not None},
                because=FIRST if is_first else "",
            )
        )
    groups: dict[tuple[EventKind, str, str, int, str], list[str]] = {}
    for hold in decision.began:
        group = (EventKind.HELD, str(hold.rule), f"{hold.because} {hold.cause}".strip(), hold.decision, "")
        groups.setdefault(group, []).append(hold.tenant)
    for hold in decision.ended:
        how = _end_of(hold, decision)
        group = (EventKind.HOLD_ENDED, str(hold.rule), hold.because, hold.decision, how)
        groups.setdefault(group, []).append(hold.tenant)
    events += [
        Event(
            now,
            kind,
            *name,
            input=given,
            tenants=tuple(sorted(tenants)),
            rule=rule,
            because=because,
            decision=number,
            why=how,
        )
        for (kind, rule, because, number, how), tenants in groups.items()
    ]
    return events


def _end_of(hold: Hold, decision: Decision) -> str:
    """Say how a hold ended; of those who only waited, whether they came or their rows went."""
    if hold.rule is Rule.REPLACEMENT:
        return "came" if hold.tenant in decision.put else "gone"
    return "approved" if hold.tenant in decision.dropped else "returned"


def told_of(event: Event) -> dict[str, object]:
    """Return what log and webhook are told of a hold: how many, and nobody's id."""
    fields: dict[str, object] = {
        "consumer": event.consumer,
        "application_set": event.application_set,
        "decision": event.decision,
        "rule": event.rule,
        "tenants": len(event.tenants),
        "because": event.because,
    }
    return {**fields, "how": event.why} if event.kind is EventKind.HOLD_ENDED else fields
