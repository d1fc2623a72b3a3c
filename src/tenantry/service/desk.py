"""Where people look at the guard and speak to it: by the admin API, or at the state database itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tenantry.core.errors import InvalidWord
from tenantry.core.ledger import SetName
from tenantry.service.approving import Approving, Subject, set_named
from tenantry.service.guard_facts import GuardFacts, HistoryFacts, SetFact
from tenantry.service.ledger import Ledger
from tenantry.service.regarding import Regarding
from tenantry.service.state import EventQuery


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which part of the history is asked for; without an ApplicationSet, of all of them."""

    application_set: str | None = None
    consumer: str | None = None
    tenant: str | None = None
    since: float | None = None
    until: float | None = None
    at: float | None = None
    limit: int = 100


class GuardDesk:
    """Looks and words, over one ledger."""

    def __init__(self, ledger: Ledger, regarding: Regarding, approving: Approving) -> None:
        """Serve both."""
        self._ledger = ledger
        self._regarding = regarding
        self.say = approving

    async def facts(self) -> GuardFacts:
        """Return how the guard stands; raises StateError."""
        return await self._regarding.facts()

    async def application_set(self, application_set: str, consumer: str | None) -> SetFact:
        """Return all that is known of an ApplicationSet; raises NoSuchApplicationSet or StateError."""
        return await self._regarding.application_set(await self._named(application_set, consumer))

    async def history(self, asked: HistoryQuery) -> HistoryFacts:
        """Return a part of the history; raises NoSuchApplicationSet, InvalidWord or StateError."""
        name = None
        if asked.application_set is None and asked.consumer is not None:
            raise InvalidWord(_WHICH)
        if asked.application_set is not None:
            name = await self._named(asked.application_set, asked.consumer)
        query = EventQuery(name, asked.tenant, asked.since, asked.until, asked.limit)
        return await self._regarding.history(query, asked.at)

    async def _named(self, application_set: str, consumer: str | None) -> SetName:
        self._ledger.require()
        await self._ledger.confirm()
        return set_named(self._ledger.sets, application_set, consumer)


def subject_of_freeze(application_set: str | None, consumer: str | None) -> Subject | None:
    """Return what is to be frozen, or not any more; None for everything. Raises InvalidWord."""
    if application_set is None and consumer is not None:
        raise InvalidWord(_WHICH)
    return None if application_set is None else Subject(application_set, consumer)


_WHICH = "Name the ApplicationSet of that consumer, too."


class NobodyHears:
    """For a ledger by which no service answers: nothing has to be made void."""

    def __init__(self) -> None:
        """Begin with no lock."""
        self._locks: dict[SetName | None, asyncio.Lock] = {}

    def lock_of(self, name: SetName | None) -> asyncio.Lock:
        """Return the lock under which an ApplicationSet's ledger changes, or all of them."""
        return self._locks.setdefault(name, asyncio.Lock())

    def spoken(self, name: SetName | None) -> None:
        """Do nothing."""
