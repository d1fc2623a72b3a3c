"""Several replicas that read: each for itself, at its own moments, and some from a standby that lags."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from tenantry.core.columns import Kind
from tenantry.core.errors import LastGoodIncomplete, NotReady, ReadFailed
from tenantry.core.ledger import SetName
from tenantry.core.position import Position
from tests.builders import HERE, columns_of
from tests.fakes import FakeClock
from tests.guard.database import Database
from tests.guard.here import Here
from tests.guard.lives import Life
from tests.guard.model import Holds
from tests.guard.replica import Begun, Replica
from tests.guard.requests import REQUESTS
from tests.guard.sharing import Loop, SharedStore
from tests.guard.together import ReadBy, Sign, Together
from tests.guard.world import NAMES, World

_TICK = 0.01
"""Seconds between two things that happen: on a real clock, no two happen at once."""

_SIGN = 5.0
"""Seconds between two signs of life."""

_READING = 0.5
"""Seconds that a read takes for which a request waits."""

_LONG = 3600.0
_WORDS = frozenset(
    ("approve", "approve_gone", "approve_held", "withdraw", "admit", "freeze", "unfreeze", "pin", "pin_gone", "unpin")
)


class Reading(World):
    """Several guards that share a ledger and a clock, and the model of them together."""

    model: Together

    def begin(self, how: Life) -> None:
        self.loop.close()
        self.loop = Loop()
        self.model = Together(self.policy)
        self.clock = FakeClock()
        self.counts: Counter[str] = Counter()
        self.store = self._new_store()
        self.database = Database(self.as_read(), self.kind)
        self.numbers = 0
        self.pace = 1
        self.holds: dict[SetName, Holds] = {}
        self.asks = self.restored = 0
        self.asking = REQUESTS[0]
        self.crossed: tuple[int, int, int] | None = None
        self.crossings = 0
        self.is_asked = self.dies = False
        self.killed: list[Sign] = []
        self.replicas = [
            Replica(slot, self.run(self._process(slot)), slot, slot >= how.replicas - how.standbys, HERE.source)
            for slot in range(how.replicas)
        ]
        self.process = how.replicas
        self._turn(self.replicas[0])
        self._read_all()

    def _new_store(self) -> SharedStore:
        store = SharedStore(self.clock.seconds, self.clock.monotonic, self.counts)
        store.crossing, store.written_now = self._cross, self._written
        return store

    async def _process(self, slot: int) -> Here:
        return await Here(self.policy, self.store, self.clock, name=f"{slot}-0").start()

    def do(self, action: str, a: int, b: int) -> None:
        self.taken.append((action, a, b))
        self._give_signs()
        self._turn(self._awake(a + b))
        if action in _WORDS:
            self.run(self.here.ledger.confirm())
        if action == "approve_held":
            self.crossed = None  # Whom it is about is shown before it is said.
        getattr(self, action)(a, b)
        self._commit()

    def _turn(self, to: Replica) -> None:
        self.replica, self.here = to, to.here
        self.model.turn_to(to.slot)

    def _awake(self, number: int) -> Replica:
        """Return one that answers, by a number; where nobody does, somebody is started."""
        if not any(one.answers for one in self.replicas):
            self.start(0, 0)
        answering = [one for one in self.replicas if one.answers]
        return answering[number % len(answering)]

    def _tick(self) -> None:
        self.clock.seconds += _TICK

    # --- signs of life ---------------------------------------------------------------------------------------------

    def _give_signs(self) -> None:
        """Let every process do what it does every few seconds, and every hour."""
        awake = [one for one in self.replicas if one.answers]
        if not awake:
            return
        passed = self.clock.seconds - max(one.seen for one in awake)
        late = [one for one in awake if passed >= _SIGN or self.clock.seconds - one.seen >= _SIGN]
        # After a leap of the clock all of them had been giving signs: nobody is to know only a part of that.
        crossed, self.crossed = self.crossed, None
        for one in [*late, *late] if passed >= _SIGN else late:
            self.run(self._sign(one))
        self.crossed = crossed
        if passed >= _LONG:
            for one in awake:
                self._turn(one)
                self.tidy(0, 0)

    async def _sign(self, one: Replica) -> None:
        self._turn(one)
        self.model.hears(self.clock.seconds)
        try:
            await one.here.guarding.replicas._look()
        except NotReady:
            return  # The state is away; the next sign comes.
        one.seen = self.clock.seconds

    def _signs_of(self, besides: Replica) -> list[Sign]:
        return [*(one.sign for one in self.replicas if one.is_up and one is not besides), *self.killed]

    # --- reads -----------------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        self.database.commit(self.as_read(), self.kind, doubtful=self.nameless)

    def read(self, a: int, b: int) -> None:
        """Read in one of them, or in all."""
        self._give_signs()
        self._commit()
        if b % 3:
            self._read_all()
        else:
            self._read(self._awake(a))

    def _read_all(self) -> None:
        for one in [one for one in self.replicas if one.answers]:
            self._read(one)

    def _read(self, one: Replica) -> None:
        """Read; raises ReadFailed where the database is behind what was read before."""
        if one.begun is not None:
            self._publish(one)
        self._begin_read(one)
        self._publish(one)

    def _begin_read(self, one: Replica, *, looks: bool = True) -> None:
        """Begin a read, which `looks` at the rows now, or as late as it can."""
        if one.standby:
            self.database.replay(self.pace)
        self._tick()
        lsn = self.database.lsn(standby=one.standby)
        position = Position(one.source, HERE.timeline, lsn, one.standby)
        one.begun = Begun(self.clock.seconds, position, self.database.seen(standby=one.standby) if looks else None)

    def _publish(self, one: Replica) -> bool:
        """End a read; tell whether it was one that can be answered from."""
        assert one.begun is not None
        (began, position, found), one.begun = one.begun, None
        version = found or self.database.seen(standby=one.standby)
        here, back = one.here, self.replica
        self._tick()
        latest = here.snapshots.latest
        if latest is not None and position.went_back_from(latest.position):
            return False
        here.position = replace(position, reached=max(position.lsn, self.database.lsn(standby=one.standby)))
        columns = columns_of(**{name: version.kind if name == "size" else Kind.TEXT for name in NAMES})
        try:
            snapshot = here.read(version.rows, columns, began=began)
        except LastGoodIncomplete:
            return False
        rows = {
            tenant: {name: str(value) for name, value in zip(NAMES, found.values, strict=True) if name != "tenant"}
            for tenant, found in snapshot.tenants.items()
        }
        unreadable = frozenset(row.tenant for row in snapshot.quarantined if row.tenant and not row.kept)
        self.numbers += 1
        self._turn(one)
        self.model.found(
            ReadBy(
                self.numbers,
                began,
                rows,
                one.process,
                self._lens(),
                version.kind.value,
                version.doubtful,
                unreadable,
                source=one.source,
                version=version.number,
                standby=one.standby,
            )
        )
        self._turn(back)
        return True

    async def _read_now(self, one: Replica) -> None:
        """Read for a request that waits, while whatever else may happen."""
        if one.begun is not None:
            self._publish(one)
        self._begin_read(one, looks=bool(self.asks % 3))
        await asyncio.sleep(_READING)
        self.clock.seconds += _READING
        await self._cross("publish")
        one.failed = not self._publish(one)
        if one.failed:
            raise ReadFailed

    def start(self, a: int, b: int) -> None:
        """Start those who are not up."""
        raise NotImplementedError

    async def _cross(self, before: str) -> None:
        """Let something happen in between."""
        raise NotImplementedError

    def _written(self) -> None:
        """Hear that somebody wrote to the ledger."""
        raise NotImplementedError
