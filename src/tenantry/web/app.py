"""The front door: the hot path and the probes are dispatched before the framework is even imported.

FastAPI serves everything else, in its own thread of time: it is loaded at the first request that needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tenantry.core.errors import InternalError, NoSuchPath, ShuttingDown
from tenantry.service.ports import Observer
from tenantry.web.asgi import App, Receive, Scope, Send, Whole, send_all
from tenantry.web.failures import error_response
from tenantry.web.plugin import PluginEndpoint


class FrontDoor:
    """An ASGI application that turns every fault into a message."""

    def __init__(self, routes: Mapping[str, App], observer: Observer, *, framework: bool = True) -> None:
        """Serve `routes` by exact path, and with `framework` the documentation of the API."""
        self._routes = dict(routes)
        self._observer = observer
        self._at_once = {path: route.at_once for path, route in routes.items() if isinstance(route, PluginEndpoint)}
        self._framework_wanted = framework
        self._framework: asyncio.Task[App] | None = None

    def at_once(self, scope: Scope, body: bytes) -> Whole | None:
        """Answer a whole request if nothing has to be waited for."""
        answer = self._at_once.get(scope["path"])
        return None if answer is None else answer(scope, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch one request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        started = False

        async def watched(message: Scope) -> None:
            nonlocal started
            started = True
            await send(message)

        route = self._routes.get(scope["path"])
        try:
            if route is not None:
                await route(scope, receive, watched)
            else:
                await self._elsewhere(scope, receive, watched)
        except asyncio.CancelledError:
            # uvicorn cancels what `server.shutdown_timeout` does not wait for, and would answer it with plain text.
            if not started:
                await send_all(send, error_response(ShuttingDown()))
        except Exception as error:  # noqa: BLE001 -- uvicorn's own 500 is plain text, which Argo CD cannot show
            self._observer.failed(error)
            if not started:
                await send_all(send, error_response(InternalError()))

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._framework_wanted or scope["type"] != "http":
            await send_all(send, error_response(NoSuchPath()))
            return
        if self._framework is None:
            self._framework = asyncio.create_task(asyncio.to_thread(_load_framework))
        framework = await asyncio.shield(self._framework)
        await framework(scope, receive, send)


def _load_framework() -> App:
    from tenantry.web.api import api

    framework: App = api()
    return framework


async def _lifespan(receive: Receive, send: Send) -> None:
    """Say that everything is up: the composition root starts and stops what there is."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
