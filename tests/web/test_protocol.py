"""The edge of the network: slow peers, large headers, bytes that are not HTTP. Every test talks to a real server."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tenantry.web.asgi import Receive, Scope, Send
from tenantry.web.plugin import PATH
from tenantry.web.protocol import LARGEST_HEADERS
from tests.builders import snapshot_of, tenants
from tests.web.harness import ALL, TOKEN, Client, Server, door, eventually, request, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run on the event loop that the service runs on."""
    return "asyncio", {"use_uvloop": True}


SOON = 0.2
"""Seconds of a limit that a test waits for to pass."""

LAST = "Connection: close\r\n"

SMALL = tenants(100, note="a" * 500)
"""Rows whose answer has less than what a transport holds before it asks to pause."""


async def test_one_connection_serves_twenty_answers_in_a_row() -> None:
    async with serving(door().app) as server, server.client() as client:
        replies = [await client.ask() for _ in range(20)]

        assert [len(reply.tenants) for reply in replies] == [10] * 20
        assert all(reply.header("transfer-encoding") is None for reply in replies)
        assert server.connections == 1


async def test_requests_sent_at_once_are_answered_in_their_order() -> None:
    bodies = [b'{"applicationSetName":"a","input":{"parameters":{"tenant":"tenant-000%d"}}}' % n for n in range(10)]

    async with serving(door().app) as server, server.client() as client:
        await client.send(b"".join(map(request, bodies)))
        replies = [await client.reply() for _ in bodies]

    assert [reply.tenants for reply in replies] == [[f"tenant-000{n}"] for n in range(10)]


async def test_a_request_in_single_bytes_is_answered() -> None:
    async with serving(door().app) as server, server.client() as client:
        for n in request():
            await client.send(bytes([n]))

        assert (await client.reply()).status == 200


async def test_headers_that_do_not_arrive_end_in_a_message() -> None:
    async with serving(door().app, header=SOON) as server, server.client() as client:
        await client.send(request()[:40])

        reply = await client.reply()

        assert reply.status == 408
        assert "in time" in reply.message
        assert reply.header("connection") == "close"
        assert await client.rest() == b""


async def test_headers_that_arrive_a_byte_at_a_time_get_no_more_time() -> None:
    async with serving(door().app, header=SOON) as server, server.client() as client:
        sending = asyncio.create_task(trickle(client))
        reply = await client.reply()
        sending.cancel()

    assert reply.status == 408


async def trickle(client: Client) -> None:
    await client.send(b"POST / HTTP/1.1\r\nx: ")
    while True:
        await client.send(b"a")
        await asyncio.sleep(SOON / 20)


async def test_a_connection_on_which_nothing_comes_is_closed_without_a_word() -> None:
    async with serving(door().app, header=SOON) as server, server.client() as client:
        assert await client.rest() == b""


async def test_an_idle_connection_outlives_the_limit_for_headers() -> None:
    async with serving(door().app, header=SOON) as server, server.client() as idle:
        assert (await idle.ask()).status == 200
        await limit_for_headers(server)

        assert (await idle.ask()).status == 200


async def limit_for_headers(server: Server) -> None:
    """Wait until a connection that begins now has run into the limit."""
    async with server.client() as late:
        await late.send(b"POST ")
        assert (await late.reply()).status == 408


@pytest.mark.parametrize(
    ("token", "sent"),
    [
        pytest.param(TOKEN, b"", id="nothing"),
        pytest.param(TOKEN, b"\r\n", id="an empty line"),
        pytest.param("wrong", b"a", id="a part of a refused body"),
    ],
)
async def test_an_idle_connection_is_closed_after_a_while_whatever_came_last(token: str, sent: bytes) -> None:
    head, body = split(request(b"a" * 10, token=token) if token != TOKEN else request())

    async with serving(door().app, idle=1) as server, server.client() as client:
        await client.send(head if sent == b"a" else head + body)
        await client.reply()
        await client.send(sent)

        assert await client.rest() == b""


async def test_a_second_request_has_the_limit_for_headers_too() -> None:
    async with serving(door().app, header=SOON) as server, server.client() as client:
        assert (await client.ask()).status == 200
        await client.send(request()[:40])

        assert (await client.reply()).status == 408


