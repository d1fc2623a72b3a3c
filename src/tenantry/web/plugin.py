"""`POST /api/v1/getparams.execute`: the hot path, an ASGI callable of its own.

Prepared responses are kept by the bytes of the request that they answer, for as long as the snapshot in use is
the one that they come from; the body is complete before the status line is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from tenantry.core.errors import (
    BodyTooLarge,
    InternalError,
    InvalidBody,
    MethodNotAllowed,
    RequestTooSlow,
    TenantryError,
)
from tenantry.service.answering import MOST_BYTES, Answers, PluginRequest, Ticket
from tenantry.service.ports import Observer, Tokens
from tenantry.web.asgi import ClientGone, Message, Receive, Scope, Send, Whole, header, on_the_wire, response, send_all
from tenantry.web.auth import consumer_of
from tenantry.web.failures import JSON, error_response, status_of
from tenantry.web.wire import read_request

PATH = "/api/v1/getparams.execute"

_LATE = "the body is late"
_MOST_PREPARED = 1024
_LARGEST_REMEMBERED = 8192
_VARY = (b"vary", b"accept-encoding")
_GZIPPED = (b"content-encoding", b"gzip")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The messages of an answer, for those who take gzip and those who do not."""

    ticket: Ticket
    revision: str
    application_set: str
    tenants: int
    checksum: int
    held: bool
    plain: list[Message]
    gzipped: list[Message]
    size: int
    plain_whole: Whole
    gzipped_whole: Whole


