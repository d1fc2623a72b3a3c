"""What uvicorn lacks at the edge of the network: time limits for slow peers, and our shape for its own errors.

uvicorn waits for ever for the end of the headers and for a client that does not read, takes headers of any
size, and writes its 400 as plain text.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tenantry.core.errors import HeadersTooLarge, MalformedHttp, RequestTooSlow, TenantryError, UpgradeWithBody
from tenantry.web.asgi import AtOnce, Scope, Whole
from tenantry.web.failures import error_body, status_of

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

LARGEST_HEADERS = 64 << 10
"""Bytes; Argo CD sends a few hundred."""

_BESIDE_A_BYTE = 6
"""Bytes that may come with each byte of a body: a chunk of a single byte has five. Trailers are beside it too."""

_MOST_WAITING = 32
"""Requests of one connection that may wait for their turn; Argo CD sends the next one after the answer."""

_LARGEST_JOINED, _MOST_JOINED = 16 << 10, 64
"""Bytes of an answer that is kept in one piece with its headers, and how many are."""

_LENGTH_OF_EXPECT = 6
"""Of the only header that uvicorn looks at as it comes."""

_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class Joined:
    """Answers with the headers of the server, which stay the same for a second: a write of one piece is the cheapest.

    Only a few are kept, and no large one: what that costs is the kernel's copy of it.
    """

    def __init__(self) -> None:
        """Keep none yet."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._known: dict[int, tuple[Whole, list[bytes]]] = {}

    def pieces(self, whole: Whole, headers: list[tuple[bytes, bytes]]) -> list[bytes]:
        """Return the bytes of an answer; uvicorn makes a new list of `headers` whenever one changes."""
        if headers is not self._headers:
            self._headers, self._known = headers, {}
        known = self._known.get(id(whole))
        if known is not None:
            return known[1]
        status, own, body = whole
        head = b"".join([status, *(part for pair in headers for part in (pair[0], b": ", pair[1], b"\r\n")), own])
        if len(body) > _LARGEST_JOINED:
            return [head, body]
        pieces = [head + body]
        if len(self._known) < _MOST_JOINED:
            # With the answer itself, so that no other one gets its number.
            self._known[id(whole)] = (whole, pieces)
        return pieces


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with an end to the patience."""

    header_timeout: float = 10.0
    write_timeout: float = 60.0
    at_once: AtOnce | None = None
    joined: Joined

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:  # noqa: ANN401 -- uvicorn's signature
        """Begin without any timer."""
        super().__init__(config, server_state, app_state, _loop)
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._header_bytes = 0
        self._chunk = 0
        self._in_headers = False
        self._in_message = False
        self._body_bytes = 0
        self._beside_bytes = 0
        self._unstarted: ASGI3Application | None = None
        self._may_answer = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        self._begin_headers()
        self._limit_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all timers."""
        self._end_headers()
        self._end_writing()
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and count those of headers: all that come while headers have begun and not ended."""
        self._chunk = len(data)
        if self._in_headers:
            self._header_bytes += self._chunk
        elif self._in_message:
            self._beside_bytes += self._chunk
        # One answer at once for each arrival of bytes: nobody can pile up answers by asking without reading.
        self._may_answer = self.at_once is not None
        super().data_received(data)
        self._may_answer = False
        self._start()
        if self._in_headers and self._header_bytes > LARGEST_HEADERS:
            self._refuse(HeadersTooLarge())
        if self._in_message and self._beside_bytes > LARGEST_HEADERS + _BESIDE_A_BYTE * self._body_bytes:
            if self.cycle.response_started:
                self.transport.close()
            else:
                self._refuse(HeadersTooLarge())
        self._stay_bounded()
        # Nearly always the headers came to their end in the bytes with which they began.
        if self._in_headers and self._header_timer is None:
            self._limit_headers()

    def on_message_begin(self) -> None:
        """A request begins; for the first one the clock has been running since the connection was made."""
        if not self._in_headers:
            self._begin_headers()
            self._header_bytes = 1
        self._in_message = True
        self._body_bytes = self._beside_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes after a body in chunks (trailers) nobody asked for."""
        if not self._in_headers:
            return
        if len(name) == _LENGTH_OF_EXPECT:
            super().on_header(name, value)
        else:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The headers are here: from now on the application has its own limits."""
        if len(self.pipeline) >= _MOST_WAITING:
            self.transport.close()
        if self.transport.is_closing():
            raise ConnectionError("the connection is closing")  # the parser goes no further
        suspect = max(self._header_bytes, self._chunk) > LARGEST_HEADERS
        self._end_headers()
        if suspect and self._size_of_headers() > LARGEST_HEADERS:
            self._refuse(HeadersTooLarge())
        elif self.parser.should_upgrade() and self._has_body():
            # httptools would leave the body out, and a request without one is for every tenant.
            self._refuse(UpgradeWithBody())
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, unless the request was refused by its headers."""
        self._body_bytes += len(body)
        self._beside_bytes -= len(body)
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here: answer it at once if that is possible, else by a task."""
        self._in_message = False
        if self.transport.is_closing():
            return
        super().on_message_complete()
        if self._unstarted is not None and not self._answered_at_once():
            self._start()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Wait with the task of a request for its end, which nearly always comes in the same bytes."""
        if self._may_answer and cycle is self.cycle:
            self._unstarted = app
        else:
            super()._start_asgi_task(cycle, app)

    def _start(self) -> None:
        app, self._unstarted = self._unstarted, None
        if app is not None:
            super()._start_asgi_task(self.cycle, app)

    def _answered_at_once(self) -> bool:
        """Do what the task of a request does, for an answer of which every byte is there."""
        cycle = self.cycle
        if self.at_once is None or not cycle.keep_alive or cycle.waiting_for_100_continue or self.flow.write_paused:
            return False
        whole = self.at_once(cast("Scope", cycle.scope), bytes(cycle.body))
        if whole is None:
            return False
        self._unstarted, self._may_answer = None, False
        self.transport.writelines(self.joined.pieces(whole, self.server_state.default_headers))
        cycle.response_started = cycle.response_complete = True
        cycle.on_response()
        return True

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read."""
        super().pause_writing()
        self._begin_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._end_writing()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- its text is uvicorn's, not ours
        """Refuse what is not HTTP, in our shape."""
        self._refuse(MalformedHttp())

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: HTTP/1.1 has a server ignore the protocols that it does not know (RFC 9110, 7.8)."""

    def _has_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" \t0"))
            for name, value in self.headers
        )

    def _size_of_headers(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _begin_writing(self) -> None:
        self._end_writing()
        self._write_timer = self.loop.call_later(self.write_timeout, self.transport.abort)

    def _end_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _stay_bounded(self) -> None:
        """uvicorn ends the limit for idleness at any byte, also at one that begins no request."""
        cycle: RequestResponseCycle | None = self.cycle
        answered = cycle is not None and cycle.response_complete
        if answered and not self._in_headers and self._idle_since is None:
            self._begin_idleness()

    def on_response_complete(self) -> None:
        """Go on with the next request, or begin to be idle: as uvicorn does, without a new timer for each request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self._begin_idleness()

    def _begin_idleness(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._limit_idleness(self.timeout_keep_alive)

    def _limit_idleness(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """End the idleness; the timer goes on, and finds that it ended."""
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for too long, or look again when it will have been."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._limit_idleness(left)
        elif not self.transport.is_closing():
            self.transport.close()

    def _begin_headers(self) -> None:
        self._in_headers = True
        self._header_bytes = 0

    def _limit_headers(self) -> None:
        self._header_timer = self.loop.call_later(self.header_timeout, self._too_slow)

    def _end_headers(self) -> None:
        self._in_headers = False
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _too_slow(self) -> None:
        if self._header_bytes:
            self._refuse(RequestTooSlow())
        else:
            self.transport.close()

    def _refuse(self, error: TenantryError) -> None:
        self._end_headers()
        if self.transport.is_closing():
            return
        status, body = status_of(error), error_body(error)
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def protocol(*, header_timeout: float, write_timeout: float, at_once: AtOnce | None = None) -> type[LimitedProtocol]:
    """Return the protocol with these limits, in seconds, and with what answers a request at once."""
    own = {
        "header_timeout": header_timeout,
        "write_timeout": write_timeout,
        "joined": Joined(),
        "at_once": None if at_once is None else staticmethod(at_once),
    }
    return type("LimitedProtocol", (LimitedProtocol,), own)
