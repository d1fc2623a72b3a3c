"""Telling several observers of one thing."""

from __future__ import annotations

from collections.abc import Sequence

from tenantry.core.errors import TenantryError
from tenantry.core.snapshot import Snapshot
from tenantry.service.ports import Observer


class Observers:
    """Tells several observers, in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        """Tell each of `observers`."""
        self._observers = tuple(observers)

    def snapshot_published(
        self, snapshot: Snapshot, seconds: float, *, changed: bool, heard: float | None = None
    ) -> None:
        """Tell of a new snapshot."""
        for observer in self._observers:
            observer.snapshot_published(snapshot, seconds, changed=changed, heard=heard)

    def read_spared(self) -> None:
        """Tell of a read that was not needed."""
        for observer in self._observers:
            observer.read_spared()

    def read_failed(self, error: TenantryError, cause: str, seconds: float) -> None:
        """Tell of a failed read."""
        for observer in self._observers:
            observer.read_failed(error, cause, seconds)

    def answered(
        self, application_set: str, consumer: str, tenants: int, checksum: int, seconds: float, *, held: bool
    ) -> None:
        """Tell of an answer."""
        for observer in self._observers:
            observer.answered(application_set, consumer, tenants, checksum, seconds, held=held)

    def refused(self, status: int, error: TenantryError, seconds: float, application_set: str, consumer: str) -> None:
        """Tell of a refusal."""
        for observer in self._observers:
            observer.refused(status, error, seconds, application_set, consumer)

    def failed(self, error: BaseException) -> None:
        """Tell of a fault."""
        for observer in self._observers:
            observer.failed(error)

    def told(self, event: str, fields: dict[str, object]) -> None:
        """Tell of anything else."""
        for observer in self._observers:
            observer.told(event, fields)
