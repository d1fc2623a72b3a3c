"""Counting tenants over all ApplicationSets: in how many inputs each of them is, and who is in none that shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tenantry.core.ledger import Input, SetLedger, SetName
from tenantry.service.state import SetChange

Has = Callable[[SetName, Input], bool]
"""Tells whether an input is known."""


class Counts:
    """In how many inputs each tenant is."""

    def __init__(self, has: Has) -> None:
        """Count nobody yet."""
        self._has = has
        self._counts: dict[str, int] = {}
        self._unseen: dict[tuple[SetName, Input], frozenset[str]] = {}

    @property
    def present(self) -> int:
        """How many tenants there are, of whom some answer that has them shows something."""
        return len(self._counts) - self._hidden({})

    def after(self, counts: Mapping[str, int]) -> int:
        """Return how many there will be, where some are in another number of inputs then."""
        size = len(self._counts) + sum((after > 0) - (tenant in self._counts) for tenant, after in counts.items())
        return size - self._hidden(counts)

    def replace(self, before: SetLedger, after: SetLedger) -> None:
        """Count an ApplicationSet as it is now, instead of as it was."""
        now: dict[str, int] = {}
        for given in before.baselines.keys() | after.baselines.keys():
            old = before.baselines[given].released if given in before.baselines else {}
            new = after.baselines[given].released if given in after.baselines else {}
            if old is new:
                continue
            for tenant in old:
                now[tenant] = now.get(tenant, self._counts.get(tenant, 0)) - 1
            for tenant in new:
                now[tenant] = now.get(tenant, self._counts.get(tenant, 0)) + 1
        self.take(now)

    def changed(self, before: SetLedger, change: SetChange | None) -> dict[str, int]:
        """Return in how many inputs those tenants will be whom a change puts somewhere new or drops."""
        counts: dict[str, int] = {}
        if change is None:
            return counts
        for given, parameters in change.put.items():
            known = before.baselines[given].released if given in before.baselines else {}
            for tenant in parameters:
                if tenant not in known:
                    counts[tenant] = counts.get(tenant, self._counts.get(tenant, 0)) + 1
        for tenants in change.dropped.values():
            for tenant in tenants:
                counts[tenant] = counts.get(tenant, self._counts.get(tenant, 0)) - 1
        return counts

    def take(self, counts: Mapping[str, int]) -> None:
        """Have these tenants in so many inputs."""
        for tenant, number in counts.items():
            if number > 0:
                self._counts[tenant] = number
            else:
                self._counts.pop(tenant, None)

    def leave_out(self, name: SetName, given: Input, unseen: frozenset[str]) -> bool:
        """Note whom Argo CD's own selectors leave out of an answer, and return whether these are others than before."""
        if self._unseen.get((name, given), frozenset()) == unseen:
            return False
        self._unseen[name, given] = unseen
        return True

    def _hidden(self, counts: Mapping[str, int]) -> int:
        """Return how many tenants are answered, and left out of every answer that has them; `counts` come first."""
        times: dict[str, int] = {}
        for (name, given), unseen in self._unseen.items():
            if self._has(name, given):
                for tenant in unseen:
                    times[tenant] = times.get(tenant, 0) + 1
        known = self._counts
        return sum(0 < counts.get(tenant, known.get(tenant, 0)) <= number for tenant, number in times.items())
