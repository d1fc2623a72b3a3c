"""Where a read stands in the history of its database, so that an older state is never taken for news."""

from __future__ import annotations

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
