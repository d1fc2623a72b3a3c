"""The body of a request, read strictly: what could mean two things is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tenantry.core.errors import InvalidBody
from tenantry.service.answering import PluginRequest
from tenantry.web.wire import read_request


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"applicationSetName":"a","input":{"parameters":{}}}', id="empty parameters"),
        pytest.param(b'{"applicationSetName":"a","input":{}}\n', id="as Argo CD sends it without parameters"),
        pytest.param(b'{"applicationSetName":"a"}', id="no input"),
        pytest.param(b' { "input" : { } , "applicationSetName" : "\\u0061" } ', id="spelt otherwise"),
    ],
)
def test_no_parameters_are_no_conditions(body: bytes) -> None:
    assert read_request(body) == PluginRequest("a", {})


def test_values_keep_every_digit_that_was_sent() -> None:
    body = b'{"applicationSetName":"a","input":{"parameters":{"n":1.50,"m":12345678901234567890,"t":true,"s":"5"}}}'

    assert read_request(body).parameters == {"n": Decimal("1.50"), "m": 12345678901234567890, "t": True, "s": "5"}


def test_what_argo_cd_escapes_is_the_same_text() -> None:
    assert read_request(b'{"applicationSetName":"\\u003ca\\u003e"}').application_set == "<a>"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"applicationSetName":"a","input":{"parameters":{"n":1e9999999999999999999}}}', id="exponent"),
        pytest.param(b'{"applicationSetName":"a","input":{"parameters":{"n":1,"n":2}}}', id="a parameter twice"),
        pytest.param(b'{"applicationSetName":"a","input":{},"generator":{}}', id="a key of another protocol"),
        pytest.param(b'{"ApplicationSetName":"a"}', id="another case"),
        pytest.param(b'{"applicationSetName":"a"}{"applicationSetName":"b"}', id="two documents"),
        pytest.param(b'{"applicationSetName":"a","input":{"parameters":{"n":-Infinity}}}', id="infinity"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBody):
        read_request(body)


def test_the_name_of_an_applicationset_may_have_253_characters() -> None:
    assert read_request(b'{"applicationSetName":"%s"}' % (b"a" * 253)).application_set == "a" * 253
