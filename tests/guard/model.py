"""The invariant in plain words: what may have left, judged by rows, reads, words and time alone.

It knows nothing of how the guard decides. Of the guard it takes one thing: who is held, as operators are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from tenantry.core.guard import GuardMode, Policy, RemovalLimit
from tenantry.core.ledger import Hold, SetName

Rows: TypeAlias = "Mapping[str, Mapping[str, str]]"
Item: TypeAlias = "Mapping[str, Any]"
Answer: TypeAlias = "dict[str, dict[str, Any]]"
Holds: TypeAlias = "Mapping[tuple[str, str], Hold]"

DAY = 24 * 3600.0
POLL = 1.0
FIRST_PASS = 30.0
IDENTITY = "subdomain"
"""The field whose change gives a tenant another Application."""

_SAMPLED = 301.0
"""Seconds by which the guard may remember an earlier size in the place of another."""


class Broken(AssertionError):
    """The invariant does not hold."""


def selects(parameters: Mapping[str, object], row: Item) -> bool:
    """Tell whether an input selects a row, as a person would."""
    return all(row[name] == value for name, value in parameters.items() if name != "allowEmpty")


@dataclass(frozen=True)
class ReadOf:
    """What one read found, and through which lens."""

    number: int
    began: float
    rows: Rows
    process: int
    lens: str
    kind: str
    """What the column `size` holds: part of the lens of those who select by it."""

    doubtful: bool
    unreadable: frozenset[str]
    found: dict[str, Rows] = field(default_factory=dict)
    """What was selected already."""

    def lens_for(self, parameters: Mapping[str, object]) -> str:
        """Return all that shapes the answer to an input besides rows."""
        return f"{self.lens}/{self.kind if 'size' in parameters else ''}"

    def selected(self, parameters: Mapping[str, object]) -> Rows:
        """Return the rows that an input selects."""
        key = str(parameters)
        if key not in self.found:
            self.found[key] = {tenant: row for tenant, row in self.rows.items() if selects(parameters, row)}
        return self.found[key]


class Left(NamedTuple):
    """Somebody who left by rows alone."""

    at: float
    tenant: str
    input: str
    surely: bool = True
    """Or else it may have moved: that depends on when the guard took notice."""


class Missing(NamedTuple):
    """Since which read an answer had to do without a row."""

    read: ReadOf
    row: Item | None


@dataclass
class Approved:
    """Somebody who may leave."""

    begin: float
    end: float
    used: bool = False


@dataclass(frozen=True)
class Given:
    """An answer that left, and what operators are told of holds before and after it."""

    name: SetName
    input: str
    parameters: Mapping[str, object]
    answer: Answer
    now: float
    before: Holds
    after: Holds
    unseen: frozenset[str] = frozenset()
    """Who is answered, and has no Application."""

    @cached_property
    def held(self) -> set[str]:
        """Who was held in this input before."""
        return {tenant for given, tenant in removals(self.before) if given == self.input}

    @cached_property
    def is_held(self) -> set[str]:
        """Who is held in this input now."""
        return {tenant for given, tenant in removals(self.after) if given == self.input}

    @property
    def began(self) -> dict[str, Hold]:
        """Which holds are new."""
        return {
            tenant: hold
            for (given, tenant), hold in self.after.items()
            if given == self.input and self.before.get((given, tenant)) != hold
        }


def removals(holds: Holds) -> Holds:
    """Return the holds without those that only wait to come."""
    return {key: hold for key, hold in holds.items() if str(hold.rule) != "replacement"}


@dataclass
class Polls:
    """When an input was asked for in one process: requests less than a poll apart are one."""

    asked: float = float("-inf")
    last: float = float("-inf")
    before: float = float("-inf")

    def note(self, now: float) -> None:
        if now - self.last >= POLL:
            self.before, self.last = self.last, now
        self.asked = now


@dataclass
class Known:
    """What is known of one ApplicationSet."""

    answers: dict[str, Answer] = field(default_factory=dict)
    parameters: dict[str, Mapping[str, object]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    polled: set[str] = field(default_factory=set)
    """Inputs that were asked for twice, a poll apart: those of one request may be previews."""

    polls: dict[tuple[int, str], Polls] = field(default_factory=dict)
    """By process and input."""

    surely: dict[tuple[int, str], Polls] = field(default_factory=dict)
    """Without the requests of which it is not known whether the guard took notice of them."""

    arrived: dict[tuple[int, str], dict[str, int]] = field(default_factory=dict)
    """By which read tenants came to an input that had been answered before, by process and input."""

    lenses: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By which read and through which lens each input was answered."""

    missing: dict[str, dict[str, Missing]] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    sizes: list[tuple[float, int]] = field(default_factory=list)
    approved: dict[str, Approved] = field(default_factory=dict)
    renamed: set[str] = field(default_factory=set)
    """Who got another Application by an approval, in the answer that is being judged."""

    admitted: dict[str, float] = field(default_factory=dict)
    """Until when an input may be new."""

    pinned: set[str] = field(default_factory=set)
    inputs_of_spec: frozenset[str] = frozenset()
    """What it goes on asking for, as the cluster says."""

    frozen: bool = False
    came: int = 0
    """Tenants who came since somebody was held."""

    def live(self, now: float, besides: str) -> list[str]:
        """Return the other inputs that are still asked for."""
        return [one for one in self.polled if one != besides and now - self.asked[one] < DAY]

    def size(self, now: float, given: str) -> int:
        """Return the pairs of tenants and live inputs, `given` being one of them."""
        return sum(len(self.answers[one]) for one in {*self.live(now, given), given})

    def is_approved(self, tenant: str, now: float) -> bool:
        word = self.approved.get(tenant)
        return word is not None and word.begin <= now < word.end

    def elsewhere(self, tenant: str, given: Given, read: ReadOf) -> list[str]:
        """Return the other live inputs that select a tenant now."""
        row = read.rows.get(tenant)
        others = self.live(given.now, given.input)
        return [one for one in others if row is not None and selects(self.parameters[one], row)]

    def moved(self, item: Item, gone: int, others: Iterable[str], process: int) -> bool:
        """Tell whether a tenant came to another input when it went missing from this one, or after, as who it was."""
        tenant = item["tenant"]
        return any(
            self.arrived.get((process, one), {}).get(tenant, -1) >= gone
            and self.answers[one][tenant][IDENTITY] == item[IDENTITY]
            for one in others
        )

    def in_step(self, given: str, now: float, process: int, *, surely: bool) -> list[str]:
        """Return the other live inputs that were asked for since the poll before the last of an input."""
        asked, polls = (self.surely, self.polls) if surely else (self.polls, self.surely)
        before = polls.get((process, given), Polls()).before
        return [
            one
            for one in self.live(now, given)
            if (found := asked.get((process, one))) is not None and found.asked >= before
        ]

    def knows(self, one: str) -> bool:
        """Tell whether the ApplicationSet may still have the tenants of an input."""
        return max(self.asked.values()) - self.asked[one] < (7 * DAY if one in self.polled else DAY)

    def lost_by(self, answer: Answer, now: float, *, frozen: bool) -> dict[str, str]:
        """Return whom a new input would cost the ApplicationSet, were it asked for instead of the others, and where."""
        began = min(self.first.values(), default=now)
        if now - began <= FIRST_PASS:
            return {}
        return {
            tenant: one
            for one, before in self.answers.items()
            if self.knows(one) and one not in self.inputs_of_spec
            for tenant in before
            if (frozen or tenant in self.pinned or not self.is_approved(tenant, now))
            and not is_same(before, answer, tenant)
        }


