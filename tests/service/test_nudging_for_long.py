"""An hour of changes against a controller that does as Argo CD's does: nobody waits, nothing loops, nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from tenantry.core.errors import ClusterError, StateUnreachable, TenantryError
from tenantry.core.guard import RemovalLimit
from tenantry.core.live import LiveName, LiveSet
from tenantry.service.following import Applications, Listed, Seen, SeenOfApplications
from tenantry.service.nudging import Nudger
from tests.guard.here import Here, policy
from tests.service.test_nudging import application_set, rows
from tests.support.virtual_time import VirtualClock, run

HOUR = 3600.0
REFRESH = 2.0
"""Seconds between two reads."""

PASS, POLL, AGAIN = 0.3, 1800.0, 180.0
"""Seconds that a pass of the controller takes, between two of its polls, and after a pass that failed."""


@dataclass
class Controller:
    """Argo CD's controller with its cluster: one ApplicationSet, whose annotation asks for another pass."""

    here: Here
    seen: asyncio.Queue[Seen] = field(default_factory=asyncio.Queue)
    annotation: str | None = None
    deployed: frozenset[str] = frozenset()
    passes: int = 0
    nudges: list[float] = field(default_factory=list)
    down: bool = False
    failure: str | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    again: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, namespace: str) -> AsyncGenerator[Seen, None]:
        yield Listed([self.live])
        while True:
            yield await self.seen.get()

    @property
    def live(self) -> LiveSet:
        return application_set(failure=self.failure)

    async def applications(self, namespace: str) -> AsyncGenerator[SeenOfApplications, None]:
        yield Applications([])
        await asyncio.Event().wait()

    async def find(self, name: LiveName) -> LiveSet | None:
        return self.live if name == self.live.name else None

    async def refresh(self, name: LiveName, value: str) -> None:
        if self.down:
            raise ClusterError
        assert value != self.annotation, "a value that is there makes no event"
        self.annotation = value
        self.nudges.append(self.here.clock.monotonic())
        self.again.set()

    async def close(self) -> None:
        return

    async def run(self) -> None:
        while True:
            self.again.clear()
            self.passes += 1
            wait = POLL
            try:
                await asyncio.sleep(PASS / 3)
                found = frozenset(await self.here.ask())
                await asyncio.sleep(PASS / 3)
                self.deployed = found
                failure = None
                self.annotation = None
            except TenantryError as error:
                failure = f"error listing params: error get api 'prod': API error with status code 503: {error.message}"
                wait = AGAIN
            if failure != self.failure:
                self.failure = failure
                self.seen.put_nowait(self.live)
            await asyncio.sleep(PASS / 3)
            try:
                async with asyncio.timeout(wait):
                    await self.again.wait()
            except TimeoutError:
                pass


@dataclass
class World:
    """The table, and what changes in it."""

    here: Here
    controller: Controller
    numbers: random.Random
    table: dict[str, str]
    changed: float = 0.0
    changes: int = 0

    def change(self) -> None:
        """Sign somebody up, or change somebody's plan; now and then let somebody go."""
        kind = self.numbers.random()
        name = f"t{self.numbers.randrange(len(self.table)):02}"
        if kind < 0.1:
            self.table.pop(name, None)
        elif kind < 0.5:
            self.table[f"n{self.changes}"] = "free"
        else:
            self.table[name] = f"plan-{self.changes}"
        self.changes += 1
        self.changed = self.here.clock.monotonic()

    def read(self) -> None:
        self.here.read(
            [{"tenant": name, "status": "active", "plan": plan} for name, plan in sorted(self.table.items())]
        )


async def _started(seed: int) -> tuple[World, Nudger]:
    generous = (RemovalLimit(timedelta(hours=1), 100, 1000),)
    here = Here(policy=policy(limits=generous), clock=VirtualClock())  # type: ignore[arg-type]
    await here.start()
    table = {str(row["tenant"]): "free" for row in rows(60)}
    controller = Controller(here)
    world = World(here, controller, random.Random(seed), table)
    world.read()
    nudger = Nudger(
        controller,
        here.guarding.foreseeing,
        here.ledger,
        here.seen,
        here.clock,
        namespaces=["argocd"],
        config_maps=None,
    )
    here.snapshots.published = nudger.wake
    return world, nudger


@pytest.mark.parametrize("seed", range(2))
def test_in_an_hour_of_changes_each_arrives_within_seconds_and_no_nudge_is_for_nothing(seed: int) -> None:
    async def hour() -> None:
        world, nudger = await _started(seed)
        tasks = [asyncio.create_task(one) for one in (nudger.run(), world.controller.run())]
        clock = world.here.clock
        until, late = clock.monotonic() + HOUR, 0.0
        while clock.monotonic() < until:
            for _ in range(world.numbers.choice((0, 0, 0, 0, 1, 1, 2, 10))):
                world.change()
                await asyncio.sleep(world.numbers.random() * 0.05)
                world.read()
            for _ in range(world.numbers.randrange(1, 8)):
                await asyncio.sleep(REFRESH)
                world.read()
            there = set(world.controller.deployed)
            late = max(late, 0.0 if set(world.table) <= there else clock.monotonic() - world.changed)
        made = len(world.controller.nudges)
        # Nothing changes any more but what settles: then all is quiet.
        for _ in range(100):
            await asyncio.sleep(REFRESH)
            world.read()
        quiet = len(world.controller.nudges)
        for _ in range(1000):
            await asyncio.sleep(REFRESH)
            world.read()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert world.controller.deployed == set(world.table)
        assert late <= 2.5, "who signed up was there by the end of the longest gap of a burst, and a pass"
        assert 0 < made <= world.changes
        assert len(world.controller.nudges) == quiet
        assert nudger.pending == 0

    run(hour())


def test_whatever_fails_for_a_while_no_change_is_lost_and_nobody_waits_three_minutes() -> None:
    async def hour() -> None:
        world, nudger = await _started(7)
        tasks = [asyncio.create_task(one) for one in (nudger.run(), world.controller.run())]
        store, controller = world.here.store, world.controller
        await asyncio.sleep(5)
        store.is_shared = True  # so that a state that cannot be reached is a 503, and not the answer before
        for outage in range(12):
            if outage % 3 != 0:
                controller.down = True
            if outage % 3 != 1:
                store.broken = StateUnreachable()
                controller.again.set()  # a pass of its own, which fails
            await asyncio.sleep(1)
            world.table[f"n{outage}"] = "free"
            for _ in range(world.numbers.randrange(1, 60)):
                await asyncio.sleep(REFRESH)
                world.read()
            controller.down, store.broken = False, None
            mended = world.here.clock.monotonic()
            while f"n{outage}" not in controller.deployed:
                await asyncio.sleep(REFRESH / 2)
                world.read()
                assert world.here.clock.monotonic() - mended < 65, "the longest wait between two tries, and a pass"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert controller.failure is None

    run(hour())
