"""What there is to tell where nobody remembers what was answered (`guard.mode: off`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from tenantry.core.ledger import Input
from tenantry.service.answering import Unguarded
from tenantry.service.keys import Difference
from tenantry.service.snapshots import SnapshotHolder


class Unremembered:
    """Tells each ApplicationSet of every change of rows: which of them it touches is not known."""

    def __init__(self, unguarded: Unguarded, snapshots: SnapshotHolder) -> None:
        """Compare what `snapshots` holds with what was answered from it."""
        self._unguarded = unguarded
        self._snapshots = snapshots
        self._first: str | None = None
        self.wake: Callable[[], None] = lambda: None

    async def look(self, asking: Mapping[str, bool]) -> None:  # noqa: ARG002 -- the port
        """Note from which snapshot on changes are known; raises NotReady."""
        revision = self._snapshots.current().revision
        self._first = self._first or revision

    def differences(
        self,
        application_set: str,
        inputs: Collection[Input] | None,  # noqa: ARG002 -- the port
    ) -> Sequence[Difference]:
        """Return the difference between two snapshots, if an ApplicationSet was answered from an earlier one."""
        revision = self._snapshots.current().revision
        last, asked = self._unguarded.revisions.get(application_set, (self._first, 0.0))
        return [] if last == revision else [Difference(revision, asked)]

    def knows(self, application_set: str) -> bool:
        """Tell whether an ApplicationSet of this name was answered by this process."""
        return application_set in self._unguarded.revisions

    def epoch(self, application_set: str) -> str:  # noqa: ARG002 -- the port
        """Return the same always: nobody says anything."""
        return ""

    def require(self) -> None:
        """Raise NotReady while nobody could be answered."""
        self._snapshots.current()
