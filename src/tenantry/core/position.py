"""Where a read stands in the history of its database, so that an older state is never taken for news."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

DISCARDED_BY_A_CRASH = 1 << 20
"""Bytes of write-ahead log that a primary may lose in a crash without losing a commit.

PostgreSQL flushes whole pages, so the position it reports can lie inside a record that was not finished;
recovery discards that record, and the position steps back by less than its length.
"""


@dataclass(frozen=True, slots=True)
class Position:
    """The identity of the source and, where the database has one, how far its history had come."""

    source: str
    """Which database and relation: system identifier, database and name of the relation."""

    timeline: int = 0
    lsn: int = 0
    """Bytes of write-ahead log, read before the rows: the rows are at least this new."""

    standby: bool = False
    reached: int = 0
    """The log as it was once the rows had been read: the rows are at most this new."""

    def went_back_from(self, earlier: Position) -> str:
        """Say how this position is not a continuation of an `earlier` one; empty if it is."""
        if self.source != earlier.source:
            return "The source is another database or table than the snapshot in use was read from."
        if self.timeline < earlier.timeline:
            return "The database is on an earlier timeline than the snapshot in use."
        allowance = 0 if self.standby or earlier.standby or self.timeline > earlier.timeline else DISCARDED_BY_A_CRASH
        if self.lsn + allowance < earlier.lsn:
            return "The database is at an earlier position than the snapshot in use."
        return ""

    def follows(self, released: ReleasedFrom, turns: int, *, after: bool) -> bool:
        """Tell whether rows that were read here are surely no older than those that something was released from.

        `turns` is how often the source went back, as far as is known here. `after` says that the read began after what
        was released had been seen here: on one server, which shows nobody what it hid from somebody before, that is
        proof by itself. A position is proof only where it lies beyond: on a primary what is on the disk may be hidden
        for a moment still, so that its standby shows it first.
        """
        if self.source != released.source or not (self.timeline and released.timeline):
            return after
        if turns != released.turns:
            return turns > released.turns and after
        if self.timeline < released.timeline:
            return False
        if self.standby:
            return self.lsn >= released.reached
        if released.standby or self.timeline > released.timeline:
            return after and self.lsn >= released.reached
        return self.lsn > released.reached or (after and self.lsn + DISCARDED_BY_A_CRASH >= released.reached)

    def released(self, turns: int) -> ReleasedFrom:
        """Return what is to be remembered of a release that comes from rows which were read here."""
        return ReleasedFrom(self.source, turns, self.timeline, max(self.lsn, self.reached), self.standby)


@dataclass(frozen=True, slots=True)
class ReleasedFrom:
    """Where the database stood when the rows of a release had been read: what is older may not follow it."""

    source: str
    turns: int = 0
    """How often the source had been found at an earlier position than before."""

    timeline: int = 0
    """0 where the database has no positions that can be compared."""

    reached: int = 0
    standby: bool = False


def latest(origins: Iterable[ReleasedFrom | None]) -> ReleasedFrom | None:
    """Return the latest of these; None if none is known."""
    known = [one for one in origins if one is not None]
    return max(known, key=lambda one: (one.turns, one.timeline, one.reached), default=None)
