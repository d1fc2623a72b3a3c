"""What tests are about, in a line each: rows, snapshots, requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tenantry.core.answer import Answer, make_answer
from tenantry.core.columns import Column, Kind
from tenantry.core.index import SnapshotIndex
from tenantry.core.mapping import RowMapping, TableShape
from tenantry.core.position import Position
from tenantry.core.selection import parse_selection
from tenantry.core.snapshot import Snapshot, SnapshotBuilder
from tenantry.core.steps import at_once
from tenantry.core.tenant import Row

TUTORIAL_COLUMNS = (Column("id", Kind.TEXT), Column("tenant", Kind.TEXT), Column("status", Kind.TEXT))
"""The tutorial's table."""

HERE = Position("system/organization/organization", timeline=1, lsn=1000)


def columns_of(**kinds: Kind) -> tuple[Column, ...]:
    """Return columns by name and kind."""
    return tuple(Column(name, kind) for name, kind in kinds.items())


def snapshot_of(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[Column] | None = None,
    *,
    previous: Snapshot | None = None,
    position: Position = HERE,
    **shape: Any,  # noqa: ANN401 -- the fields of TableShape
) -> Snapshot:
    """Build a snapshot from rows by column name; without `columns`, every column of the rows is text."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["tenant", "status"]
    known = columns if columns is not None else [Column(name, Kind.TEXT) for name in names]
    mapping = RowMapping.of(TableShape(**shape), known)
    builder = SnapshotBuilder(mapping, previous)
    builder.add([raw(row, mapping) for row in rows])
    return at_once(builder.finish(position))


def raw(row: Mapping[str, object], mapping: RowMapping) -> Row:
    """Return a row as the source gives it; a missing column is NULL."""
    return tuple(row.get(column.name) for column in mapping.columns)


def tenants(number: int, **fields: object) -> list[dict[str, object]]:
    """Return so many rows, `tenant-0000` and so on."""
    return [{"tenant": f"tenant-{n:04}", "status": "active", **fields} for n in range(number)]


def answer_to(snapshot: Snapshot, parameters: dict[str, object] | None = None) -> Answer:
    """Return the answer to an ApplicationSet with these input parameters."""
    return at_once(make_answer(SnapshotIndex(snapshot), parse_selection(parameters or {}, snapshot.vocabulary, "test")))


def sets_of(answer: Answer) -> list[dict[str, Any]]:
    """Decode an answer with the standard library, not with the code under test."""
    decoded: list[dict[str, Any]] = json.loads(answer.body)["output"]["parameters"]
    return decoded


def served(snapshot: Snapshot) -> list[str]:
    """Return the ids that are served."""
    return list(snapshot.tenants)
