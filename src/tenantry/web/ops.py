"""The probes and the metrics: what kubelet, Prometheus and a person with curl ask."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tenantry.core.errors import NotReady, ShuttingDown, UnknownToken
from tenantry.service.ports import Tokens
from tenantry.web.asgi import App, Message, Receive, Scope, Send, response, send_all
from tenantry.web.failures import JSON

METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Readiness:
    """Whether Argo CD would be answered, and if not, why."""

    def __init__(
        self, require: Callable[[], object], tokens: Tokens, detail: Callable[[], dict[str, object]] = dict
    ) -> None:
        """Look at the tokens, and at what `require` raises NotReady for; `detail` is told beside."""
        self._require = require
        self._tokens = tokens
        self.detail = detail
        self.shutting_down = False

    def reasons(self) -> list[str]:
        """Return every reason not to be ready; none means ready."""
        found: list[str] = []
        if self.shutting_down:
            found.append(ShuttingDown().message)
        if not self._tokens.count:
            found.append(
                UnknownToken(
                    "No token is valid.", remedy="Put one into AUTH_TOKEN, tokens.file or tokens.directory."
                ).message
            )
        try:
            self._require()
        except NotReady as error:
            found.append(error.message)
        return found


def ops_routes(readiness: Readiness, metrics: Callable[[], bytes]) -> dict[str, App]:
    """Return the three probes by path."""

    def healthz() -> list[Message]:
        return _json(200, {"status": "ok"})

    def readyz() -> list[Message]:
        reasons = readiness.reasons()
        if not reasons:
            return _json(200, {"status": "ready", **readiness.detail()})
        return _json(503, {"message": reasons[0], "reasons": reasons, **readiness.detail()})

    def scrape() -> list[Message]:
        return response(200, metrics(), METRICS_TYPE)

    return {"/healthz": _get(healthz), "/readyz": _get(readyz), "/metrics": _get(scrape)}


def _json(status: int, document: object) -> list[Message]:
    return response(status, msgspec.json.encode(document), JSON)


def _get(answer: Callable[[], list[Message]]) -> App:
    async def route(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 -- no probe has a body
        if scope["method"] in ("GET", "HEAD"):
            await send_all(send, answer())
        else:
            messages = _json(405, {"message": "A probe takes GET only. Ask it with GET."})
            messages[0]["headers"].append((b"allow", b"GET, HEAD"))
            await send_all(send, messages)

    return route