async def test_a_body_that_stops_halfway_ends_in_a_message() -> None:
    async with serving(door(body_timeout=SOON).app) as server, server.client() as client:
        await client.send(request()[:-5])

        reply = await client.reply()

        assert reply.status == 408
        assert reply.message
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param("x: " + "a" * (80 << 10), id="one long header"),
        pytest.param("\r\n".join(f"x-{n}: {'a' * 100}" for n in range(800)), id="many headers"),
    ],
)
@pytest.mark.parametrize("end", [pytest.param("", id="still coming"), pytest.param("\r\n\r\n", id="complete")])
async def test_headers_beyond_64_kib_are_refused(headers: str, end: str) -> None:
    async with serving(door().app) as server, server.client() as client:
        await client.send(f"GET /healthz HTTP/1.1\r\nhost: a\r\n{headers}{end}".encode())

        reply = await client.reply()

        assert reply.status == 431
        assert "64 KiB" in reply.message


async def test_a_long_path_counts_as_headers() -> None:
    async with serving(door().app) as server, server.client() as client:
        await client.send(b"GET /" + b"a" * (80 << 10))

        assert (await client.reply()).status == 431


async def test_headers_just_below_64_kib_are_read() -> None:
    async with serving(door().app) as server, server.client() as client:
        assert (await client.ask(extra=f"x: {'a' * 65_000}\r\n")).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 without asking"),
        pytest.param(b"POST /a b HTTP/1.1\r\n\r\n", id="a blank in the path"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nbad header\r\n\r\n", id="a line without a colon"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nx\0y: 1\r\n\r\n", id="a NUL in a name"),
        pytest.param(b"GET /healthz HTTP/9.9\r\n\r\n", id="a version that there is not"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", id="a length below zero"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", id="a length with an underscore"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", id="two lengths"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="a chunk without a size"),
        pytest.param(
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="length and chunks at once",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            id="chunks and length at once",
        ),
        pytest.param(b"CONNECT db:5432 HTTP/1.1\r\n\r\n", id="a wish for a tunnel"),
        pytest.param(b"GET http://[::/ HTTP/1.1\r\n\r\n", id="an address that is none"),
        pytest.param(b"GET /\xff HTTP/1.1\r\n\r\n", id="a path that is not text"),
    ],
)
async def test_what_is_not_http_is_refused_in_our_shape(sent: bytes) -> None:
    async with serving(door().app) as server, server.client() as client:
        await client.send(sent)

        reply = await client.reply()

        assert reply.status == 400
        assert "not a valid HTTP request" in reply.message
        assert await client.rest() == b""


async def test_a_request_is_never_hidden_in_the_body_of_another() -> None:
    hidden = request()
    smuggled = (
        f"POST {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\nContent-Length: {len(hidden) + 5}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )

    async with serving(door().app) as server, server.client() as client:
        await client.send(smuggled.encode() + hidden)

        assert (await client.reply()).status == 400
        assert b"tenant-" not in await client.rest()


@pytest.mark.parametrize(
    ("framing", "piece"),
    [
        pytest.param("Content-Length: 2000", b"", id="declared"),
        pytest.param("Transfer-Encoding: chunked", b"3e8\r\n" + b"a" * 1000 + b"\r\n", id="in chunks"),
    ],
)
async def test_a_body_too_large_is_refused_before_its_end(framing: str, piece: bytes) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n{framing}\r\n\r\n"

    async with serving(door(max_body=999).app) as server, server.client() as client:
        await client.send(head.encode() + piece)

        reply = await client.reply()

        assert reply.status == 413
        assert "server.max_body" in reply.message
        assert await client.rest() == b""


async def test_a_body_in_chunks_is_read() -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (ALL[:7], ALL[7:])) + b"0\r\n\r\n"
    head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"

    async with serving(door().app) as server, server.client() as client:
        await client.send(head.encode() + chunks)

        assert (await client.reply()).status == 200


@pytest.mark.parametrize("size", [pytest.param(10, id="small"), pytest.param(300_000, id="large")])
@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        pytest.param(PATH, "wrong", 401, id="wrong token"),
        pytest.param("/elsewhere", TOKEN, 404, id="wrong path"),
        pytest.param("/readyz", TOKEN, 405, id="wrong method"),
    ],
)
async def test_a_refusal_that_comes_before_the_body_is_the_only_response(
    path: str, token: str, status: int, size: int
) -> None:
    head, body = split(request(b"a" * size, path=path, token=token))

    async with serving(door().app) as server, server.client() as client:
        await client.send(head)
        assert (await client.reply()).status == status
        await client.send(body)

        await answered_or_closed(client)


