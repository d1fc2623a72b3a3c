from __future__ import annotations

import copy
import dataclasses
import pickle
import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenantry.core.secret import Secret

PLAIN = "correct horse battery staple"


@dataclasses.dataclass(frozen=True)
class Holder:
    secret: Secret


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(str, id="as text"),
        pytest.param(repr, id="as representation"),
        pytest.param(lambda secret: f"{secret}", id="in an f-string"),
        pytest.param(lambda secret: f"{secret:>8}", id="in an f-string with a width"),
        pytest.param(lambda secret: "%s" % secret, id="by percent formatting"),  # noqa: UP031
        pytest.param(lambda secret: repr(Holder(secret)), id="in the dataclass that holds it"),
        pytest.param(lambda secret: str(dataclasses.asdict(Holder(secret))), id="in that dataclass as a dictionary"),
        pytest.param(lambda secret: str([{"a": secret}]), id="in a list of dictionaries"),
    ],
)
def test_a_secret_is_masked_wherever_it_is_shown(shown: Callable[[Secret], str]) -> None:
    text = shown(Secret(PLAIN))

    assert "****" in text
    assert PLAIN not in text


def test_only_reveal_gives_it_out() -> None:
    assert Secret(PLAIN).reveal() == PLAIN


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret(" ")


@hypothesis_settings(deadline=None)
@given(st.text(), st.text())
def test_secrets_are_equal_as_their_texts_are(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) == Secret(one)
    assert hash(Secret(one)) == hash(Secret(one))


def test_a_secret_does_not_equal_its_text() -> None:
    assert Secret(PLAIN) != PLAIN


def test_half_a_character_can_be_compared() -> None:
    assert Secret("\ud800") == Secret("\ud800")


def test_a_secret_does_not_change() -> None:
    secret = Secret(PLAIN)

    with pytest.raises(AttributeError):
        secret._text = "other"
    with pytest.raises(AttributeError):
        del secret._text
    assert secret.reveal() == PLAIN


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Holder(Secret(PLAIN)))


def test_a_copy_is_the_secret_itself() -> None:
    secret = Secret(PLAIN)

    assert copy.deepcopy(Holder(secret)).secret is secret
    assert copy.copy(secret) is secret


def test_a_traceback_with_local_variables_does_not_show_it() -> None:
    def fails(secret: Secret) -> None:
        raise RuntimeError("failed")

    try:
        fails(Secret(PLAIN))
    except RuntimeError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert "****" in shown
        assert f"secret = {PLAIN}" not in shown
