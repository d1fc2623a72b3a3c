"""The guard with its ledger, from the opening of the state database to its end."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from tenantry import __version__
from tenantry.adapters.database.state import open_state
from tenantry.config.settings import Settings
from tenantry.core.errors import ConfigurationError, StateError, StateInUse, StateMissing
from tenantry.core.history import Event, EventKind
from tenantry.core.lens import digest_of_configuration, digest_of_shape
from tenantry.runtime.building import SystemClock, naming_of, policy_of, shape_of, state_of
from tenantry.service.answering import Answering
from tenantry.service.approving import Approving
from tenantry.service.desk import GuardDesk, NobodyHears
from tenantry.service.guarding import Guarding
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Clock, Observer, Tokens
from tenantry.service.regarding import Regarding
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.state import Replica

_AGAIN = 2.0
"""Seconds between two tries to open the state database."""

_LOOKED_AT = 3.0
"""Seconds for which somebody may be looking at the state by the command line while the service starts."""

_KEEPING = 600.0
"""Seconds between two looks at what is to be written down or forgotten."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the guard shares with the rest of the service."""

    snapshots: SnapshotHolder
    tokens: Tokens
    observer: Observer
    clock: Clock


class Guard:
    """The ledger, and who decides by it."""

    def __init__(self, settings: Settings, answering: Answering, parts: Parts, *, is_sample: bool) -> None:
        """Build it; nothing is opened yet. Raises ConfigurationError."""
        self._is_sample = is_sample
        self._settings = settings
        self._observer = parts.observer
        self._store = state_of(settings)
        policy = policy_of(settings)
        self._naming = naming_of(settings.naming)
        self.ledger = Ledger(self._store, parts.clock, policy.longest)
        self.guarding = Guarding(
            answering,
            parts.snapshots,
            self.ledger,
            policy,
            parts.tokens,
            parts.observer,
            parts.clock,
            shape=digest_of_shape(shape_of(settings), settings.source.query),
            naming=self._naming,
            this=Replica(_name(), digest_of_configuration(shape_of(settings), settings.source.query), __version__),
        )

        regarding = Regarding(self.ledger, policy, settings.guard.history.total_seconds())
        self.desk = GuardDesk(self.ledger, regarding, Approving(self.ledger, self.guarding))

    async def claim(self) -> None:
        """Refuse to be the second process with one state file for more than a moment; raises ConfigurationError."""
        until = time.monotonic() + _LOOKED_AT
        while True:
            try:
                self._store.claim()
            except StateInUse as error:
                if time.monotonic() > until:
                    raise ConfigurationError([error.message]) from None
                await asyncio.sleep(_LOOKED_AT / 20)
            except StateError:
                # Whatever else is wrong is told when it is opened, and may be mended while the service runs.
                return
            else:
                return

    async def opened(self) -> Mapping[str, str]:
        """Open the ledger, trying until that works; returns the names that are kept."""
        told = ""
        while True:
            try:
                return await self._open()
            except StateError as error:
                if error.message != told:
                    told = error.message
                    self._observer.told("state_failed", {"reason": error.what, "remedy": error.advice})
            except Exception as error:  # noqa: BLE001 -- whatever it is, nothing is answered, and the next try comes
                self._observer.failed(error)
            await asyncio.sleep(_AGAIN)

    async def _open(self) -> Mapping[str, str]:
        found = await self.ledger.open()
        if await self.ledger.forget_answers():
            self._observer.told("answers_forgotten", {"told": _FORGOTTEN, "remedy": _FORGOTTEN_REMEDY})
        names = await self.ledger.names_besides(self._naming.made) if self._naming.name_field else {}
        if found.is_new:
            self.ledger.note(Event(self.ledger.now(), EventKind.LEDGER_MADE))
        if found.is_new and not self._is_sample:
            self._observer.told("ledger_is_new", {"told": _NEW, "remedy": _NEW_REMEDY})
        else:
            self._observer.told("ledger_opened", {"application_sets": len(found.sets), "writes": found.writes})
        self.guarding.keep_names(replace(self._naming, kept=names))
        return names

    async def shared(self) -> None:
        """Say that this process is there, for ever, where it shares its ledger."""
        await self.guarding.replicas.run()

    async def closed(self) -> None:
        """Leave, and give the ledger back."""
        await self.guarding.replicas.leave()
        await self.ledger.close()

    async def kept(self) -> None:
        """Write down and forget what time asks for, for ever."""
        while True:
            await asyncio.sleep(_KEEPING)
            try:
                await self.guarding.touch()
                if self.ledger.is_open:
                    await self.ledger.forget(self._settings.guard.history.total_seconds())
            except StateError as error:
                self._observer.told("state_failed", {"reason": error.what, "remedy": error.advice})


def _name() -> str:
    """Name this process, as no other one is."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


async def answers_not_remembered(settings: Settings, observer: Observer) -> None:
    """Write down, in a state that there is, that ApplicationSets are answered without a guard; try until it works."""
    told = ""
    while True:
        try:
            await _answer_unguarded(settings)
        except StateMissing:
            return
        except (StateError, ConfigurationError) as error:
            if error.message != told:
                told = error.message
                observer.told("state_failed", {"reason": error.message, "remedy": _UNGUARDED_REMEDY})
        except Exception as error:  # noqa: BLE001 -- who is served without a guard is served whatever the state is
            observer.failed(error)
        else:
            return
        await asyncio.sleep(_KEEPING)


async def _answer_unguarded(settings: Settings) -> None:
    timeout = settings.state.timeout
    store = open_state(settings.state_url.reveal(), timeout, timeout, time.time, make=False)
    ledger = Ledger(store, SystemClock(), timedelta(days=90).total_seconds())
    try:
        await ledger.open()
        await ledger.answer_unguarded()
    finally:
        await ledger.close()


_UNGUARDED_REMEDY = (
    "That answers are not remembered now could not be written down: before guard.mode is anything but off again, move "
    "the state away, or whoever left meanwhile comes back."
)
_FORGOTTEN = "ApplicationSets were answered while guard.mode was off: their first answers now are taken as they are."
_FORGOTTEN_REMEDY = "Look whether an answer lacks tenants before Argo CD asks again."
_NEW = (
    "The state database was empty: what ApplicationSets were answered before is not known, so their first answers are "
    "taken as they are."
)
_NEW_REMEDY = (
    "At a first start that is as it should be. Else the state was lost: look whether an answer lacks tenants before "
    "Argo CD asks again, and put the state on a volume that survives."
)


@asynccontextmanager
async def desk_at(url: str, patience: timedelta) -> AsyncIterator[GuardDesk]:
    """Give the desk of a state database that no service serves; raises StateError or ConfigurationError."""
    store = open_state(url, patience, patience, time.time, make=False)
    ledger = Ledger(store, SystemClock(), timedelta(days=90).total_seconds())
    try:
        await ledger.open()
        yield GuardDesk(ledger, Regarding(ledger, None), Approving(ledger, NobodyHears()))
    finally:
        await ledger.close()
