"""Snapshots: what a bad row may do, which is nothing to anybody else, and no removal of its own tenant."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.columns import Column, Kind
from tenantry.core.errors import LastGoodIncomplete, MissingColumn
from tenantry.core.mapping import RowMapping, TableShape
from tests.builders import answer_to, columns_of, served, sets_of, snapshot_of, tenants

STATES: dict[str, Any] = {"state": "status", "serve": ("active",), "retire": ("inactive",)}

BAD_ROWS: list[Any] = [
    pytest.param({"status": "x" * 40_000}, "longer than", id="a text too long"),
    pytest.param({"status": "paused"}, "neither", id="a state that is listed nowhere"),
    pytest.param({"status": b"\xff\xfe"}, "not text", id="bytes that are not text"),
    pytest.param({"status": None}, "neither", id="no state at all"),
]


@pytest.mark.parametrize(("damage", "reason"), BAD_ROWS)
def test_a_bad_row_keeps_the_last_good_parameters_and_the_others_go_on(damage: dict[str, object], reason: str) -> None:
    before = snapshot_of(tenants(3, plan="free"), **STATES)
    rows = tenants(3, plan="pro")
    rows[1] |= damage

    after = snapshot_of(rows, previous=before, **STATES)

    assert served(after) == ["tenant-0000", "tenant-0001", "tenant-0002"]
    assert [item["plan"] for item in sets_of(answer_to(after))] == ["pro", "free", "pro"]
    assert [(row.tenant, row.row, row.kept) for row in after.quarantined] == [("tenant-0001", 2, True)]
    assert reason in after.quarantined[0].sentence


def test_an_id_that_stands_twice_keeps_the_last_good_parameters() -> None:
    before = snapshot_of(tenants(2, plan="free"))

    after = snapshot_of(
        [*tenants(2, plan="pro"), {"tenant": "tenant-0001", "status": "active", "plan": "x"}], previous=before
    )

    assert [item["plan"] for item in sets_of(answer_to(after))] == ["pro", "free"]
    assert after.quarantined[0].tenant == "tenant-0001"


def test_a_state_that_is_not_deployed_needs_no_readable_parameters() -> None:
    rows: list[dict[str, object]] = [
        {"tenant": "a", "status": "inactive", "plan": b"\xff"},
        {"tenant": "b", "status": "active", "plan": "x"},
    ]

    snapshot = snapshot_of(rows, **STATES)

    assert served(snapshot) == ["b"]
    assert snapshot.complete
    assert not snapshot.quarantined


def test_every_other_state_can_be_retired_by_a_star() -> None:
    rows = [{"tenant": "a", "status": "whatever"}, {"tenant": "b", "status": "active"}]

    snapshot = snapshot_of(rows, state="status", serve=("active",), retire=("*",))

    assert served(snapshot) == ["b"]
    assert not snapshot.quarantined


def test_a_start_with_a_bad_row_is_not_complete() -> None:
    rows = tenants(3)
    rows[1]["status"] = "x" * 40_000

    snapshot = snapshot_of(rows)

    assert not snapshot.complete
    assert [row.row for row in snapshot.unknown] == [2]


def test_a_start_is_complete_once_the_row_is_corrected() -> None:
    rows = tenants(3)
    rows[1]["status"] = "x" * 40_000
    first = snapshot_of(rows)

    second = snapshot_of(tenants(3), previous=first)

    assert second.complete
    assert len(served(second)) == 3


def test_a_new_tenant_with_a_bad_row_is_left_out_and_reported() -> None:
    before = snapshot_of(tenants(2))
    rows = tenants(3)
    rows[2]["status"] = "x" * 40_000

    after = snapshot_of(rows, previous=before)

    assert after.complete
    assert len(served(after)) == 2
    assert [(row.tenant, row.kept) for row in after.quarantined] == [("tenant-0002", False)]


@pytest.mark.parametrize("no_id", [None, "", "  ", b"\xff", "x" * 40_000])
def test_while_a_row_has_no_usable_id_no_tenant_leaves(no_id: object) -> None:
    before = snapshot_of(tenants(3))
    rows: list[dict[str, object]] = [{"tenant": no_id, "status": "active"}, *tenants(1)]

    after = snapshot_of(rows, previous=before)

    assert served(after) == served(before)
    assert after.kept_in_doubt == 2
    assert after.quarantined[0].tenant is None


def test_while_a_row_has_no_usable_id_a_retired_tenant_stays_too() -> None:
    before = snapshot_of(tenants(2), **STATES)
    rows: list[dict[str, object]] = [{"tenant": None, "status": "active"}, *tenants(2)]
    rows[1]["status"] = "inactive"

    after = snapshot_of(rows, previous=before, **STATES)

    assert served(after) == served(before)


def test_tenants_leave_once_every_row_has_an_id_again() -> None:
    before = snapshot_of(tenants(3))
    during = snapshot_of([{"tenant": None, "status": "active"}, *tenants(1)], previous=before)

    after = snapshot_of(tenants(1), previous=during)

    assert served(after) == ["tenant-0000"]


def test_a_start_with_a_row_without_an_id_is_not_complete() -> None:
    assert not snapshot_of([{"tenant": None, "status": "active"}, *tenants(2)]).complete


def test_a_column_that_vanishes_is_an_error_and_not_a_smaller_answer() -> None:
    before = snapshot_of(tenants(2, plan="free"))

    with pytest.raises(MissingColumn, match="plan"):
        snapshot_of(tenants(2), previous=before)


PLAIN = columns_of(tenant=Kind.TEXT, status=Kind.TEXT)
WIDER = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, zone=Kind.TEXT)


def test_last_good_parameters_take_a_column_that_appears_from_the_row_of_today() -> None:
    before = snapshot_of(tenants(3))
    rows = tenants(3, zone="pro")
    rows[0]["status"] = b"\xff"
    rows[1] |= {"status": b"\xff", "zone": None}

    after = snapshot_of(rows, previous=before)

    assert [(item["status"], item["zone"]) for item in sets_of(answer_to(after))] == [
        ("active", "pro"),
        ("active", ""),
        ("active", "pro"),
    ]
    assert [row.kept for row in after.quarantined] == [True, True]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param(
            [{"tenant": "tenant-0000", "status": b"\xff", "zone": b"\xff"}, *tenants(2, zone="pro")[1:]],
            "Row 1, column 'status', holds bytes that are not text.",
            id="the row's own value cannot be used either",
        ),
        pytest.param(
            [{"tenant": "tenant-0000", "status": "active", "zone": b"\xff"}, *tenants(2, zone="pro")[1:]],
            "Row 1, column 'zone', holds bytes that are not text.",
            id="it is the new value that cannot be used",
        ),
        pytest.param(
            [{"tenant": "tenant-0000", "zone": "a"}, {"tenant": "tenant-0000", "zone": "b"}, *tenants(2, zone="x")[1:]],
            "Row 2, column 'tenant', has the id of another row.",
            id="two rows with the id say different things",
        ),
        pytest.param(
            [{"tenant": None, "status": "active", "zone": "x"}, *tenants(1, zone="x")],
            "Row 1, column 'tenant', has no usable id.",
            id="there is no row",
        ),
    ],
)
def test_a_column_that_appears_is_never_made_up(rows: list[dict[str, object]], told: str) -> None:
    before = snapshot_of(tenants(2))

    with pytest.raises(LastGoodIncomplete) as failed:
        snapshot_of(rows, WIDER, previous=before)

    assert told in failed.value.message
    assert "Column 'zone' is new or has another type" in failed.value.message


def test_two_rows_of_one_id_that_agree_on_a_column_that_appears_stop_nobody() -> None:
    before = snapshot_of(tenants(2))

    after = snapshot_of([*tenants(1, zone="pro"), *tenants(2, zone="pro")], WIDER, previous=before)

    assert [item["zone"] for item in sets_of(answer_to(after))] == ["pro", "pro"]


def test_a_retired_row_that_stays_for_a_nameless_one_has_the_column_that_appears() -> None:
    before = snapshot_of(tenants(2), PLAIN, **STATES)
    rows: list[dict[str, object]] = [{"tenant": None, "status": "active"}, *tenants(2, zone="pro")]
    rows[1]["status"] = "inactive"

    after = snapshot_of(rows, WIDER, previous=before, **STATES)

    assert [(item["status"], item["zone"]) for item in sets_of(answer_to(after))] == [("active", "pro")] * 2


def test_a_new_tenant_whose_row_cannot_be_used_stops_nobody_when_a_column_appears() -> None:
    before = snapshot_of(tenants(2), PLAIN)
    rows = tenants(3, zone="pro")
    rows[2]["zone"] = b"\xff"

    after = snapshot_of(rows, WIDER, previous=before)

    assert served(after) == ["tenant-0000", "tenant-0001"]
    assert [(row.tenant, row.kept) for row in after.quarantined] == [("tenant-0002", False)]


def test_a_column_that_became_json_is_taken_from_the_row_of_today_under_last_good_parameters() -> None:
    before = snapshot_of([{"tenant": "a", "status": "active", "zone": "old"}], WIDER)
    json = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, zone=Kind.JSON)

    after = snapshot_of([{"tenant": "a", "status": b"\xff", "zone": '{"name": "new"}'}], json, previous=before)

    assert sets_of(answer_to(after)) == [{"zone": {"name": "new"}, "status": "active", "tenant": "a"}]


def test_a_changed_type_under_last_good_parameters_fails_the_read_if_the_row_has_no_such_value() -> None:
    before = snapshot_of([{"tenant": "a", "zone": "{}"}], columns_of(tenant=Kind.TEXT, zone=Kind.TEXT))

    with pytest.raises(LastGoodIncomplete, match="another type"):
        snapshot_of([{"tenant": "a", "zone": "["}], columns_of(tenant=Kind.TEXT, zone=Kind.JSON), previous=before)


def test_of_several_columns_that_appear_the_one_without_a_value_is_told_where_it_is_known() -> None:
    before = snapshot_of(tenants(1))
    wider = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, zone=Kind.JSON, area=Kind.TEXT)
    row: dict[str, object] = {"tenant": "tenant-0000", "status": b"\xff", "zone": "{", "area": "x"}

    with pytest.raises(LastGoodIncomplete, match=r"not text\. Column 'zone' is new or has another type since"):
        snapshot_of([row], wider, previous=before)
    with pytest.raises(LastGoodIncomplete, match=r"JSON\. Columns area, zone are new or have another type since"):
        snapshot_of([row | {"status": "active"}], wider, previous=before)


def test_a_state_of_another_type_that_is_not_served_replaces_no_tenant_that_stays_in_doubt() -> None:
    before = snapshot_of(tenants(2), PLAIN, **STATES)
    rows: list[dict[str, object]] = [{"tenant": None, "status": "active"}, *tenants(2)]
    rows[1]["status"] = "inactive"

    with pytest.raises(LastGoodIncomplete, match="Column 'status' is new or has another type"):
        snapshot_of(rows, columns_of(tenant=Kind.TEXT, status=Kind.TIMESTAMP), previous=before, **STATES)


def test_an_odd_shape_in_a_json_column_that_appears_fails_the_read_and_names_the_row() -> None:
    before = snapshot_of(tenants(3), PLAIN)
    json = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, zone=Kind.JSON)
    rows = tenants(3, zone='{"a": 1}')
    rows[2]["zone"] = '{"a": {"b": 1}}'

    with pytest.raises(LastGoodIncomplete, match="Row 3, column 'zone', holds an object where most rows hold"):
        snapshot_of(rows, json, previous=before)


def test_while_an_id_stands_twice_no_tenant_leaves_since_the_surplus_row_may_be_its_own() -> None:
    before = snapshot_of(tenants(3))

    after = snapshot_of([*tenants(1), *tenants(1), *tenants(1)], previous=before)

    assert served(after) == served(before)
    assert [row.tenant for row in after.quarantined] == ["tenant-0000"]
    assert after.kept_in_doubt == 2


def test_a_read_without_news_keeps_every_object() -> None:
    before = snapshot_of(tenants(5))

    after = snapshot_of(tenants(5), previous=before)

    assert after.tenants is before.tenants
    assert after.revision == before.revision


def test_the_same_rows_in_any_order_have_the_same_revision() -> None:
    rows = tenants(50)
    shuffled = random.Random(7).sample(rows, len(rows))

    assert snapshot_of(rows).revision == snapshot_of(shuffled).revision


def test_an_unchanged_row_keeps_its_tenant_object() -> None:
    before = snapshot_of(tenants(3))
    rows = tenants(3)
    rows[1]["status"] = "trial"

    after = snapshot_of(rows, previous=before)

    assert after.revision != before.revision
    same = [name for name in served(after) if after.tenants[name] is before.tenants[name]]
    assert same == ["tenant-0000", "tenant-0002"]


def test_an_unchanged_row_is_laid_out_anew_when_the_layout_changes() -> None:
    columns = columns_of(tenant=Kind.TEXT, settings=Kind.JSON)
    before = snapshot_of([{"tenant": "a", "settings": '{"x": 1}'}], columns)
    rows: list[dict[str, object]] = [{"tenant": "a", "settings": '{"x": 1}'}, {"tenant": "b", "settings": '{"y": 2}'}]

    after = snapshot_of(rows, columns, previous=before)

    assert [item["settings"] for item in sets_of(answer_to(after))] == [{"x": "1", "y": ""}, {"x": "", "y": "2"}]


def test_an_empty_table_is_an_empty_answer_of_a_complete_snapshot() -> None:
    snapshot = snapshot_of([], (Column("tenant", Kind.TEXT),))

    assert snapshot.complete
    assert answer_to(snapshot).body == b'{"output":{"parameters":[]}}'


_VALUE = st.sampled_from(["active", "trial", "x" * 40_000, None]) | st.binary(max_size=2)
_ROWS = st.lists(
    st.fixed_dictionaries(
        {"tenant": st.sampled_from(["a", "b", "c", "d", None, ""]), "status": _VALUE, "plan": _VALUE}
    ),
    max_size=6,
)
_COLUMNS = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, plan=Kind.TEXT)


@given(st.lists(_ROWS, min_size=1, max_size=5))
def test_only_a_table_without_nameless_rows_and_without_its_row_loses_a_tenant(
    reads: list[list[dict[str, object]]],
) -> None:
    previous = snapshot_of([], _COLUMNS)
    for rows in reads:
        snapshot = snapshot_of(rows, _COLUMNS, previous=previous)
        present = {row["tenant"] for row in rows}
        for gone in set(served(previous)) - set(served(snapshot)):
            assert gone not in present
            assert not present & {None, ""}
        assert served(snapshot) == sorted(served(snapshot))
        previous = snapshot


@given(st.lists(st.sampled_from(["a", "b", None, "", " ", "x" * 70, b"\xff"]), min_size=2, max_size=2))
def test_a_table_of_plain_text_is_mapped_as_any_other(values: list[object]) -> None:
    shape = TableShape(max_text=64)
    plain = RowMapping.of(shape, columns_of(status=Kind.TEXT, tenant=Kind.TEXT))
    other = RowMapping.of(shape, columns_of(status=Kind.TEXT, tenant=Kind.TEXT, more=Kind.NUMBER))

    by_the_short_way = plain.map(tuple(values), 1)
    by_the_long_way = other.map((None, *values), 1)

    assert type(by_the_short_way) is type(by_the_long_way)
    assert getattr(by_the_short_way, "id", None) == getattr(by_the_long_way, "id", None)
    assert getattr(by_the_short_way, "reason", None) == getattr(by_the_long_way, "reason", None)


def test_json_of_one_shape_is_described_once() -> None:
    columns = columns_of(tenant=Kind.TEXT, settings=Kind.JSON)
    rows: list[dict[str, object]] = [{"tenant": f"t{n}", "settings": f'{{"a": {n}}}'} for n in range(3)]

    snapshot = snapshot_of(rows, columns)

    assert len({id(tenant.paths) for tenant in snapshot.tenants.values()}) == 1


# --- who is not served -------------------------------------------------------------------------------------------


def test_who_is_not_served_is_known_with_the_state_that_is_why() -> None:
    rows: list[dict[str, object]] = [
        {"tenant": tenant, "status": status} for tenant, status in (("z", "inactive"), ("a", None), ("m", "active"))
    ]

    snapshot = snapshot_of(rows, state="status", serve=("active",), retire=("*",))

    assert list(snapshot.retired.items()) == [("a", None), ("z", "inactive")]
    assert served(snapshot) == ["m"]


def test_where_every_state_is_served_nobody_is_retired() -> None:
    assert snapshot_of(tenants(2), state="status").retired == {}
    assert snapshot_of(tenants(2)).retired == {}


def test_who_is_retired_does_not_change_the_revision() -> None:
    rows = tenants(1)
    rows.append({"tenant": "a", "status": "inactive"})

    few = snapshot_of(rows, **STATES)
    more = snapshot_of([*rows, {"tenant": "b", "status": "inactive"}], previous=few, **STATES)

    assert list(more.retired) == ["a", "b"]
    assert more.revision == few.revision


def test_who_stays_in_doubt_is_known_by_name_and_is_not_retired() -> None:
    before = snapshot_of(tenants(3), **STATES)
    rows: list[dict[str, object]] = [{"tenant": "tenant-0001", "status": "inactive"}, {"tenant": None}]

    after = snapshot_of([*tenants(1), *rows], previous=before, **STATES)

    assert after.in_doubt == {"tenant-0001", "tenant-0002"}
    assert after.kept_in_doubt == 2
    assert after.retired == {}


def test_states_of_many_rows_are_one_text() -> None:
    rows: list[dict[str, object]] = [{"tenant": f"t{n}", "status": "in" + "active"[: n + 6]} for n in range(3)]

    states = list(snapshot_of(rows, **STATES).retired.values())

    assert states == ["inactive"] * 3
    assert len({id(state) for state in states}) == 1
