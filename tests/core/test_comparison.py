"""Differences between two plugins' answers."""

from __future__ import annotations

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


def test_text_and_number_are_not_the_same() -> None:
    assert compare([{"tenant": "a", "n": "1"}], [{"tenant": "a", "n": 1.5}], "tenant").differences
