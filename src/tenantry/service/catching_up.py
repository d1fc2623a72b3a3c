"""Catching up: no answer ever goes back behind what another process answered from a later read.

Only what would change an answer waits for a read; what repeats what was answered last goes back behind nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection

from tenantry.core.asking import Decision, Read
from tenantry.core.errors import NotReady, ReplicaBehind
from tenantry.core.ledger import FIRST_PASS, Input, SetName
from tenantry.core.position import Position, ReleasedFrom, latest
from tenantry.service.circumstances import Request
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Observer
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.state import Replica
from tenantry.service.trying import PATIENCE
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
        self._heeding = asyncio.Lock()
        self._heeded = -math.inf
        self._furthest: dict[str, ReleasedFrom] = {}
        self.read_now: ReadNow | None = None
        """Set by whoever reads."""

    @property
    def is_behind(self) -> bool:
        """Whether an answer was refused for it, and could not be given since."""
        return bool(self._behind)

    def may_follow(self, name: SetName, given: Input, position: Position, read: Read) -> bool:
        """Tell whether rows of a read may change what an input was answered last, or may be its first answer."""
        learned, own = self._ledger.learned(name, given), self._ledger.own(name)
        if (baseline := own.baselines.get(given)) is None:
            # It may take the place of any other. In the first pass it does not: all of them are new then.
            is_first_pass = own.began is None or self._ledger.now() - own.began <= FIRST_PASS
            return is_first_pass or all(self.may_follow(name, one, position, read) for one in own.known())
        if learned is None:
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

    def require_to_be_new(self, this: Request) -> None:
        """Raise ReplicaBehind for a new input if others were answered from a later read, or may have been."""
        name, given, position = this.key.set_name, this.key.input, this.question.snapshot.position
        is_new = given not in self._ledger.own(name).baselines
        if is_new and not self.may_follow(name, given, position, this.read):
            raise ReplicaBehind

    def require(self, this: Request, decision: Decision) -> None:
        """Raise ReplicaBehind if a decision would change what was answered from a later read, or may have been.

        That somebody has a row still, or again, is written down nowhere: so nobody goes by a read that began before the
        request did.
        """
        name, given, position = this.key.set_name, this.key.input, this.question.snapshot.position
        if changes(decision) and not self.may_follow(name, given, position, this.read):
            raise ReplicaBehind
        leaves = bool(decision.dropped or decision.lost)
        if leaves and self._ledger.is_shared and (this.read.began < this.began or not this.lets_go):
            raise ReplicaBehind
        self._caught_up(name, given)

    def heard(self, others: Collection[Replica]) -> None:
        """Remember how far other processes have read, also for when they are not there any more."""
        for one in others:
            if one.position is not None:
                known = self._furthest.get(one.position.source)
                self._furthest[one.position.source] = latest([known, one.position]) or one.position

    def lets_go(self, position: Position, others: Collection[Replica]) -> bool:
        """Tell whether a read is proof that somebody is gone: of a standby it is none if others may have read later.

        Whoever reads the primary lets go in its place.
        """
        if not position.standby:
            return True
        theirs = [one.position for one in others if one.position and one.position.source == position.source]
        furthest = [*theirs, *filter(None, [self._furthest.get(position.source)])]
        return all(one.standby for one in theirs) and all(
            position.follows(one, self._watching.turns, after=True) for one in furthest
        )

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

    @property
    def is_told(self) -> bool:
        """Whether another process told Argo CD of a change since the read in use began, and nobody tried to read it."""
        return self._ledger.nudges.seen > max(self._snapshots.read.began, self._heeded)

    async def heed(self) -> None:
        """Read what another process told Argo CD of, if that can be done: who asks now asks for it."""
        if self.is_told:
            async with self._heeding:
                if self.is_told:
                    told = self._ledger.nudges.seen
                    await self.read(PATIENCE)
                    self._heeded = told

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


def changes(decision: Decision) -> bool:
    """Tell whether a decision changes an answer, or who is held in it."""
    return bool(decision.put or decision.dropped or decision.began or decision.ended)
