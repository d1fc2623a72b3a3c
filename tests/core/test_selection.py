"""What input parameters select."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.columns import Kind
from tenantry.core.errors import InvalidParameter, TenantryError, UnknownParameter
from tenantry.core.selection import parse_selection
from tests.builders import answer_to, columns_of, sets_of, snapshot_of

COLUMNS = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, seats=Kind.NUMBER, settings=Kind.JSON)
ROWS: list[dict[str, object]] = [
    {"tenant": "a", "status": "active", "seats": "1000000", "settings": '{"tier": "gold", "tags": ["eu"], "a.b": 1}'},
    {"tenant": "b", "status": "trial", "seats": "1.50", "settings": '{"tier": "silver"}'},
    {"tenant": "c", "status": None, "seats": None, "settings": None},
]
SNAPSHOT = snapshot_of(ROWS, COLUMNS)


def chosen(**parameters: object) -> list[str]:
    """Return the tenants that are selected; two underscores stand for a dot."""
    named = {name.replace("__", "."): value for name, value in parameters.items()}
    return [item["tenant"] for item in sets_of(answer_to(SNAPSHOT, named))]


def finds(asked: str, text: str) -> bool:
    """Tell whether a text is what finds a tenant that has another one."""
    return bool(sets_of(answer_to(snapshot_of([{"tenant": "a", "status": text}]), {"status": asked})))


def test_nothing_asked_selects_everything() -> None:
    assert chosen() == ["a", "b", "c"]


def test_a_field_equals_a_value() -> None:
    assert chosen(status="active") == ["a"]


def test_a_list_takes_any_of_its_values() -> None:
    assert chosen(status=["active", "trial"]) == ["a", "b"]


def test_all_fields_must_match() -> None:
    assert chosen(status=["active", "trial"], settings__tier="silver") == ["b"]


@pytest.mark.parametrize("seats", ["1000000", 1000000, Decimal(1000000), Decimal("1e6")])
def test_values_compare_as_the_text_of_the_answer(seats: object) -> None:
    assert chosen(seats=seats) == ["a"]


def test_a_number_compares_with_its_scale() -> None:
    assert chosen(seats=Decimal("1.50")) == ["b"]
    assert chosen(seats=Decimal("1.5")) == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("1e+06", "1000000"),
        ("1.234567e+06", "1234567"),
        ("-2e+06", "-2000000"),
        ("9.007199254740991e+15", "9007199254740991"),
        ("1e+06", "1e+06"),
    ],
)
def test_a_number_that_go_wrote_with_an_exponent_is_that_number(asked: str, found: str) -> None:
    assert finds(asked, found)


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("1e6", "1000000"),
        ("1E+06", "1000000"),
        ("10e+05", "1000000"),
        ("1e-07", "0.0000001"),
        ("1.2345e+02", "123.45"),
        ("9.007199254740992e+15", "9007199254740992"),
        ("1e+21", "1" + "0" * 21),
    ],
)
def test_what_go_never_writes_so_is_only_that_text(asked: str, other: str) -> None:
    assert not finds(asked, other)
    assert finds(asked, asked)


def test_dots_reach_into_json() -> None:
    assert chosen(settings__tier="gold") == ["a"]


def test_dots_reach_items_of_lists_and_keys_with_dots_as_argo_cd_flattens_them() -> None:
    assert chosen(settings__tags__0="eu") == ["a"]
    assert chosen(settings__a__b="1") == ["a"]


def test_a_dot_at_the_end_names_another_leaf() -> None:
    assert chosen(**{"settings.tier.": "gold"}) == []


def test_a_leaf_that_no_tenant_has_matches_none_and_is_no_error() -> None:
    assert chosen(settings__nothing="x") == []


def test_null_is_the_empty_text_as_in_the_answer() -> None:
    assert chosen(status="") == ["c"]


def test_an_unknown_value_matches_none() -> None:
    assert chosen(status="actve") == []


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownParameter) as refused:
        chosen(staus="active")

    assert "seats, settings, status, tenant" in refused.value.message
    assert "Did you mean 'status'?" in refused.value.message


def test_dots_into_a_text_column_are_an_unknown_name() -> None:
    with pytest.raises(UnknownParameter):
        chosen(status__x="active")


@pytest.mark.parametrize("value", [None, [], {}, [[]], [None], {"a": "b"}])
def test_what_no_field_can_equal_is_refused(value: object) -> None:
    with pytest.raises(InvalidParameter):
        chosen(status=value)


@given(
    st.dictionaries(
        st.text(max_size=5) | st.just("status"), st.none() | st.text() | st.integers() | st.lists(st.text())
    )
)
def test_whether_a_request_is_an_error_does_not_depend_on_the_rows(parameters: dict[str, object]) -> None:
    verdicts = []
    for snapshot in (SNAPSHOT, snapshot_of([], COLUMNS)):
        try:
            verdicts.append(parse_selection(parameters, snapshot.vocabulary, "x"))
        except TenantryError as error:
            verdicts.append(error.message)  # type: ignore[arg-type]

    assert verdicts[0] == verdicts[1]


@given(
    st.lists(st.sampled_from(["active", "trial", "", "x"]), min_size=1),
    st.lists(st.sampled_from(["active", "trial", None])),
)
def test_selection_agrees_with_a_plain_loop(asked: list[str], states: list[str | None]) -> None:
    rows: list[dict[str, object]] = [{"tenant": f"t{n}", "status": state} for n, state in enumerate(states)]
    snapshot = snapshot_of(rows, columns_of(tenant=Kind.TEXT, status=Kind.TEXT))

    found = [item["tenant"] for item in sets_of(answer_to(snapshot, {"status": asked}))]

    assert found == sorted(f"t{n}" for n, state in enumerate(states) if (state or "") in asked)


@given(st.lists(st.sampled_from(["a", "b", "c", "z", ""]), min_size=1), st.sampled_from(["active", "trial", ""]))
def test_tenants_that_are_named_by_id_are_those_that_a_look_at_all_would_find(ids: list[str], status: str) -> None:
    wanted = [row["tenant"] for row in ROWS if row["tenant"] in ids and (row["status"] or "") == status]

    assert chosen(tenant=ids, status=status) == wanted
