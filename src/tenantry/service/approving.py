"""What people say to the guard: approvals, freezes and pins, each written down with who said it and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from tenantry.core.errors import (
    AnotherHold,
    InvalidWord,
    NoSuchApplicationSet,
    NotKnownThere,
    counted,
    listed,
    nearest,
    quoted,
)
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import SetLedger, SetName, Word
from tenantry.service.driving import to_its_end
from tenantry.service.guard_facts import SaidFacts
from tenantry.service.ledger import Ledger
from tenantry.service.regarding import digest_of_tenants, held_by_decision
from tenantry.service.state import SetChange
from tenantry.service.trying import while_moved

APPROVED_FOR = 24 * 3600.0
"""Seconds for which an approval stands, if nothing else is said."""

_NAME_OF_AN_INPUT = re.compile(r"[0-9a-f]{10}")

LONGEST_WORD = 30 * 24 * 3600.0
"""Seconds for which an approval may be given."""

_LONGEST_TEXT = 1000


class Hearers(Protocol):
    """Who has to hear of a word: whoever answers by the ledger."""

    def lock_of(self, name: SetName | None) -> AbstractAsyncContextManager[object]:
        """Return the lock under which an ApplicationSet's ledger changes, or under which anybody leaves any of them."""
        ...

    def spoken(self, name: SetName | None) -> None:
        """Make void what was answered to an ApplicationSet, or to all of them."""
        ...


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who says something, and why."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What something is said about."""

    application_set: str
    consumer: str | None = None
    """None where only one consumer has it."""

    tenants: Collection[str] = ()
    decision: int | None = None
    """All that this decision holds, in the place of `tenants`."""

    digest: str | None = None
    """What was shown of who they are."""

    input: str | None = None
    """The digest of a new input, in the place of tenants."""


