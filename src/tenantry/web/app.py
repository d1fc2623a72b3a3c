"""The front door: the hot path and the probes are dispatched before the framework is even imported.

FastAPI serves everything else: it is loaded at the first request that needs it, and behind a gate, so that nothing of
the admin API is reached by who may not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from tenantry.core.errors import InternalError, NoSuchPath, ShuttingDown, TenantryError
from tenantry.service.ports import Observer
from tenantry.web.asgi import App, Receive, Scope, Send, Whole, send_all
from tenantry.web.failures import error_response
from tenantry.web.plugin import PluginEndpoint

ADMIN = "/api/admin/"
"""What the paths of the admin API begin with, and no other."""

ADMITTED = "tenantry.admitted"
"""In a scope: who asks may use the admin API."""


class FrontDoor:
    """An ASGI application that turns every fault into a message."""

    def __init__(self, routes: Mapping[str, App], observer: Observer, elsewhere: App | None = None) -> None:
        """Serve `routes` by exact path, and every other path by `elsewhere`."""
        self._routes = dict(routes)
        self._observer = observer
        self._at_once = {path: route.at_once for path, route in routes.items() if isinstance(route, PluginEndpoint)}
        self._elsewhere = elsewhere or _nowhere

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

        route = self._routes.get(scope["path"], self._elsewhere) if scope["type"] == "http" else _nowhere
        try:
            await route(scope, receive, watched)
        except asyncio.CancelledError:
            # uvicorn cancels what `server.shutdown_timeout` does not wait for, and would answer it with plain text.
            if not started:
                await send_all(send, error_response(ShuttingDown()))
        except Exception as error:  # noqa: BLE001 -- uvicorn's own 500 is plain text, which Argo CD cannot show
            self._observer.failed(error)
            if not started:
                await send_all(send, error_response(InternalError()))


class Framework:
    """FastAPI's application, built aside at the first request that needs it, once for all who wait."""

    def __init__(self, build: Callable[[], App]) -> None:
        """Serve what `build` returns; it is called in a thread."""
        self._build = build
        self._built: asyncio.Task[App] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._built is None:
            self._built = asyncio.create_task(asyncio.to_thread(self._build))
        framework = await asyncio.shield(self._built)
        await framework(scope, receive, send)


class AdminGate:
    """Lets through to the admin API who is admitted to it, and everybody to all else."""

    def __init__(self, behind: App, observer: Observer, admit: Callable[[Scope], None]) -> None:
        """Stand before `behind`; `admit` returns for those who may use the admin API, and raises for all others."""
        self._behind = behind
        self._observer = observer
        self._admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["path"].startswith(ADMIN):
            try:
                self._admit(scope)
            except TenantryError as error:
                self._observer.told("admin_refused", {"reason": error.what})
                await send_all(send, error_response(error))
                return
            scope[ADMITTED] = True
        await self._behind(scope, receive, send)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 -- there is nothing to read for
    await send_all(send, error_response(NoSuchPath()))


async def _lifespan(receive: Receive, send: Send) -> None:
    """Say that everything is up: the composition root starts and stops what there is."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
