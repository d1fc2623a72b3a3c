"""Every acceptance case of the plugin contract has its test, and those that replicas could break have one with two."""

from __future__ import annotations

import importlib

from tests.contract.cases import COVERED, COVERED_BY_TWO

MODULES = (
    *("contract.test_contract", "contract.test_guard", "contract.test_selection", "contract.test_storm"),
    *("service.test_nudging", "e2e.test_live", "e2e.test_nudges", "e2e.test_replicas"),
    *("replicas.test_standby", "replicas.test_storm"),
)


def test_every_case_has_a_test_and_those_about_changes_have_one_with_two_replicas() -> None:
    for module in MODULES:
        importlib.import_module(f"tests.{module}")

    assert set(range(1, 51)) == COVERED
    assert {*range(43, 49), 50} == COVERED_BY_TWO