def is_same(before: Mapping[str, Item], after: Mapping[str, Item], tenant: str) -> bool:
    """Tell whether a tenant is in both, with the same Application."""
    return tenant in after and before[tenant][IDENTITY] == after[tenant][IDENTITY]


def sizes_at(sizes: list[tuple[float, int]], start: float) -> list[int]:
    """Return what the size at a moment, or at the first that is known, can be taken for."""
    moment = max(start, sizes[0][0])
    before = [size for at, size in sizes if at <= moment - _SAMPLED][-1:]
    return [*before, *(size for at, size in sizes if moment - _SAMPLED < at <= moment + FIRST_PASS)]


def most(limit: RemovalLimit, size: int) -> int:
    """Return how many of so many may leave within a window, without asking the code that is judged."""
    return max(limit.min, int(size * limit.max_percent / 100))


class Model:
    """Hears of everything, and says when somebody left who should not have."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.sets: dict[SetName, Known] = {}
        self.sizes: list[tuple[float, int]] = []
        self.reads: list[ReadOf] = []
        self.inputs_of_specs: dict[SetName, frozenset[str]] = {}
        self.frozen = False

    @property
    def read(self) -> ReadOf:
        return self.reads[-1]

    def forget(self) -> None:
        """The ledger was lost: nothing is known any more."""
        self.sets.clear()
        self.sizes.clear()
        self.frozen = False

    def of(self, name: SetName) -> Known:
        return self.sets.setdefault(name, Known(inputs_of_spec=self.inputs_of_specs.get(name, frozenset())))

    def is_there(self, read: ReadOf, parameters: Mapping[str, object], tenant: str, item: Item) -> bool:
        """Tell whether a read found a tenant for an input, with the Application that it has."""
        row = read.rows.get(tenant)
        return row is not None and selects(parameters, row) and row[IDENTITY] == item[IDENTITY]

    def first_gone(self, tenant: str, given: Given, item: Item) -> int:
        """Return the number of the first of the latest reads, all of which found a tenant missing."""
        gone = self.read.number
        for read in reversed(self.reads):
            there = self.is_there(read, given.parameters, tenant, item) or tenant in read.unreadable
            if there or read.process != self.read.process:
                break
            gone = read.number
        return gone

    def check_leaving(self, given: Given, known: Known) -> None:
        """Check that everybody who left was allowed to."""
        before = known.answers[given.input]
        gone = [tenant for tenant in before if not is_same(before, given.answer, tenant)]
        by_rows = [tenant for tenant in gone if self._left_by_rows(tenant, given, known)]
        known.left += [Left(given.now, tenant, given.input) for tenant in by_rows]
        if by_rows and not self.observes(known):
            if self.policy.mode is GuardMode.UPSERT_ONLY:
                raise Broken(f"{by_rows} left, where nobody may leave without approval")
            self.check_limits(known, given.now)
            self.check_last(known, given, by_rows)

    def observes(self, known: Known) -> bool:
        """Tell whether nobody is to be held: a freeze is meant also where the guard only observes."""
        return self.policy.mode is GuardMode.OBSERVE and not self.is_frozen(known)

    def is_frozen(self, known: Known) -> bool:
        return self.frozen or known.frozen

    def _left_by_rows(self, tenant: str, given: Given, known: Known) -> bool:
        """Tell whether somebody left who counts; raises Broken if it was not allowed to."""
        if tenant in known.pinned or tenant in self.read.unreadable:
            raise Broken(f"{tenant} left, and is pinned or cannot be read")
        if self.observes(known):
            return True
        if self.is_frozen(known) or self.read.doubtful:
            raise Broken(f"{tenant} left while removals were frozen, or while a row may have been anybody's")
        if tenant in given.held:
            self._use_approval(tenant, given, known)
            return False
        is_renamed = tenant in given.answer
        if not is_renamed and (others := known.elsewhere(tenant, given, self.read)):
            if any(tenant not in known.answers[one] for one in others):
                raise Broken(f"{tenant} moved away before each of {others} had it")
            item = known.answers[given.input][tenant]
            gone = self.first_gone(tenant, given, item)
            if known.moved(item, gone, others, self.read.process):
                since = known.missing.get(given.input, {}).get(tenant)
                if not known.moved(item, (since.read if since else self.read).number, others, self.read.process):
                    known.left.append(Left(given.now, tenant, given.input, surely=False))
                return False
        self._check_settled(known, given, tenant)
        if known.is_approved(tenant, given.now):
            self._use_approval(tenant, given, known)
            return False
        self._check_lens(known, given, tenant)
        return True

    def _use_approval(self, tenant: str, given: Given, known: Known) -> None:
        if not known.is_approved(tenant, given.now):
            raise Broken(f"{tenant} was held, and left without approval")
        known.approved[tenant].used = True
        if tenant in given.answer:
            known.renamed.add(tenant)

    def _check_settled(self, known: Known, given: Given, tenant: str) -> None:
        item, without = known.answers[given.input][tenant], 0
        first = self.read.began
        for read in reversed(self.reads):
            there = self.is_there(read, given.parameters, tenant, item) or tenant in read.unreadable
            if there or read.doubtful or read.process != self.read.process:
                break
            first, without = read.began, without + 1
        if without < 2 or self.read.began - first < self.policy.settle:
            raise Broken(f"{tenant} left after {without} reads in {self.read.began - first} s")

    def _check_lens(self, known: Known, given: Given, tenant: str) -> None:
        """Whoever went missing did so in a read through the lens of the answer before, or is missing through it now."""
        item, first = known.answers[given.input][tenant], self.read
        for read in reversed(self.reads):
            if self.is_there(read, given.parameters, tenant, item):
                break
            first = read
        answered = [lens for number, lens in known.lenses[given.input] if number < first.number][-1:]
        lenses = {one.lens_for(given.parameters) for one in (first, self.read)}
        if answered and answered[0] not in lenses:
            raise Broken(f"{tenant} left, and had gone missing together with another lens")

    def check_limits(self, known: Known, now: float) -> None:
        for limit in self.policy.limits:
            for of, lost, sizes in self.counted(known, limit, now, (), surely=True):
                if lost > most(limit, max(sizes)):
                    raise Broken(f"{lost} of {max(sizes)} of {of} left within {limit}")

    def counted(
        self, known: Known, limit: RemovalLimit, now: float, more: Iterable[str], *, surely: bool = False
    ) -> list[tuple[str, int, list[int]]]:
        """Return what counts for a limit: whom of, how many left with `more`, and what their size can be taken for."""
        start = now - limit.window.total_seconds()
        leaving = list(more)
        own = [one for one in known.left if one.at > start and one.surely >= surely]
        of_all = (one for each in self.sets.values() for one in each.left)
        distinct = {one.tenant for one in of_all if one.at > start and one.surely >= surely}
        return [
            ("the set", len(own) + len(leaving), sizes_at(known.sizes, start)),
            ("the source", len(distinct | set(leaving)), sizes_at(self.sizes, start)),
        ]

    def check_last(self, known: Known, given: Given, gone: list[str]) -> None:
        in_step = known.in_step(given.input, given.now, self.asked_process, surely=False)
        others = any(known.answers[one] for one in in_step)
        if not (given.answer or others or given.parameters.get("allowEmpty")):
            raise Broken(f"{gone} were the last")

    @property
    def asked_process(self) -> int:
        """Under which process stands which inputs are still asked for."""
        return self.read.process

    def note(self, given: Given, known: Known) -> None:
        """Remember an answer that was judged."""
        name, now = given.input, given.now
        self.note_request(known, name, now, surely=True)
        if name in known.answers:
            arrived = known.arrived.setdefault((self.read.process, name), {})
            arrived |= {tenant: self.read.number for tenant in given.answer if tenant not in known.answers[name]}
        known.answers[name], known.parameters[name] = given.answer, given.parameters
        known.asked[name] = now
        if now - known.first.setdefault(name, now) >= POLL:
            known.polled.add(name)
        known.admitted.pop(name, None)
        known.lenses.setdefault(name, []).append((self.read.number, self.read.lens_for(given.parameters)))
        known.sizes.append((now, known.size(now, name)))
        self.count(now)

    def note_request(self, known: Known, given: str, now: float, *, surely: bool) -> None:
        """Remember that an input was asked for."""
        for polls in (known.polls, known.surely) if surely else (known.polls,):
            polls.setdefault((self.read.process, given), Polls()).note(now)

    def count(self, now: float) -> None:
        """Remember how many tenants there are in all answers together."""
        distinct = {tenant for one in self.sets.values() for answer in one.answers.values() for tenant in answer}
        self.sizes.append((now, len(distinct)))
