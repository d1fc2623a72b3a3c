"""Answers without a task of their own: the same bytes, under the same conditions, as those of the application."""

from __future__ import annotations

import asyncio

import pytest

from tenantry.web.app import FrontDoor
from tenantry.web.asgi import Headers, Whole
from tenantry.web.plugin import PATH
from tenantry.web.protocol import Joined
from tests.builders import snapshot_of, tenants
from tests.fakes import FakeTokens
from tests.web.harness import ALL, TOKEN, Door, Reply, ask, bearer, door, request, scope_of, serving

pytestmark = pytest.mark.anyio

GZIP = [(b"accept-encoding", b"gzip")]
MONDAY = [(b"date", b"Monday")]


def at_once(
    app: Door, body: bytes = ALL, *, method: str = "POST", path: str = PATH, headers: Headers | None = None
) -> Whole | None:
    return app.app.at_once(scope_of(method, path, bearer(TOKEN) if headers is None else headers), body)


def written(reply: Reply) -> bytes:
    """Write a reply of the application as HTTP does, without what the server adds."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in reply.headers)
    return b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + reply.body


class Changing(FakeTokens):
    """Tokens that are revoked, or cannot be looked up, from a moment on."""

    revoked = broken = False

    def consumer_of(self, presented: str) -> str | None:
        if self.broken:
            raise RuntimeError("a fault of ours")
        return None if self.revoked else super().consumer_of(presented)


@pytest.mark.parametrize("more", [[], GZIP], ids=["plain", "gzip"])
async def test_they_are_byte_for_byte_those_of_the_application(more: Headers) -> None:
    app = door(snapshot_of(tenants(200)))
    reply = await ask(app, headers=more)

    whole = at_once(app, headers=[*bearer(TOKEN), *more])

    assert whole is not None
    assert b"".join(whole) == written(reply)
    assert (reply.header("content-encoding") == "gzip") is bool(more)


async def test_they_are_told_to_the_observer_like_all_others() -> None:
    app = door()
    await ask(app)
    before = list(app.seen.answers)

    at_once(app)

    assert app.seen.answers == [*before, before[-1]]


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"body": b"{}"}, id="another body"),
        pytest.param({"body": b""}, id="no body"),
        pytest.param({"method": "GET"}, id="another method"),
        pytest.param({"path": "/healthz"}, id="another path"),
        pytest.param({"path": PATH + "/"}, id="a path that goes on"),
        pytest.param({"headers": []}, id="no token"),
        pytest.param({"headers": bearer("wrong")}, id="an unknown token"),
        pytest.param({"headers": bearer(TOKEN) * 2}, id="two tokens"),
        pytest.param({"headers": bearer("$argocd:token")}, id="an unresolved token"),
    ],
)
async def test_there_is_none_to_a_request_that_was_not_prepared_for(how: dict[str, object]) -> None:
    app = door()
    await ask(app)
    assert at_once(app) is not None

    assert at_once(app, **how) is None  # type: ignore[arg-type]
    assert len(app.seen.answers) == 2


async def test_there_is_none_to_a_request_without_a_body_which_may_have_been_lost_on_the_way() -> None:
    app = door()
    async with serving(app.app) as server, server.client() as client:
        await client.send(request(b"").replace(b"User-Agent: argocd-applicationset", b"User-Agent: curl"))
        assert len((await client.reply()).tenants) == 10

        assert (await client.ask(b"")).status == 400


async def test_there_is_none_before_the_first_read() -> None:
    assert at_once(door(empty=True)) is None


async def test_there_is_none_from_a_snapshot_that_is_too_old() -> None:
    app = door(max_stale=60)
    await ask(app)
    app.clock.pass_by(seconds=61)

    assert at_once(app) is None
    assert (await ask(app)).status == 503


async def test_there_is_none_from_a_snapshot_that_was_replaced() -> None:
    app = door(snapshot_of(tenants(10)))
    await ask(app)
    app.publish(snapshot_of(tenants(11)))

    assert at_once(app) is None
    assert len((await ask(app)).tenants) == 11


async def test_there_is_none_for_a_token_that_is_valid_no_more() -> None:
    tokens = Changing(argocd=TOKEN)
    app = door(tokens=tokens)
    await ask(app)
    tokens.revoked = True

    assert at_once(app) is None
    assert (await ask(app)).status == 401


async def test_a_fault_on_the_way_leaves_the_request_to_the_application() -> None:
    tokens = Changing(argocd=TOKEN)
    app = door(tokens=tokens)
    await ask(app)
    tokens.broken = True

    assert at_once(app) is None
    assert (await ask(app)).status == 500


async def test_over_the_wire_the_second_answer_is_the_first_one_again_without_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = door()
    async with serving(app.app) as server, server.client() as client:
        first = await client.ask()
        monkeypatch.delattr(FrontDoor, "__call__")
        second = await client.ask()

    assert [name for name, _ in second.headers] == [name for name, _ in first.headers]
    assert second.body == first.body


async def test_a_request_that_arrives_in_pieces_is_answered_when_it_is_whole() -> None:
    app = door()
    async with serving(app.app) as server, server.client() as client:
        await client.ask()
        sent = request()
        for cut in range(1, len(sent), 7):
            await client.send(sent[:cut])
            await asyncio.sleep(0)
            await client.send(sent[cut:])
            assert len((await client.reply()).tenants) == 10


@pytest.mark.parametrize("prepared", [True, False])
async def test_many_requests_in_one_piece_are_answered_one_by_one(prepared: bool) -> None:
    app = door()
    async with serving(app.app) as server, server.client() as client:
        if prepared:
            await client.ask()
        await client.send((request() + request(b"{") + request(path="/healthz", method="GET")) * 10)
        statuses = [(await client.reply()).status for _ in range(30)]

    assert statuses == [200, 400, 200] * 10


async def test_a_client_that_wants_the_connection_closed_gets_that() -> None:
    app = door()
    async with serving(app.app) as server, server.client() as client:
        await client.ask()
        reply = await client.ask(extra="Connection: close\r\n")

        assert len(reply.tenants) == 10
        assert reply.header("connection") == "close"
        assert await client.rest() == b""


async def test_a_client_that_waits_for_100_gets_it_first() -> None:
    app = door()
    async with serving(app.app) as server, server.client() as client:
        await client.ask()
        head, _, body = request(extra="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body)

        assert len((await client.reply()).tenants) == 10


async def test_a_connection_is_kept_and_ended_when_it_idles() -> None:
    app = door()
    async with serving(app.app, idle=0.3) as server, server.client() as client:
        await client.ask()
        await client.ask()

        assert await client.rest() == b""


async def test_what_is_cancelled_at_the_end_gets_a_message() -> None:
    app = door()
    async with serving(app.app) as server, server.client() as client:
        await client.send(request()[:-1])
        await asyncio.sleep(0)
        server.uvicorn.should_exit = True
        reply = await client.reply()

    assert reply.status == 503
    assert "shutting down" in reply.message


def test_an_answer_in_one_piece_has_the_headers_of_now() -> None:
    whole = (b"HTTP/1.1 200 OK\r\n", b"vary: accept-encoding\r\n\r\n", b"{}")
    joined = Joined()

    first, again = (joined.pieces(whole, MONDAY) for _ in range(2))
    later = joined.pieces(whole, [(b"date", b"Tuesday")])

    assert first == [b"HTTP/1.1 200 OK\r\ndate: Monday\r\nvary: accept-encoding\r\n\r\n{}"]
    assert again is first
    assert later == [b"HTTP/1.1 200 OK\r\ndate: Tuesday\r\nvary: accept-encoding\r\n\r\n{}"]


def test_answers_in_one_piece_are_told_apart() -> None:
    joined = Joined()

    bodies = [b"".join(joined.pieces((b"", b"\r\n", b"%d" % number), MONDAY)) for number in range(1000)]

    assert bodies == [b"date: Monday\r\n\r\n%d" % number for number in range(1000)]


def test_a_large_answer_is_not_copied() -> None:
    body = b"a" * (1 << 20)

    assert Joined().pieces((b"", b"\r\n", body), MONDAY)[1] is body
