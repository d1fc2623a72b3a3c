"""Kubernetes label selectors; tests/e2e/test_labels.py holds them against the original."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenantry.core.errors import InvalidParameter, InvalidSelector
from tenantry.core.labels import MOST_REQUIREMENTS, Operator, Requirement, parse_selector, selector_of, written

TEXT = st.text(alphabet=" \tab-_./01=!(),<>\0é")
KEYS = st.sampled_from(["a", "in", "notin", "tier", "a.b", "x.y/z", "A_1"])
VALUES = st.sampled_from(["", "a", "in", "gold", "v1.2_3-x", "0"])
REQUIREMENTS = st.one_of(
    st.builds(Requirement, KEYS, st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])),
    st.builds(
        Requirement,
        KEYS,
        st.sampled_from([Operator.EQUALS, Operator.DOUBLE_EQUALS, Operator.NOT_EQUALS]),
        st.tuples(VALUES),
    ),
    st.builds(
        Requirement,
        KEYS,
        st.sampled_from([Operator.GREATER_THAN, Operator.LESS_THAN]),
        st.tuples(st.integers(0, 2**63 - 1).map(str)),
    ),
    st.builds(
        Requirement,
        KEYS,
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.sets(VALUES, min_size=2).map(lambda values: tuple(sorted(values))),
    ),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tier=gold", [("tier", "=", "gold")]),
        ("tier==gold", [("tier", "==", "gold")]),
        ("tier!=gold", [("tier", "!=", "gold")]),
        ("tier in (gold,silver)", [("tier", "in", "gold", "silver")]),
        (" tier  notin(  gold ,\tsilver ) ", [("tier", "notin", "gold", "silver")]),
        ("tier", [("tier", "exists")]),
        ("!tier", [("tier", "!")]),
        ("! tier , plan", [("plan", "exists"), ("tier", "!")]),
        ("seats>5,seats<10", [("seats", "<", "10"), ("seats", ">", "5")]),
        ("tier=", [("tier", "=", "")]),
        ("tier=,plan", [("plan", "exists"), ("tier", "=", "")]),
        ("tier in (,)", [("tier", "in", "")]),
        ("tier in (gold,)", [("tier", "in", "", "gold")]),
        ("tier notin ()", [("tier", "notin", "")]),
        ("in in (in,notin)", [("in", "in", "in", "notin")]),
        ("example.com/tier=gold", [("example.com/tier", "=", "gold")]),
        ("settings.tier=gold", [("settings.tier", "=", "gold")]),
        ("a=b,a=b", [("a", "=", "b")]),
        ("", []),
        (" \n", []),
    ],
)
def test_a_text_is_read_as_kubernetes_reads_it(text: str, found: list[tuple[str, ...]]) -> None:
    assert [(one.key, one.operator.value, *one.values) for one in parse_selector(text)] == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tier in ()", "The selector has an empty set before ')' at character 10, which would match no tenant."),
        ("tier in (gold", "The selector has the end at character 14, where ',' or ')' belongs."),
        ("tier in gold", "The selector has 'gold' at character 9, where '(' belongs."),
        ("tier in (gold silver)", "The selector has 'silver' at character 15, where ',' or ')' belongs."),
        ("tier is gold", "The selector has 'is' at character 6, where one of in, =, ==, notin, !=, >, < belongs."),
        ("tier=gold plan", "The selector has 'plan' at character 11, where ',' or the end belongs."),
        ("tier,", "The selector has the end at character 6, where a key or '!' belongs."),
        ("=gold", "The selector has '=' at character 1, where a key or '!' belongs."),
        ("!", "The selector has the end at character 2, where a key belongs."),
        ("!tier=gold", "The selector has '=' at character 6, where ',' or the end belongs."),
        ("tier=(", "The selector has '(' at character 6, where a value belongs."),
        ("seats>many", "The selector compares by '>' with 'many' at character 7: no whole number."),
        ("seats>9223372036854775808", "The selector compares by '>' with '9223372036854775808' at character 7: no "),
        ("tier=gold\0,plan", "The selector holds a NUL character."),
        ("tier=g+ld", "The selector has 'g+ld' at character 6, which is no label value: letters, digits, "),
        ("-tier=gold", "The selector has the key '-tier' at character 1, which is no label key: "),
        ("a/b/c=gold", "The selector has the key 'a/b/c' at character 1, which is no label key: "),
        (f"{'a' * 64}", "The selector has the key "),
        (f"a={'a' * 64}", "The selector has "),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, why: str) -> None:
    with pytest.raises(InvalidSelector) as refused:
        parse_selector(text)

    assert refused.value.what.startswith(why)
    assert len(refused.value.message) < 1024


@given(TEXT)
@example("a in (" + "," * 50)
def test_any_text_is_read_or_refused_and_what_is_read_is_written_and_read_again(text: str) -> None:
    try:
        found = parse_selector(text)
    except InvalidSelector:
        return
    if not any(one.operator is Operator.IN and one.values == ("",) for one in found):
        assert parse_selector(written(found)) == found


@given(st.lists(REQUIREMENTS))
def test_what_is_written_reads_the_same(requirements: list[Requirement]) -> None:
    assert parse_selector(written(requirements)) == tuple(sorted(set(requirements)))


@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("a=x", ["x"], ["y", "", None]),
        ("a!=x", ["y", "", None], ["x"]),
        ("a in (x,y)", ["x", "y"], ["z", "", None]),
        ("a notin (x,y)", ["z", "", None], ["x", "y"]),
        ("a", ["x", ""], [None]),
        ("!a", [None], ["x", ""]),
        ("a=", [""], ["x", None]),
        ("a>5", ["6", "+6", "007", "9223372036854775807"], ["5", "-6", "", "6.0", "1e3", "9223372036854775808", None]),
        ("a<5", ["4", "-9223372036854775808"], ["5", "x", "٣", "-9223372036854775809", None]),
    ],
)
def test_a_requirement_matches(text: str, matching: list[str | None], other: list[str | None]) -> None:
    (requirement,) = parse_selector(text)

    assert [value for value in [*matching, *other] if requirement.matches(value)] == matching


def test_an_object_takes_labels_and_expressions_with_free_values() -> None:
    found = selector_of(
        {
            "matchLabels": {"tier": "gold & silver", "seats": Decimal(5), "on": True},
            "matchExpressions": [
                {"key": "region", "operator": "In", "values": ["Europe (West)", ""]},
                {"key": "plan", "operator": "NotIn", "values": ["a,b"]},
                {"key": "legacy", "operator": "DoesNotExist"},
                {"key": "owner", "operator": "Exists", "values": []},
                {"key": "age", "operator": "Gt", "values": ["5"]},
                {"key": "age", "operator": "Lt", "values": [9]},
            ],
        }
    )

    assert [(one.key, one.operator.name, *one.values) for one in found] == [
        ("age", "LESS_THAN", "9"),
        ("age", "GREATER_THAN", "5"),
        ("legacy", "DOES_NOT_EXIST"),
        ("on", "IN", "true"),
        ("owner", "EXISTS"),
        ("plan", "NOT_IN", "a,b"),
        ("region", "IN", "", "Europe (West)"),
        ("seats", "IN", "5"),
        ("tier", "IN", "gold & silver"),
    ]


def test_a_whole_number_that_a_matrix_wrote_with_an_exponent_is_that_number_in_an_expression() -> None:
    (one,) = selector_of({"matchLabels": {"id": "1e+06"}})

    assert one.matches("1000000")
    assert one.matches("1e+06")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", "The selector is empty, which would select every tenant: leave it out for that."),
        ({}, "The selector is empty"),
        ({"matchLabels": {}, "matchExpressions": []}, "The selector is empty"),
        (None, "The selector is neither a text nor an object."),
        (["tier=gold"], "The selector is neither a text nor an object."),
        ({"tier": "gold"}, "The selector has an unknown key 'tier'. Known: matchExpressions, matchLabels."),
        ({"matchLabel": {"a": "b"}}, "Did you mean 'matchLabels'?"),
        ({"matchLabels": None}, "The selector's matchLabels is no object."),
        ({"matchLabels": {"a": None}}, "Input parameter 'a' is null, which no field can equal."),
        ({"matchLabels": {"a": ["b"]}}, "Input parameter 'a' is a list in a list"),
        ({"matchLabels": {"a b": "c"}}, "The selector has the key 'a b', which is no label key"),
        ({"matchExpressions": {"key": "a"}}, "The selector's matchExpressions is no list."),
        ({"matchExpressions": ["a"]}, "The selector has an expression that is no object."),
        ({"matchExpressions": [{"operator": "Exists"}]}, "The selector has an expression without a key."),
        (
            {"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]},
            ("The selector's expression on 'a' has the operator 'in'. Known: DoesNotExist, Exists, Gt, In, Lt, NotIn. Did "  # noqa: E501 -- as it is told
            "you mean 'In'?"),
        ),
        ({"matchExpressions": [{"key": "a"}]}, "The selector's expression on 'a' has no operator."),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]},
            "The selector's expression on 'a' has 0 values; its operator takes at least one.",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": None}]},
            "The selector's expression on 'a' has values that are no list.",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": "b"}]},
            "The selector's expression on 'a' has values that are no list.",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "In", "values": [None]}]},
            "Input parameter 'a' is null, which no field can equal.",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
            "The selector's expression on 'a' has 1 values; its operator takes no.",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["x"]}]},
            "The selector's expression on 'a' compares with no whole number.",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1", "2"]}]},
            "The selector's expression on 'a' has 2 values; its operator takes exactly one.",
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Exists", "vals": []}]},
            "An expression of the selector has an unknown key 'vals'. Known: key, operator, values. Did you mean 'values'?",  # noqa: E501 -- as it is told
        ),
    ],
)  # fmt: skip
def test_an_object_that_is_not_understood_is_refused(document: object, why: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        selector_of(document)

    assert why in refused.value.message


def test_requirements_are_bounded() -> None:
    with pytest.raises(InvalidSelector, match=f"more than {MOST_REQUIREMENTS}"):
        parse_selector(",".join(f"a{number}" for number in range(MOST_REQUIREMENTS + 1)))
    with pytest.raises(InvalidSelector, match=f"more than {MOST_REQUIREMENTS}"):
        selector_of({"matchLabels": {f"a{number}": "x" for number in range(MOST_REQUIREMENTS + 1)}})


JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["a", "In", "Exists", "", "b c"]) | st.decimals(),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["matchLabels", "matchExpressions", "key", "operator", "values", "a"]), below, max_size=3
        )
    ),
)


@given(JSON)
def test_whatever_is_given_it_is_a_selector_or_refused(document: object) -> None:
    try:
        assert selector_of(document)
    except InvalidParameter as refused:
        assert len(refused.message) < 1024  # noqa: PT017 -- the refusal is one of two good ends
