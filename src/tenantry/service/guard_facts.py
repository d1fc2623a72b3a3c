"""What an operator is told of the guard: the shapes of the admin API's answers, and of what is said to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class WordFact:
    """What somebody said."""

    about: str
    """The tenant, or the name of an input; empty where it is about all."""

    by: str
    why: str
    at: datetime
    until: datetime | None
    """When it lapses by itself."""

    used: bool
    """Of an approval: whether its tenant has left by it."""


@dataclass(frozen=True, slots=True)
class HoldFact:
    """Tenants of one input that one decision holds for one reason."""

    consumer: str
    application_set: str
    input: str
    """The input parameters, as JSON."""

    decision: int
    rule: str
    because: str
    """Which rule was met."""

    cause: str
    """Which change it came of."""

    since: datetime
    number: int
    """How many tenants."""

    digest: str
    """Of who they are."""

    approve: str
    """The command that lets exactly these go; those who only wait, it lets come."""

    tenants: Sequence[str] | None
    """Null in a list of holds."""


@dataclass(frozen=True, slots=True)
class LimitFact:
    """How much of a limit is used."""

    window_seconds: float
    lost: int
    allowed: int
    of: int
    """How many there were when the window began."""

    standing: int
    """Of those lost, how many left before the window, and have an Application still: Argo CD has yet to delete it."""


@dataclass(frozen=True, slots=True)
class InputFact:
    """One input of an ApplicationSet."""

    input: str
    digest: str
    tenants: int
    first: datetime
    last: datetime
    live: bool


@dataclass(frozen=True, slots=True)
class SetFact:
    """One ApplicationSet, as the guard knows it."""

    consumer: str
    application_set: str
    tenants: int
    """Pairs of input and tenant."""

    held: int
    frozen: WordFact | None
    inputs: Sequence[InputFact]
    limits: Sequence[LimitFact]
    holds: Sequence[HoldFact]
    approvals: Sequence[WordFact]
    admitted: Sequence[WordFact]
    pins: Sequence[WordFact]


@dataclass(frozen=True, slots=True)
class GuardFacts:
    """How the guard stands."""

    mode: str
    held: int
    frozen: WordFact | None
    """A freeze of all ApplicationSets."""

    application_sets: Sequence[SetSummary]
    holds: Sequence[HoldFact]
    limits: Sequence[LimitFact]
    """Over all ApplicationSets."""

    problem: str | None
    """Why the state database could not be used last; null while it can."""


@dataclass(frozen=True, slots=True)
class SetSummary:
    """One ApplicationSet in a list."""

    consumer: str
    application_set: str
    inputs: int
    tenants: int
    held: int
    frozen: bool
    last: datetime | None
    """When it was last answered."""


@dataclass(frozen=True, slots=True)
class EventFact:
    """One thing that happened."""

    sequence: int
    at: datetime
    kind: str
    consumer: str
    application_set: str
    input: str | None
    came: Sequence[str]
    left: Sequence[str]
    changed: int
    words: Mapping[str, str]
    """Of those who left, by whose word."""

    tenants: Sequence[str]
    rule: str
    because: str
    decision: int
    by: str
    why: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class MembersFact:
    """Who was in the answer to one input."""

    input: str
    tenants: Sequence[str]


@dataclass(frozen=True, slots=True)
class HistoryFacts:
    """A part of the history."""

    events: Sequence[EventFact]
    """In their order, the latest last."""

    at: datetime | None
    """The moment that was asked about."""

    members: Sequence[MembersFact] | None
    """Who was in the answers of the ApplicationSet then; null where no moment was asked about."""


@dataclass(frozen=True, slots=True)
class SaidFacts:
    """What a word has done."""

    done: str
    """In a sentence."""

    application_set: str
    """Empty where it is about all."""

    tenants: Sequence[str]
    """Whom it is about."""
