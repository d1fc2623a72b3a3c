"""An edited input: what an ApplicationSet was answered before goes over to what its only generator asks for now."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tenantry.core.history import EDITED, Event, EventKind
from tenantry.core.ledger import Baseline, Input, SetLedger, SetName
from tenantry.core.position import latest


class Edited(msgspec.Struct, frozen=True):
    """A ledger in which one input has what others had."""

    ledger: SetLedger
    put: dict[str, bytes]
    """What the input has."""

    dropped: dict[Input, tuple[str, ...]]
    events: Sequence[Event]


def edited(name: SetName, own: SetLedger, given: Input, now: float) -> Edited:
    """Return a ledger in which an input has whom the others had, with their holds; nobody is answered by it yet."""
    known = sorted(own.known().items(), key=lambda item: item[1].last)
    released: dict[str, bytes] = {}
    for _, one in known:
        released.update(one.released)
    baselines = [one for _, one in known]
    baseline = Baseline(
        released,
        # Of several it differs from any: then whoever is missing went missing with the edit.
        _same([one.lens for one in baselines]),
        _same([one.layout for one in baselines]),
        min(one.first for one in baselines),
        max(one.last for one in baselines),
        polled=True,
        edited=True,
        origin=latest(one.origin for one in baselines),
    )
    holds = {}
    for (asked, tenant), hold in own.holds.items():
        if asked in own.known():
            holds[given, tenant] = msgspec.structs.replace(hold, input=given)
    dropped = {asked: tuple(sorted(one.released)) for asked, one in own.baselines.items()}
    left = [Event(now, EventKind.EDITED, *name, input=asked, left=tenants) for asked, tenants in dropped.items()]
    came = Event(now, EventKind.EDITED, *name, input=given, came=tuple(sorted(released)), because=EDITED)
    ledger = msgspec.structs.replace(own, baselines={given: baseline}, holds=holds)
    return Edited(ledger, released, dropped, [*left, came])


def _same(texts: Sequence[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else ""
