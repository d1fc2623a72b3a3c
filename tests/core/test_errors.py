"""Messages: what, which and what to do, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core import errors
from tenantry.core.errors import LONGEST_MESSAGE, TenantryError, listed, quoted


def every_error(kind: type[TenantryError] = TenantryError) -> list[type[TenantryError]]:
    """Return the whole tree."""
    return [kind, *(below for child in kind.__subclasses__() for below in every_error(child))]


TREE = [kind for kind in every_error() if kind is not errors.ConfigurationError and kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_says_what_happened_and_what_to_do(kind: type[TenantryError]) -> None:
    error = kind()

    assert error.what.endswith(".")
    assert error.advice.endswith(".")
    assert error.message == f"{error.what} {error.advice}"


@given(st.text(), st.text())
def test_a_message_is_one_bounded_line(what: str, remedy: str) -> None:
    message = TenantryError(what * 50, remedy=remedy).message

    assert len(message) <= LONGEST_MESSAGE
    assert "\n" not in message


@given(st.text(min_size=1))
def test_a_quoted_name_is_printable_and_short(name: str) -> None:
    assert quoted(name).isprintable()
    assert len(quoted(name)) <= 82


def test_a_long_list_of_names_is_cut_and_counted() -> None:
    assert listed(f"n{n:03}" for n in range(100)).endswith("n023 and 76 more")
