"""What the Applications should be, by the table and by what the guard holds, and whether they are that."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.customers import Customers
from tests.chaos.judge import Judge
from tests.chaos.people import AtTheDesk, Unheard
from tests.chaos.sets import Owned
from tests.support.waiting import eventually

POLL = 4.0
"""Seconds between two questions that Argo CD is asked to ask: longer than a removal takes to settle."""


@dataclass
class View:
    """Compares both."""

    sets: Sequence[Owned]
    customers: Customers
    judge: Judge
    desk: AtTheDesk | None
    """None where nobody is ever held."""

    def wait(self, seconds: float, what: str, *, is_asked: bool = False) -> None:
        """Wait until the Applications are those that should be; raises AssertionError that tells what differs.

        A hold is written down when Argo CD asks, and it is not told of what would only be held, or of who would only
        wait. So where somebody is held, who comes and who goes counts only if Argo CD `is_asked` to ask, now and then.
        """
        until, asked = time.monotonic() + seconds, 0.0
        while told := self.differences(is_asked=is_asked):
            if is_asked and time.monotonic() > asked + POLL:
                asked = self._ask()
            if time.monotonic() > until:
                raise AssertionError(f"{what} did not come within {seconds} s: {len(told)} differ, {told[:10]}")

    def _ask(self) -> float:
        for one in self.sets:
            self.judge.argocd.nudge(one.name)
        return time.monotonic()

    def differences(self, *, is_asked: bool) -> Sequence[str]:
        """Tell what is not as it should be in a look that began after now."""
        asked = time.monotonic()
        eventually(lambda: self.judge.seen > asked, within=60, what="A look at the Applications")
        found = dict(self.judge.found)
        told: list[str] = []
        for one in self.sets:
            told += self._of(one, {name: app.plan for name, app in found.items() if app.of == one.name}, is_asked)
        return told

    def _of(self, one: Owned, found: Mapping[str, str], is_asked: bool) -> Sequence[str]:
        held = self.held(one.name)
        rows = self.customers.rows
        there = {tenant for tenant, row in rows.items() if one.has(tenant, row)}
        wanted = {f"{one.name}-{tenant}" for tenant in (there - set(held[False])) | set(held[True])}
        up_to_date = {f"{one.name}-{tenant}": rows[tenant].plan for tenant in there - set(held[True])}
        outdated = [
            f"{name} has the plan {found[name]} in the place of {plan}"
            for name, plan in sorted(up_to_date.items())
            if self.desk is not None and name in found and found[name] != plan
        ]
        if not is_asked and any(held.values()):
            return outdated
        return [
            *(f"{name} is missing" for name in sorted(wanted - found.keys())),
            *(f"{name} is there" for name in sorted(found.keys() - wanted)),
            *outdated,
        ]

    def held(self, name: str) -> Mapping[bool, Sequence[str]]:
        """Return who is held in an ApplicationSet, and who waits to come, as in `AtTheDesk.held`."""
        if self.desk is None:
            return {True: (), False: ()}
        try:
            return self.desk.held(name)
        except Unheard:
            return {True: (), False: ()}

    def number_held(self) -> int:
        """Return how many are held, over all ApplicationSets."""
        return sum(len(self.held(one.name)[True]) for one in self.sets)
