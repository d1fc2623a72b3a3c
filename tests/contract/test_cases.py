"""Every acceptance case of the plugin contract that this version is about has its test."""

from __future__ import annotations

import importlib

from tests.contract.cases import COVERED

MODULES = (
    *("contract.test_contract", "contract.test_guard", "contract.test_selection", "contract.test_storm"),
    *("service.test_nudging", "e2e.test_live", "e2e.test_nudges"),
)


def test_every_case_of_this_version_has_a_test() -> None:
    for module in MODULES:
        importlib.import_module(f"tests.{module}")

    assert {*range(1, 18), *range(19, 51)} == COVERED
