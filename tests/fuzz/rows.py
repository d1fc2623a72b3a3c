"""Rows as databases give them, and what must hold of any snapshot, written without the code under test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tenantry.adapters.database.sqlite import text_row
from tenantry.core.columns import Column, Kind
from tenantry.core.mapping import RowMapping, TableShape
from tenantry.core.snapshot import Snapshot, SnapshotBuilder
from tenantry.core.steps import at_once
from tenantry.core.tenant import Row
from tests.builders import HERE

COLUMNS = (
    Column("flag", Kind.BOOLEAN),
    Column("number", Kind.NUMBER),
    Column("settings", Kind.JSON),
    Column("since", Kind.TIMESTAMP),
    Column("status", Kind.TEXT),
    Column("tenant", Kind.TEXT),
)
SHAPE = TableShape(state="status", serve=("active", "trial"), retire=("inactive",), max_text=200)
MAPPING = RowMapping.of(SHAPE, COLUMNS)

WORDS = st.sampled_from(["a", "b", "c", "a.b", "b.c", "", "tier"])
SCALARS: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("x")
)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=5
)
"""JSON whose keys collide often."""

TEXTS = st.text(max_size=8)
NUMBERS = st.floats() | st.integers(-(2**63), 2**63 - 1)
NUMBER_TEXTS = NUMBERS.map(str) | st.decimals(allow_nan=True).map(str)
LONG = st.just("x" * 201)
ANYTHING: st.SearchStrategy[object] = (
    st.none() | TEXTS | NUMBERS | NUMBER_TEXTS | st.binary(max_size=4) | LONG | DOCUMENTS.map(json.dumps)
)
"""What a column of SQLite may hold, whatever its declared type."""

IDS: st.SearchStrategy[object] = st.sampled_from(["t1", "t2", "t3", "t4", "t5"])
GOOD: dict[str, st.SearchStrategy[object]] = {
    "flag": st.none() | st.sampled_from(["t", "f", "true", "0", "1"]),
    "number": st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e20, 1e20).map(lambda x: round(x, 9)),
    "settings": st.none(),
    "since": st.none() | st.datetimes().map(str),
    "status": st.sampled_from(["active", "trial"]),
    "tenant": IDS,
}


def row_of(values: dict[str, object]) -> Row:
    return tuple(values[column.name] for column in MAPPING.columns)


def rows_where(**other: st.SearchStrategy[object]) -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries({**GOOD, **other}).map(row_of)


ANY_ROWS = rows_where(
    **{name: GOOD[name] | ANYTHING for name in ("flag", "number", "since")},
    settings=DOCUMENTS.map(json.dumps) | ANYTHING,
    status=GOOD["status"] | st.sampled_from(["inactive", "unheard of"]),
    tenant=IDS | ANYTHING,
)
ANY_TABLES = st.lists(ANY_ROWS, max_size=6)


def good_tables(settings: st.SearchStrategy[object], least: int = 0) -> st.SearchStrategy[list[Row]]:
    """Return tables without a bad row, every id at most once, as a source gives them."""
    rows = rows_where(settings=settings).map(text_row)
    return st.lists(rows, min_size=least, max_size=5, unique_by=lambda row: row[-1])


def read(rows: Sequence[Row], previous: Snapshot | None = None, mapping: RowMapping = MAPPING) -> Snapshot:
    builder = SnapshotBuilder(mapping, previous)
    builder.add([text_row(row) for row in rows])
    return at_once(builder.finish(HERE))


# --- an independent check --------------------------------------------------------------------------------------


def check_answer(body: bytes) -> list[dict[str, Any]]:
    """Hold an answer against the contract, with the standard library alone; returns its parameter sets."""
    document = json.loads(body.decode("utf-8", "strict"), parse_constant=refuse, object_pairs_hook=unique)
    assert list(document) == ["output"]
    assert list(document["output"]) == ["parameters"]
    items: list[dict[str, Any]] = document["output"]["parameters"]
    assert isinstance(items, list)
    ids = [item["tenant"] for item in items]
    assert all(id_.strip() for id_ in ids)
    assert ids == sorted(set(ids))
    assert len({shape(item) for item in items}) <= 1, "parameter sets have different keys"
    for item in items:
        flat = flattened(item)
        assert len(flat) == len(set(flat)), "two values flatten to one name"
        assert not {"generator", "values"} & set(item)
    return items


def refuse(constant: str) -> None:
    raise AssertionError(constant)


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), "a key is there twice"
    return dict(pairs)


def shape(value: object) -> object:
    """Return the keys of a value; what is in a list is its tenant's own."""
    if isinstance(value, dict):
        return tuple((key, shape(below)) for key, below in value.items())
    return None


def flattened(value: object, prefix: str = "") -> list[str]:
    """Name the leaves of an item as Argo CD flattens them; every leaf is text, and no list or object is empty."""
    if isinstance(value, str):
        return [prefix]
    assert isinstance(value, dict | list), f"{value!r} is not text"
    assert value, "an empty list or object loses its key"
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    return [name for key, below in steps for name in flattened(below, f"{prefix}.{key}" if prefix else str(key))]
