"""The HTTP side in one process, and a client that sees every byte: what Argo CD's own client would see."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from tenantry.adapters.prometheus import PrometheusObserver
from tenantry.config.settings import ServerSettings
from tenantry.core.errors import LONGEST_MESSAGE
from tenantry.core.snapshot import Snapshot
from tenantry.runtime import EmbeddedServer
from tenantry.service.answering import Answering, Unguarded
from tenantry.service.observing import Observers
from tenantry.service.overview import Overview
from tenantry.service.ports import Tokens
from tenantry.service.snapshots import SnapshotHolder
from tenantry.web.api import api
from tenantry.web.app import AdminGate, Framework, FrontDoor
from tenantry.web.asgi import App, Headers, Message, Scope
from tenantry.web.auth import refuse_all_but_admins
from tenantry.web.ops import Readiness, ops_routes
from tenantry.web.plugin import PATH, PluginEndpoint
from tests.builders import snapshot_of, tenants
from tests.fakes import FakeClock, FakeTokens, Recorder

TOKEN = "letmein"
ADMIN_TOKEN = "let-the-admin-in"
ALL = b'{"applicationSetName":"prod-eu","input":{}}'
"""The body of a generator without input, byte for byte."""

LONG_ENOUGH = 20.0
"""Seconds after which a test gives up waiting: far beyond what any of them needs."""


@dataclass(frozen=True)
class Reply:
    """A whole response."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value.decode() for key, value in self.headers if key.lower() == name.lower().encode()]
        assert len(found) < 2, f"{name} is there twice"
        return found[0] if found else None

    @property
    def json(self) -> Any:  # noqa: ANN401 -- JSON
        return json.loads(self.body)

    @property
    def tenants(self) -> list[str]:
        assert self.status == 200
        return [item["tenant"] for item in self.json["output"]["parameters"]]

    @property
    def message(self) -> str:
        """The text that Argo CD would show, after everything it relies on was checked."""
        assert not 200 <= self.status < 400
        assert self.header("content-type") == "application/json"
        assert self.header("content-length") == str(len(self.body))
        told = self.json
        assert set(told) <= {"message", "reasons"}
        message = told["message"]
        assert isinstance(message, str)
        assert message.strip()
        assert len(message) <= LONGEST_MESSAGE
        assert "\n" not in message
        return message


@dataclass
class Door:
    """The application under test with everything around it within reach."""

    app: FrontDoor
    endpoint: PluginEndpoint
    snapshots: SnapshotHolder
    clock: FakeClock
    seen: Recorder
    readiness: Readiness
    routes: dict[str, App] = field(default_factory=dict)

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshots.publish(snapshot, self.clock.monotonic())


def door(
    snapshot: Snapshot | None = None,
    *,
    empty: bool = False,
    tokens: Tokens | None = None,
    admin_tokens: Tokens | None = None,
    max_stale: float = 3600,
    max_body: int = 1 << 20,
    body_timeout: float = 10,
    max_sets: int = 200,
    more: dict[str, App] | None = None,
) -> Door:
    """Put the application together as the composition root does; ten tenants unless told otherwise."""
    clock, seen = FakeClock(), Recorder()
    snapshots = SnapshotHolder(clock, max_stale)
    metrics = PrometheusObserver(snapshots, max_sets)
    known = tokens if tokens is not None else FakeTokens(argocd=TOKEN)
    observer = Observers([metrics, seen])
    admins = admin_tokens if admin_tokens is not None else FakeTokens()
    endpoint = PluginEndpoint(
        Unguarded(Answering(snapshots), snapshots),
        known,
        observer,
        max_body=max_body,
        body_timeout=body_timeout,
        admin_tokens=admins,
    )

    def admit(scope: Scope) -> None:
        refuse_all_but_admins(scope, admins, known)

    gate = AdminGate(Framework(lambda: api(Overview(snapshots))), observer, admit)
    readiness = Readiness(snapshots.current, known)
    routes: dict[str, App] = {PATH: endpoint, **ops_routes(readiness, metrics.text), **(more or {})}
    made = Door(FrontDoor(routes, observer, gate), endpoint, snapshots, clock, seen, readiness, routes)
    if not empty:
        made.publish(snapshot if snapshot is not None else snapshot_of(tenants(10)))
    return made


