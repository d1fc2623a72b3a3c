"""Tidying up a ledger: forgetting previews, and ending holds that no request can end any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tenantry.core.asking import approval
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import Hold, Input, SetLedger, SetName


@dataclass(frozen=True, slots=True)
class Tidied:
    """A ledger that was tidied up."""

    ledger: SetLedger
    dropped: Mapping[Input, Sequence[str]]
    """Whose parameter sets are not needed any more."""

    forgotten: Sequence[Input]
    events: Sequence[Event]


def tidied_up(name: SetName, own: SetLedger, now: float) -> Tidied:
    """Forget previews, and let go whom somebody approved in inputs that are not asked for any more.

    Nobody is answered less by it: what is asked for is decided by its own baseline.
    """
    forgotten = list(own.previews())
    dropped = {given: tuple(own.baselines[given].released) for given in forgotten}
    live = own.live(now)
    ended: dict[Input, list[Hold]] = {}
    if own.freeze is None:
        for hold in own.holds.values():
            if hold.input not in live and hold.tenant not in own.pins and approval(own, hold.tenant, now):
                ended.setdefault(hold.input, []).append(hold)
    baselines = {given: one for given, one in own.baselines.items() if given not in dropped}
    events: list[Event] = []
    for given, holds in ended.items():
        tenants = tuple(sorted(hold.tenant for hold in holds))
        leaving = set(tenants)
        released = {one: encoded for one, encoded in baselines[given].released.items() if one not in leaving}
        baselines[given] = msgspec.structs.replace(baselines[given], released=released)
        dropped[given] = tenants
        words = {one: own.approvals[one].by for one in tenants}
        events.append(Event(now, EventKind.RELEASED, *name, input=given, left=tenants, words=words))
        first = holds[0]
        events.append(
            Event(
                now,
                EventKind.HOLD_ENDED,
                *name,
                input=given,
                tenants=tenants,
                rule=str(first.rule),
                because=first.because,
                decision=first.decision,
                why="approved",
            )
        )
    gone = {(hold.input, hold.tenant) for holds in ended.values() for hold in holds}
    left = {key: hold for key, hold in own.holds.items() if key not in gone}
    approvals = {tenant: word for tenant, word in own.approvals.items() if word.stands(now)}
    admitted = {given: word for given, word in own.admitted.items() if word.stands(now)}
    ledger = msgspec.structs.replace(own, baselines=baselines, holds=left, approvals=approvals, admitted=admitted)
    return Tidied(ledger, dropped, forgotten, events)
