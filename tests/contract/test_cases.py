"""Every acceptance case of the plugin contract that this version is about has its test."""

from __future__ import annotations

import importlib

from tests.contract.cases import COVERED

MODULES = ("test_contract", "test_guard", "test_selection")


def test_every_case_of_this_version_has_a_test() -> None:
    for module in MODULES:
        importlib.import_module(f"tests.contract.{module}")

    assert {*range(1, 18), *range(19, 22), *range(23, 43), 49} == COVERED
