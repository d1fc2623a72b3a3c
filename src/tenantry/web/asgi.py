"""The ASGI vocabulary, and how a whole response is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]
Whole: TypeAlias = tuple[bytes, bytes, bytes]
"""A response as bytes: status line, the headers of the application with the empty line after them, body."""

AtOnce: TypeAlias = Callable[[Scope, bytes], Whole | None]
"""What answers a whole request without waiting for anything, or returns None for the application to answer it."""


class ClientGone(Exception):
    """The client went away before its request was read."""


def header(scope: Scope, name: bytes) -> list[bytes]:
    """Return every value of a request header; `name` is in lower case."""
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    return [value for key, value in headers if key == name]


def response(status: int, body: bytes, content_type: bytes, extra: Sequence[tuple[bytes, bytes]] = ()) -> list[Message]:
    """Return the two messages of a response, always with its length: never chunked, so that connections are reused."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *extra]
    return [
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    ]


def on_the_wire(messages: Sequence[Message]) -> Whole:
    """Return the bytes of a response: its status line, its headers to their end, and its body."""
    start, body = messages
    lines = b"".join(b"%b: %b\r\n" % pair for pair in start["headers"])
    status = HTTPStatus(start["status"])
    return b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()), lines + b"\r\n", body["body"]


async def send_all(send: Send, messages: Sequence[Message]) -> None:
    """Send the messages of a response."""
    for message in messages:
        await send(message)
