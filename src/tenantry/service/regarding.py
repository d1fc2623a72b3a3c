"""Looking at the guard: what it holds and why, how near the limits are, and what happened."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from tenantry.core.asking import input_digest
from tenantry.core.errors import InvalidWord
from tenantry.core.guard import Policy
from tenantry.core.history import Event, members_at
from tenantry.core.ledger import Hold, Loss, Rule, SetLedger, SetName, Sizes, Word, size_at
from tenantry.core.shell import shell_word
from tenantry.service.guard_facts import (
    EventFact,
    GuardFacts,
    HistoryFacts,
    HoldFact,
    InputFact,
    LimitFact,
    MembersFact,
    SetFact,
    SetSummary,
    WordFact,
)
from tenantry.service.ledger import Ledger
from tenantry.service.standing import held_in
from tenantry.service.state import EventQuery

_CLOCKS_DIFFER = 60.0
"""Seconds by which the clock of whoever asks may be ahead."""

MOST_EVENTS = 1000
"""Events that one look at the history gives."""


class Regarding:
    """Tells what the ledger knows."""

    def __init__(self, ledger: Ledger, policy: Policy | None, retention: float | None = None) -> None:
        """Look at `ledger`, whose history is forgotten after `retention` seconds.

        Without a `policy` no limits are told, for nobody knows which ones hold.
        """
        self._ledger = ledger
        self._policy = policy
        self._retention = retention

    async def facts(self) -> GuardFacts:
        """Return how the guard stands; raises StateError."""
        await self._fresh()
        sets, source, whole = self._ledger.sets, self._ledger.source, self._ledger.whole
        return GuardFacts(
            mode=str(self._policy.mode) if self._policy else "",
            held=sum(map(held_in, sets.values())),
            frozen=_word("", whole.freeze),
            application_sets=[self._summary(name, own) for name, own in sorted(sets.items())],
            holds=[
                hold
                for name, own in sorted(sets.items())
                for hold in holds_of(name, own, with_tenants=False, is_one_of_several=self._is_one_of_several(name))
            ],
            limits=self._limits(source.losses, source.sizes, source.present, distinct=True),
            problem=None if self._ledger.failure is None else self._ledger.failure.what,
        )

    async def application_set(self, name: SetName) -> SetFact:
        """Return all that is known of an ApplicationSet; raises StateError."""
        await self._fresh()
        own, now = self._ledger.own(name), self._ledger.now()
        live = own.live(now)
        present = sum(len(one.released) for one in live.values())
        return SetFact(
            consumer=name.consumer,
            application_set=name.application_set,
            tenants=sum(len(one.released) for one in own.baselines.values()),
            held=held_in(own),
            frozen=_word("", own.freeze),
            inputs=[
                InputFact(
                    given, input_digest(given), len(one.released), _time(one.first), _time(one.last), given in live
                )
                for given, one in sorted(own.baselines.items())
            ],
            limits=self._limits(own.losses, own.sizes, present, distinct=False),
            holds=holds_of(name, own, with_tenants=True, is_one_of_several=self._is_one_of_several(name)),
            approvals=_words(own.approvals, now),
            admitted=_words(own.admitted, now),
            pins=_words(own.pins, now),
        )

    def _is_one_of_several(self, name: SetName) -> bool:
        return sum(one.application_set == name.application_set for one in self._ledger.sets) > 1

    async def history(self, asked: EventQuery, at: float | None) -> HistoryFacts:
        """Return a part of the history, and who was answered at a moment; raises InvalidWord or StateError."""
        await self._fresh()
        members: list[MembersFact] | None = None
        if at is not None:
            if asked.set_name is None:
                raise InvalidWord("Name the ApplicationSet whose answer of that moment is asked for.")
            if at > self._ledger.now() + _CLOCKS_DIFFER:
                raise InvalidWord("That moment is yet to come.")
            self._refuse_before_memory(at)
            later = await self._ledger.events(EventQuery(asked.set_name, since=at))
            own = self._ledger.own(asked.set_name)
            now = {given: one.released for given, one in own.baselines.items()}
            then = members_at(now, [event for event in later if event.at > at])
            members = [MembersFact(given, sorted(tenants)) for given, tenants in sorted(then.items())]
        events = await self._ledger.events(asked)
        return HistoryFacts([_event(event) for event in events], None if at is None else _time(at), members)

    def _refuse_before_memory(self, at: float) -> None:
        """Say so where the history does not reach back that far, rather than tell what is not known."""
        first = self._ledger.whole.made
        if self._retention is not None:
            first = max(first, self._ledger.now() - self._retention)
        if at < first:
            raise InvalidWord(
                f"Nothing is known of that time: the history begins at {_time(first):%Y-%m-%d %H:%M:%S} UTC."
            )

    async def _fresh(self) -> None:
        self._ledger.require()
        await self._ledger.confirm()

    def _summary(self, name: SetName, own: SetLedger) -> SetSummary:
        last = max((one.last for one in own.baselines.values()), default=None)
        return SetSummary(
            name.consumer,
            name.application_set,
            len(own.baselines),
            sum(len(one.released) for one in own.baselines.values()),
            held_in(own),
            own.freeze is not None,
            None if last is None else _time(last),
        )

    def _limits(self, losses: Sequence[Loss], sizes: Sizes, present: int, *, distinct: bool) -> list[LimitFact]:
        if self._policy is None:
            return []
        now, found = self._ledger.now(), []
        for limit in self._policy.limits:
            seconds = limit.window.total_seconds()
            lost = [loss for loss in losses if loss.at > now - seconds]
            standing = [loss for loss in losses if loss.at <= now - seconds and loss in self._ledger.source.standing]
            lost += standing
            size = size_at(sizes, now - seconds, present)
            number = len({loss.tenant for loss in lost}) if distinct else len(lost)
            found.append(
                LimitFact(seconds, number, max(limit.min, size * limit.max_percent // 100), size, len(standing))
            )
        return found


def holds_of(name: SetName, own: SetLedger, *, with_tenants: bool, is_one_of_several: bool) -> list[HoldFact]:
    """Return what is held, together what one decision held for one reason.

    The command that approves it says whose it is where it `is_one_of_several` consumers' of one name.
    """
    consumer = name.consumer if is_one_of_several else None
    groups: dict[tuple[int, str, str], list[Hold]] = {}
    for hold in own.holds.values():
        groups.setdefault((hold.decision, hold.input, str(hold.rule)), []).append(hold)
    of_decision = held_by_decision(own)
    found: list[HoldFact] = []
    for (decision, given, rule), holds in sorted(groups.items()):
        first = holds[0]
        digest = digest_of_tenants(of_decision[decision][rule == Rule.REPLACEMENT])
        found.append(
            HoldFact(
                consumer=name.consumer,
                application_set=name.application_set,
                input=given,
                decision=decision,
                rule=rule,
                because=first.because,
                cause=first.cause,
                since=_time(min(hold.since for hold in holds)),
                number=len(holds),
                digest=digest,
                approve=_command(name.application_set, decision, digest, consumer),
                tenants=sorted(hold.tenant for hold in holds) if with_tenants else None,
            )
        )
    return found


def _command(application_set: str, decision: int, digest: str, consumer: str | None) -> str:
    """Return what approves a decision, to be pasted into a shell."""
    words = [f"--decision {decision}", f"--digest {digest}", "--why '…'"]
    if consumer is not None:
        words.insert(0, f"--consumer={shell_word(consumer)}")
    name = shell_word(application_set)
    words = [*words, "--", name] if application_set.startswith("-") else [name, *words]
    return f"tenantry guard approve {' '.join(words)}"


def held_by_decision(own: SetLedger) -> Mapping[int, tuple[set[str], set[str]]]:
    """Return whom each decision keeps from leaving, and whom it keeps from coming: each is approved on its own."""
    found: dict[int, tuple[set[str], set[str]]] = {}
    for hold in own.holds.values():
        leaving, coming = found.setdefault(hold.decision, (set(), set()))
        (coming if hold.rule is Rule.REPLACEMENT else leaving).add(hold.tenant)
    return found


def digest_of_tenants(tenants: Iterable[str]) -> str:
    """Return the proof of having seen who they are: 48 bits of a SHA-256, in hex."""
    return hashlib.sha256("\0".join(sorted(tenants)).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _time(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def _word(about: str, word: Word | None) -> WordFact | None:
    if word is None:
        return None
    until = None if word.until is None else _time(word.until)
    return WordFact(about, word.by, word.why, _time(word.at), until, word.used)


def _words(words: Mapping[str, Word], now: float) -> list[WordFact]:
    """Return the words that stand, or were used."""
    found = (_word(about, word) for about, word in sorted(words.items()) if word.stands(now) or word.used)
    return [word for word in found if word is not None]


def _event(event: Event) -> EventFact:
    return EventFact(
        sequence=event.sequence,
        at=_time(event.at),
        kind=str(event.kind),
        consumer=event.consumer,
        application_set=event.application_set,
        input=event.input,
        came=event.came,
        left=event.left,
        changed=event.changed,
        words=event.words,
        tenants=event.tenants,
        rule=event.rule,
        because=event.because,
        decision=event.decision,
        by=event.by,
        why=event.why,
        until=None if event.until is None else _time(event.until),
    )
