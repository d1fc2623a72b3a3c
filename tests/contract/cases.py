"""The acceptance cases of the plugin contract, by number: which of them a test shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

COVERED: set[int] = set()


def case(*numbers: int) -> Callable[[Test], Test]:
    """Say which acceptance case a test shows."""
    COVERED.update(numbers)

    def same(test: Test) -> Test:
        return test

    return same
