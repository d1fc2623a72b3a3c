"""What the guard remembers of an ApplicationSet: what it was answered, what it lost, and whose word stands about it.

All times are seconds of the ledger's own clock, which never steps back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

from tenantry.core.position import ReleasedFrom
from tenantry.core.spec import Spec

Input: TypeAlias = str
"""The input parameters of a request without `allowEmpty`, as canonical JSON."""

LIVE_FOR = 24 * 3600.0
"""Seconds after its last request for which an input counts as one that the ApplicationSet still has."""

KNOWN_FOR = 7 * 24 * 3600.0
"""Seconds of silence, while it asks for others, after which an input that it polled cost it nobody any more."""

FIRST_PASS = 30.0
"""Seconds in which an ApplicationSet asks for all its inputs for the first time."""

_SAMPLE = 300.0
"""Seconds within which the sizes in between are forgotten."""


class Rule(StrEnum):
    """Why a tenant is held."""

    LIMIT = "limit"
    """More were missing at once, or within a window, than `guard.limits` allows."""

    SOURCE_LIMIT = "source limit"
    """The same, over all ApplicationSets."""

    LAST = "last"
    """The ApplicationSet would have been left with no tenant."""

    LENS = "lens"
    """It went missing together with a change of something else than rows."""

    FREEZE = "freeze"
    """Somebody had frozen removals."""

    UPSERT_ONLY = "upsert-only"
    """`guard.mode` lets nobody go without approval."""

    REPLACEMENT = "replacement"
    """It is new, while others are held whom it may replace."""


class SetName(NamedTuple):
    """An ApplicationSet, as far as a plugin can know it: Argo CD does not send its namespace."""

    consumer: str
    application_set: str


class Baseline(msgspec.Struct, frozen=True):
    """What one input was last answered."""

    released: Mapping[str, bytes]
    """Parameter sets by id."""

    lens: str
    """Digest of all but rows that shaped it."""

    layout: str
    """Digest of the keys that its parameter sets have."""

    first: float
    last: float
    """When it was first and last asked for."""

    polled: bool = False
    """Whether it was asked for again, a poll later: one request may have been a preview."""

    edited: bool = False
    """Whether it has what other inputs were answered, and was not answered by itself yet."""

    origin: ReleasedFrom | None = None
    """Where the rows were read by which it changed last, or by which somebody was held or not any more.

    None if nobody noted that.
    """


class Loss(msgspec.Struct, frozen=True):
    """A tenant that left an input of its own accord: by a change of rows, within the limits."""

    tenant: str
    input: Input
    at: float
    application: str = ""
    """The name of its Application, where that could be told."""


class Hold(msgspec.Struct, frozen=True):
    """A tenant that is kept in an input's answer, or, for `Rule.REPLACEMENT`, kept out of it."""

    input: Input
    tenant: str
    rule: Rule
    since: float
    decision: int
    """The number of the release that began it, which all that were held together share."""

    because: str
    """Which rule was met, in a sentence without tenants' data."""

    cause: str = ""
    """Which change it came of: what the reads found, or what else changed."""


class Word(msgspec.Struct, frozen=True):
    """What somebody said about a tenant, an input or an ApplicationSet: an approval, a pin or a freeze."""

    by: str
    why: str
    at: float
    until: float | None = None
    """When it lapses by itself."""

    used: bool = False
    """Of an approval: whether its tenant has left by it."""

    def stands(self, now: float) -> bool:
        """Tell whether it has not lapsed."""
        return self.until is None or now < self.until


class Size(NamedTuple):
    """How many there were."""

    at: float
    size: int


Sizes: TypeAlias = tuple[Size, ...]


def size_at(sizes: Sizes, moment: float, present: int) -> int:
    """Return the size at a moment: the last one known by then, else the first one known, else the `present` one."""
    known = [one.size for one in sizes if one.at <= moment]
    if known:
        return known[-1]
    return sizes[0].size if sizes else present


def with_size(sizes: Sizes, now: float, size: int, oldest: float) -> Sizes:
    """Return sizes with one more, none that no window from `oldest` on can need, and few in all.

    The first pass of an ApplicationSet counts as one moment: a matrix begins with one input and grows in seconds.
    """
    if sizes and sizes[-1].size == size:
        return sizes
    began = sizes[0].at if sizes else now
    if now - began <= FIRST_PASS:
        return (Size(began, size),)
    # Of a few minutes, only the first and the last are remembered.
    crowded = len(sizes) > 1 and now - sizes[-2].at < _SAMPLE
    kept = (*(sizes[:-1] if crowded else sizes), Size(now, size))
    needed = max((n for n, one in enumerate(kept) if one.at <= oldest), default=0)
    return kept[needed:]


class SetLedger(msgspec.Struct, frozen=True):
    """All that is known of one ApplicationSet."""

    baselines: Mapping[Input, Baseline] = {}
    losses: tuple[Loss, ...] = ()
    sizes: Sizes = ()
    """Of its live inputs together, in pairs of input and tenant."""

    holds: Mapping[tuple[Input, str], Hold] = {}
    approvals: Mapping[str, Word] = {}
    """By tenant."""

    admitted: Mapping[str, Word] = {}
    """Approved inputs that have not been answered yet, by what `decision.input_digest` calls them."""

    pins: Mapping[str, Word] = {}
    freeze: Word | None = None
    additions: int = 0
    """Tenants that came since somebody was held."""

    strays: tuple[str, ...] = ()
    """Applications that it owns, of which nobody knew and somebody said that they may go."""

    unrecognised: str = ""
    """What those are called that were found last, and of which nobody knew."""

    spec: Spec | None = None
    """What was known of it in the cluster when it was answered last; None where that never was."""

    @property
    def began(self) -> float | None:
        """When it was first answered."""
        return min((one.first for one in self.baselines.values()), default=None)

    @property
    def last(self) -> float:
        """When it was last answered; 0 if never."""
        return max((one.last for one in self.baselines.values()), default=0.0)

    def previews(self) -> Collection[Input]:
        """Return the inputs that were asked for once, and hold nobody, while others were asked for a day longer.

        Of an ApplicationSet that asks seldom, none is forgotten.
        """
        holding, known = {given for given, _ in self.holds}, self.known()
        return [
            given
            for given, one in self.baselines.items()
            if not one.polled and given not in known and given not in holding
        ]

    def live(self, now: float) -> Mapping[Input, Baseline]:
        """Return the inputs that it still asks for, as far as can be told."""
        return {given: one for given, one in self.baselines.items() if one.polled and now - one.last < LIVE_FOR}

    def known(self) -> Mapping[Input, Baseline]:
        """Return the inputs whose tenants it may still have.

        Those that it has not asked for in a week in which it asked for others are not among them, nor those that it
        asked for once, a day before others: a controller may be down for a night while somebody else asks.
        """
        latest = self.last
        return {
            given: one
            for given, one in self.baselines.items()
            if latest - one.last < (KNOWN_FOR if one.polled else LIVE_FOR)
        }


class SourceLedger(msgspec.Struct, frozen=True):
    """What is known of all ApplicationSets together."""

    losses: tuple[Loss, ...] = ()
    """Of all of them."""

    sizes: Sizes = ()
    """Distinct tenants."""

    present: int = 0
    """Distinct tenants now."""

    freeze: Word | None = None
    standing: frozenset[Loss] = frozenset()
    """Those among `losses` whose Application is there still: Argo CD has yet to let them go."""
