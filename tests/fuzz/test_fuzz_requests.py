"""Requests of any kind: an answer that the model agrees with, or a message; and nothing without a token."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tenantry.web.asgi import Headers
from tenantry.web.plugin import PATH
from tests.fuzz.million import main, selector_of
from tests.fuzz.model import FIELDS, RESERVED, expected, model_door, violation
from tests.web.harness import TOKEN, Reply, ask

NAMES = st.sampled_from([*FIELDS, "settings.tier", "settings.regions.0", "settings.nobody", "plam", *RESERVED])
VALUES: st.SearchStrategy[Any] = (
    st.sampled_from(["active", "trial", "gold", "free", "", "5", "a", "eu", "tenant-03", True, 5, 1.5, -7, "true"])
    | st.text(max_size=5)
    | st.integers()
    | st.booleans()
)
SELECTORS = st.integers().map(lambda seed: selector_of(random.Random(seed))) | st.text("aplns .=!<>(),-5", max_size=12)
SHARDS = st.fixed_dictionaries({"index": VALUES, "count": VALUES | st.sampled_from([2, "3", 5])})
PARAMETERS = st.dictionaries(
    NAMES,
    VALUES | st.lists(VALUES, max_size=3) | SELECTORS | SHARDS | st.sampled_from(["gold", "first-half"]),
    max_size=3,
)
REQUESTS = st.fixed_dictionaries(
    {"applicationSetName": st.text(min_size=1, max_size=5)},
    optional={"input": st.fixed_dictionaries({}, optional={"parameters": PARAMETERS})},
).map(lambda document: json.dumps(document).encode())

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["applicationSetName", "input", "parameters", "plan", ""]), inner, max_size=3)
    ),
)
BODIES = REQUESTS | JSON.map(json.dumps).map(str.encode) | st.binary()

HEADER_NAMES = st.sampled_from([b"accept-encoding", b"content-type", b"x-forwarded-for", b"authorization", b"cookie"])
HEADERS: st.SearchStrategy[Headers] = st.lists(st.tuples(HEADER_NAMES, st.binary(max_size=30)), max_size=4)
NO_TOKENS = st.none() | st.text(st.characters(codec="latin-1"), max_size=20).filter(lambda text: text.strip() != TOKEN)
SERVED = {PATH, "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"}
OTHER_PATHS = st.text(max_size=20).map(lambda path: f"/{path}").filter(lambda path: path not in SERVED)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])

HERE = model_door()


def reply_to(body: bytes, method: str = "POST", path: str = PATH, **more: Any) -> Reply:  # noqa: ANN401 -- see `ask`
    return asyncio.run(ask(HERE, body, method=method, path=path, **more))


@example(b'{"applicationSetName":"a","input":{"parameters":{"seats":1.50}}}')
@example(b'{"applicationSetName":"a","input":{"parameters":{"seats":-7.0}}}')
@example(b'{"applicationSetName":"a","input":{"parameters":{"seats":1e-999}}}')
@given(BODIES)
def test_an_answer_is_the_models_or_else_there_is_a_message(body: bytes) -> None:
    assert violation(body, reply_to(body)) == ""


@given(REQUESTS, st.integers(0, 200), st.binary(min_size=1, max_size=2))
def test_a_request_with_a_few_bytes_wrong_is_not_understood_otherwise(body: bytes, at: int, bad: bytes) -> None:
    damaged = body[:at] + bad + body[at + len(bad) :]

    assert violation(damaged, reply_to(damaged)) == ""


@given(BODIES, HEADERS, st.lists(st.integers(0, 100), max_size=3))
def test_no_header_and_no_cut_of_the_body_changes_what_is_answered(
    body: bytes, headers: Headers, cuts: list[int]
) -> None:
    harmless = [(name, value) for name, value in headers if name != b"authorization"]
    ends = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    parts = [body[begin:end] for begin, end in pairwise(ends)]

    reply = reply_to(body, headers=harmless, parts=parts)

    if reply.header("content-encoding") == "gzip":
        assert reply.header("content-length") == str(len(reply.body))
        reply = Reply(reply.status, reply.headers, gzip.decompress(reply.body))
    assert violation(body, reply) == ""


@given(BODIES, HEADERS, NO_TOKENS)
def test_without_a_valid_token_there_is_a_message_and_no_tenant(
    body: bytes, headers: Headers, token: str | None
) -> None:
    authorization = [] if token is None else [(b"authorization", b"Bearer " + token.encode("latin-1"))]

    reply = reply_to(body, token=None, headers=[*headers, *authorization])

    assert reply.status == 401
    assert reply.message
    assert b"tenant-" not in reply.body


@given(METHODS, OTHER_PATHS, BODIES)
def test_no_other_path_or_method_answers_anything_but_a_message(method: str, path: str, body: bytes) -> None:
    reply = reply_to(body, method=method, path=path, token=None)

    assert reply.status == 404
    assert reply.message


def test_every_parameter_of_the_model_selects_some_and_not_all() -> None:
    body = '{"applicationSetName":"a","input":{"parameters":{"%s":"%s"}}}'
    questions = {"plan": "gold", "seats": "5", "settings.tier": "a", "settings.regions.1": "us", "status": "trial"}

    for name, value in questions.items():
        found = expected((body % (name, value)).encode())
        assert found is not None
        assert 0 < len(found) < 12


def test_twenty_thousand_generated_requests_violate_nothing() -> None:
    assert main(["--requests", "20000", "--seed", "7"]) == 0