def bearer(token: str | None) -> Headers:
    return [] if token is None else [(b"authorization", f"Bearer {token}".encode())]


def scope_of(method: str, target: str, headers: Headers) -> dict[str, Any]:
    """Return the scope that uvicorn makes of a request line: the path is decoded, the query is not."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 4355),
        "state": {},
    }


async def ask(
    app: App | Door,
    body: bytes = ALL,
    *,
    method: str = "POST",
    path: str = PATH,
    token: str | None = TOKEN,
    headers: Headers | None = None,
    parts: Sequence[bytes] | None = None,
) -> Reply:
    """Send one request to the ASGI application and take its one response; `parts` is the body in pieces."""
    pieces = list(parts) if parts is not None else [body]
    incoming: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": n < len(pieces)} for n, piece in enumerate(pieces, 1)
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await (app.app if isinstance(app, Door) else app)(
        scope_of(method, path, [*bearer(token), *(headers or [])]), receive, send
    )
    return whole(sent)


def whole(sent: Sequence[Message]) -> Reply:
    """Check that messages are one response, complete, and return it."""
    kinds = [message["type"] for message in sent]
    assert kinds[:1] == ["http.response.start"], kinds
    assert set(kinds[1:]) == {"http.response.body"}, kinds
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(sent) - 2) + [False]
    return Reply(sent[0]["status"], list(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:]))


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(LONG_ENOUGH):
        while not holds():
            await asyncio.sleep(0.001)


# --- over the wire ---------------------------------------------------------------------------------------------


@dataclass
class Client:
    """A connection on which every byte counts."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, *, of_head: bool = False) -> Reply:
        """Read exactly one response: its headers, and as many bytes as they announce."""
        async with asyncio.timeout(LONG_ENOUGH):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            pairs = [line.partition(": ") for line in lines]
            headers = [(name.lower().encode(), value.encode()) for name, _, value in pairs]
            reply = Reply(int(status_line.split(" ")[1]), headers, b"")
            length = int(reply.header("content-length") or "x")
            return replace(reply, body=b"" if of_head else await self.reader.readexactly(length))

    async def ask(self, body: bytes = ALL, **more: str) -> Reply:
        await self.send(request(body, **more))
        return await self.reply()

    async def rest(self) -> bytes:
        """Read until the server closes the connection."""
        async with asyncio.timeout(LONG_ENOUGH):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@dataclass
class Server:
    """A real server on a loopback port."""

    port: int
    uvicorn: EmbeddedServer

    @property
    def connections(self) -> int:
        return len(self.uvicorn.server_state.connections)

    @asynccontextmanager
    async def client(self, *, limit: int = 1 << 24) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(
    app: App, *, header: float = 10, write: float = 10, idle: float = 120, room: int = 0
) -> AsyncIterator[Server]:
    """Serve on a free port with these limits, in seconds; `room` is what the kernel may hold of what is unread."""
    settings = ServerSettings(
        address="127.0.0.1:0",
        header_timeout=timedelta(seconds=header),
        write_timeout=timedelta(seconds=write),
        keep_alive=timedelta(seconds=idle),
        shutdown_timeout=timedelta(seconds=1),
    )
    uvicorn = EmbeddedServer(app, settings.address, settings)
    listening = uvicorn.bound()
    if room:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    task = asyncio.create_task(uvicorn.serve(sockets=[listening]))
    try:
        await eventually(lambda: uvicorn.started or task.done())
        yield Server(listening.getsockname()[1], uvicorn)
    finally:
        uvicorn.should_exit = True
        await task


def request(
    body: bytes = ALL, *, method: str = "POST", path: str = PATH, token: str | None = TOKEN, extra: str = ""
) -> bytes:
    """Return a request as Go's client writes it; `extra` is whole header lines."""
    authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: tenantry:4355\r\nUser-Agent: argocd-applicationset\r\n"
        f"Content-Length: {len(body)}\r\n{authorization}Content-Type: application/json\r\n{extra}\r\n"
    )
    return head.encode() + body
