"""Catching up: no answer ever goes back behind what another process answered from a later read.

Only what would change an answer waits for a read; what repeats what was answered last goes back behind nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tenantry.core.asking import Decision, Read
from tenantry.core.errors import NotReady, ReplicaBehind
from tenantry.core.ledger import Input, SetName
from tenantry.core.position import Position, ReleasedFrom
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Observer
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.watching import Watching

ReadNow = Callable[[], Awaitable[object]]
"""Reads the tenants now, and returns once that is published; raises NotReady."""


class CatchingUp:
    """Tells whether what was read here may follow what was answered, and waits until it may."""

    def __init__(self, ledger: Ledger, snapshots: SnapshotHolder, watching: Watching, observer: Observer) -> None:
        """Compare what `snapshots` holds with what `ledger` remembers; nobody reads at once yet."""
        self._ledger = ledger
        self._snapshots = snapshots
        self._watching = watching
        self._observer = observer
        self._behind: set[tuple[SetName, Input]] = set()
        self.read_now: ReadNow | None = None
        """Set by whoever reads."""

    @property
    def is_behind(self) -> bool:
        """Whether an answer was refused for it, and could not be given since."""
        return bool(self._behind)

    def may_follow(self, name: SetName, given: Input, position: Position, read: Read) -> bool:
        """Tell whether rows of a read may change what an input was answered last."""
        learned, baseline = self._ledger.learned(name, given), self._ledger.own(name).baselines.get(given)
        if learned is None or baseline is None:
            return True
        after = read.began >= learned
        origin = baseline.origin or self._last_known(position)
        return after if origin is None else position.follows(origin, self._watching.turns, after=after)

    def _last_known(self, position: Position) -> ReleasedFrom | None:
        """Return where the source stood as far as is known, for an answer of which nobody noted where it was read."""
        origin = self._ledger.origin_of(position.source)
        if origin is None:
            return None
        return ReleasedFrom(position.source, origin.turns, origin.timeline, origin.lsn, origin.standby)

    def require(self, name: SetName, given: Input, decision: Decision, position: Position, read: Read) -> None:
        """Raise ReplicaBehind if a decision would change what was answered from a later read."""
        changes = decision.put or decision.dropped or decision.began or decision.ended
        if changes and not self.may_follow(name, given, position, read):
            raise ReplicaBehind
        self._caught_up(name, given)

    async def read(self, within: float) -> bool:
        """Read now, and return whether that was done in time."""
        if self.read_now is None or within <= 0:
            return False
        try:
            async with asyncio.timeout(within):
                await self.read_now()
        except (TimeoutError, NotReady):
            return False
        return True

    def refused(self, name: SetName, given: Input) -> None:
        """Note that an answer was refused since this process is behind."""
        if not self._behind:
            self._observer.told("replica_behind", {"told": ReplicaBehind().what, "remedy": ReplicaBehind.remedy})
        self._behind.add((name, given))

    def look(self) -> None:
        """Find out whether it has caught up without anybody having asked since."""
        latest = self._snapshots.latest
        for name, given in list(self._behind):
            if latest is not None and self.may_follow(name, given, latest.position, self._snapshots.read):
                self._caught_up(name, given)

    def _caught_up(self, name: SetName, given: Input) -> None:
        if (name, given) in self._behind:
            self._behind.discard((name, given))
            if not self._behind:
                self._observer.told("replica_caught_up", {})
