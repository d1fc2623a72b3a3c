"""A tenant: one customer of the SaaS, one row, one parameter set."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tenantry.core.layout import Paths
from tenantry.core.values import Nested

Row = tuple[object, ...]
"""Raw values of one row, in the order of the mapping's columns: text, or what SQLite stores instead."""


class Tenant(msgspec.Struct, frozen=True, gc=False):
    """One validated row, ready to be sent.

    Left out of garbage collection, since a hundred thousand of them hold no cycles and each pass would
    stall every request for tens of milliseconds.
    """

    id: str
    values: tuple[Nested, ...]
    """Values in the order of the snapshot's fields."""

    encoded: bytes
    """The parameter set as canonical JSON."""

    row: Row
    """What it was made from, so that an unchanged row is recognised at the next read."""

    paths: Paths
    """Where its JSON values end, from which the snapshot's layout is made."""

    missing: tuple[int, ...] = ()
    """Positions of values that are NULL and have no default: their text is empty, and to a selector they are absent."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A tenant as it was released: its row says something else, or is not there."""

    id: str
    encoded: bytes


Sent: TypeAlias = "Tenant | Kept"
"""Who is in an answer."""


def size_of(tenant: Sent) -> int:
    """Return how many bytes a parameter set has."""
    return len(tenant.encoded)


class Unusable(msgspec.Struct, frozen=True):
    """A row that cannot be mapped, and why.

    `tenant` is its id where it has a usable one. `row` counts from 1 in the order of the read: messages name
    rows by it, since an id is tenants' data. `kept` tells that the tenant is served with its last good parameters.
    """

    row: int
    reason: str
    column: str = ""
    tenant: str | None = None
    kept: bool = False

    @property
    def sentence(self) -> str:
        """Say what is wrong with which row, without tenants' data."""
        return f"Row {self.row}{f', column {self.column!r},' if self.column else ''} {self.reason}."
