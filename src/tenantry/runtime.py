"""The composition root: settings become adapters, adapters services, services an application with one lifetime."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import uvicorn

from tenantry.adapters.database.source import DatabaseSource, Limits, open_source
from tenantry.adapters.logs import LogObserver, LogWriter, start_log
from tenantry.adapters.prometheus import PrometheusObserver
from tenantry.adapters.tokens import MountedTokens, Report
from tenantry.adapters.unix import PrivateSocket, SocketUnavailable
from tenantry.config.contradictions import OFF
from tenantry.config.loading import require_source, require_tokens
from tenantry.config.settings import NamingSettings, ServerSettings, Settings, SourceSettings
from tenantry.core.errors import ConfigurationError
from tenantry.core.fields import Naming
from tenantry.core.mapping import TableShape
from tenantry.service.answering import Answering
from tenantry.service.observing import Observers
from tenantry.service.overview import Overview
from tenantry.service.refreshing import Refresher
from tenantry.service.snapshots import SnapshotHolder
from tenantry.web.app import AdminGate, Framework, FrontDoor
from tenantry.web.asgi import App, Scope
from tenantry.web.auth import refuse_all_but_admins
from tenantry.web.ops import Readiness, ops_routes
from tenantry.web.plugin import PATH, PluginEndpoint
from tenantry.web.protocol import protocol

_LOOKING_FOR_SOCKET = 2.0
"""Seconds between two looks at whether the admin API's socket is there, or can be had."""

_LEAVING = 5.0
"""Seconds for each thing that is to end with the service."""


