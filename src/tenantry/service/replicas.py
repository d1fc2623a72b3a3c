"""The processes that share a ledger: who is there, and whether this one has the newest configuration.

Configurations are ordered by their first released answers. One that nobody has answered by is newer than all; one that
others followed is older, for as long as a process with one of those is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from tenantry.core.errors import NotReady, OlderConfiguration, ReplicaBehind
from tenantry.core.lens import digest_of
from tenantry.core.position import Position
from tenantry.service.catching_up import CatchingUp
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Clock, Observer
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.state import Replica

ALIVE = 30.0
"""Seconds for which a process is there since it was seen."""

_EVERY = 5.0
"""Seconds between two signs of life."""

_LEAVING = 2.0


class Replicas:
    """This process among those that share its ledger; with a ledger of its own it is alone."""

    def __init__(
        self,
        ledger: Ledger,
        snapshots: SnapshotHolder,
        catching_up: CatchingUp,
        observer: Observer,
        clock: Clock,
        *,
        this: Replica,
        turns: Callable[[], int],
    ) -> None:
        """Share `ledger` as `this`, whose configuration does not tell yet which database the tenants come from.

        `turns` tells how often that went back.
        """
        self._ledger = ledger
        self._snapshots = snapshots
        self._catching_up = catching_up
        self._observer = observer
        self._clock = clock
        self._turns = turns
        self._configured = this.configuration
        self._this = msgspec.structs.replace(this, configuration="")
        self._known: Sequence[Replica] = ()
        self._known_at = 0.0
        self._is_older = False

    @property
    def id(self) -> str:
        """What this process is called."""
        return self._this.id

    @property
    def is_older(self) -> bool:
        """Whether another process with a newer configuration was there the last time that somebody looked."""
        return self._is_older

    @property
    def is_behind(self) -> bool:
        """Whether another process answered from a later read than this one has."""
        return self._catching_up.is_behind

    @property
    def alive(self) -> Sequence[Replica]:
        """Every process that was there the last time that somebody looked, by its id; their ages as of now."""
        passed = self._clock.monotonic() - self._known_at
        aged = [msgspec.structs.replace(one, age=one.age + passed) for one in self._known]
        return [one for one in aged if one.age < ALIVE]

    @property
    def others(self) -> Sequence[Replica]:
        """Those of them that are not this one."""
        return [one for one in self.alive if one.id != self.id]

    @property
    def problem(self) -> NotReady | None:
        """Why this process does not answer, or not what is new; None if it does."""
        return OlderConfiguration() if self._is_older else ReplicaBehind() if self.is_behind else None

    @property
    def is_shared(self) -> bool:
        """Whether there may be others at all."""
        return self._ledger.is_shared

    def is_newest(self, configuration: str) -> bool:
        """Tell whether the latest answer with a configuration of its own was by this one."""
        return configuration in self._ledger.configurations[-1:]

    async def admitted(self, source: str) -> str | None:
        """Return the configuration by which this process may answer from a source; None where it is alone.

        Raises OlderConfiguration or StateError.
        """
        if not self._ledger.is_shared:
            return None
        configuration = digest_of([self._configured, source])
        if configuration != self._this.configuration or not self._known:
            # Whoever is older is to know that this one is there, before it answers.
            await self._show(configuration)
        later = self._later(configuration)
        if later:
            await self._show(configuration)
        if self._finds_out(any(one.configuration in later for one in self.others)):
            raise OlderConfiguration
        return configuration

    async def beside(self, position: Position) -> Sequence[Replica]:
        """Return the others by whom it depends whether somebody leaves by a read; raises StateError.

        Beside a standby they are looked for at once: who was stopped for a minute takes all of them for gone.
        """
        if position.standby and self._ledger.is_shared:
            await self._show(self._this.configuration)
        return self.others

    def require(self) -> None:
        """Raise OlderConfiguration if this process was of an older configuration when somebody looked last."""
        if self._is_older and not self.is_newest(self._this.configuration):
            raise OlderConfiguration

    async def run(self) -> None:
        """Give signs of life for ever, and find out how this process stands."""
        while self._ledger.is_shared:
            if self._ledger.is_open:
                try:
                    await self._look()
                except NotReady:
                    pass  # Whoever asks is told; the next sign comes.
                except Exception as error:  # noqa: BLE001 -- without a sign of life others take over, and the next comes
                    self._observer.failed(error)
            await asyncio.sleep(_EVERY)
        await asyncio.Event().wait()

    async def leave(self) -> None:
        """Say that this process is there no more; raises nothing."""
        if self._known:
            try:
                async with asyncio.timeout(_LEAVING):
                    await self._ledger.leave(self.id)
            except (NotReady, TimeoutError):
                pass  # In half a minute it counts as gone.

    async def _look(self) -> None:
        await self._ledger.confirm()
        latest = self._snapshots.latest
        await self._show("" if latest is None else digest_of([self._configured, latest.position.source]))
        later = self._later(self._this.configuration)
        self._finds_out(any(one.configuration in later for one in self.others))
        self._catching_up.look()

    async def _show(self, configuration: str) -> None:
        latest = self._snapshots.latest
        position = None if latest is None else latest.position.released(self._turns())
        this = msgspec.structs.replace(self._this, configuration=configuration, position=position)
        known = await self._ledger.replicas(this)
        self._this, self._known, self._known_at = this, known, self._clock.monotonic()
        self._catching_up.heard(self.others)

    def _later(self, configuration: str) -> Sequence[str]:
        """Return the configurations that followed one; none if it is the newest, or nobody has answered by it."""
        known = self._ledger.configurations
        return known[known.index(configuration) + 1 :] if configuration in known else ()

    def _finds_out(self, is_older: bool) -> bool:  # noqa: FBT001 -- what was found
        if is_older != self._is_older:
            self._is_older = is_older
            if is_older:
                fields: dict[str, object] = {"told": OlderConfiguration().what, "remedy": OlderConfiguration.remedy}
                self._observer.told("configuration_older", fields)
            else:
                self._observer.told("configuration_newest", {})
        return is_older
