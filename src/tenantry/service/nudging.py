"""Nudging: telling Argo CD of a change, so that it asks now and not with its next poll.

Whose answer would be another one is told, and nobody else; what is told is a value that is new each time. A request
never leads to a nudge: reads, words, time and what happens in the cluster do.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from tenantry.core.errors import ClusterError, NotReady, TenantryError
from tenantry.core.live import LiveName, LiveSet
from tenantry.service.following import Cluster, Following
from tenantry.service.foreseeing import Foresight
from tenantry.service.keys import Difference
from tenantry.service.ports import Clock, Observer
from tenantry.service.waiting import backoff

_FIRST_REPEAT, _LONGEST_REPEAT = 30.0, 1800.0
"""Seconds after which an ApplicationSet that did not ask is told again: longer than a pass of a large one takes, and at
last as long as Argo CD's own poll."""

_SHORTEST_GAP, _LONGEST_GAP = 0.05, 2.0
"""Seconds between two nudges of one ApplicationSet in a burst of changes: the first two, and those of a long one."""

_BURST = 4
"""Times that gap without a change after which a burst is over."""

_LATELY = 5.0
"""Seconds in which the process that counted a nudge sends it, or nobody does."""

_LONGEST_CHECK = 1.0
"""Seconds between two looks for whether it gave it back: less than it waits itself, once it failed twice."""

_AT_ONCE = 8
"""Nudges that are under way together."""


class NudgeCounter(Protocol):
    """What makes each nudge of an ApplicationSet another one, over restarts and among replicas."""

    async def count(self, name: LiveName, digest: str, lately: float) -> int | None:
        """Return the number of the next nudge, never one twice.

        None if another process counted one of this digest less than `lately` seconds ago, and did not give it back.
        Raises NotReady.
        """
        ...

    async def give_back(self, name: LiveName, number: int) -> None:
        """Let others count at once what was counted and could not be sent; raises NotReady."""
        ...


@dataclass(slots=True)
class Progress:
    """How far an ApplicationSet was told."""

    digest: str
    since: float
    """When it was found that it should be told, on the monotonic clock."""

    sent: float | None = None
    """When it was told of this digest."""

    next: float = -math.inf
    """Not before this is it told, again or at all."""

    asked: float = -math.inf
    """When an input whose answer would differ was last asked for here."""

    counted: int | None = None
    """The number that was counted and not sent yet."""

    left: int = 0
    """How often it was found that another process counted it, and is to send it."""

    check: float = math.inf
    """When to find out next whether that one gave it back."""

    failures: int = 0
    repeats: int = 0
    sending: bool = False


@dataclass(slots=True)
class _Pace:
    """How fast an ApplicationSet may be told."""

    last: float = -math.inf
    gap: float = _SHORTEST_GAP


@dataclass(frozen=True, slots=True)
class Told:
    """How it stands with one ApplicationSet, for people."""

    live: LiveSet
    last: float | None
    """Seconds since it was last told; None if this process never did."""

    pending: float | None
    """Seconds since it should have been told; None where there is nothing to tell, or it was."""