class Approving:
    """Takes words, and writes them down before they count."""

    def __init__(self, ledger: Ledger, hearers: Hearers) -> None:
        """Write to `ledger`, and tell `hearers`."""
        self._ledger = ledger
        self._hearers = hearers

    @to_its_end
    @while_moved
    async def approve(self, subject: Subject, speaker: Speaker, seconds: float | None = None) -> SaidFacts:
        """Let tenants leave, now or within `seconds`, those who wait come, or a new input be answered.

        Raises NoSuchApplicationSet, NotKnownThere, AnotherHold, InvalidWord or StateError.
        """
        if seconds is not None and not 1 <= seconds <= LONGEST_WORD:
            raise InvalidWord("An approval stands for a second to 30 days.")
        name = await self._named(subject)
        async with self._hearers.lock_of(name):
            own = self._ledger.own(name)
            now = self._ledger.now()
            word = Word(speaker.by, speaker.why, now, now + (APPROVED_FOR if seconds is None else seconds))
            if subject.input is not None:
                _refuse_beside_an_input(subject)
                after = msgspec.structs.replace(own, admitted={**own.admitted, subject.input: word})
                event = _event(EventKind.ADMITTED, name, word, (subject.input,))
                return await self._say(
                    name, after, event, f"Input {subject.input} of {name.application_set} may be new."
                )
            tenants = _tenants_of(own, subject)
            after = msgspec.structs.replace(own, approvals={**own.approvals, **dict.fromkeys(tenants, word)})
            event = _event(EventKind.APPROVED, name, word, tenants)
            return await self._say(name, after, event, f"Approved {counted(tenants)} of {name.application_set}.")

    @to_its_end
    @while_moved
    async def withdraw(self, subject: Subject, speaker: Speaker) -> SaidFacts:
        """Take approvals back that were not used."""
        name = await self._named(subject)
        async with self._hearers.lock_of(name):
            own = self._ledger.own(name)
            tenants = tuple(subject.tenants) or tuple(own.approvals)
            if unknown := sorted(set(tenants) - own.approvals.keys()):
                raise NotKnownThere(f"Nobody approved {_few(unknown)} in {name.application_set}.")
            if used := sorted(one for one in tenants if own.approvals[one].used and subject.tenants):
                raise NotKnownThere(f"{_few(used)} left already: a return to the rows brings a tenant back.")
            left = {one: word for one, word in own.approvals.items() if one not in tenants or word.used}
            gone = tuple(sorted(own.approvals.keys() - left.keys()))
            if not gone:
                raise NotKnownThere(f"There is no approval to withdraw in {name.application_set}.")
            after = msgspec.structs.replace(own, approvals=left)
            event = _event(EventKind.WITHDRAWN, name, self._word(speaker), gone)
            return await self._say(name, after, event, f"Withdrew the approval of {counted(gone)}.")

    @to_its_end
    @while_moved
    async def freeze(self, subject: Subject | None, speaker: Speaker) -> SaidFacts:
        """Hold every removal, of one ApplicationSet or of all."""
        await self._ledger.confirm()
        word = self._word(speaker)
        if subject is None:
            event = _event(EventKind.FROZEN, None, word)
            return await self._say_to_all(word, event, "Froze the removals of all ApplicationSets.")
        name = await self._named(subject)
        async with self._hearers.lock_of(name):
            after = msgspec.structs.replace(self._ledger.own(name), freeze=word)
            event = _event(EventKind.FROZEN, name, word)
            return await self._say(name, after, event, f"Froze the removals of {name.application_set}.")

    @to_its_end
    @while_moved
    async def unfreeze(self, subject: Subject | None, speaker: Speaker) -> SaidFacts:
        """End a freeze; whoever it held waits for an approval."""
        await self._ledger.confirm()
        word = self._word(speaker)
        if subject is None:
            if self._ledger.whole.freeze is None:
                raise InvalidWord("There is no freeze of all ApplicationSets.")
            event = _event(EventKind.UNFROZEN, None, word)
            return await self._say_to_all(None, event, "Ended the freeze of all ApplicationSets.")
        name = await self._named(subject)
        async with self._hearers.lock_of(name):
            own = self._ledger.own(name)
            if own.freeze is None:
                raise InvalidWord(f"The removals of {quoted(name.application_set)} are not frozen.")
            event = _event(EventKind.UNFROZEN, name, word)
            after = msgspec.structs.replace(own, freeze=None)
            return await self._say(name, after, event, f"Ended the freeze of {name.application_set}.")

    @to_its_end
    @while_moved
    async def pin(self, subject: Subject, speaker: Speaker) -> SaidFacts:
        """Hold tenants as they are."""
        name = await self._named(subject)
        async with self._hearers.lock_of(name):
            own = self._ledger.own(name)
            tenants = _tenants_of(own, subject)
            word = self._word(speaker)
            after = msgspec.structs.replace(own, pins={**own.pins, **dict.fromkeys(tenants, word)})
            event = _event(EventKind.PINNED, name, word, tenants)
            return await self._say(name, after, event, f"Pinned {counted(tenants)} of {name.application_set}.")

    @to_its_end
    @while_moved
    async def unpin(self, subject: Subject, speaker: Speaker) -> SaidFacts:
        """End pins."""
        name = await self._named(subject)
        async with self._hearers.lock_of(name):
            own = self._ledger.own(name)
            tenants = tuple(sorted(subject.tenants))
            if unknown := sorted(set(tenants) - own.pins.keys()):
                raise NotKnownThere(f"Nobody pinned {_few(unknown)} in {name.application_set}.")
            if not tenants:
                raise InvalidWord("Name at least one tenant.")
            left = {tenant: word for tenant, word in own.pins.items() if tenant not in tenants}
            event = _event(EventKind.UNPINNED, name, self._word(speaker), tenants)
            after = msgspec.structs.replace(own, pins=left)
            return await self._say(name, after, event, f"Unpinned {counted(tenants)} of {name.application_set}.")

    async def _named(self, subject: Subject) -> SetName:
        await self._ledger.confirm()
        return set_named(self._ledger.sets, subject.application_set, subject.consumer)

    def _word(self, speaker: Speaker) -> Word:
        self._ledger.require()
        return Word(speaker.by, speaker.why, self._ledger.now())

    async def _say(self, name: SetName, after: SetLedger, event: Event, done: str) -> SaidFacts:
        await self._ledger.write(SetChange(name, after), self._ledger.generation, events=[event], of_all=False)
        self._hearers.spoken(name)
        return SaidFacts(done, name.application_set, event.tenants)

    async def _say_to_all(self, freeze: Word | None, event: Event, done: str) -> SaidFacts:
        # Whoever was found to leave before this was said has left when it is, or is found to stay.
        async with self._hearers.lock_of(None):
            await self._ledger.write(None, self._ledger.generation, events=[event], freeze=freeze)
        self._hearers.spoken(None)
        return SaidFacts(done, "", ())


