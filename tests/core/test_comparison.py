"""Differences between two plugins' answers."""

from __future__ import annotations

import pytest

from tenantry.core.comparison import Difference, compare

ACME = {"tenant": "acme", "status": "active"}
BETA = {"tenant": "beta", "status": "trial"}


def test_the_same_tenants_in_another_order_do_not_differ() -> None:
    assert compare([ACME, BETA], [BETA, ACME], "tenant").differences == ()


def test_a_changed_field_is_named_with_both_values() -> None:
    found = compare([ACME], [{**ACME, "status": "inactive"}], "tenant")

    assert found.differences == (Difference("acme", "status", "active", "inactive"),)


def test_a_tenant_on_one_side_only_is_a_difference() -> None:
    found = compare([ACME], [BETA], "tenant")

    assert [(one.tenant, one.ours) for one in found.differences] == [("acme", "(present)"), ("beta", "(absent)")]


def test_a_field_that_only_we_have_is_listed_and_not_counted() -> None:
    found = compare([{**ACME, "tenantName": "acme"}], [ACME], "tenant")

    assert found.differences == ()
    assert found.only_ours == ("tenantName",)


def test_a_field_that_only_they_have_is_counted() -> None:
    assert compare([ACME], [{**ACME, "plan": "pro"}], "tenant").differences == (
        Difference("acme", "plan", "(absent)", "pro"),
    )


def test_a_tenant_that_stands_twice_is_a_difference() -> None:
    assert compare([ACME], [ACME, ACME], "tenant").differences == (Difference("acme", "", "once", "twice"),)


def test_an_empty_answer_of_theirs_differs_by_every_tenant() -> None:
    assert len(compare([ACME, BETA], [], "tenant").differences) == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [
        pytest.param("1000000", 1000000, "1e+06 (number)", id="a number from a million up has an exponent"),
        pytest.param("1e+06", 1000000, "1e+06 (number)", id="a text that looks like it is still no number"),
        pytest.param("999999", 999999, "999999 (number)", id="a number below a million"),
        pytest.param("1234567", 1234567.0, "1.234567e+06 (number)", id="a float"),
        pytest.param("9007199254740993", 9007199254740993, "9.007199254740992e+15 (number)", id="a number too precise"),
        pytest.param("1.50", 1.5, "1.5 (number)", id="a fraction"),
        pytest.param("-0.00001", -0.00001, "-1e-05 (number)", id="a small fraction"),
        pytest.param("0.0001", 0.0001, "0.0001 (number)", id="a fraction not so small"),
        pytest.param("0", 0, "0 (number)", id="zero"),
        pytest.param("", 10**400, "out of range (number)", id="a number that Argo CD cannot read"),
        pytest.param("false", False, "false (boolean)", id="a boolean"),
        pytest.param("", None, "<nil> (null)", id="null"),
        pytest.param("[]", [], "[] (list)", id="an empty list"),
        pytest.param("{}", {}, "{} (object)", id="an empty object"),
        pytest.param('{"a":"b"}', {"a": "b"}, '{"a":"b"} (object)', id="an object beside its text"),
    ],
)
def test_what_is_no_text_differs_from_text_and_is_told_as_argo_cd_renders_it(
    ours: str, theirs: object, told: str
) -> None:
    found = compare([{"tenant": "a", "n": ours}], [{"tenant": "a", "n": theirs}], "tenant")

    assert found.differences == (Difference("a", "n", ours, told),)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(1, 1.0), (True, True), (None, None), ({"a": ["b"]}, {"a": ["b"]}), ([], []), ("", "")]
)
def test_what_argo_cd_cannot_tell_apart_does_not_differ(ours: object, theirs: object) -> None:
    assert compare([{"tenant": "a", "n": ours}], [{"tenant": "a", "n": theirs}], "tenant").differences == ()


def test_true_and_one_are_not_the_same() -> None:
    assert compare([{"tenant": "a", "n": True}], [{"tenant": "a", "n": 1}], "tenant").differences


def test_a_difference_inside_json_is_named_by_its_path() -> None:
    ours = {"tenant": "a", "settings": {"tier": "gold", "seats": "5", "regions": ["eu", "us"], "note": ""}}
    theirs = {"tenant": "a", "settings": {"tier": "gold", "seats": 5, "regions": ["eu"]}}

    assert compare([ours], [theirs], "tenant").differences == (
        Difference("a", "settings.note", "", "(absent)"),
        Difference("a", "settings.regions.1", "us", "(absent)"),
        Difference("a", "settings.seats", "5", "5 (number)"),
    )


def test_an_id_that_is_a_number_finds_its_tenant_and_differs() -> None:
    found = compare([{"id": "1000000"}], [{"id": 1000000}], "id")

    assert (found.tenants, found.differences) == (1, (Difference("1000000", "id", "1000000", "1e+06 (number)"),))
