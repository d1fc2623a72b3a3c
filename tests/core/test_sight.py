"""What Argo CD's own selectors leave of an answer: parameter sets as they flatten them, values as Go writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.errors import InvalidSelector
from tenantry.core.labels import live_selector_of
from tenantry.core.live import live_set
from tenantry.core.sight import SEES_ALL, Layer, Sight, flat_value, go_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=8,
)


def encoded(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def sight(selector: dict[str, Any], *, is_whole: bool = True) -> Sight:
    return Sight([(Layer(live_selector_of(selector), is_whole=is_whole),)])


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1000000, "1e+06"),
        (999999, "999999"),
        (1234567, "1.234567e+06"),
        (9007199254740993, "9.007199254740992e+15"),
        (123456.789, "123456.789"),
        (0.0001, "0.0001"),
        (-0.00001, "-1e-05"),
        (1.50, "1.5"),
        (0, "0"),
        (-0.0, "-0"),
        (True, "true"),
        (None, "<nil>"),
        ("1000000", "1000000"),
    ],
)
def test_values_are_written_as_go_does(value: object, written: str) -> None:
    assert go_text(value) == written


@given(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3))
def test_every_leaf_is_found_at_its_dotted_key_and_nothing_else_is(parameters: dict[str, Any]) -> None:
    leaves: dict[str, object] = {}

    def walk(value: object, path: tuple[str, ...]) -> None:
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, below in items:
                walk(below, (*path, str(key)))
        else:
            leaves[".".join(path)] = value

    walk(parameters, ())
    for key, value in leaves.items():
        assert flat_value(parameters, key) == go_text(value)
        assert flat_value(parameters, f"{key}.x") is None
    for key, value in parameters.items():
        assert isinstance(value, dict | list) == (flat_value(parameters, key) is None)


def test_a_key_with_a_dot_of_its_own_is_found_as_well() -> None:
    assert flat_value({"a.b": {"c": "1"}}, "a.b.c") == "1"


def test_a_missing_key_is_in_nothing_and_not_in_anything() -> None:
    tenant = encoded(tenant="a")
    for operator, seen in (("In", False), ("NotIn", True)):
        expression = {"key": "status", "operator": operator, "values": ["active"]}
        assert sight({"matchExpressions": [expression]}).sees(tenant) is seen


def test_what_argo_cd_adds_to_a_parameter_set_is_not_known_and_keeps_nobody_out() -> None:
    assert sight({"matchLabels": {"values.tier": "gold"}}).sees(encoded(tenant="a"))


def test_fields_that_may_be_of_another_generator_keep_nobody_out() -> None:
    selector = {"matchLabels": {"cluster": "a"}}
    assert sight(selector, is_whole=False).sees(encoded(tenant="a"))
    assert not sight(selector).sees(encoded(tenant="a"))


def test_whoever_loses_one_of_two_applications_loses_it() -> None:
    layers = [(Layer(live_selector_of({"matchLabels": {"plan": plan}})),) for plan in ("a", "b")]
    assert Sight(layers).loses(encoded(plan="a"), encoded(plan="b"))
    assert Sight(layers).sees(encoded(plan="b"))


def test_without_selectors_nobody_is_left_out() -> None:
    released = {"a": encoded(tenant="a")}
    assert SEES_ALL.sees(released["a"])
    assert SEES_ALL.unseen(released) == frozenset()
    assert not SEES_ALL.loses(released["a"], encoded(tenant="b"))


@pytest.mark.parametrize(
    "selector",
    [
        {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]},
        {"matchExpressions": [{"key": "a b", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]},
        {"matchExpressions": ["a"]},
        {"matchLabels": [], "matchExpressions": {}},
        "a=b",
    ],
)
def test_a_selector_that_argo_cd_refuses_is_said_and_selects_all(selector: Any) -> None:  # noqa: ANN401
    if selector != {"matchLabels": [], "matchExpressions": {}}:
        with pytest.raises(InvalidSelector):
            live_selector_of(selector)
    generator = {"plugin": {}, "selector": selector}
    live = live_set({"spec": {"generators": [generator]}})
    assert live.plugins[0].layers == ()


def test_an_empty_selector_selects_all() -> None:
    assert live_selector_of({}) == ()
    assert live_selector_of({"matchLabels": None}) == ()
