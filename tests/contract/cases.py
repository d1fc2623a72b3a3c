"""The acceptance cases of the plugin contract, by number: which of them a test shows, and with how many replicas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

COVERED: set[int] = set()
COVERED_BY_TWO: set[int] = set()


def case(*numbers: int, replicas: int = 1) -> Callable[[Test], Test]:
    """Say which acceptance case a test shows: of one process, or of two that share a state."""
    (COVERED if replicas == 1 else COVERED_BY_TWO).update(numbers)

    def same(test: Test) -> Test:
        return test

    return same
