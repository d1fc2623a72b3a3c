"""The common shape of JSON columns."""

from __future__ import annotations

import pytest

from tenantry.core.columns import Kind
from tenantry.core.fields import FieldShape
from tests.builders import answer_to, columns_of, served, sets_of, snapshot_of

COLUMNS = columns_of(settings=Kind.JSON, tenant=Kind.TEXT)


def settings_of(*documents: str | None) -> list[object]:
    """Return the settings that are answered for tenants with these documents."""
    rows: list[dict[str, object]] = [{"tenant": f"t{n}", "settings": text} for n, text in enumerate(documents)]
    snapshot = snapshot_of(rows, COLUMNS)
    assert not snapshot.quarantined
    return [item["settings"] for item in sets_of(answer_to(snapshot))]


def test_a_leaf_of_one_is_a_leaf_of_all() -> None:
    assert settings_of('{"a": {"b": 1}}', '{"c": 2}') == [{"a": {"b": "1"}, "c": ""}, {"a": {"b": ""}, "c": "2"}]


def test_a_null_column_is_an_object_with_all_leaves() -> None:
    assert settings_of('{"a": {"b": 1}}', None) == [{"a": {"b": "1"}}, {"a": {"b": ""}}]


def test_an_empty_object_has_the_leaves_of_the_others() -> None:
    assert settings_of('{"a": {"b": 1}}', '{"a": {}}') == [{"a": {"b": "1"}}, {"a": {"b": ""}}]


@pytest.mark.parametrize(("document", "text"), [('{"a": []}', "[]"), ('{"a": {}}', "{}"), ('{"a": null}', "")])
def test_what_flattening_would_drop_is_text(document: str, text: str) -> None:
    assert settings_of(document) == [{"a": text}]


def test_a_list_keeps_its_items_as_text() -> None:
    assert settings_of('{"a": [1, {"b": []}, null]}') == [{"a": ["1", {"b": "[]"}, ""]}]


def test_keys_are_in_order_whatever_the_database_gave() -> None:
    snapshot = snapshot_of([{"tenant": "a", "settings": '{"z": 1, "a": {"y": 2, "b": 3}}'}], COLUMNS)

    assert b'{"settings":{"a":{"b":"3","y":"2"},"z":"1"},"tenant":"a"}' in answer_to(snapshot).body


@pytest.mark.parametrize(("native", "list_"), [(False, '[{"b":"2","z":"1"}]'), (True, '[{"b":2,"z":1}]')])
def test_so_are_those_of_an_object_in_a_list(native: bool, list_: str) -> None:
    rows: list[dict[str, object]] = [{"tenant": "a", "settings": '{"a": [{"z": 1, "b": 2}]}'}]

    body = answer_to(snapshot_of(rows, COLUMNS, fields=(FieldShape("settings", native=native),))).body.decode()

    assert f'{{"settings":{{"a":{list_}}},"tenant":"a"}}' in body


@pytest.mark.parametrize(
    ("documents", "odd"),
    [
        pytest.param(['{"a": 1}', '{"a": 2}', '{"a": {"b": 1}}'], "t2", id="an object among values"),
        pytest.param(['{"a": {"b": 1}}', '{"a": {"b": 2}}', '{"a": 1}'], "t2", id="a value among objects"),
        pytest.param(['{"a": [1]}', '{"a": {"b": 2}}'], "t1", id="an object beside a list"),
        pytest.param(['{"a": {"b": 1}}', '{"a.b": 2}'], "t1", id="a key with a dot that flattens to another's name"),
        pytest.param(['"text"', '"more"', '{"a": 1}'], "t2", id="an object in a column of texts"),
    ],
)
def test_a_row_of_the_rarer_shape_is_quarantined(documents: list[str], odd: str) -> None:
    good = [{"tenant": f"t{n}", "settings": documents[0]} for n in range(len(documents))]
    before = snapshot_of(good, COLUMNS)
    rows: list[dict[str, object]] = [{"tenant": f"t{n}", "settings": text} for n, text in enumerate(documents)]

    after = snapshot_of(rows, COLUMNS, previous=before)

    assert [(row.tenant, row.kept) for row in after.quarantined] == [(odd, True)]
    assert served(after) == served(before)


def test_a_row_with_too_many_leaves_is_quarantined_and_stops_no_other() -> None:
    many = "{" + ",".join(f'"k{n}": 1' for n in range(501)) + "}"
    rows: list[dict[str, object]] = [{"tenant": "a", "settings": '{"x": 1}'}, {"tenant": "b", "settings": many}]

    snapshot = snapshot_of(rows, COLUMNS)

    assert [row.sentence for row in snapshot.quarantined] == [
        "Row 2, column 'settings', has more than 500 leaves: keep in it only what templates need."
    ]


def test_a_row_may_have_as_many_leaves_as_the_reason_says() -> None:
    many = "{" + ",".join(f'"k{n}": 1' for n in range(500)) + "}"

    assert not snapshot_of([{"tenant": "a", "settings": many}], COLUMNS).quarantined


def test_leaves_beyond_the_bound_of_a_snapshot_are_quarantined_rarest_first() -> None:
    rows: list[dict[str, object]] = [
        {"tenant": f"t{n}", "settings": "{" + ",".join(f'"k{n}-{leaf}": 1' for leaf in range(400)) + ',"common": 1}'}
        for n in range(6)
    ]

    snapshot = snapshot_of(rows, COLUMNS)

    assert 0 < len(snapshot.quarantined) < 6
    assert all(
        "common" in item["settings"] for item in sets_of(answer_to(snapshot)) if isinstance(item["settings"], dict)
    )


def test_last_good_parameters_outweigh_a_change_of_shape() -> None:
    before = snapshot_of([{"tenant": f"t{n}", "settings": '{"a": 1}'} for n in range(4)], COLUMNS)
    rows: list[dict[str, object]] = [{"tenant": f"t{n}", "settings": '{"a": {"b": 1}}'} for n in range(3)]
    rows.append({"tenant": "t3", "settings": "{"})

    after = snapshot_of(rows, COLUMNS, previous=before)

    assert served(after) == served(before)
    assert {item["settings"]["a"] for item in sets_of(answer_to(after))} == {"1"}
    assert len(after.quarantined) == 4
