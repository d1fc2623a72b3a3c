"""Bounds of JSON, and how long anybody waits while it is made to fit."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tenantry.core.answer import make_answer
from tenantry.core.columns import Kind
from tenantry.core.errors import TooManyLeaves
from tenantry.core.fitting import MOST_SEEN
from tenantry.core.index import SnapshotIndex
from tenantry.core.mapping import RowMapping, TableShape
from tenantry.core.selection import parse_selection
from tenantry.core.snapshot import Snapshot, SnapshotBuilder
from tenantry.core.steps import Steps, at_once
from tests.builders import HERE, columns_of, raw, served, snapshot_of

COLUMNS = columns_of(settings=Kind.JSON, tenant=Kind.TEXT)
Rows = list[dict[str, object]]


def row(tenant: str, *leaves: str, value: object = 1) -> dict[str, object]:
    return {"tenant": tenant, "settings": json.dumps(dict.fromkeys(leaves, value))}


def leaves(start: int, number: int = 500) -> list[str]:
    return [f"leaf-{n}" for n in range(start, start + number)]


def wide(number: int, *, distinct: int) -> Rows:
    """Return rows of which the first ones have 500 leaves of their own each, and the others one of these."""
    made = [row(f"t{n:05}", *leaves(n * 500)) for n in range(distinct)]
    return made + [row(f"t{n:05}", "leaf-0") for n in range(distinct, number)]


def test_at_the_bound_a_leaf_that_was_not_there_before_yields_to_those_that_were() -> None:
    before = snapshot_of(wide(4, distinct=4), COLUMNS)
    rows = [*wide(4, distinct=4), row("newcomer", "leaf-0", "a-leaf-whose-name-comes-first")]
    rows[0] = row("t00000", *leaves(0), value=2)

    after = snapshot_of(rows, COLUMNS, previous=before)

    assert [(one.tenant, one.column) for one in after.quarantined] == [("newcomer", "settings")]
    assert "beyond the 2000 that all rows may have together: keep in it only what" in after.quarantined[0].sentence
    assert b'"leaf-0":"2"' in after.tenants["t00000"].encoded


def test_rows_with_more_different_leaves_than_a_read_takes_in_are_quarantined_and_named() -> None:
    before = snapshot_of([row("z", "common")], COLUMNS)
    odd = [row(f"t{n:05}", *leaves(n * 500)) for n in range(MOST_SEEN // 500 + 1)]

    after = snapshot_of([*odd, row("z", "common", value=2)], COLUMNS, previous=before)

    assert b'"common":"2"' in after.tenants["z"].encoded
    reasons = {one.tenant: one.sentence for one in after.quarantined}
    assert f"column 'settings', holds a leaf beyond the {MOST_SEEN} different ones" in reasons["t00016"]


def test_more_values_than_tenants_and_leaves_may_make_fail_the_read_and_name_the_column() -> None:
    with pytest.raises(TooManyLeaves) as failed:
        snapshot_of(wide(1001, distinct=4), COLUMNS)

    assert failed.value.message.startswith(
        "The JSON of column 'settings' has 2000 different leaves, that of all columns 2000, and each of 1001 tenants "
        "gets them all: 2002000 values, where 2000000 are the most. Keep in the JSON only what templates need: "
    )


def test_one_row_with_many_new_leaves_stops_nobody_where_many_tenants_leave_little_room() -> None:
    before = snapshot_of(wide(1300, distinct=3), COLUMNS)
    rows = wide(1300, distinct=3)
    rows[3] = row("t00003", *leaves(5000))
    rows[4] = row("t00004", "leaf-0", value=2)

    after = snapshot_of(rows, COLUMNS, previous=before)

    assert served(after) == served(before)
    assert [(one.tenant, one.kept) for one in after.quarantined] == [("t00003", True)]
    assert after.tenants["t00004"].row != before.tenants["t00004"].row


@pytest.fixture
def without_collection() -> Iterator[None]:
    """Hold back garbage collection, as a read does."""
    gc.disable()
    yield
    gc.enable()


def longest_share(steps: Steps[object]) -> float:
    """Return which part of all the work its longest step is, on the clock of this thread alone."""
    marks = [time.thread_time()]
    marks += [time.thread_time() for _ in steps]
    marks.append(time.thread_time())
    return max(after - before for before, after in pairwise(marks)) / (marks[-1] - marks[0])


def of_many_shapes(number: int, odd: int = 0) -> Rows:
    """Return rows of which no two have the same leaves, the last ones with an object where the others have a value."""
    names = [f"leaf-{n}" for n in range(200)]
    made = [row(f"t{n:05}", *(name for name in names if hash((name, n)) % 2)) for n in range(number - odd)]
    return made + [{"tenant": f"z{n}", "settings": json.dumps({f"leaf-{n}": {"a": 1}})} for n in range(odd)]


def building(rows: Rows, previous: Snapshot | None = None) -> Steps[Snapshot]:
    mapping = RowMapping.of(TableShape(), COLUMNS)
    builder = SnapshotBuilder(mapping, previous)
    builder.add([raw(one, mapping) for one in rows])
    return builder.finish(HERE)


@pytest.mark.usefixtures("without_collection")
@pytest.mark.parametrize("odd", [0, 3])
def test_no_step_takes_long_while_json_of_many_shapes_is_made_to_fit(odd: int) -> None:
    assert longest_share(building(of_many_shapes(2000, odd))) < 0.1


@pytest.mark.usefixtures("without_collection")
def test_no_step_takes_long_while_wide_tenants_are_answered() -> None:
    snapshot = at_once(building(wide(1000, distinct=2)))

    whole = make_answer(SnapshotIndex(snapshot), parse_selection({}, snapshot.vocabulary, "test"))

    assert longest_share(whole) < 0.15


def test_a_read_without_news_does_not_look_at_the_shapes_again() -> None:
    rows = of_many_shapes(500)
    before = at_once(building(rows))

    steps = sum(1 for _ in building(rows, before))

    assert steps < 20