class PluginEndpoint:
    """Answers the ApplicationSet controller."""

    def __init__(
        self,
        answers: Answers,
        tokens: Tokens,
        observer: Observer,
        *,
        max_body: int,
        body_timeout: float,
        admin_tokens: Tokens | None = None,
    ) -> None:
        """Take bodies of at most `max_body` bytes that arrive within `body_timeout` seconds.

        One of `admin_tokens` is refused by name.
        """
        self._answers = answers
        self._tokens = tokens
        self._admin_tokens = admin_tokens
        self._observer = observer
        self._max_body = max_body
        self._body_timeout = body_timeout
        self._prepared: OrderedDict[tuple[str, bytes], Prepared] = OrderedDict()
        self._revision = ""
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; whatever goes wrong, what leaves is an answer or a message."""
        began = time.perf_counter()
        consumer = name = ""
        try:
            _refuse_other_methods(scope)
            consumer = consumer_of(scope, self._tokens, self._admin_tokens)
            body = await self._body(scope, receive)
            if not body:
                _refuse_lost_body(scope)
            if not self._answers.is_local:
                await self._answers.confirm()
            prepared = self._known(consumer, body)
            if prepared is None:
                request = read_request(body)
                name = request.application_set
                prepared = await self._prepare(consumer, body, request)
            messages = prepared.gzipped if takes_gzip(scope) else prepared.plain
        except ClientGone:
            return
        except TenantryError as error:
            self._observer.refused(status_of(error), error, time.perf_counter() - began, name, consumer)
            messages = error_response(error)
        except Exception as error:  # noqa: BLE001 -- a fault is never an answer, whatever it is
            self._observer.failed(error)
            self._observer.refused(500, InternalError(), time.perf_counter() - began, name, consumer)
            messages = error_response(InternalError())
        else:
            self._answered(prepared, consumer, began)
        await send_all(send, messages)

    def _answered(self, prepared: Prepared, consumer: str, began: float) -> None:
        seconds = time.perf_counter() - began
        self._observer.answered(
            prepared.application_set, consumer, prepared.tenants, prepared.checksum, seconds, held=prepared.held
        )

    def at_once(self, scope: Scope, body: bytes) -> Whole | None:
        """Answer what is prepared without a task of its own, which costs more than the answer.

        None for everything else, refusals and faults too: `__call__` tells what they are.
        """
        if scope["method"] != "POST" or not body or not self._answers.is_local:
            return None
        began = time.perf_counter()
        try:
            consumer = consumer_of(scope, self._tokens, self._admin_tokens)
            prepared = self._known(consumer, body)
            if prepared is None:
                return None
            whole = prepared.gzipped_whole if takes_gzip(scope) else prepared.plain_whole
        except Exception:  # noqa: BLE001 -- whatever it is, the application meets it again and tells it
            return None
        self._answered(prepared, consumer, began)
        return whole

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        declared = header(scope, b"content-length")
        if declared and int(declared[0]) > self._max_body:
            raise BodyTooLarge
        # What `asyncio.timeout` does, in a quarter of its time: the body is nearly always there already.
        task = asyncio.current_task()
        if task is None:
            return await self._received(receive)
        timer = asyncio.get_running_loop().call_later(self._body_timeout, task.cancel, _LATE)
        try:
            return await self._received(receive)
        except asyncio.CancelledError as cancelled:
            if cancelled.args == (_LATE,) and not task.uncancel():
                raise RequestTooSlow from None
            raise
        finally:
            timer.cancel()

    async def _received(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > self._max_body:
                raise BodyTooLarge
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _known(self, consumer: str, body: bytes) -> Prepared | None:
        """Return what the same bytes of the same consumer were answered, if that may be sent again."""
        prepared = self._prepared.get((consumer, body))
        return prepared if prepared is not None and prepared.ticket.is_good() else None

    async def _prepare(self, consumer: str, body: bytes, request: PluginRequest) -> Prepared:
        reply = await self._answers.answer(consumer, request)
        answer = reply.answer
        plain = response(200, answer.body, JSON, (_VARY,))
        packed = answer.compressed
        gzipped = plain if packed is None else response(200, packed, JSON, (_GZIPPED, _VARY))
        prepared = Prepared(
            reply.ticket,
            answer.revision,
            request.application_set,
            answer.tenants,
            answer.checksum,
            reply.is_held,
            plain,
            gzipped,
            answer.size,
            on_the_wire(plain),
            on_the_wire(gzipped),
        )
        if len(body) <= _LARGEST_REMEMBERED:
            self._remember((consumer, body), prepared)
        return prepared

    def _remember(self, key: tuple[str, bytes], prepared: Prepared) -> None:
        if prepared.revision != self._revision:
            self._prepared.clear()
            self._revision, self._bytes = prepared.revision, 0
        replaced = self._prepared.pop(key, None)
        self._prepared[key] = prepared
        self._bytes += prepared.size - (replaced.size if replaced else 0)
        while len(self._prepared) > _MOST_PREPARED or (self._bytes > MOST_BYTES and len(self._prepared) > 1):
            self._bytes -= self._prepared.popitem(last=False)[1].size


def _refuse_other_methods(scope: Scope) -> None:
    if scope["method"] != "POST":
        raise MethodNotAllowed


def _refuse_lost_body(scope: Scope) -> None:
    """Refuse to take a body that was lost on the way for the wish to see every tenant: Argo CD always sends one."""
    if any(agent.startswith(b"argocd") for agent in header(scope, b"user-agent")):
        raise InvalidBody("The request has no body.", remedy="Check what stands between Argo CD and tenantry.")


def takes_gzip(scope: Scope) -> bool:
    """Tell whether a client takes gzip: what it says of gzip itself counts, else what it says of `*`."""
    return _takes_gzip(b",".join(header(scope, b"accept-encoding")))


@lru_cache(64)
def _takes_gzip(accept_encoding: bytes) -> bool:
    wishes: dict[bytes, bool] = {}
    for choice in accept_encoding.lower().replace(b" ", b"").split(b","):
        coding, _, quality = choice.partition(b";")
        wishes[coding] = quality.rstrip(b"0") not in (b"q=", b"q=0.")
    return wishes.get(b"gzip", wishes.get(b"*", False))