async def test_a_body_after_its_refusal_does_not_start_the_limit_for_headers() -> None:
    head, body = split(request(b"a" * 10, token="wrong"))

    async with serving(door().app, header=SOON) as server, server.client() as client:
        await client.send(head)
        assert (await client.reply()).status == 401
        await client.send(body)
        await limit_for_headers(server)

        await answered_or_closed(client)


def split(sent: bytes) -> tuple[bytes, bytes]:
    head, _, body = sent.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


async def answered_or_closed(client: Client) -> None:
    """Ask once more: either this is answered, or the server had closed the connection without another word."""
    try:
        await client.send(request())
        statuses = [(await client.reply()).status]
    except ConnectionError:
        statuses = []
    except asyncio.IncompleteReadError as end:
        statuses = [0] if end.partial else []
    assert statuses in ([], [200])


async def test_one_wrong_token_is_one_response_and_the_connection_goes_on() -> None:
    here = door()
    async with serving(here.app) as server, server.client() as client:
        assert (await client.ask(token="wrong")).status == 401
        assert (await client.ask(extra=LAST)).status == 200
        assert await client.rest() == b""

    assert len(here.seen.refusals) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_refused_on_the_wire(method: str) -> None:
    async with serving(door().app) as server, server.client() as client:
        await client.send(request(b"", method=method))

        reply = await client.reply(of_head=method == "HEAD")

        assert reply.status == 405
        if method != "HEAD":
            assert reply.message
        assert (await client.ask()).status == 200


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/" + PATH, id="two slashes in front"),
        pytest.param(PATH + "/", id="a slash behind"),
        pytest.param("/prefix" + PATH, id="a prefix"),
        pytest.param("/api/v1/../v1/getparams.execute", id="dots"),
        pytest.param("/", id="the root"),
        pytest.param("/docs/", id="a slash behind the page"),
        pytest.param("/api/v1/getparams.execute%20", id="a blank behind"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_path_that_there_is_not_is_never_redirected(path: str, method: str) -> None:
    async with serving(door().app) as server, server.client() as client:
        await client.send(request(method=method, path=path))

        reply = await client.reply()

        assert reply.status == 404
        assert "baseUrl" in reply.message


@pytest.mark.parametrize("target", ["*", "http://tenantry:4355/elsewhere", "?x=1"])
async def test_no_form_of_a_target_is_answered_without_a_message(target: str) -> None:
    async with serving(door().app) as server, server.client() as client:
        await client.send(request(method="OPTIONS", path=target))

        assert (await client.reply()).message


async def test_a_question_mark_changes_nothing() -> None:
    async with serving(door().app) as server, server.client() as client:
        assert (await client.ask(path=PATH + "?x=1")).status == 200


@pytest.mark.parametrize("length", ["content-length", "chunks"])
@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
async def test_a_body_beside_an_offer_of_another_protocol_is_never_taken_for_none(
    upgrade: str, length: str, caplog: pytest.LogCaptureFixture
) -> None:
    offer = f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\nUser-Agent: curl\r\n"
    asked = b'{"applicationSetName":"x","input":{"parameters":{"tenant":"nobody"}}}'
    sent = request(asked, extra=offer)
    if length == "chunks":
        sent = request(b"%x\r\n%b\r\n0\r\n\r\n" % (len(asked), asked), extra=offer)
        sent = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", sent)
    async with serving(door().app) as server, server.client() as client:
        await client.send(sent.replace(b"User-Agent: argocd-applicationset\r\n", b""))
        reply = await client.reply()

        assert reply.status == 400
        assert "Upgrade" in reply.message
        assert await client.rest() == b""
    assert caplog.messages == []


@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
async def test_an_offer_of_another_protocol_is_not_taken_up(upgrade: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(door().app) as server, server.client() as client:
        offer = f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\n"
        await client.send(request(b"", method="GET", path="/healthz", extra=offer))

        assert (await client.reply()).status == 200
    assert caplog.messages == []


async def test_who_waits_for_permission_gets_it_or_a_refusal() -> None:
    async with serving(door().app) as server, server.client() as client:
        head, body = split(request(extra="Expect: 100-continue\r\n"))
        await client.send(head)
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body)

        assert (await client.reply()).status == 200


async def test_http_1_0_is_answered_and_closed() -> None:
    async with serving(door().app) as server, server.client() as client:
        await client.send(request().replace(b"HTTP/1.1", b"HTTP/1.0"))

        assert (await client.reply()).status == 200
        assert await client.rest() == b""


async def test_who_does_not_read_is_cut_off_and_others_are_answered_meanwhile() -> None:
    here = door(snapshot_of(tenants(1000, note="a" * 16_000)))
    some = b'{"applicationSetName":"a","input":{"parameters":{"tenant":"tenant-0001"}}}'
    async with serving(here.app, write=SOON) as server, server.client() as other:
        with never_reading(server) as lazy:
            lazy.sendall(request())
            await eventually(lambda: server.connections == 2 and bool(here.seen.answers))

            assert (await other.ask(some)).tenants == ["tenant-0001"]
            await eventually(lambda: server.connections == 1)

        assert (await other.ask(some)).status == 200


@pytest.mark.parametrize("extra", [pytest.param("", id="kept"), pytest.param(LAST, id="to be closed")])
async def test_who_leaves_the_rest_of_a_small_answer_unread_is_cut_off_too(extra: str) -> None:
    here = door(snapshot_of(SMALL))
    async with serving(here.app, write=SOON, room=4096) as server:
        with never_reading(server) as lazy:
            lazy.sendall(request(extra=extra))
            await eventually(lambda: bool(here.seen.answers))

            await eventually(lambda: server.connections == 0)


@contextmanager
def never_reading(server: Server) -> Iterator[socket.socket]:
    """Connect with room for little."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        yield connection


async def test_who_reads_slowly_but_in_time_gets_everything() -> None:
    here = door(snapshot_of(tenants(10_000)))
    async with serving(here.app) as server, server.client(limit=1024) as client:
        reply = await client.ask()

    assert len(reply.tenants) == 10_000


async def test_who_goes_away_takes_nothing_from_the_others() -> None:
    async with serving(door().app) as server, server.client() as other:
        for sent in (b"", b"POST ", request()[:-3], request()):
            async with server.client() as client:
                await client.send(sent)
        await eventually(lambda: server.connections == 1)

        assert (await other.ask()).status == 200


async def test_a_route_that_raises_is_a_message_and_not_plain_text() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("secret of the table")

    here = door(more={"/broken": broken})
    async with serving(here.app) as server, server.client() as client:
        reply = await client.ask(path="/broken")

        assert reply.status == 500
        assert reply.message
        assert b"secret" not in reply.body
        assert (await client.ask()).status == 200


CHUNKED = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("token", [TOKEN, "wrong"])
async def test_what_comes_beside_a_body_has_a_limit(token: str) -> None:
    async with serving(door().app) as server, server.client() as client:
        await client.send((CHUNKED % token).encode() + b"%x\r\n%b\r\n0\r\n" % (len(ALL), ALL))
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 64 * LARGEST_HEADERS:
                await client.send(b"a: trailer\r\n" * 1000)
                sent += 12_000
        await client.rest()

        assert sent < 64 * LARGEST_HEADERS
        await eventually(lambda: server.connections == 0)


async def test_a_body_in_the_smallest_chunks_with_a_trailer_is_a_body() -> None:
    body = ALL + b" " * LARGEST_HEADERS
    async with serving(door().app) as server, server.client() as client:
        await client.send((CHUNKED % TOKEN).encode())
        for start in range(0, len(body), 1000):
            await client.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body[start : start + 1000]))
        await client.send(b"0\r\nX-Sum: 1\r\n\r\n")

        assert len((await client.reply()).tenants) == 10


@pytest.mark.parametrize("path", [PATH, "/healthz", "/nowhere"])
async def test_requests_that_pile_up_unread_end_the_connection_and_cost_no_memory(path: str) -> None:
    many = request(ALL if path == PATH else b"", path=path, method="POST" if path == PATH else "GET") * 5000
    async with serving(door().app, room=4096) as server, server.client() as client, server.client() as other:
        with contextlib.suppress(ConnectionError):
            await client.send(many)
        assert (await other.ask()).status == 200

        await eventually(lambda: server.connections == 1)
