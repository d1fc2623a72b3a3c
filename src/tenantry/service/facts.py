"""What an operator is told of the tenants: the shapes of the admin API's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What the tenants were read from."""

    revision: str
    """The same data have the same revision."""

    age_seconds: float
    """Since the read behind it began."""

    tenants: int
    """How many are served."""

    retired: int
    """How many are not, because of their state."""

    quarantined: int
    """How many rows cannot be used."""

    in_doubt: int
    """How many are served without a row that is certainly theirs: some row has no usable id."""

    problem: str | None
    """Why no ApplicationSet is answered now; null while they are."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why a tenant's row cannot be used."""

    reason: str
    column: str | None
    row: int
    """In the order of the read, from 1."""

    since: datetime
    """When this process first saw it so."""

    kept: bool
    """Whether the tenant is served with its last good parameters."""


@dataclass(frozen=True, slots=True)
class ShardOf:
    """One of `count` parts of all tenants."""

    index: int
    """From 0."""

    count: int


@dataclass(frozen=True, slots=True)
class TenantView:
    """One tenant, served or not."""

    id: str
    state: str | None
    """Of the column `source.state`; null where that is not set, or NULL, or not known."""

    served: bool
    why: str
    """Why it is served or not, in a sentence."""

    name: str | None
    """Its `tenantName`, served or not; null where `naming.name` is off."""

    label: str | None
    """Its `tenantLabel`, served or not; null where `naming.label` is off."""

    views: Sequence[str]
    """The views of the configuration that it is in, in order of name; none where it is not served."""

    shards: Sequence[ShardOf]
    """Its part for each count that ApplicationSets lately asked for, and for the one given as `shards`."""

    parameters: Mapping[str, object] | None
    """The parameter set as ApplicationSets get it, but that what looks like a secret is masked; null where it is not
    served."""

    source_row: Mapping[str, str | None] | None
    """The row that the parameters were made from, by column, masked likewise; null where it is not served."""

    quarantined: Quarantine | None
    in_doubt: bool
    """Whether it is served with its last good parameters only because some row, which has no usable id, may be its."""


@dataclass(frozen=True, slots=True)
class TenantApplication:
    """An Application of a tenant."""

    application_set: str
    namespace: str
    name: str
    sync: str
    """What Argo CD says of it, such as `Synced`; empty where it says nothing yet."""

    health: str
    """Such as `Healthy`."""

    being_deleted: bool


@dataclass(frozen=True, slots=True)
class TenantFound:
    """One tenant, and what it was read from."""

    snapshot: SnapshotFacts
    tenant: TenantView
    applications: Sequence[TenantApplication] | None
    """Its Applications, as far as they can be told by label or name; null while they cannot be seen."""


@dataclass(frozen=True, slots=True)
class TenantPage:
    """Some of the tenants, in order of id."""

    snapshot: SnapshotFacts
    tenants: Sequence[TenantView]
    next: str | None
    """What to give as `after` for the rest; null at the end."""


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row that cannot be used, whosever it is."""

    row: int
    column: str | None
    reason: str
    since: datetime
    tenant: str | None
    """Null where the row has no usable id."""

    kept: bool


@dataclass(frozen=True, slots=True)
class QuarantinePage:
    """Some of the rows that cannot be used, in order of the read."""

    snapshot: SnapshotFacts
    rows: Sequence[QuarantinedRow]
    next: int | None
    """What to give as `after` for the rest; null at the end."""
