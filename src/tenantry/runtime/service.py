"""The service: everything that runs, from the first read to the last answer, with one lifetime."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import tenantry
from tenantry.adapters.logs import LogObserver, LogWriter, start_log
from tenantry.adapters.prometheus import PrometheusObserver
from tenantry.adapters.unix import PrivateSocket, SocketUnavailable
from tenantry.config.contradictions import OFF
from tenantry.config.loading import require_source, require_tokens
from tenantry.config.settings import Settings
from tenantry.core.errors import NoSnapshot, ReadFailed, SourceError
from tenantry.core.snapshot import Snapshot
from tenantry.runtime.access import access_of, attended
from tenantry.runtime.building import SystemClock, feed_of, shape_of, source_of, tokens_of, webhook_of
from tenantry.runtime.guard import Guard, Parts, answers_not_remembered
from tenantry.runtime.looseness import EVERY_LOOSENESS, LOOSENESS_REMEDY, looseness
from tenantry.runtime.server import EmbeddedServer, address_of
from tenantry.service.answering import Answering, Unguarded
from tenantry.service.desk import GuardDesk
from tenantry.service.feeding import Feeder
from tenantry.service.observing import Observers
from tenantry.service.overview import Overview
from tenantry.service.refreshing import Refresher
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.status import Status
from tenantry.web.admin import ReadNow
from tenantry.web.app import AdminGate, Framework, FrontDoor
from tenantry.web.asgi import App, Scope
from tenantry.web.auth import refuse_all_but_admins
from tenantry.web.ops import Readiness, ops_routes
from tenantry.web.plugin import PATH, PluginEndpoint

_LOOKING_FOR_SOCKET = 2.0
"""Seconds between two looks at whether the admin API's socket is there, or can be had."""

_LEAVING = 5.0
"""Seconds for each thing that is to end with the service."""


def _framework(overview: Overview, desk: GuardDesk | None, read_now: ReadNow, status: Status) -> App:
    from tenantry.web.api import api

    framework: App = api(overview, desk, read_now, status)
    return framework


