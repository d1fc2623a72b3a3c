"""The invariant in plain words: what may have left, judged by rows, reads, words and time alone.

It knows nothing of how the guard decides. Of the guard it takes one thing: who is held, as operators are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tenantry.core.guard import Policy
from tenantry.core.ledger import SetName

Rows: TypeAlias = "Mapping[str, Mapping[str, str]]"
Answer: TypeAlias = "dict[str, dict[str, Any]]"
Key: TypeAlias = "tuple[SetName, str]"

DAY = 24 * 3600.0
SAMPLED = 900.0
"""Seconds by which the guard may remember a size as that of another moment."""


class Broken(AssertionError):
    """The invariant does not hold."""


def selects(parameters: Mapping[str, object], row: Mapping[str, str]) -> bool:
    """Tell whether an input selects a row, as a person would."""
    return all(row[name] == value for name, value in parameters.items() if name != "allowEmpty")


@dataclass
class ReadOf:
    """What one read found."""

    began: float
    rows: Rows
    process: int
    doubtful: bool = False


@dataclass
class Left:
    """Somebody who left by rows alone."""

    at: float
    tenant: str
    input: str


@dataclass
class Known:
    """What is known of one ApplicationSet."""

    answers: dict[str, Answer] = field(default_factory=dict)
    parameters: dict[str, dict[str, object]] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    lens: dict[str, str] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    sizes: list[tuple[float, int]] = field(default_factory=list)
    approved: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By tenant: from when until when."""

    pinned: set[str] = field(default_factory=set)
    frozen: bool = False


