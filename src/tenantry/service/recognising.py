"""Recognising an ApplicationSet: what it owns in the cluster is compared with what is known, before it is answered.

Once for each start, and again when the tenants come from elsewhere. A ledger that was lost, restored, or is another one
would let go whoever it does not know, and no rule of the guard could see that anybody left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

import msgspec

from tenantry.core.application import Application
from tenantry.core.errors import NotListed
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import SetName
from tenantry.core.snapshot import Snapshot
from tenantry.core.spec import Spec
from tenantry.core.strays import digest_of_strays, refusal, strays_among, with_a_place
from tenantry.core.whereabouts import Marks, marks_of
from tenantry.service.circumstances import Circumstances
from tenantry.service.driving import driven
from tenantry.service.keys import KnownSet
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Observer
from tenantry.service.state import EventQuery, SetChange

_CLOCKS_DIFFER = 60.0
"""Seconds by which the clock of the API server may be ahead of the ledger's."""


class Owned(Protocol):
    """Who sees what ApplicationSets own."""

    async def listed(self) -> bool:
        """Wait, for as long as Argo CD waits for an answer, until that was looked at; tells whether it was."""
        ...

    def owned_by(self, application_set: str) -> Collection[Application] | None:
        """Return all that the ApplicationSets of a name own, where Argo CD may delete it; None if that is not seen."""
        ...


class Recognising:
    """Compares ApplicationSets with what is known of them."""

    def __init__(
        self,
        ledger: Ledger,
        circumstances: Circumstances,
        label_of: Callable[[str], str],
        observer: Observer,
    ) -> None:
        """Know what `ledger` remembers; nothing of the cluster yet."""
        self._ledger = ledger
        self._circumstances = circumstances
        self._label_of = label_of
        self._observer = observer
        self.owned: Owned | None = None

    async def require(self, name: SetName, of: KnownSet, snapshot: Snapshot, origin: str) -> None:
        """Raise UnknownApplications if an ApplicationSet owns what nobody knows of; raises NotReady."""
        spec = self._circumstances.specs.of(name)
        is_answered = bool(self._ledger.own(name).baselines)
        is_known = is_answered or self._circumstances.observes(name)
        if not is_known and self._circumstances.specs.may_come(name):
            raise NotListed
        if self.owned is None or spec is None:
            return
        if of.recognised == origin and is_answered:
            return  # Before anybody was answered, rows that were there a moment ago are known to nobody.
        if not await self.owned.listed() and not is_known:
            raise NotListed
        owned = self.owned.owned_by(name.application_set)
        if owned is None:
            return
        if owned:
            await self._compare(name, spec, owned, snapshot)
        of.recognised = origin

    async def _compare(self, name: SetName, spec: Spec, owned: Collection[Application], snapshot: Snapshot) -> None:
        if spec.has_company and self._ledger.own(name).baselines:
            return  # What is nobody's is another generator's; and who was answered is remembered.
        known = dict(self._known(name, spec, snapshot))
        marks = await driven(marks_of(known.items(), self._label_of, [spec.name] if spec.name.text else []))
        # In a matrix a tenant may have several: then their number is no sign, unless nothing at all is remembered.
        by_number = spec.is_single or not self._ledger.own(name).baselines
        strays = strays_among(owned, marks, len(known), by_number=by_number)
        strays = [one for one in strays if one not in self._ledger.own(name).strays]
        if strays:
            strays = await self._without_those_who_left(name, owned, strays)
        own = self._ledger.own(name)
        if error := refusal(own, strays, self._ledger.now()):
            await self._note(name, strays)
            if not self._circumstances.observes(name):
                raise error
            self._observer.told("would_hold", {**name._asdict(), "rule": "unknown", "tenants": len(strays)})
            return
        if strays:
            after = msgspec.structs.replace(own, strays=(*own.strays, *strays))
            await self._ledger.write(SetChange(name, after), self._ledger.generation)

    def _known(self, name: SetName, spec: Spec, snapshot: Snapshot) -> Iterator[tuple[str, bytes]]:
        """Give whoever has a place in an answer: by the rows, or because it was answered."""
        yield from with_a_place(spec, snapshot, name.application_set)
        own = self._ledger.own(name)
        known = own.known()
        for given, baseline in own.baselines.items():
            if given not in known and not spec.may_ask(given):
                continue
            sight = self._circumstances.sight(name, given)
            yield from ((tenant, encoded) for tenant, encoded in baseline.released.items() if sight.may_see(encoded))

    async def _without_those_who_left(
        self, name: SetName, owned: Collection[Application], strays: Sequence[str]
    ) -> Sequence[str]:
        """Leave out the Applications of tenants who were let go, which Argo CD has yet to delete.

        One that was made since then is of somebody who came back, which a state that is older does not know.
        """
        left: dict[str, float] = {}
        for event in await self._ledger.events(EventQuery(name)):
            left.update(dict.fromkeys(event.left, event.at))
        names = {loss.application: loss.at for loss in self._ledger.own(name).losses if loss.application}
        labels = Marks({self._label_of(tenant): tenant for tenant in left}, {}, names_are_known=False)
        gone: set[str] = set()
        for one in owned:
            tenant = labels.tenant_of(one)
            when = max(names.get(one.name, 0.0), 0.0 if tenant is None else left[tenant])
            if when and one.created <= when + _CLOCKS_DIFFER:
                gone.add(one.name)
        return [one for one in strays if one not in gone]

    async def _note(self, name: SetName, strays: Sequence[str]) -> None:
        """Write down, once, what it is that nobody knows of, so that people can look it up and say what may go."""
        own, digest = self._ledger.own(name), digest_of_strays(strays)
        if own.unrecognised != digest:
            after = msgspec.structs.replace(own, unrecognised=digest)
            event = Event(self._ledger.now(), EventKind.UNRECOGNISED, *name, tenants=tuple(strays), because=digest)
            await self._ledger.write(SetChange(name, after), self._ledger.generation, events=[event])