class Service:
    """Everything that runs, from the first read to the last answer."""

    def __init__(
        self, settings: Settings, *, log: tuple[LogObserver, LogWriter] | None = None, is_sample: bool = False
    ) -> None:
        """Build all parts; raises ConfigurationError before anything is opened.

        Of sample data nobody is told that they would not survive.
        """
        self._is_sample = is_sample
        require_source(settings)
        require_tokens(settings)
        self._settings = settings
        self._log, self._writer = log or start_log(settings.log.format, settings.log.level)
        self._clock = clock = SystemClock()
        self.snapshots = SnapshotHolder(clock, settings.snapshot.max_stale.total_seconds())
        metrics = PrometheusObserver(self.snapshots, settings.metrics.max_sets)
        self._webhook = webhook_of(settings, self._tell_of_notifications)
        self._observer = Observers([metrics, self._log, *([self._webhook] if self._webhook else [])])
        self._source = source_of(settings.source)
        self._feed = feed_of(settings)
        self._tokens, self._admin_tokens = tokens_of(settings, self._observer.told)
        self._answering = Answering(self.snapshots)
        self._unguarded = Unguarded(self._answering, self.snapshots)
        self._guard = None if settings.guard.mode == OFF else self._built_guard()
        self._access = access_of(settings, self._guard, self._unguarded, self.snapshots, self._tokens, self._observer)
        if self._access is not None:
            nudger, whereabouts = self._access.nudger, self._access.whereabouts
            metrics.watch_nudges(lambda: nudger.pending, lambda: nudger.following.is_whole)
            if whereabouts is not None:
                metrics.watch_applications(lambda: whereabouts.by_application_set)
        self._readiness = self._built_readiness(metrics)
        self._servers = self._built_servers(ops_routes(self._readiness, metrics.text))
        self._refresher: Refresher | None = None
        self._feeder: Feeder | None = None
        self._stop = asyncio.Event()
        self._drain_over = asyncio.Event()

    def _built_servers(self, probes: dict[str, App]) -> list[EmbeddedServer]:
        """Build what listens on TCP, the plugin's first, and what listens on the admin API's socket."""
        server = self._settings.server
        plugin = PluginEndpoint(
            self._guard.guarding if self._guard else self._unguarded,
            self._tokens,
            self._observer,
            max_body=server.max_body,
            body_timeout=server.body_timeout.total_seconds(),
            admin_tokens=self._admin_tokens,
        )
        overview = Overview(self.snapshots, lambda: self._answering.counts)
        desk = self._guard.desk if self._guard else None
        require = self._guard.guarding.require_to_answer if self._guard else self.snapshots.current
        ledger = self._guard.ledger if self._guard else None
        replicas = self._guard.guarding.replicas if self._guard else None
        nudger = self._access.nudger if self._access else None
        whereabouts = self._access.whereabouts if self._access else None
        status = Status(
            tenantry.__version__, overview, require, ledger, lambda: self._feeder, nudger, whereabouts, replicas
        )
        if whereabouts is not None:
            overview.applications_of = whereabouts.of_tenant
        framework = Framework(lambda: _framework(overview, desk, self.read_now, status))
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

    def _built_guard(self) -> Guard:
        parts = Parts(self.snapshots, self._tokens, self._observer, self._clock)
        return Guard(self._settings, self._answering, parts, is_sample=self._is_sample)

    def _built_readiness(self, metrics: PrometheusObserver) -> Readiness:
        loose = looseness(self._settings)
        if self._guard is None:
            return Readiness(
                self.snapshots.current,
                self._tokens,
                lambda: {"guard": {"mode": OFF, "held": 0, "frozen": 0, "loose": list(loose.values())}},
            )
        ledger, mode = self._guard.ledger, self._settings.guard.mode
        metrics.watch_guard(lambda: ledger.standing, {what: what in loose for what in EVERY_LOOSENESS})

        replicas = self._guard.guarding.replicas
        if replicas.is_shared:
            metrics.watch_replicas(
                lambda: [replicas.is_newest(one.configuration) for one in replicas.alive],
                {"configuration": lambda: replicas.is_older, "read": lambda: replicas.is_behind},
            )

        def detail() -> dict[str, object]:
            standing = ledger.standing
            held = sum(standing.held.values())
            problem = None if ledger.failure is None else ledger.failure.what
            told = {"mode": mode, "held": held, "frozen": standing.frozen, "loose": list(loose.values())}
            found: dict[str, object] = {"guard": {**told, "problem": problem}}
            if replicas.is_shared:
                told_of = None if replicas.problem is None else replicas.problem.message
                found["replicas"] = {"alive": len(replicas.alive), "problem": told_of}
            return found

        return Readiness(self._guard.guarding.require, self._tokens, detail)

    async def _refresh(self) -> None:
        """Read for ever; with a guard once its ledger is known, for that has names which are kept."""
        shape = shape_of(self._settings)
        observe = None
        if self._guard is not None:
            names = await self._guard.opened()
            shape = replace(shape, naming=replace(shape.naming, kept=names))
            observe = self._guard.guarding.watching.observe
        self._refresher = refresher = Refresher(
            self._source,
            shape,
            self.snapshots,
            self._observer,
            self._clock,
            every=self._settings.snapshot.refresh.total_seconds(),
            within=self._settings.source.read_timeout.total_seconds(),
            observe=observe,
        )
        if self._guard is not None:
            self._guard.guarding.catching_up.read_now = self.read_now
        if self._feed is None:
            await refresher.run()
            return
        feeder = self._feeder = Feeder(self._feed, refresher, self._observer, self._clock)
        refresher.proving = feeder.proven
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(feeder.run())
            tasks.create_task(refresher.run())

    async def _remember_nothing(self, answered: asyncio.Event) -> None:
        """Once somebody was answered without a guard, see that a state that there is knows of it."""
        await answered.wait()
        await answers_not_remembered(self._settings, self._observer)

    async def read_now(self) -> Snapshot:
        """Read the tenants now, and return what was read; raises NotReady."""
        if self._refresher is None:
            raise NoSnapshot
        try:
            return await self._refresher.force()
        except SourceError as error:
            raise ReadFailed(f"The tenants could not be read now: {error.what}") from None

    def _read_soon(self) -> None:
        self._observer.told("read_asked_for", {"by": "SIGHUP"})
        if self._refresher is not None:
            self._refresher.signal()

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
        loop.add_signal_handler(signal.SIGHUP, self._read_soon)
        if self._guard is not None:
            await self._guard.claim()
        self._tell_what_is_loose()
        sockets = [server.bound() for server in self._servers]
        private = self._private_socket()
        try:
            async with asyncio.TaskGroup() as tasks:
                refreshing = tasks.create_task(_left_in_time(self._refresh()))
                background = [tasks.create_task(known.watch()) for known in (self._tokens, self._admin_tokens)]
                background.append(tasks.create_task(_left_in_time(attended(self._access, self._observer))))
                if self._webhook is not None:
                    background.append(tasks.create_task(self._webhook.run()))
                if self._guard is not None:
                    background.append(tasks.create_task(self._guard.kept()))
                    background.append(tasks.create_task(self._guard.shared()))
                else:
                    background.append(tasks.create_task(self._remember_nothing(self._unguarded.answered)))
                serving = [
                    tasks.create_task(server.serve(sockets=[listening]))
                    for server, listening in zip(self._servers, sockets, strict=True)
                ]
                serving.append(tasks.create_task(self._serve_locally(private)))
                addresses = [address_of(listening) for listening in sockets]
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
                    if self._guard is not None:
                        await self._guard.closed()
            if self._webhook is not None and self._webhook.waiting:
                self._observer.told("notifications_lost", {"waiting": self._webhook.waiting, "remedy": "None is sent."})
            self._observer.told("stopped", {})
            self._writer.close()

    def _tell_of_notifications(self, event: str, fields: dict[str, object]) -> None:
        self._observer.told(event, fields)

    def _tell_what_is_loose(self) -> None:
        for what, sentence in ({} if self._is_sample else looseness(self._settings)).items():
            self._observer.told("guard_is_loose", {"what": what, "told": sentence, "remedy": LOOSENESS_REMEDY})

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