class SystemClock:
    """The clocks of this machine."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        return datetime.now(UTC)


def shape_of(settings: Settings) -> TableShape:
    """Return what the configuration says about the table."""
    source = settings.source
    return TableShape(
        table="" if source.query else source.table,
        id=source.id,
        state=source.state,
        parameters=source.parameters,
        serve=source.serve,
        retire=source.retire,
        max_text=source.max_text,
        fields=settings.fields,
        defaults=settings.defaults,
        naming=naming_of(settings.naming),
        views=settings.views,
    )


def naming_of(naming: NamingSettings) -> Naming:
    """Return how names are made."""
    return Naming(
        name_field=None if naming.name == OFF else naming.name,
        label_field=None if naming.label == OFF else naming.label,
        length=naming.length,
        always_hash=naming.hash == "always",
    )


def source_of(source: SourceSettings) -> DatabaseSource:
    """Open the configured source; raises ConfigurationError."""
    if source.url is None:
        raise ConfigurationError(["There is no source."])
    limits = Limits(source.statement_timeout, source.lock_timeout, source.connect_timeout, source.read_timeout)
    return open_source(source.url.reveal(), source.table, source.id, limits, query=source.query)


def tokens_of(settings: Settings, report: Report) -> tuple[MountedTokens, MountedTokens]:
    """Return the plugin's tokens and the admin's; raises ConfigurationError if one is both.

    `report` is told of changes, and of what cannot be used.
    """
    plugin, admin = settings.tokens, settings.admin
    tokens = MountedTokens(
        value=plugin.value,
        file=plugin.file,
        directory=plugin.directory,
        recheck=plugin.recheck,
        report=report,
    )
    admin_tokens = MountedTokens(
        value=admin.token,
        file=admin.token_file,
        directory=None,
        recheck=plugin.recheck,
        report=lambda event, fields: report(event, {"of": "admin", **fields}),
    )
    if admin_tokens.shares_with(tokens):
        raise ConfigurationError(
            ["The admin token is one of the plugin's too: whoever asks as Argo CD would be let into the admin API."]
        )
    return tokens, admin_tokens


def _framework(overview: Overview) -> App:
    from tenantry.web.api import api

    framework: App = api(overview)
    return framework


class Service:
    """Everything that runs, from the first read to the last answer."""

    def __init__(self, settings: Settings, *, log: tuple[LogObserver, LogWriter] | None = None) -> None:
        """Build all parts; raises ConfigurationError before anything is opened."""
        require_source(settings)
        require_tokens(settings)
        self._settings = settings
        self._log, self._writer = log or start_log(settings.log.format, settings.log.level)
        clock = SystemClock()
        self.snapshots = SnapshotHolder(clock, settings.snapshot.max_stale.total_seconds())
        metrics = PrometheusObserver(self.snapshots, settings.metrics.max_sets)
        self._observer = Observers([metrics, self._log])
        self._source = source_of(settings.source)
        self._tokens, self._admin_tokens = tokens_of(settings, self._observer.told)
        self._readiness = Readiness(self.snapshots, self._tokens)
        self._refresher = Refresher(
            self._source,
            shape_of(settings),
            self.snapshots,
            self._observer,
            clock,
            every=settings.snapshot.refresh.total_seconds(),
            within=settings.source.read_timeout.total_seconds(),
        )
        self._servers = self._built_servers(ops_routes(self._readiness, metrics.text))
        self._stop = asyncio.Event()
        self._drain_over = asyncio.Event()

    def _built_servers(self, probes: dict[str, App]) -> list[EmbeddedServer]:
        """Build what listens on TCP, the plugin's first, and what listens on the admin API's socket."""
        server = self._settings.server
        answering = Answering(self.snapshots)
        plugin = PluginEndpoint(
            answering,
            self.snapshots,
            self._tokens,
            self._observer,
            max_body=server.max_body,
            body_timeout=server.body_timeout.total_seconds(),
            admin_tokens=self._admin_tokens,
        )
        overview = Overview(self.snapshots, lambda: answering.counts)
        framework = Framework(lambda: _framework(overview))
        over_tcp = AdminGate(framework, self._observer, self._admit)
        # The mode of the socket is the guard: who can open it is the service's own user, or root.
        over_socket = AdminGate(framework, self._observer, lambda _: None)
        self._behind_socket = FrontDoor(probes, self._observer, over_socket)
        if server.ops_address is None:
            routes: dict[str, App] = {PATH: plugin, **probes}
            return [EmbeddedServer(FrontDoor(routes, self._observer, over_tcp), server.address, server)]
        return [
            EmbeddedServer(FrontDoor({PATH: plugin}, self._observer, over_tcp), server.address, server),
            EmbeddedServer(FrontDoor(probes, self._observer), server.ops_address, server),
        ]

    def _admit(self, scope: Scope) -> None:
        refuse_all_but_admins(scope, self._admin_tokens, self._tokens)

    def _private_socket(self, *, again: bool = False) -> PrivateSocket | None:
        """Make the admin API's socket; without it everything else is served all the same."""
        path = self._settings.admin_socket
        try:
            private = PrivateSocket(path)
        except SocketUnavailable as reason:
            if again:
                return None
            remedy = "`tenantry tenants` cannot use it. Mend that, or give another data.directory or admin.socket."
            fields: dict[str, object] = {"path": str(path), "reason": str(reason), "remedy": remedy}
            self._observer.told("admin_socket_unavailable", fields)
            return None
        if again:
            self._observer.told("admin_socket_made", {"path": str(path)})
        return private

    async def run(self, when_listening: Callable[[int], Coroutine[Any, Any, None]] | None = None) -> None:
        """Serve until SIGTERM or SIGINT; `when_listening` is then called with the port and runs beside."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        sockets = [server.bound() for server in self._servers]
        private = self._private_socket()
        try:
            async with asyncio.TaskGroup() as tasks:
                refreshing = tasks.create_task(_left_in_time(self._refresher.run()))
                background = [tasks.create_task(known.watch()) for known in (self._tokens, self._admin_tokens)]
                serving = [
                    tasks.create_task(server.serve(sockets=[listening]))
                    for server, listening in zip(self._servers, sockets, strict=True)
                ]
                serving.append(tasks.create_task(self._serve_locally(private)))
                addresses = [_address(listening) for listening in sockets]
                at = None if private is None else str(private.path)
                self._observer.told("listening", {"addresses": addresses, "admin_socket": at})
                if when_listening is not None:
                    background.append(tasks.create_task(when_listening(sockets[0].getsockname()[1])))
                await self._stop.wait()
                refreshing.cancel()
                await self._drained(serving)
                for task in background:
                    task.cancel()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LEAVING):
                    await self._source.close()
            self._observer.told("stopped", {})
            self._writer.close()

    async def _serve_locally(self, private: PrivateSocket | None) -> None:
        """Serve the admin API's socket; while another service has it, or after somebody removed it, try to get it."""
        while not self._drain_over.is_set():
            if private is None:
                await self._drained_within(_LOOKING_FOR_SOCKET)
            else:
                await self._serve_at(private)
            private = None if self._drain_over.is_set() else self._private_socket(again=True)

    async def _serve_at(self, private: PrivateSocket) -> None:
        """Serve until the end, or until the socket is not there any more."""
        server = EmbeddedServer(self._behind_socket, self._settings.server.address, self._settings.server)
        serving = asyncio.ensure_future(server.serve(sockets=[private.listening]))
        try:
            while private.is_there() and not await self._drained_within(_LOOKING_FOR_SOCKET):
                pass
            server.should_exit = True
            await serving
        finally:
            serving.cancel()
            private.close()

    async def _drained_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drain_over.wait(), seconds)
        return self._drain_over.is_set()

    def stop(self) -> None:
        """Ask for the end."""
        self._stop.set()

    async def _drained(self, serving: Sequence[asyncio.Task[None]]) -> None:
        """Not ready at once, still answering while Kubernetes takes us out."""
        self._readiness.shutting_down = True
        self._observer.told("stopping", {"drain_seconds": self._settings.server.drain.total_seconds()})
        await asyncio.sleep(self._settings.server.drain.total_seconds())
        for server in self._servers:
            server.should_exit = True
        self._drain_over.set()
        await asyncio.wait(serving)


