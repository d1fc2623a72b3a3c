"""What input parameters select."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.columns import Kind
from tenantry.core.errors import BrokenView, InvalidParameter, RequestRefused, TenantryError, UnknownParameter
from tenantry.core.fields import Naming
from tenantry.core.index import SnapshotIndex
from tenantry.core.selection import Shard, parse_selection
from tenantry.core.sharding import MOST_SHARDS, shard_of
from tenantry.core.steps import at_once
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


def test_values_are_known_in_order_and_none_twice() -> None:
    asked = ["trial", "active", "x", "trial", "closed", "new", "paused", "late"]

    (condition,) = parse_selection({"status": asked}, SNAPSHOT.vocabulary, "test").conditions

    assert condition.values == ("active", "closed", "late", "new", "paused", "trial", "x")


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


def test_a_leaf_that_a_tenant_does_not_have_meets_no_condition_in_a_shard_either() -> None:
    assert chosen(settings__tags__0="eu", shard={"index": 0, "count": 1}) == ["a"]


@pytest.mark.parametrize("beside", [{}, {"shard": {"index": 0, "count": 1}}])
def test_an_object_equals_no_text(beside: dict[str, object]) -> None:
    assert chosen(settings="x", **beside) == []


def test_a_tenant_with_two_texts_at_one_path_is_found_once_by_each() -> None:
    """Items of lists may have keys with dots of their own."""
    rows: list[dict[str, object]] = [
        {"tenant": "a", "settings": '{"l": [{"x.y": "1", "x": {"y": "2"}}]}'},
        {"tenant": "b", "settings": '{"l": [{"x.y": "1", "x": {"y": "1"}}]}'},
    ]
    snapshot = snapshot_of(rows, COLUMNS)

    def found(parameters: dict[str, object]) -> list[str]:
        return [item["tenant"] for item in sets_of(answer_to(snapshot, parameters))]

    for beside in ({}, {"shard": {"index": 0, "count": 1}}):
        assert found({"settings.l.0.x.y": "1", **beside}) == ["a", "b"]
        assert found({"settings.l.0.x.y": "2", **beside}) == ["a"]
        assert found({"settings.l.0.x.y": ["2", "1"], **beside}) == ["a", "b"]
        assert found({"selector": "settings.l.0.x.y=2", **beside}) == ["a"]
        assert found({"selector": "settings.l.0.x.y!=2", **beside}) == ["b"]


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


def test_a_name_is_bounded() -> None:
    assert chosen(**{"settings." + "a" * 1015: "x"}) == []
    with pytest.raises(UnknownParameter, match="a name of more than 1024 characters"):
        chosen(**{"settings." + "a" * 1016: "x"})


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


@pytest.mark.parametrize("name", ["tenantLabel", "tenantName"])
def test_tenants_are_found_by_a_computed_name_also_where_their_id_is_not_served(name: str) -> None:
    snapshot = snapshot_of([{"tenant": "Acme Corp", "plan": "pro"}], naming=Naming(), parameters=("plan",))
    (served,) = sets_of(answer_to(snapshot))

    assert sets_of(answer_to(snapshot, {name: served[name]})) == [served]
    assert sets_of(answer_to(snapshot, {"selector": f"{name}={served[name]}"})) == [served]


def test_an_id_in_json_is_compared_as_it_is_served() -> None:
    snapshot = snapshot_of([{"tenant": '"a"'}, {"tenant": '"b"'}], columns_of(tenant=Kind.JSON))

    assert sets_of(answer_to(snapshot, {"tenant": "a"})) == [{"tenant": "a"}]
    assert sets_of(answer_to(snapshot, {"selector": "tenant in (b)"})) == [{"tenant": "b"}]


# --- selector, view, shard, allowEmpty ---

VIEWS = (("gold", {"selector": "settings.tier=gold"}), ("live", {"status": ["active", "trial"]}))
VIEWED = snapshot_of(ROWS, COLUMNS, views=VIEWS)


def with_views(**parameters: object) -> list[str]:
    return [item["tenant"] for item in sets_of(answer_to(VIEWED, parameters))]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("status=active", ["a"]),
        ("status in (active,trial)", ["a", "b"]),
        ("status!=active", ["b", "c"]),
        ("status notin (active)", ["b", "c"]),
        ("status", ["a", "b"]),
        ("!status", ["c"]),
        ("settings.tier", ["a", "b"]),
        ("!settings.tier", ["c"]),
        ("settings.tier!=gold", ["b", "c"]),
        ("settings.a.b=1", ["a"]),
        ("settings.tags.0=eu", ["a"]),
        ("settings", []),
        ("!settings", ["a", "b", "c"]),
        ("settings.tags", []),
        ("seats>999999", ["a"]),
        ("seats<2", []),
        ("status=active,settings.tier=silver", []),
        ({"matchLabels": {"status": "active"}}, ["a"]),
        ({"matchExpressions": [{"key": "seats", "operator": "In", "values": [Decimal("1.50")]}]}, ["b"]),
        ({"matchExpressions": [{"key": "status", "operator": "DoesNotExist"}]}, ["c"]),
    ],
)
def test_a_selector_takes_null_and_what_is_no_text_for_a_missing_key(selector: object, found: list[str]) -> None:
    assert chosen(selector=selector) == found


def test_null_and_an_empty_text_differ_to_a_selector_and_not_to_a_comparison() -> None:
    snapshot = snapshot_of([{"tenant": "a", "status": None}, {"tenant": "b", "status": ""}])

    assert [item["tenant"] for item in sets_of(answer_to(snapshot, {"selector": "status"}))] == ["b"]
    assert [item["tenant"] for item in sets_of(answer_to(snapshot, {"status": ""}))] == ["a", "b"]


def test_a_null_that_becomes_an_empty_text_is_another_revision() -> None:
    """The bytes are the same, what selectors find is not: answers that are kept by revision must not stay."""
    before = snapshot_of([{"tenant": "a", "status": None}])
    after = snapshot_of([{"tenant": "a", "status": ""}], previous=before)

    assert answer_to(before).body == answer_to(after).body
    assert before.revision != after.revision


def test_a_leaf_that_becomes_an_empty_text_is_another_revision() -> None:
    other: dict[str, object] = {"tenant": "b", "settings": '{"tier": "x"}'}
    columns = columns_of(tenant=Kind.TEXT, settings=Kind.JSON)
    before = snapshot_of([{"tenant": "a", "settings": "{}"}, other], columns)
    after = snapshot_of([{"tenant": "a", "settings": '{"tier": ""}'}, other], columns, previous=before)

    assert answer_to(before).body == answer_to(after).body
    assert [item["tenant"] for item in sets_of(answer_to(before, {"selector": "settings.tier"}))] == ["b"]
    assert [item["tenant"] for item in sets_of(answer_to(after, {"selector": "settings.tier"}))] == ["a", "b"]
    assert before.revision != after.revision


def test_an_unknown_name_in_a_selector_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(UnknownParameter) as refused:
        chosen(selector="statsu=active")

    assert "Known: seats, settings, status, tenant (dots reach into settings)." in refused.value.message
    assert "Did you mean 'status'?" in refused.value.message


def test_a_view_is_what_the_configuration_says_of_it() -> None:
    assert with_views(view="gold") == ["a"]
    assert with_views(view=["live"]) == ["a", "b"]


def test_views_all_hold_and_so_does_what_is_asked_beside_them() -> None:
    assert with_views(view=["gold", "live"]) == ["a"]
    assert with_views(view="live", status="trial") == ["b"]
    assert with_views(view="live", selector="settings.tier=silver", seats="1.50") == ["b"]


def test_a_view_may_be_a_shard_and_the_shards_of_request_and_views_all_hold() -> None:
    snapshot = snapshot_of(
        [{"tenant": f"t{n}"} for n in range(40)], views=(("half", {"shard": {"index": 1, "count": 2}}),)
    )

    def found(parameters: dict[str, object]) -> list[str]:
        return [item["tenant"] for item in sets_of(answer_to(snapshot, parameters))]

    half = [tenant for tenant in snapshot.tenants if shard_of(tenant, 2) == 1]
    third = [tenant for tenant in half if shard_of(tenant, 3) == 1]
    assert found({"view": "half"}) == half
    assert found({"view": "half", "shard": {"index": 1, "count": 3}}) == third
    assert 0 < len(third) < len(half) < 40


def test_where_there_are_no_views_that_is_told() -> None:
    with pytest.raises(UnknownParameter, match=r"'gold' from ApplicationSet 'test'\. The configuration has no views\."):
        chosen(view="gold")


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ("glod", "Unknown view 'glod' from ApplicationSet 'test'. Known: gold, live. Did you mean 'gold'?"),
        ([], "Input parameter 'view' is an empty list."),
        ([None], "Input parameter 'view' holds something else than a name."),
        (None, "Input parameter 'view' holds something else than a name."),
    ],
)
def test_a_view_that_is_not_understood_is_refused(view: object, told: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        with_views(view=view)

    assert refused.value.message.startswith(told)


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({"selector": "stauts=x"}, "View 'v' cannot be understood. Unknown input parameter 'stauts' in view 'v'."),
        ({"status": []}, "View 'v' cannot be understood. Input parameter 'status' is an empty list"),
        ({"view": "gold"}, "View 'v' cannot be understood. Unknown input parameter 'view' in view 'v'."),
        ({"shard": {"index": 4, "count": 4}}, "View 'v' cannot be understood. Input parameter 'shard' has index 4 of 4"),  # noqa: E501 -- as it is told
    ],
)  # fmt: skip
def test_a_view_that_does_not_fit_the_columns_fails_the_read(view: dict[str, object], told: str) -> None:
    with pytest.raises(BrokenView) as refused:
        snapshot_of(ROWS, COLUMNS, views=(("v", view),))

    assert refused.value.message.startswith(told)


MANY = snapshot_of([{"tenant": f"t{n:03}", "status": ("active", "trial", None)[n % 3]} for n in range(100)])


@pytest.mark.parametrize("count", [1, 2, 7, "7", Decimal(7)])
def test_shards_are_disjoint_and_complete(count: object) -> None:
    parts = [sets_of(answer_to(MANY, {"shard": {"index": n, "count": count}})) for n in range(int(str(count)))]
    found = [item["tenant"] for part in parts for item in part]

    assert sorted(found) == sorted(MANY.tenants)
    assert all(part == sorted(part, key=lambda item: item["tenant"]) for part in parts)


def test_a_shard_holds_beside_all_else() -> None:
    parts = [sets_of(answer_to(MANY, {"status": "trial", "shard": {"index": str(n), "count": "3"}})) for n in range(3)]

    assert sum(map(len, parts)) == 33
    assert {item["status"] for part in parts for item in part} == {"trial"}


@pytest.mark.parametrize(
    ("shard", "told"),
    [
        ("0/2", "Input parameter 'shard' is no object."),
        ({"index": 0}, "Input parameter 'shard' has no count."),
        ({"index": 0, "cuont": 2}, "Input parameter 'shard' has an unknown key 'cuont'. Did you mean 'count'?"),
        ({"index": 0, "count": 0}, "Input parameter 'shard' has a count of 0."),
        ({"index": 0, "count": 1025}, "Input parameter 'shard' has a count of 1025."),
        ({"index": 2, "count": 2}, "Input parameter 'shard' has index 2 of 2."),
        ({"index": -1, "count": 2}, "Input parameter 'shard' has no whole number as its index."),
        ({"index": 0.5, "count": 2}, "Input parameter 'shard' has no whole number as its index."),
        ({"index": True, "count": 2}, "Input parameter 'shard' has no whole number as its index."),
        ({"index": None, "count": 2}, "Input parameter 'shard' has no whole number as its index."),
        ({"index": "1" * 10, "count": 4}, "Input parameter 'shard' has no whole number as its index."),
        ({"index": "1" * 5000, "count": 4}, "Input parameter 'shard' has no whole number as its index."),
        ({"index": "٣", "count": 4}, "Input parameter 'shard' has no whole number as its index."),
    ],
)
def test_a_shard_that_is_none_is_refused(shard: object, told: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        answer_to(MANY, {"shard": shard})

    assert refused.value.message.startswith(told)


def test_there_may_be_as_many_shards_as_the_refusal_says() -> None:
    assert parse_selection({"shard": {"index": 1023, "count": 1024}}, MANY.vocabulary, "x").shards == (
        Shard(MOST_SHARDS, MOST_SHARDS - 1),
    )


@pytest.mark.parametrize("parameters", [{}, {"view": "gold"}])
@pytest.mark.parametrize(("value", "allowed"), [(True, True), ("true", True), (False, False), ("false", False)])
def test_allow_empty_is_known_of_a_request_and_makes_no_other_selection(
    parameters: dict[str, object], value: object, allowed: bool
) -> None:
    without = parse_selection(parameters, VIEWED.vocabulary, "x")
    selection = parse_selection({**parameters, "allowEmpty": value}, VIEWED.vocabulary, "x")

    assert selection.allow_empty is allowed
    assert without.allow_empty is False
    assert selection == without


@pytest.mark.parametrize("value", [True, False, "true", "false"])
def test_allow_empty_selects_nobody_and_leaves_out_nobody(value: object) -> None:
    assert chosen(allowEmpty=value) == ["a", "b", "c"]


@pytest.mark.parametrize("value", [None, "", "yes", 1, [], ["true"], {}])
def test_allow_empty_is_true_or_false(value: object) -> None:
    with pytest.raises(InvalidParameter, match="'allowEmpty' is neither true nor false"):
        chosen(allowEmpty=value)


# --- looking up ---

REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.lists(st.sampled_from(["active", "trial", "", "x"]), min_size=1, max_size=3),
        "tenant": st.lists(st.sampled_from(["a", "b", "c", "d", "z"]), min_size=1, max_size=3),
        "settings.tier": st.sampled_from(["gold", "silver", ""]),
        "selector": st.sampled_from(
            ["status in (active,trial)", "status=", "!status", "settings.tier=gold", "tenant=b", "tenant!=b", "seats>1"]
        ),
        "shard": st.fixed_dictionaries({"index": st.integers(0, 1), "count": st.just(2)}),
    },
)


@given(st.lists(REQUESTS, min_size=1, max_size=4))
def test_what_is_looked_up_is_what_a_look_at_every_tenant_would_find(requests: list[dict[str, object]]) -> None:
    rows: list[dict[str, object]] = [
        *ROWS,
        {"tenant": "d", "status": "", "seats": "3", "settings": '{"tier": "", "tags": []}'},
    ]
    snapshot = snapshot_of(rows, COLUMNS)
    index = SnapshotIndex(snapshot)
    for request in requests:
        selection = parse_selection(request, snapshot.vocabulary, "x")
        predicates = [clause.predicate() for clause in selection.clauses]

        found = at_once(index.chosen(selection))

        assert found == [tenant for tenant in snapshot.tenants.values() if all(holds(tenant) for holds in predicates)]


def asked(index: SnapshotIndex, parameters: dict[str, object]) -> None:
    """Look up what a request asks for."""
    at_once(index.chosen(parse_selection(parameters, index.snapshot.vocabulary, "x")))


def test_the_shards_of_the_tenants_before_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = SnapshotIndex(MANY)
    asked(first, {"shard": {"index": 0, "count": 5}})
    rows: list[dict[str, object]] = [{"tenant": f"t{n:03}", "status": "active"} for n in range(50, 120)]
    second = SnapshotIndex(snapshot_of(rows, previous=MANY), SnapshotIndex(MANY, first))
    computed: list[str] = []

    def computing(tenant: str, count: int) -> int:
        computed.append(tenant)
        return shard_of(tenant, count)

    monkeypatch.setattr("tenantry.core.index.shard_of", computing)
    asked(second, {"shard": {"index": 0, "count": 5}})

    assert second.shards[5] == {f"t{n:03}": shard_of(f"t{n:03}", 5) for n in range(50, 120)}
    assert computed == [f"t{n:03}" for n in range(100, 120)]


def test_the_shards_that_are_known_are_those_of_the_counts_asked_for_last() -> None:
    first = SnapshotIndex(MANY)
    for count in (2, 3, 4, 5, 6):
        asked(first, {"shard": {"index": 0, "count": count}})
    second = SnapshotIndex(MANY, first)
    assert list(first._shards) == list(first.shards) == list(second.shards) == [3, 4, 5, 6]

    asked(second, {"shard": {"index": 0, "count": 3}})
    asked(second, {"shard": {"index": 0, "count": 7}})

    assert list(second.shards) == [5, 6, 3, 7]


def test_tenants_are_kept_sorted_by_the_few_fields_asked_for_last() -> None:
    snapshot = snapshot_of([{"tenant": "a", **{f"f{n}": "x" for n in range(6)}}])
    index = SnapshotIndex(snapshot)

    for n in (0, 1, 2, 3, 0, 4):
        asked(index, {f"f{n}": "x"})

    assert [place.name for place in index._by_place] == ["f2", "f3", "f0", "f4"]


def test_so_are_the_parts_of_a_few_counts() -> None:
    index = SnapshotIndex(MANY)

    for count in (1, 2, 3, 4, 1, 5):
        asked(index, {"shard": {"index": 0, "count": count}})

    assert list(index._by_count) == [3, 4, 1, 5]