def speaker_of(by: str, why: str) -> Speaker:
    """Return who speaks; raises InvalidWord where that is not said, or not in one line."""
    for what, text in (("who says so (by)", by), ("why", why)):
        if not text.strip(" \t.…"):
            raise InvalidWord(f"Say {what}: it is written down.")
        if len(text) > _LONGEST_TEXT or not text.isprintable():
            raise InvalidWord(f"Say {what} in one line of at most {_LONGEST_TEXT} characters.")
    return Speaker(by.strip(), why.strip())


def set_named(sets: Mapping[SetName, SetLedger], application_set: str, consumer: str | None) -> SetName:
    """Return the ApplicationSet that is meant; raises NoSuchApplicationSet."""
    found = [
        name
        for name in sets
        if name.application_set == application_set and (consumer is None or name.consumer == consumer)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        consumers = listed(name.consumer for name in found)
        raise NoSuchApplicationSet(
            f"Several consumers have an ApplicationSet {quoted(application_set)}: {consumers}.",
            remedy="Say which one is meant: --consumer.",
        )
    known = {name.application_set for name in sets}
    whose = f" of consumer {quoted(consumer)}" if consumer is not None else ""
    raise NoSuchApplicationSet(
        f"There is no ApplicationSet {quoted(application_set)}{whose}. Known: {listed(known)}."
        f"{nearest(application_set, known)}"
    )


def _tenants_of(own: SetLedger, subject: Subject) -> tuple[str, ...]:
    """Return whom a word is about, all of them known; raises NotKnownThere, AnotherHold or InvalidWord."""
    if subject.decision is not None:
        if subject.tenants:
            raise InvalidWord("Name tenants or a decision, not both.")
        tenants = _held_by(own, subject.decision, subject.digest)
    else:
        tenants = set(subject.tenants)
        if not tenants:
            raise InvalidWord("Name at least one tenant, or a decision.")
        inputs = own.baselines.values()
        held = {hold.tenant for hold in own.holds.values()}
        if unknown := sorted(
            one for one in tenants if one not in held and not any(one in baseline.released for baseline in inputs)
        ):
            raise NotKnownThere(f"{_few(unknown)} {'is' if len(unknown) == 1 else 'are'} not known there.")
    if subject.digest is not None and subject.digest != digest_of_tenants(tenants):
        raise AnotherHold(f"These are {len(tenants)} tenants, and not those whose digest is {quoted(subject.digest)}.")
    return tuple(sorted(tenants))


def _refuse_beside_an_input(subject: Subject) -> None:
    """Raise InvalidWord where an input is no name of one, or something else is named besides."""
    if subject.tenants or subject.decision is not None or subject.digest is not None:
        raise InvalidWord("Approve an input, or tenants, one after the other.")
    if not _NAME_OF_AN_INPUT.fullmatch(subject.input or ""):
        raise InvalidWord(f"{quoted(subject.input or '')} names no input: those are ten digits of 0-9 and a-f.")


def _held_by(own: SetLedger, decision: int, digest: str | None) -> set[str]:
    """Return whom a decision keeps from leaving, or from coming; where it does both, the digest tells which."""
    by_decision = held_by_decision(own)
    leaving, coming = by_decision.get(decision, (set(), set()))
    if leaving and coming and leaving != coming:
        digests = {digest_of_tenants(some): some for some in (leaving, coming)}
        if digest in digests:
            return digests[digest]
        out, in_ = digests
        raise AnotherHold(
            f"Decision {decision} keeps {counted(leaving)} from leaving (--digest {out}) and {counted(coming)} from "
            f"coming (--digest {in_}): say which are meant."
        )
    if not leaving and not coming:
        known = ", ".join(map(str, sorted(by_decision))) or "(none)"
        raise NotKnownThere(f"Decision {decision} holds nobody in this ApplicationSet. Known: {known}.")
    return leaving or coming


def _event(kind: EventKind, name: SetName | None, word: Word, tenants: Sequence[str] = ()) -> Event:
    consumer, application_set = name or ("", "")
    return Event(
        word.at,
        kind,
        consumer,
        application_set,
        tenants=tuple(tenants),
        by=word.by,
        why=word.why,
        until=word.until,
    )


def _few(tenants: Sequence[str]) -> str:
    return listed(map(quoted, tenants))
