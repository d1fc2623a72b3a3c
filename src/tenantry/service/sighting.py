"""Since when each row cannot be used: first seen by this process, and forgotten once it can be used again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from tenantry.core.steps import Steps, sliced
from tenantry.core.tenant import Unusable
from tenantry.service.ports import Clock

Sighting: TypeAlias = tuple[str | None, str, str]
"""Tenant, column and reason. Numbers of rows shift, so rows without an id and with one reason are one sighting."""


class Sightings:
    """When each tenant's row was first seen to be unusable for its present reason."""

    def __init__(self, clock: Clock) -> None:
        """Know of nothing yet."""
        self._clock = clock
        self._first: dict[Sighting, datetime] = {}

    def note(self, rows: Sequence[Unusable]) -> Steps[None]:
        """Take in the unusable rows of a read, and forget all others."""
        now, before = self._clock.now(), self._first
        first: dict[Sighting, datetime] = {}
        for some in sliced(rows):
            first.update((key, before.get(key, now)) for key in map(_key, some))
            yield
        self._first = first

    def since(self, row: Unusable) -> datetime:
        """Return when a row was first seen so; one that was never noted is first seen now."""
        return self._first.get(_key(row)) or self._clock.now()


def _key(row: Unusable) -> Sighting:
    return row.tenant, row.column, row.reason
