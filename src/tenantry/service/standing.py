"""How the guard stands: how many removals are held, and what is frozen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tenantry.core.ledger import Hold, Input, SetLedger, SetName


@dataclass(frozen=True, slots=True)
class Standing:
    """How the guard stands, for metrics and probes."""

    held: Mapping[SetName, int]
    """Held removals of each ApplicationSet that has some."""

    frozen: int
    """Freezes that stand: of single ApplicationSets, and of all together."""

    is_well: bool
    """Whether the store could be used the last time."""


def held_in(own: SetLedger) -> int:
    """Return how many removals an ApplicationSet has held."""
    return len(removals_held(own.holds.values()))


def removals_held(holds: Iterable[Hold]) -> Collection[tuple[Input, str]]:
    """Return the removals among holds, which additions that wait are not."""
    return {(hold.input, hold.tenant) for hold in holds if hold.rule != "replacement"}
