"""Keeping the snapshot fresh: signal, read, build, publish.

A read that fails, ends early or lacks a column changes nothing: the snapshot before stays, and its age tells. Where it
is proven that no tenant has changed, the timer counts the snapshot as read again, without a read.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from tenantry.core.asking import Read
from tenantry.core.errors import SourceError, SourceTooSlow, SourceWentBack
from tenantry.core.mapping import RowMapping, TableShape
from tenantry.core.snapshot import Snapshot, SnapshotBuilder
from tenantry.core.steps import Steps, sliced
from tenantry.service.driving import Turn, collect_young, driven, no_collection, settle
from tenantry.service.ports import Clock, Observer, TenantSource
from tenantry.service.snapshots import SnapshotHolder

Observing: TypeAlias = Callable[[Snapshot | None, Snapshot, Read], Steps[None]]
"""Takes in a new snapshot, the one before it, and the read that it came from."""

Proving: TypeAlias = Callable[[str, float], float | None]
"""Tells until when it is proven that nothing has changed in a source, by its name, since a read that began then."""

_LONGEST_PROOF = 60.0
"""Seconds after which tenants are read again, whatever is proven."""

_SHORTEST_GAP, _LONGEST_GAP = 0.02, 0.5
"""Seconds between the beginnings of two reads in a burst of changes: the first two, and those of a long one."""

_ROWS_OF_A_STEP = 25
"""Rows that are mapped between two looks at the clock: a tenth of a millisecond, or ten where the JSON is large."""


async def read_snapshot(source: TenantSource, shape: TableShape, previous: Snapshot | None, within: float) -> Snapshot:
    """Read every row `within` seconds and make the snapshot that follows `previous`; raises SourceError."""
    try:
        async with asyncio.timeout(within):
            with no_collection():
                return await _read(source, shape, previous)
    except TimeoutError as late:
        raise SourceTooSlow(f"The read took longer than {within:g} s (source.read_timeout).") from late


async def _read(source: TenantSource, shape: TableShape, previous: Snapshot | None) -> Snapshot:
    async with source.read() as reading:
        if previous is not None and (reason := reading.position.went_back_from(previous.position)):
            raise SourceWentBack(reason)
        mapping = RowMapping.of(shape, reading.columns)
        builder = SnapshotBuilder(mapping, previous)
        turn = Turn()
        async for rows in reading.rows([column.name for column in mapping.columns]):
            for some in sliced(rows, _ROWS_OF_A_STEP):
                builder.add(some)
                await turn.give_way()
            collect_young()
        position = replace(reading.position, reached=await reading.reached())
    return await driven(builder.finish(position))


class Refresher:
    """Reads again after each signal, and on a timer below all signals."""

    def __init__(
        self,
        source: TenantSource,
        shape: TableShape,
        holder: SnapshotHolder,
        observer: Observer,
        clock: Clock,
        *,
        every: float,
        within: float,
        observe: Observing | None = None,
    ) -> None:
        """Read `every` so many seconds, each read taking at most `within` seconds.

        `observe` takes in a read before it is answered from.
        """
        self._observe = observe
        self._source = source
        self._shape = shape
        self._holder = holder
        self._observer = observer
        self._clock = clock
        self._every = every
        self._within = within
        self._signal = asyncio.Event()
        self._began = self._took = -math.inf
        self._gap = self._hint_gap = _SHORTEST_GAP
        self._hinted = self._hint_waits = False
        self._waiting: list[asyncio.Future[Snapshot]] = []
        self._is_good = False
        self._heard: float | None = None
        self.proving: Proving = lambda _, __: None
        """Set by whoever follows a feed."""

    def signal(self, *, heard: bool = False) -> None:
        """Ask for a read soon; a signal is only a hint, the read is the truth.

        `heard` says that a commit was told of just now.
        """
        if heard and self._heard is None:
            self._heard = self._clock.monotonic()
        self._signal.set()

    def hint(self) -> None:
        """Ask for a read that may find nothing: now, but the rarer the more often it did, down to the timer's pace."""
        if self._clock.monotonic() - self._began >= self._hint_gap:
            self._hinted = True
            self.signal()
        else:
            self._hint_waits = True

    async def force(self) -> Snapshot:
        """Read now, whatever is proven, and return what was read; raises SourceError."""
        read: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiting.append(read)
        self.signal()
        return await read

    async def run(self) -> None:
        """Refresh for ever."""
        while True:
            if self._signal.is_set() or not self._is_renewed():
                await self._gathered()
                self._signal.clear()
                await self.refresh()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # A driver's clean-up may have put an error of its own in the place of the cancellation.
                raise asyncio.CancelledError
            try:
                async with asyncio.timeout(self._every):
                    await self._signal.wait()
            except TimeoutError:
                pass

    def _is_renewed(self) -> bool:
        """Count the snapshot as read again, if nothing can have changed since its read began."""
        latest = self._holder.latest
        if latest is None or not self._is_good or self._clock.monotonic() - self._began > _LONGEST_PROOF:
            return False
        if latest.position.standby:  # what feeds hear may be ahead of what it had replayed
            return False
        proven = self.proving(latest.position.source, self._began)
        # A feed that has not looked since, for whatever reason, proves nothing now.
        if proven is None or proven <= self._holder.read.began:
            return False
        self._holder.publish(latest, proven)
        self._observer.read_spared()
        self._hint_gap = _SHORTEST_GAP
        return True

    async def _gathered(self) -> None:
        """Let the changes of a burst gather: the first is read at once, those after it together."""
        least = max(self._gap, self._took)
        rest = self._began + least - self._clock.monotonic()
        if rest > 0:
            await asyncio.sleep(rest)
            self._gap = min(2 * self._gap, _LONGEST_GAP)
        else:
            self._gap = _SHORTEST_GAP

    async def refresh(self) -> None:
        """Read once and publish; a failure is reported and leaves everything as it is."""
        waiting, self._waiting = self._waiting, []
        hinted, self._hinted = self._hinted, False
        nobody_hinted, self._hint_waits = not (hinted or self._hint_waits), False
        self._is_good = False
        before = self._holder.latest
        failure = await self._refreshed()
        latest = self._holder.latest
        if nobody_hinted or before is None or latest is None or before.revision != latest.revision:
            self._hint_gap = _SHORTEST_GAP
        elif hinted:
            self._hint_gap = min(self._every, max(4 * self._hint_gap, self._took))
        self._took = self._clock.monotonic() - self._began
        for read in waiting:
            if read.done():
                continue
            if failure is not None:
                read.set_exception(failure)
            else:
                read.set_result(self._holder.seen())

    async def _refreshed(self) -> SourceError | None:
        """Read once and publish; return what failed."""
        began = self._began = self._clock.monotonic()
        heard, self._heard = self._heard, None
        previous = self._holder.latest
        try:
            snapshot = await read_snapshot(self._source, self._shape, previous, self._within)
            if self._observe is not None:
                read = Read(self._holder.read.number + 1, began)
                await driven(self._observe(previous, snapshot, read))
        except SourceError as error:
            self._holder.read_failed(error)
            cause = type(error.__cause__).__name__ if error.__cause__ else ""
            self._observer.read_failed(error, cause, self._clock.monotonic() - began)
            return error
        except Exception as error:  # noqa: BLE001 -- whatever a read raises, the snapshot stays and the next read comes
            self._holder.read_failed(SourceError())
            self._observer.failed(error)
            return SourceError()
        else:
            changed = previous is None or previous.revision != snapshot.revision
            await driven(self._holder.sightings.note(snapshot.quarantined))
            self._holder.publish(snapshot, began)
            if previous is None:
                settle()
            now = self._clock.monotonic()
            since = None if heard is None else now - heard
            self._observer.snapshot_published(snapshot, now - began, changed=changed, heard=since)
            self._is_good, heard = True, None
        finally:
            if heard is not None:  # It is not in a snapshot yet.
                self._heard = heard
        return None
