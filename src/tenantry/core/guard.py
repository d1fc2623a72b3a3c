"""The limits within which tenants may leave, and the modes of the guard."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tenantry.core.ledger import Loss, Rule, SetLedger, SourceLedger, size_at


class GuardMode(StrEnum):
    """What is done about removals."""

    OBSERVE = "observe"
    """Tell what would be held; hold nothing."""

    HOLD = "hold"
    UPSERT_ONLY = "upsert-only"
    """Hold every removal that nobody approved."""

    OFF = "off"
    """Remember nothing."""


@dataclass(frozen=True, slots=True)
class RemovalLimit:
    """How many tenants may leave within one sliding window."""

    window: timedelta
    max_percent: int
    """Of those that there were when the window began, rounded down."""

    min: int
    """How many may leave however few there were."""

    def allows(self, removals: int, of: int) -> bool:
        """Tell whether `removals` out of the `of` tenants at the window's start may leave."""
        return removals <= max(self.min, of * self.max_percent // 100)

    def __str__(self) -> str:
        """Write it for people."""
        hours = self.window.total_seconds() / 3600
        return f"{self.max_percent} %, or {self.min}, within {hours:g} h"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says about removals."""

    mode: GuardMode
    settle: float
    """Seconds for which every read, two at least, has to be without a tenant before its removal counts."""

    limits: tuple[RemovalLimit, ...]
    identity: tuple[str, ...]
    """Fields whose change gives a tenant another Application."""

    @property
    def longest(self) -> float:
        """Seconds of the longest window."""
        return max((limit.window.total_seconds() for limit in self.limits), default=0.0)


@dataclass(frozen=True, slots=True)
class Excess:
    """What a decision would have gone beyond."""

    rule: Rule
    because: str


def excess(
    policy: Policy, own: SetLedger, source: SourceLedger, leaving: Collection[str], present: int, now: float
) -> Excess | None:
    """Return the first limit that these removals from one input would break; None if they break none.

    `present` is how many tenants the ApplicationSet has in its live inputs. A removal that Argo CD has yet to carry out
    counts however long ago it was: else a controller that was stuck would delete those of many windows at once.
    """
    return next(_excesses(policy, own, source, leaving, present, now), None)


def _excesses(
    policy: Policy, own: SetLedger, source: SourceLedger, leaving: Collection[str], present: int, now: float
) -> Iterator[Excess]:
    for limit in policy.limits:
        start = now - limit.window.total_seconds()
        lost, size = len(_since(own.losses, start, source)), size_at(own.sizes, start, present)
        if not limit.allows(lost + len(leaving), size):
            yield Excess(Rule.LIMIT, _sentence(leaving, lost, size, limit, "the ApplicationSet"))
        gone = {loss.tenant for loss in _since(source.losses, start, source)}
        of = size_at(source.sizes, start, source.present)
        if not limit.allows(len(gone | set(leaving)), of):
            yield Excess(Rule.SOURCE_LIMIT, _sentence(leaving, len(gone), of, limit, "all ApplicationSets"))


def _since(losses: tuple[Loss, ...], start: float, source: SourceLedger) -> list[Loss]:
    return [loss for loss in losses if loss.at > start or loss in source.standing]


def _sentence(leaving: Collection[str], lost: int, size: int, limit: RemovalLimit, whose: str) -> str:
    before = f", after {lost} before them" if lost else ""
    return f"{len(leaving)} of {size} tenants of {whose} would leave{before}; guard.limits allows {limit}."
