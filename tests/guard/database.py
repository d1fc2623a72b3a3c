"""The tenants' database in the world of several replicas: what each commit left, on its primary and on a standby."""

from __future__ import annotations

from typing import NamedTuple

from tenantry.core.columns import Kind

_COMMIT = 8
"""Bytes of log that a commit takes."""

RESTORED = 1 << 21
"""Bytes by which a restored backup is behind: more than a crash may cost."""


class Version(NamedTuple):
    """The table as a commit left it."""

    number: int
    """Grows with each commit, whatever becomes of the log: this is what is older, and what is newer."""

    lsn: int
    rows: list[dict[str, object]]
    kind: Kind
    doubtful: bool


class Database:
    """Every version of the table, and how far its standby has come."""

    def __init__(self, rows: list[dict[str, object]], kind: Kind) -> None:
        self.logged = 1 << 30
        self.versions = [Version(0, self.logged, rows, kind, doubtful=False)]
        self._replayed, self._replayed_lsn = 0, self.logged

    @property
    def latest(self) -> Version:
        return self.versions[-1]

    def commit(self, rows: list[dict[str, object]], kind: Kind, *, doubtful: bool) -> None:
        """Take the table as it is now, if that is news.

        What is in the log beyond the last commit may be this one, which nobody could see yet.
        """
        last = self.latest
        if (rows, kind, doubtful) == (last.rows, last.kind, last.doubtful):
            return
        if self.logged <= max(last.lsn, self._replayed_lsn):
            self.logged += _COMMIT
        self.versions.append(Version(last.number + 1, self.logged, rows, kind, doubtful))

    def log(self) -> None:
        """Write something else, or what nobody sees yet."""
        self.logged += _COMMIT

    def replay(self, commits: int | None = None) -> None:
        """Let the standby come so many commits further; None for all there is in the log."""
        left = self.latest.number - self._replayed
        if commits is None or commits >= left:
            self._replayed, self._replayed_lsn = self.latest.number, self.logged
        else:
            self._replayed += commits
            self._replayed_lsn = self.versions[self._replayed].lsn

    def restore(self, rows: list[dict[str, object]], kind: Kind, *, doubtful: bool) -> None:
        """Put a backup in the place of the primary, and make a standby of it."""
        self.logged -= RESTORED
        self.versions.append(Version(self.latest.number + 1, self.logged, rows, kind, doubtful))
        self.replay()

    def seen(self, *, standby: bool) -> Version:
        """Return what a read finds."""
        return self.versions[self._replayed] if standby else self.latest

    def lsn(self, *, standby: bool) -> int:
        """Return how far the log has come."""
        return self._replayed_lsn if standby else self.logged
