"""What other processes answered, as far as this one read it: when it learned of what, and what is theirs still.

Whoever writes down again what another one answered has read no more than before: the answer is the other's still.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tenantry.core.ledger import Baseline, Input, SetLedger, SetName
from tenantry.service.state import SetChange


class Elsewhere:
    """Knows of each answer whether another process gave it, all times on the monotonic clock."""

    def __init__(self) -> None:
        """Know of none."""
        self._anew: dict[SetName, float] = {}
        self._learned: dict[tuple[SetName, Input], float] = {}
        self.answered: Callable[[SetName, Input, Baseline, Baseline], None] = lambda *_: None
        """Hears what an input had been answered, and what another process answered it since: set by whoever counts."""

    def anew(self, name: SetName) -> float:
        """Return when it was read that somebody else had answered an ApplicationSet."""
        return self._anew.get(name, -math.inf)

    def learned(self, name: SetName, given: Input) -> float | None:
        """Return when it was read what another process answered an input last; None if it was this one."""
        return self._learned.get((name, given))

    def read(self, name: SetName, before: SetLedger, after: SetLedger, now: float) -> None:
        """Take what another process wrote about an ApplicationSet."""
        held = {given for (given, _), _ in before.holds.items() ^ after.holds.items()}
        for given, one in after.baselines.items():
            known = before.baselines.get(given)
            if known is None or given in held or one.origin != known.origin or one.released != known.released:
                self._learned[name, given] = self._anew[name] = now
                if known is not None:
                    self.answered(name, given, known, one)
        if before.baselines.keys() - after.baselines.keys():
            self._anew[name] = now

    def wrote(self, change: SetChange, before: SetLedger) -> None:
        """Take what this process wrote, where there was something else `before`."""
        name, formerly = change.name, change.formerly
        if formerly is not None:
            for given in [given for one, given in self._learned if one == formerly]:
                self._learned[name, given] = self._learned.pop((formerly, given))
        for given in change.put.keys() | change.dropped.keys():
            known, one = before.baselines.get(given), change.ledger.baselines.get(given)
            if one is not None and one.edited and name in self._anew:
                self._learned[name, given] = self._anew[name]  # It is what others were answered, maybe by another one.
            elif known is None or one is None or one.origin != known.origin:
                self._learned.pop((name, given), None)
