"""Who may ask: one bearer token, and what a refusal tells."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tenantry.adapters.tokens import MountedTokens
from tenantry.core.errors import MissingToken, UnknownToken, UnresolvedToken
from tenantry.web import auth
from tenantry.web.asgi import Headers
from tenantry.web.plugin import PATH
from tests.builders import snapshot_of
from tests.fakes import Recorder
from tests.web.harness import TOKEN, Door, ask, door

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "scheme", [pytest.param(b"Bearer", id="as Argo CD writes it"), pytest.param(b"bearer", id="in lower case")]
)
async def test_the_token_opens(scheme: bytes) -> None:
    reply = await ask(door(), token=None, headers=[(b"authorization", scheme + b" letmein")])

    assert len(reply.tenants) == 10


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        pytest.param([], MissingToken, id="no header, as of an empty Secret"),
        pytest.param([(b"authorization", b"")], MissingToken, id="an empty header"),
        pytest.param([(b"authorization", b"Bearer")], MissingToken, id="a scheme alone"),
        pytest.param([(b"authorization", b"Bearer   ")], MissingToken, id="blanks"),
        pytest.param([(b"authorization", b"letmein")], MissingToken, id="a token without its scheme"),
        pytest.param([(b"authorization", b"Basic bGV0bWVpbg==")], MissingToken, id="another scheme"),
        pytest.param([(b"authorization", b"Bearer letmein")] * 2, MissingToken, id="the header twice"),
        pytest.param([(b"authorization", b"Bearer $plugin:token")], UnresolvedToken, id="an unresolved reference"),
        pytest.param([(b"authorization", b"Bearer letmei")], UnknownToken, id="a part of the token"),
        pytest.param([(b"authorization", b"Bearer letmein x")], UnknownToken, id="the token and more"),
        pytest.param([(b"authorization", b"Bearer LETMEIN")], UnknownToken, id="the token in capitals"),
        pytest.param([(b"authorization", b"Bearer \xff\xfe")], UnknownToken, id="bytes that are not text"),
        pytest.param([(b"x-authorization", b"Bearer letmein")], MissingToken, id="another header"),
    ],
)
async def test_anything_else_is_refused_and_says_why(headers: Headers, why: type[Exception]) -> None:
    here = door(snapshot_of([{"tenant": "acme-corp", "status": "active"}]))

    reply = await ask(here, token=None, headers=headers)

    assert reply.status == 401
    assert reply.header("www-authenticate") == "Bearer"
    assert reply.message
    assert b"acme" not in reply.body
    assert [type(error) for _, error, _, _ in here.seen.refusals] == [why]


async def test_no_refusal_repeats_what_was_presented() -> None:
    here = door()

    replies = [await ask(here, token=token) for token in ("$almost-a-secret", "almost-a-secret")]

    assert all(b"almost-a-secret" not in reply.body for reply in replies)
    assert all("almost" not in error.message for _, error, _, _ in here.seen.refusals)


async def test_the_body_is_not_read_before_the_token_is_known() -> None:
    async def receive() -> dict[str, object]:
        raise AssertionError("the body was asked for")

    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    await door().app({"type": "http", "method": "POST", "path": PATH, "headers": []}, receive, send)

    assert sent[0]["status"] == 401


async def test_a_caller_without_a_token_does_not_learn_whether_there_is_a_snapshot() -> None:
    assert (await ask(door(empty=True), token="wrong")).status == 401


async def test_the_consumer_is_told_only_after_its_token_was_accepted() -> None:
    here = door()

    await ask(here, token="wrong")
    await ask(here, b'{"applicationSetName":"prod-eu","input":{"parameters":{"plam":"gold"}}}')
    await ask(here)

    assert [(name, consumer) for _, _, name, consumer in here.seen.refusals] == [("", ""), ("prod-eu", "argocd")]
    assert here.seen.answers == [("prod-eu", "argocd", 10)]


def mounted(file: Path) -> Door:
    tokens = MountedTokens(value=None, file=file, directory=None, recheck=timedelta(seconds=30), report=Recorder().told)
    return door(tokens=tokens)


@pytest.mark.parametrize(
    "token", [pytest.param(TOKEN, id="of letters"), pytest.param("schlüssel-東京", id="of any text")]
)
async def test_a_token_is_accepted_as_the_bytes_that_the_file_holds(tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(token.encode() + b"\n")

    reply = await ask(mounted(file), token=None, headers=[(b"authorization", b"Bearer " + token.encode())])

    assert reply.status == 200


def test_only_white_space_of_http_is_trimmed_and_no_byte_of_a_token() -> None:
    accepted: list[str] = []

    class Tokens:
        count = 1
        consumers = ()

        def consumer_of(self, presented: str) -> str:
            accepted.append(presented)
            return "default"

    auth.consumer_of({"headers": [(b"authorization", b"Bearer  caf\xc3\xa0 ")]}, Tokens())

    assert accepted == ["caf\xc3\xa0"]
