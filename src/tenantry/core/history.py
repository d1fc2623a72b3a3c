"""What happened to ApplicationSets: releases, holds and people's words, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from tenantry.core.ledger import Input, SetName


class EventKind(StrEnum):
    """What kind of thing happened."""

    RELEASED = "released"
    """An answer differed from the one before it."""

    HELD = "held"
    HOLD_ENDED = "hold ended"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"
    ADMITTED = "admitted"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    TAKEN_OVER = "taken over"
    """The ledger of an ApplicationSet went from one consumer to another."""

    WENT_BACK = "source went back"
    """The tenants' database stood at an earlier position than when the service saw it last."""

    LEDGER_MADE = "ledger made"
    DELETION_BEGAN = "deletion began"
    """The Application of a tenant that was answered is being deleted."""

    DELETION_ENDED = "deletion ended"
    UNRECOGNISED = "applications unknown"
    """An ApplicationSet was not answered, since it owns Applications that nobody knows of: those named."""

    EDITED = "input edited"
    """What an ApplicationSet was answered went over to the other input that its only generator asks for now."""

    FORGOTTEN = "answers forgotten"
    """What an ApplicationSet was answered counts no more: it was answered without a guard since."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened; tenants are named, so it is for operators only."""

    at: float
    """Seconds of the ledger's clock."""

    kind: EventKind
    consumer: str = ""
    application_set: str = ""
    """Empty where it is about all of them."""

    input: Input | None = None
    came: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    changed: int = 0
    """How many tenants' parameters changed."""

    words: Mapping[str, str] = {}
    """Of those who left, by whose word, where it was not by rows alone."""

    tenants: tuple[str, ...] = ()
    """Whom a hold or a word is about."""

    rule: str = ""
    because: str = ""
    decision: int = 0
    by: str = ""
    why: str = ""
    until: float | None = None
    sequence: int = 0
    """Its number, once it was written."""

    @property
    def set_name(self) -> SetName | None:
        """The ApplicationSet that it is about."""
        return SetName(self.consumer, self.application_set) if self.application_set else None

    def is_about(self, tenant: str) -> bool:
        """Tell whether a tenant is among those who came, left, or were spoken about."""
        return tenant in self.came or tenant in self.left or tenant in self.tenants


def members_at(now: Mapping[Input, Iterable[str]], later: Sequence[Event]) -> Mapping[Input, frozenset[str]]:
    """Return who was in each input's answer before the events that came `later`, given in their order.

    Going back from what is known now, so that a history whose beginning was forgotten serves as well. An input that
    had not been answered by then is left out.
    """
    members = {given: set(tenants) for given, tenants in now.items()}
    for event in reversed(later):
        if event.kind in (EventKind.RELEASED, EventKind.EDITED) and event.input is not None:
            one = members.setdefault(event.input, set())
            one.difference_update(event.came)
            one.update(event.left)
            if event.because in (FIRST, EDITED):
                del members[event.input]
    return {given: frozenset(one) for given, one in members.items()}


FIRST = "It was answered for the first time."
"""Why an input's first release came about."""

EDITED = "The only generator of its ApplicationSet asks for it now, and for nothing else."
"""Why an input has what others had."""
