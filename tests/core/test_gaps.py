"""What of a live ApplicationSet the guard cannot see through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tenantry.core.gaps import gaps_of
from tenantry.core.live import live_set
from tests.guard.test_selectors import ACTIVE, named, plugin

FIELDS = ("status", "tenant", "meta")


def selector(key: str) -> dict[str, Any]:
    return {"matchLabels": {key: "a"}}


def on_a_matrix(key: str) -> dict[str, Any]:
    return {"matrix": {"generators": [{"clusters": {}}, plugin()]}, "selector": selector(key)}


def gaps(spec: Mapping[str, Any]) -> list[str]:
    return [gap.what for gap in gaps_of(live_set({"spec": spec}), FIELDS)]


@pytest.mark.parametrize(
    "generator",
    [plugin(), plugin(ACTIVE), plugin(selector("meta.tier")), on_a_matrix("status"), on_a_matrix("meta.tier")],
)
def test_what_can_be_seen_through_has_no_gaps(generator: Mapping[str, Any]) -> None:
    assert gaps({"generators": [generator]}) == []


@pytest.mark.parametrize(
    ("generator", "told"),
    [
        (on_a_matrix("metadata.labels.tier"), "which no answer of ours has"),
        (
            {"merge": {"generators": [plugin(), {"clusters": {}}]}, "selector": selector("meta.tier")},
            "asks for meta.tier, which another generator may overwrite",
        ),
        (plugin(selector("values.tier")), "which no answer of ours has"),
        (plugin(selector("statsu")), "which is no field. Known: meta, status, tenant."),
        (plugin({"matchLabels": {"a b": "c"}}), "cannot be used"),
    ],
)
def test_a_selector_that_asks_for_something_else_is_a_gap(generator: Mapping[str, Any], told: str) -> None:
    [gap] = gaps({"generators": [generator]})
    assert told in gap


def test_another_generator_beside_ours_is_a_gap_and_one_that_is_combined_with_it_is_none() -> None:
    [gap] = gaps({"generators": [plugin(), {"list": {"elements": []}}]})
    assert "has another generator" in gap

    assert gaps({"generators": [plugin(), {"matrix": {"generators": [{"clusters": {}}, plugin()]}}]}) == []


def test_a_name_of_which_everything_may_be_part_is_a_gap() -> None:
    [gap] = gaps(named("{{ toJson . | sha256sum }}"))
    assert "named by cannot be known" in gap


@pytest.mark.parametrize(
    ("patch", "is_gap"),
    [
        ("metadata:\n  name: x-{{ .plan }}\n", True),
        ("spec: {}\nmetadata:\n  labels:\n    a: b\n{{ if .x }}\n  name: x\n{{ end }}\n", True),
        ("metadata:\n  labels:\n    a: b\nspec:\n  source:\n    helm:\n      parameters:\n        - name: a\n", False),
    ],
)
def test_a_template_patch_that_names_applications_is_a_gap(patch: str, *, is_gap: bool) -> None:
    spec = {"generators": [plugin()], "template": {"metadata": {"name": "{{tenant}}"}}, "templatePatch": patch}

    found = gaps_of(live_set({"spec": spec}), ("tenant", "plan"))

    assert [one.what for one in found] == (
        ["Which fields its Applications are named by cannot be known: a templatePatch names them"] if is_gap else []
    )


def test_before_the_first_read_selectors_are_not_looked_at() -> None:
    live = live_set({"spec": {"generators": [plugin(selector("statsu"))]}})
    assert gaps_of(live, None) == []
