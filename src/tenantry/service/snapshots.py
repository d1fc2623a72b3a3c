"""The snapshot in use: which one, how old, and whether it may still be answered from."""

from __future__ import annotations

from collections.abc import Callable

from tenantry.core.asking import Read
from tenantry.core.errors import LastGoodUnknown, NoSnapshot, NotReady, SnapshotTooOld, SourceError
from tenantry.core.snapshot import Snapshot
from tenantry.service.ports import Clock
from tenantry.service.sighting import Sightings

_MOST_ROWS_TOLD = 3


class SnapshotHolder:
    """Holds the current snapshot; publishing is one assignment, so a request sees exactly one."""

    def __init__(self, clock: Clock, max_stale: float) -> None:
        """Hold nothing yet; a snapshot read more than `max_stale` seconds ago is not answered from."""
        self._clock = clock
        self._max_stale = max_stale
        self._snapshot: Snapshot | None = None
        self._read_at = 0.0
        self._last_error: SourceError | None = None
        self.read = Read(0, 0.0)
        """The read behind the current snapshot, counted from 1."""

        self.sightings = Sightings(clock)
        self.published: Callable[[], None] = lambda: None
        """Called after each read, whether it changed anything or not: set by whoever wants to look then."""

    @property
    def latest(self) -> Snapshot | None:
        """The last snapshot that was published, whether it may be answered from or not."""
        return self._snapshot

    @property
    def age(self) -> float | None:
        """Seconds since the read behind the current snapshot began; None before the first."""
        return None if self._snapshot is None else self._clock.monotonic() - self._read_at

    def publish(self, snapshot: Snapshot, read_at: float) -> None:
        """Make a snapshot the current one; `read_at` is when its read began, on the monotonic clock."""
        self._snapshot = snapshot
        self._read_at = read_at
        self.read = Read(self.read.number + 1, read_at)
        self._last_error = None
        self.published()

    def read_failed(self, error: SourceError) -> None:
        """Remember why there is nothing newer."""
        self._last_error = error

    def seen(self) -> Snapshot:
        """Return the latest snapshot to look at, answered from or not; raises NoSnapshot before the first."""
        if self._snapshot is None:
            raise self._none_yet()
        return self._snapshot

    def current(self) -> Snapshot:
        """Return the snapshot to answer from; raises NotReady if there is none that may be used."""
        snapshot = self.fresh()
        if not snapshot.complete:
            raise last_good_unknown(snapshot)
        return snapshot

    def fresh(self) -> Snapshot:
        """Return the snapshot in use, complete or not; raises NotReady before the first, and if it is too old."""
        snapshot = self._snapshot
        if snapshot is None:
            raise self._none_yet()
        if self._clock.monotonic() - self._read_at > self._max_stale:
            raise self._too_old()
        return snapshot

    def _none_yet(self) -> NoSnapshot:
        if self._last_error is None:
            return NoSnapshot()
        return NoSnapshot(f"The tenants have not been read yet: {self._last_error.what}")

    def _too_old(self) -> NotReady:
        if self._last_error is None:
            return SnapshotTooOld()
        return SnapshotTooOld(
            f"The last good read of the tenants is older than snapshot.max_stale: {self._last_error.what}"
        )


def last_good_unknown(snapshot: Snapshot) -> LastGoodUnknown:
    """Say which rows stand in the way, by number: an id is tenants' data."""
    rows = snapshot.unknown
    told = " ".join(row.sentence for row in rows[:_MOST_ROWS_TOLD])
    more = f" And {len(rows) - _MOST_ROWS_TOLD} more rows." if len(rows) > _MOST_ROWS_TOLD else ""
    return LastGoodUnknown(
        f"The last good parameters of {len(rows)} row{'s' if len(rows) > 1 else ''} that cannot be used are not known. "
        f"{told}{more}"
    )