class EmbeddedServer(uvicorn.Server):
    """uvicorn without its own handling of signals, which would end the process with the signal instead of 0."""

    def __init__(self, app: App, address: str, settings: ServerSettings) -> None:
        """Serve `app` on `host:port`."""
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        config = uvicorn.Config(
            app,
            http=protocol(
                header_timeout=settings.header_timeout.total_seconds(),
                write_timeout=settings.write_timeout.total_seconds(),
                at_once=app.at_once if isinstance(app, FrontDoor) else None,
            ),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
        )
        # uvicorn declares whole seconds, and takes any.
        config.timeout_keep_alive = settings.keep_alive.total_seconds()  # type: ignore[assignment]
        config.timeout_graceful_shutdown = settings.shutdown_timeout.total_seconds()  # type: ignore[assignment]
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the composition root."""
        yield

    def bound(self) -> socket.socket:
        """Bind the socket; raises ConfigurationError if the address cannot be had."""
        host = self._host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, self._port))
        except OSError as error:
            listening.close()
            raise ConfigurationError(
                [f"Cannot listen on {self._host}:{self._port} ({error.strerror}). Choose another server.address."]
            ) from None
        listening.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _left_in_time(work: Coroutine[Any, Any, None]) -> None:
    """Run what is cancelled at the end, and go without it if it does not end in time."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task], timeout=_LEAVING)
        raise


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run to the end on the fastest event loop that there is."""
    import uvloop

    # Everything is done by then; what still runs, a driver's thread for one, must not hold up the end.
    leaving = threading.Timer(_LEAVING, lambda: os._exit(code))
    leaving.daemon = True
    code = 1
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(coroutine)
                code = 0
            finally:
                leaving.start()
    finally:
        leaving.cancel()
