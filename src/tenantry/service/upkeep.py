"""Keeping the ledger up: which inputs are still asked for, and whose the ledger of a consumer without a token is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tenantry.core.asking import TOUCH
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import SetName
from tenantry.service.circumstances import Circumstances
from tenantry.service.driving import to_its_end
from tenantry.service.keys import Keys
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Tokens
from tenantry.service.state import SetChange
from tenantry.service.tidying import tidied_up
from tenantry.service.trying import while_moved


class Upkeep:
    """Writes what no request asks for."""

    def __init__(
        self,
        keys: Keys,
        ledger: Ledger,
        circumstances: Circumstances,
        tokens: Tokens,
        removing: asyncio.Lock,
        tell: Callable[[Sequence[Event]], None],
    ) -> None:
        """Keep `ledger` up; whoever leaves does so under `removing`, and `tell` is told of holds that end."""
        self._keys = keys
        self._ledger = ledger
        self._circumstances = circumstances
        self._tokens = tokens
        self._removing = removing
        self._tell = tell

    async def take_over(self, name: SetName) -> None:
        """Give a consumer that is new to an ApplicationSet the ledger of one that has no token any more."""
        latest = self._former(name)
        if latest is None:
            return
        # Nobody waits for this lock with that of the former, whose consumer is let in no more.
        async with self._keys.of(latest).lock, self._removing:
            if self._former(name) != latest:
                return
            event = Event(
                self._ledger.now(), EventKind.TAKEN_OVER, *name, because=f"From {latest.consumer}, which has no token."
            )
            change = SetChange(name, self._ledger.sets[latest], formerly=latest)
            await self._ledger.write(change, self._ledger.generation, events=[event])
            self._keys.sets.pop(latest, None)

    def _former(self, name: SetName) -> SetName | None:
        """Return the latest ApplicationSet of this name whose consumer has no token any more, if this one is new."""
        valid, sets = self._tokens.consumers, self._ledger.sets
        former = [
            other
            for other in sets
            if other.application_set == name.application_set and other.consumer not in valid and name not in sets
        ]
        return max(former, key=lambda other: sets[other].last, default=None)

    @to_its_end
    async def touch(self) -> None:
        """Write down which inputs are still asked for, where that was long ago; raises StateError.

        Inputs that were asked for only once, and not lately, were previews: they are forgotten. Holds that are approved
        in an input that nobody asks for end here.
        """
        for name in list(self._ledger.sets):
            await self._touched(name)

    @while_moved
    async def _touched(self, name: SetName) -> None:
        await self._ledger.confirm()
        of = self._keys.of(name)
        async with of.lock:
            seen, known = self._ledger.generation, self._ledger.own(name)
            own = self._circumstances.with_times(of, known)
            tidied = tidied_up(name, own, self._ledger.now())
            touched = any(own.baselines[given].last - one.last > TOUCH for given, one in known.baselines.items())
            lapsed = tidied.ledger.approvals != own.approvals or tidied.ledger.admitted != own.admitted
            if touched or lapsed or tidied.dropped:
                change = SetChange(name, tidied.ledger, dropped=tidied.dropped)
                await self._ledger.write(change, seen, events=tidied.events, of_all=False)
                self._tell(tidied.events)
                for given in tidied.forgotten:
                    of.keys.pop(given, None)