class Nudger:
    """Follows the ApplicationSets of a cluster, and tells them of changes."""

    def __init__(
        self,
        cluster: Cluster,
        foresight: Foresight,
        counter: NudgeCounter,
        observer: Observer,
        clock: Clock,
        *,
        namespaces: Sequence[str],
        config_maps: Collection[str] | None,
    ) -> None:
        """Tell the ApplicationSets of `namespaces` that use a plugin by `config_maps`, or by any for None."""
        self._cluster = cluster
        self._foresight = foresight
        self._counter = counter
        self._observer = observer
        self._clock = clock
        self._config_maps = config_maps
        self.following = Following(
            cluster, observer, namespaces=namespaces, config_maps=config_maps, changed=self._changed
        )
        self._progress: dict[LiveName, Progress] = {}
        self._paces: dict[LiveName, _Pace] = {}
        self._woken = asyncio.Event()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._sending: set[asyncio.Task[None]] = set()
        foresight.wake = self.wake

    def wake(self) -> None:
        """Look soon: something happened that may change an answer."""
        self._woken.set()

    @property
    def pending(self) -> float:
        """Seconds for which the oldest change has waited to be told; 0 if none does."""
        now = self._clock.monotonic()
        return max((now - one.since for one in self._progress.values() if one.sent is None), default=0.0)

    def told(self) -> Sequence[Told]:
        """Return how it stands with each ApplicationSet that uses us, in order of name."""
        now = self._clock.monotonic()
        found = []
        for live in sorted(self.following.live, key=lambda one: one.name):
            pace, progress = self._paces.get(live.name), self._progress.get(live.name)
            found.append(
                Told(
                    live,
                    None if pace is None else now - pace.last,
                    None if progress is None or progress.sent is not None else now - progress.since,
                )
            )
        return found

    async def run(self) -> None:
        """Follow and tell for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.following.run())
                tasks.create_task(self._look_for_ever())
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            await self._cluster.close()

    def _changed(self, gone: Collection[LiveName]) -> None:
        for name in gone:
            self._progress.pop(name, None)
            self._paces.pop(name, None)
        self.wake()

    # --- what is to be told ----------------------------------------------------------------------------------------

    async def _look_for_ever(self) -> None:
        least = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_next(least)):
                    await self._woken.wait()
            self._woken.clear()
            least = _LONGEST_GAP
            try:
                await self.look()
            except NotReady:
                pass  # Nobody could be answered now; what makes that possible again wakes.
            except Exception as error:  # noqa: BLE001 -- without nudges Argo CD polls, and the next look comes
                self._observer.failed(error)
            else:
                least = 0.0

    def _until_next(self, least: float) -> float | None:
        """Return the seconds until something is to be tried again."""
        soonest = [min(one.next, one.check) for one in self._progress.values() if not one.sending]
        waiting = [one for one in soonest if one < math.inf]
        return max(least, min(waiting) - self._clock.monotonic()) if waiting else None

    async def look(self) -> None:
        """Find out who is to be told, and begin to tell; raises NotReady."""
        asking: dict[str, bool] = {}
        for live in self.following.live:
            asking[live.name.application_set] = asking.get(live.name.application_set, False) or live.allows_empty
        if not asking:
            return
        await self._foresight.look(asking)
        self._foresight.require()
        for live in list(self.following.live):
            self._consider(live)

    def _consider(self, live: LiveSet) -> None:
        now = self._clock.monotonic()
        differences = self._foresight.differences(live.name.application_set, live.inputs)
        digest = _digest_of(differences, self._recovery(live))
        progress = self._progress.get(live.name)
        if digest is None:
            if progress is not None and not progress.sending:
                del self._progress[live.name]
            return
        is_new = progress is None or progress.digest != digest
        if progress is None or (
            is_new and not progress.sending and not _waits_for_a_pass(progress, live, differences, now)
        ):
            progress = self._progress[live.name] = self._anew(live, progress, digest, differences)
        progress.asked = max((one.asked for one in differences), default=-math.inf)
        if not progress.sending and min(progress.next, progress.check) <= now:
            self._begin(live.name, progress)

    def _anew(self, live: LiveSet, before: Progress | None, digest: str, differences: Sequence[Difference]) -> Progress:
        if before is not None and before.sent is None:
            # What could not be told yet is told together with this, no sooner for it.
            return replace(before, digest=digest)
        pace = self._paces.get(live.name)
        soonest = -math.inf if pace is None else pace.last + pace.gap
        repeats = before.repeats if before is not None and _is_outstanding(before, live, differences) else 0
        return Progress(digest, self._clock.monotonic(), next=soonest, repeats=repeats)

    def _recovery(self, live: LiveSet) -> str | None:
        """Name why an ApplicationSet whose pass failed by a plugin's refusal should try again; None if it should not.

        What rows and time mend is tried as soon as anybody can be answered; what only people mend, once for each time
        that they said something.
        """
        if not live.failed_by_plugin:
            return None
        if self._config_maps is None and not self._foresight.knows(live.name.application_set):
            return None  # It may be somebody else's plugin.
        refusal = live.refusal
        if refusal is None or refusal >= _SERVER_ERROR:
            return _RECOVERED
        return f"{_REFUSED}{_short(f'{refusal}/{self._foresight.epoch(live.name.application_set)}')}"

    # --- telling ---------------------------------------------------------------------------------------------------

    def _begin(self, name: LiveName, progress: Progress) -> None:
        progress.sending = True
        task = asyncio.create_task(self._send(name, progress))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, name: LiveName, progress: Progress) -> None:
        try:
            async with self._at_once:
                await self._sent(name, progress)
        except (ClusterError, NotReady) as error:
            self._failed(name, progress, error)
        except Exception as error:  # noqa: BLE001 -- it is tried again
            self._observer.failed(error)
            self._failed(name, progress, error)
        finally:
            with suppress(NotReady):  # It is tried again with the next nudge.
                await self._give_back(name, progress)
            progress.sending = False
            self.wake()

    async def _sent(self, name: LiveName, progress: Progress) -> None:
        began = self._clock.monotonic()
        await self._give_back(name, progress)
        is_check = began < progress.next
        number = progress.counted = await self._counter.count(name, progress.digest, self._lately(progress, began))
        if number is None:
            progress.left += 1
            progress.check = self._clock.monotonic() + min(_LONGEST_CHECK, backoff(progress.left))
            if is_check:
                return
        else:
            if progress.left:
                progress.sent = None  # It was given back: nobody was told.
            await self._refreshed(name, f"{progress.digest}-{number}")
            progress.counted, progress.left, progress.check = None, 0, math.inf
            seconds = round(self._clock.monotonic() - progress.since, 4)
            self._observer.told("nudged", {**name._asdict(), "seconds": seconds})
        self._keep_pace(name, progress, began)
        wait = min(_LONGEST_REPEAT, _FIRST_REPEAT * 2 ** min(progress.repeats, 16))
        if progress.digest.startswith(_REFUSED):
            wait = math.inf
        progress.sent, progress.failures = began, 0
        progress.next = self._clock.monotonic() + wait * random.uniform(0.9, 1.1)  # noqa: S311 -- no secret
        progress.repeats += 1

    async def _refreshed(self, name: LiveName, value: str) -> None:
        """Set the annotation, or leave that to another process in time; raises ClusterError."""
        try:
            async with asyncio.timeout(_LATELY):
                await self._cluster.refresh(name, value)
        except TimeoutError:
            raise ClusterError(f"The Kubernetes API server has not answered for {_LATELY:g} s.") from None

    async def _give_back(self, name: LiveName, progress: Progress) -> None:
        """Leave what was counted here, and not sent, to whoever comes first; raises NotReady."""
        if progress.counted is not None:
            await self._counter.give_back(name, progress.counted)
            progress.counted = None

    def _lately(self, progress: Progress, now: float) -> float:
        """Return for how long a nudge of another process counts as sent, unless it is given back.

        One since which it was asked here, and the difference is there still, was for nothing.
        """
        return min(_LATELY if progress.next <= now else _FIRST_REPEAT, now - progress.asked)

    def _keep_pace(self, name: LiveName, progress: Progress, began: float) -> None:
        """Let the next nudge come later where this one came soon after the one before, else at once.

        Soon is longer than that one had to wait: a change found after a pass is of the same burst.
        """
        pace = self._paces.setdefault(name, _Pace())
        is_burst = progress.sent is None and pace.last + _BURST * pace.gap > progress.since
        pace.gap = min(2 * pace.gap, _LONGEST_GAP) if is_burst else _SHORTEST_GAP
        pace.last = began

    def _failed(self, name: LiveName, progress: Progress, error: Exception) -> None:
        progress.failures += 1
        progress.next = self._clock.monotonic() + backoff(progress.failures)
        told = error if isinstance(error, TenantryError) else ClusterError()
        self._observer.told("nudge_failed", {**name._asdict(), "reason": told.what, "remedy": told.advice})


_SERVER_ERROR = 500
_RECOVERED, _REFUSED = "recovered", "refused."


def _digest_of(differences: Sequence[Difference], recovery: str | None) -> str | None:
    if not differences:
        return recovery
    return _short("/".join([*(one.digest for one in differences), recovery or ""]))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _waits_for_a_pass(progress: Progress, live: LiveSet, differences: Sequence[Difference], now: float) -> bool:
    return progress.next > now and _is_outstanding(progress, live, differences)


def _is_outstanding(progress: Progress, live: LiveSet, differences: Sequence[Difference]) -> bool:
    """Tell whether an ApplicationSet was told, and has not asked since for anything that would differ.

    A pass that failed by us has asked, though nothing was answered.
    """
    sent = progress.sent
    if sent is None or live.failed_by_plugin or not differences:
        return False
    return not any(max(one.asked, one.answered) > sent for one in differences)
