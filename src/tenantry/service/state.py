"""What is written to the state database and read from it: the shapes that the ledger and its store have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tenantry.core.history import Event
from tenantry.core.ledger import Input, SetLedger, SetName, Sizes, Word
from tenantry.core.live import LiveName
from tenantry.core.position import ReleasedFrom


class Origin(msgspec.Struct, frozen=True):
    """Where a source stood when it was last released from."""

    timeline: int = 0
    lsn: int = 0
    standby: bool = False
    turns: int = 0
    """How often it was found at an earlier position than before: each time, what rows alone did is not known."""


class Whole(msgspec.Struct, frozen=True):
    """What is known of all ApplicationSets together."""

    made: float
    """When the ledger was made, by the clock of that moment."""

    freeze: Word | None = None
    sizes: Sizes = ()
    origins: Mapping[str, Origin] = {}
    """By source."""

    unguarded: float | None = None
    """Since when ApplicationSets have been answered without a guard, so that nobody knows what they were answered."""


class Remembered(msgspec.Struct, frozen=True):
    """All that a state database holds, but for the history."""

    writes: int
    """How often it was written to; another number than one's own means that somebody else did."""

    clock: float
    """The latest time that was written."""

    whole: Whole
    sets: Mapping[SetName, SetLedger]
    configurations: Sequence[str] = ()
    """By which was answered, the newest one last."""

    is_new: bool = False
    """Whether it was made just now: nothing is known of what was answered before."""

    now: float | None = None
    """The time by the clock that all who share the state have in common, as it was opened; None where there is none."""


class SetChange(msgspec.Struct, frozen=True):
    """What changes about one ApplicationSet."""

    name: SetName
    ledger: SetLedger
    """As it is afterwards."""

    put: Mapping[Input, Mapping[str, bytes]] = {}
    dropped: Mapping[Input, Collection[str]] = {}
    """With all of its tenants, where an input is not in the ledger any more."""

    formerly: SetName | None = None
    """The name under which it was known before, where a new consumer takes it over."""


class Changes(msgspec.Struct, frozen=True):
    """What is written at once, or not at all."""

    at: float
    sets: Sequence[SetChange] = ()
    whole: Whole | None = None
    names: Mapping[str, str] = {}
    """By id: names that are released for the first time."""

    events: Sequence[Event] = ()
    configuration: str | None = None
    """Which becomes the newest one with this; None where the newest stays."""


class Replica(msgspec.Struct, frozen=True):
    """A process that answers by a state."""

    id: str
    configuration: str
    version: str
    age: float = 0.0
    """Seconds since it was seen, by the clock of the state database."""

    position: ReleasedFrom | None = None
    """Where it had read the tenants then; None before its first read."""


class EventQuery(msgspec.Struct, frozen=True):
    """Which part of the history is asked for."""

    set_name: SetName | None = None
    tenant: str | None = None
    since: float | None = None
    until: float | None = None
    limit: int | None = None
    """The latest so many."""


class Counted(NamedTuple):
    """What only grows, whoever shares a store."""

    writes: int
    nudges: int
    """Of all ApplicationSets together."""


class LedgerStore(Protocol):
    """Where the ledger is kept; raises StateError and nothing else."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write to it too."""
        ...

    async def load(self) -> Remembered:
        """Make ready what holds the state, and return all of it."""
        ...

    async def catch_up(self, writes: int, known: Mapping[SetName, SetLedger]) -> Remembered:
        """Return all of it, where `known` was all when it had been written to `writes` times.

        What nobody wrote since is the very object that was known.
        """
        ...

    async def write(self, changes: Changes, writes: int) -> None:
        """Write all of it so that no crash loses it, or nothing.

        Raises StateMoved unless it was written to `writes` times before.
        """
        ...

    async def counts(self) -> Counted:
        """Return how often it was written to, and how many nudges were counted.

        -1 for the first where that is as often as is known here, by other writes.
        """
        ...

    async def nudge(self, name: LiveName, digest: str, now: float, lately: float) -> int | None:
        """Count a nudge of an ApplicationSet, and return its number, from 1 on.

        None, and nothing counted, if one of this digest was counted less than `lately` seconds ago, and not given back.
        """
        ...

    async def give_back(self, name: LiveName, number: int) -> None:
        """Have a nudge, if it is the last that was counted, count as of long ago."""
        ...

    async def seen(self, replica: Replica) -> Sequence[Replica]:
        """Note that a process is there, and return all that were seen lately, it among them, by their ids."""
        ...

    async def gone(self, replica: str) -> None:
        """Note that a process, by its id, is there no more."""
        ...

    async def names_besides(self, made: Callable[[str], str]) -> Mapping[str, str]:
        """Return, by id, the released names that are not what `made` gives."""
        ...

    async def events(self, asked: EventQuery) -> Sequence[Event]:
        """Return a part of the history, in its order."""
        ...

    async def forget(self, before: float) -> None:
        """Forget the history before a moment."""
        ...

    async def close(self) -> None:
        """Give back all that is held."""
        ...