class Model:
    """Hears of everything, and says when the invariant breaks."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.sets: dict[SetName, Known] = {}
        self.sizes: list[tuple[float, int]] = []
        self.reads: list[ReadOf] = []
        self.frozen = False

    def forget(self) -> None:
        """The ledger was lost: nothing is known any more."""
        self.sets.clear()
        self.sizes.clear()
        self.frozen = False

    def of(self, name: SetName) -> Known:
        return self.sets.setdefault(name, Known())

    def read(self, began: float, rows: Rows, process: int, *, doubtful: bool) -> None:
        self.reads.append(ReadOf(began, {tenant: dict(row) for tenant, row in rows.items()}, process, doubtful))
        del self.reads[:-400]

    def answered(
        self,
        name: SetName,
        given: str,
        parameters: dict[str, object],
        answer: Answer,
        now: float,
        lens: str,
        held: Iterable[str],
        unreadable: Iterable[str],
        *,
        failing: bool = False,
    ) -> None:
        """Hear of an answer that left; `held` are those who were held in this input before it.

        Where the state is `failing`, the answer before it may leave again, whatever the rows say.
        """
        known, rows = self.of(name), self.reads[-1].rows
        before = known.answers.get(given)
        if failing and before is None:
            raise Broken("an input was answered for the first time, and that was not written")
        if failing and answer == before:
            return
        if before is not None:
            self._check_members(before, answer, rows, parameters, known, set(unreadable))
            gone = [tenant for tenant in before if tenant not in answer]
            self._check_gone(name, given, gone, answer, now, lens, set(held))
        else:
            strangers = [tenant for tenant in answer if not selects(parameters, rows[tenant])]
            if strangers:
                raise Broken(f"{strangers} were answered to an input that never had them")
        known.answers[given], known.parameters[given] = answer, parameters
        known.asked[given], known.lens[given] = now, lens
        known.sizes.append((now, self._live_size(known, now)))
        distinct = {tenant for one in self.sets.values() for answer in one.answers.values() for tenant in answer}
        self.sizes.append((now, len(distinct)))

    def _live_size(self, known: Known, now: float) -> int:
        return sum(len(answer) for given, answer in known.answers.items() if now - known.asked[given] < DAY)

    def _check_members(
        self,
        before: Answer,
        answer: Answer,
        rows: Rows,
        parameters: Mapping[str, object],
        known: Known,
        unreadable: set[str],
    ) -> None:
        """Whoever is answered is selected now, or was in the last answer to the very same input, as it was then."""
        for tenant, item in answer.items():
            row = rows.get(tenant)
            current = row is not None and selects(parameters, row) and tenant not in unreadable
            if tenant not in before and not current:
                raise Broken(f"{tenant} came, and the input does not select it")
            if tenant in before and (not current or tenant in known.pinned) and item != before[tenant]:
                raise Broken(f"{tenant} stays otherwise than it was")
            if current and tenant not in known.pinned and row is not None and not _same(item, row):
                raise Broken(f"{tenant} has other parameters than its row: {item}, {row}")

    def _check_gone(
        self, name: SetName, given: str, gone: list[str], answer: Answer, now: float, lens: str, held: set[str]
    ) -> None:
        known = self.of(name)
        by_rows: list[str] = []
        for tenant in gone:
            if self.frozen or known.frozen:
                raise Broken(f"{tenant} left while removals were frozen")
            if tenant in known.pinned:
                raise Broken(f"{tenant} left and was pinned")
            begin, end = known.approved.get(tenant, (0.0, -1.0))
            if begin <= now < end:
                continue
            if tenant in held:
                raise Broken(f"{tenant} was held, and left without approval")
            if self._has_moved(known, given, tenant):
                continue
            self._check_settled(known, given, tenant, lens)
            by_rows.append(tenant)
        known.left += [Left(now, tenant, given) for tenant in by_rows]
        if by_rows:
            self._check_limits(known, now)
            self._check_last(known, given, answer, by_rows, now)

    def _has_moved(self, known: Known, given: str, tenant: str) -> bool:
        """Whether another input selects it now, and every one that was answered lately and does had it."""
        row = self.reads[-1].rows.get(tenant)
        if row is None:
            return False
        others = [one for one in known.answers if one != given and selects(known.parameters[one], row)]
        return bool(others) and any(tenant in known.answers[one] for one in others)

    def _check_settled(self, known: Known, given: str, tenant: str, lens: str) -> None:
        if known.lens[given] != lens:
            raise Broken(f"{tenant} left across another lens")
        latest, without = self.reads[-1], 0
        first = latest.began
        for read in reversed(self.reads):
            row = read.rows.get(tenant)
            there = row is not None and selects(known.parameters[given], row)
            if there or read.doubtful or read.process != latest.process:
                break
            first, without = read.began, without + 1
        if without < 2 or latest.began - first < self.policy.settle:
            raise Broken(f"{tenant} left after {without} reads in {latest.began - first} s")

    def _check_limits(self, known: Known, now: float) -> None:
        for limit in self.policy.limits:
            start = now - limit.window.total_seconds()
            lost = sum(one.at > start for one in known.left)
            if not limit.allows(lost, _largest(known.sizes, start)):
                raise Broken(f"{lost} of {_largest(known.sizes, start)} left within {limit}")
            distinct = {one.tenant for each in self.sets.values() for one in each.left if one.at > start}
            if not limit.allows(len(distinct), _largest(self.sizes, start)):
                raise Broken(f"{len(distinct)} of all {_largest(self.sizes, start)} left within {limit}")

    def _check_last(self, known: Known, given: str, answer: Answer, gone: list[str], now: float) -> None:
        if known.parameters[given].get("allowEmpty"):
            return
        others = [one for one in known.answers if one != given and now - known.asked[one] < DAY]
        if not answer and not any(known.answers[one] for one in others):
            raise Broken(f"{gone} were the last")


def _largest(sizes: list[tuple[float, int]], start: float) -> int:
    """Return the size at a moment, or at the first that is known; the largest that it can be taken for."""
    moment = max(start, sizes[0][0])
    before = [size for at, size in sizes if at <= moment][-1:]
    return max([*before, *(size for at, size in sizes if moment - SAMPLED <= at <= moment + SAMPLED)])


def _same(item: Mapping[str, object], row: Mapping[str, str]) -> bool:
    return all(item[name] == value for name, value in row.items())
