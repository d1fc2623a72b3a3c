"""What uvicorn lacks at the edge of the network: time limits for slow peers, and our shape for its own errors.

uvicorn waits for ever for the end of the headers and for a client that does not read, takes headers of any
size, and writes its 400 as plain text.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tenantry.core.errors import HeadersTooLarge, MalformedHttp, RequestTooSlow, TenantryError
from tenantry.web.failures import error_body, status_of

LARGEST_HEADERS = 64 << 10
"""Bytes; Argo CD sends a few hundred."""

_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with an end to the patience."""

    header_timeout: float = 10.0
    write_timeout: float = 60.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: Any = None,  # noqa: ANN401
    ) -> None:
        """Begin without any timer."""
        super().__init__(config, server_state, app_state, _loop)
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_headers = False
        self._idle = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._begin_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """End all timers."""
        self._end_headers()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and count those of headers."""
        if not self._in_headers and (self._idle or self.cycle.response_complete):
            self._begin_headers()
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > LARGEST_HEADERS:
            self._refuse(HeadersTooLarge())

    def on_headers_complete(self) -> None:
        """The headers are here: from now on the application has its own limits."""
        self._end_headers()
        self._idle = False
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
            super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- its text is uvicorn's, not ours
        """Refuse what is not HTTP, in our shape."""
        self._refuse(MalformedHttp())

    def _begin_headers(self) -> None:
        self._in_headers = True
        self._header_bytes = 0
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


def protocol(*, header_timeout: float, write_timeout: float) -> type[LimitedProtocol]:
    """Return the protocol with these limits, in seconds."""
    limits = {"header_timeout": header_timeout, "write_timeout": write_timeout}
    return type("LimitedProtocol", (LimitedProtocol,), limits)
