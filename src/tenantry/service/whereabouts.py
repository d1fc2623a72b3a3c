"""What became of tenants in the cluster: which Applications they have, and whether one is deleted by somebody else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass

from tenantry.core.application import Application
from tenantry.core.errors import StateError
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import Baseline, Input, Loss, SetName
from tenantry.core.live import LiveName, LiveSet, spec_of
from tenantry.core.sight import Sight
from tenantry.core.strays import strays_among
from tenantry.core.template_names import NameTemplate
from tenantry.core.whereabouts import Marks, marks_of
from tenantry.service.driving import driven
from tenantry.service.facts import TenantApplication
from tenantry.service.following import Following
from tenantry.service.inventory import Inventory
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Observer

_LISTING = 20.0
"""Seconds for which an answer waits for the first list of Applications; Argo CD's request ends after thirty."""

_BREATH = 1.0
"""Seconds between two looks for deletions: each may look at every tenant."""


@dataclass(frozen=True, slots=True)
class States:
    """How many Applications of an ApplicationSet are in a state, of which one may be in several."""

    owned: int
    out_of_sync: int
    degraded: int
    being_deleted: int
    served_being_deleted: int
    """Tenants that are answered, and whose Application is being deleted all the same."""

    def with_more(self, more: States) -> States:
        """Return both together."""
        return States(*(one + other for one, other in zip(astuple(self), astuple(more), strict=True)))


class Whereabouts:
    """Brings answers and Applications together."""

    def __init__(
        self,
        following: Following,
        inventory: Inventory,
        ledger: Ledger,
        label_of: Callable[[str], str],
        observer: Observer,
        *,
        sight: Callable[[SetName, Input], Sight],
        is_here: Callable[[SetName], bool],
    ) -> None:
        """Look at what the two follow, and at whom `ledger` knows.

        `sight` tells who of an input's answer has an Application, and `is_here` whether an ApplicationSet is one of
        this cluster: another one may have its namesake.
        """
        self._following = following
        self.inventory = inventory
        self._ledger = ledger
        self._label_of = label_of
        self._observer = observer
        self._sight = sight
        self._is_here = is_here
        self._woken = asyncio.Event()
        self.served_deleting: dict[LiveName, frozenset[str]] = {}
        """By ApplicationSet: the tenants that are answered, and whose Application is being deleted."""

        inventory.noticed = self._notice

    def _notice(self) -> None:
        self._ledger.standing_changed()
        self._woken.set()

    # --- what there is ---------------------------------------------------------------------------------------------

    def states(self, live: LiveSet) -> States | None:
        """Count the Applications of an ApplicationSet; None while they cannot be seen."""
        owned = self.inventory.owned(live)
        if owned is None:
            return None
        sync, health = Counter(one.sync for one in owned.values()), Counter(one.health for one in owned.values())
        deleting = sum(one.is_being_deleted for one in owned.values())
        alarming = len(self.served_deleting.get(live.name, ()))
        return States(len(owned), sync["OutOfSync"], health["Degraded"], deleting, alarming)

    async def unmatched(self, live: LiveSet) -> int | None:
        """Count the Applications that are no answered tenant's: the next pass deletes them. None while not known."""
        owned = self.inventory.owned(live)
        if owned is None or not live.deletes:
            return None
        released = dict(self._released(live))
        marks = await driven(marks_of(released.items(), self._label_of, _templates(live)))
        if not released:
            return None
        return len(strays_among(owned.values(), marks, len(released), by_number=spec_of(live.plugins).is_single))

    @property
    def by_application_set(self) -> Mapping[str, States]:
        """What there is by the names of ApplicationSets, those of one name together; of what can be seen."""
        found: dict[str, States] = {}
        for live in self._following.live:
            states = self.states(live)
            if states is not None:
                before = found.get(live.name.application_set, States(0, 0, 0, 0, 0))
                found[live.name.application_set] = before.with_more(states)
        return found

    async def of_tenant(self, tenant: str) -> Sequence[TenantApplication] | None:
        """Return the Applications of a tenant, as far as they can be told; None while no Application can be seen."""
        if not self.inventory.is_whole:
            return None
        found: list[TenantApplication] = []
        for live in sorted(self._following.live, key=lambda one: one.name):
            known = [(tenant, one.released[tenant]) for _, _, one in self._baselines(live) if tenant in one.released]
            marks = await driven(marks_of(known or [(tenant, b"{}")], self._label_of, _templates(live)))
            found += [
                TenantApplication(
                    live.name.application_set, one.namespace, one.name, one.sync, one.health, one.is_being_deleted
                )
                for _, one in sorted((self.inventory.owned(live) or {}).items())
                if marks.tenant_of(one) == tenant
            ]
        return found

    def _released(self, live: LiveSet) -> Iterator[tuple[str, bytes]]:
        """Give who is answered to an ApplicationSet, and may have an Application, once for each input."""
        for name, given, baseline in self._baselines(live):
            sight = self._sight(name, given)
            yield from (one for one in baseline.released.items() if sight.sees_all or sight.may_see(one[1]))

    def _baselines(self, live: LiveSet) -> Iterator[tuple[SetName, Input, Baseline]]:
        for name, own in self._ledger.sets.items():
            if name.application_set == live.name.application_set and self._is_here(name):
                yield from ((name, given, baseline) for given, baseline in own.baselines.items())

    def _is_served(self, name: SetName, tenant: str) -> bool:
        """Tell whether some answer to an ApplicationSet may give a tenant an Application."""
        return any(
            tenant in one.released and self._sight(name, given).may_see(one.released[tenant])
            for given, one in self._ledger.own(name).baselines.items()
        )

    async def listed(self) -> bool:
        """Wait, for as long as Argo CD waits for an answer, until Applications were listed, or could not be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LISTING):
                await self.inventory.looked.wait()
        return self.inventory.looked.is_set()

    def owned_by(self, application_set: str) -> Collection[Application] | None:
        """Return all that the ApplicationSets of a name own, where Argo CD may delete it; None if that is not seen."""
        found: list[Application] = []
        for live in self._following.live:
            if live.name.application_set == application_set and live.deletes:
                owned = self.inventory.owned(live)
                if owned is None:
                    return None
                found += owned.values()
        return found

    # --- removals that Argo CD has yet to carry out ----------------------------------------------------------------

    def still_stands(self, name: SetName, loss: Loss) -> bool:
        """Tell whether an Application is there still, untouched, of a tenant who was let go."""
        if not self._is_here(name):
            return False
        label = self._label_of(loss.tenant)
        is_there = any(
            not one.is_being_deleted
            for live in self._following.live
            if live.name.application_set == name.application_set and live.deletes
            for one in self.inventory.known_as(live, label, loss.application)
        )
        return is_there and not self._is_served(name, loss.tenant)

    # --- deletions that nobody meant -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look for ever for deletions of who is answered."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self.look()
            except StateError:
                self._woken.set()  # Somebody else may have let them go.
            except Exception as error:  # noqa: BLE001 -- who is told of deletions is told with the next look
                self._observer.failed(error)
            with suppress(TimeoutError):
                await asyncio.sleep(_BREATH)

    async def look(self) -> None:
        """Find out whose Application is being deleted though they are answered, and tell of what is new.

        Raises StateError while it cannot be known whom another process let go.
        """
        lives = {live.name: live for live in self._following.live}
        for name in self.served_deleting.keys() - lives.keys():
            del self.served_deleting[name]
            self._observer.told("deletion_ended", {**name._asdict(), "tenants": 0})
        found = {name: owned for name, live in lives.items() if (owned := self.inventory.owned(live)) is not None}
        if any(one.is_being_deleted for owned in found.values() for one in owned.values()):
            await self._ledger.confirm()
        for name, owned in found.items():
            self._tell(lives[name], await self._deleted(lives[name], owned))

    async def _deleted(self, live: LiveSet, owned: Mapping[str, Application]) -> frozenset[str]:
        if not any(one.is_being_deleted for one in owned.values()):
            return frozenset()
        marks = await driven(marks_of(self._released(live), self._label_of, _templates(live)))
        return _served(marks, owned, is_being_deleted=True) - _served(marks, owned, is_being_deleted=False)

    def _tell(self, live: LiveSet, tenants: frozenset[str]) -> None:
        before = self.served_deleting.get(live.name, frozenset())
        if tenants == before:
            return
        fields: dict[str, object] = {**live.name._asdict(), "tenants": len(tenants)}
        if tenants:
            self.served_deleting[live.name] = tenants
        else:
            del self.served_deleting[live.name]
        if new := tenants - before:
            because = f"{len(tenants)} Applications of tenants that are answered are being deleted."
            self._observer.told("deletion_began", {**fields, "because": because, "remedy": _REMEDY})
            self._note(live, EventKind.DELETION_BEGAN, new)
        if ended := before - tenants:
            self._observer.told("deletion_ended", fields)
            self._note(live, EventKind.DELETION_ENDED, ended)

    def _note(self, live: LiveSet, kind: EventKind, tenants: frozenset[str]) -> None:
        for name in dict.fromkeys(name for name, _, _ in self._baselines(live)):
            own = self._ledger.own(name)
            theirs = tuple(sorted(one for one in tenants if any(one in b.released for b in own.baselines.values())))
            if theirs:
                self._ledger.note(Event(self._ledger.now(), kind, *name, tenants=theirs))


def _templates(live: LiveSet) -> list[NameTemplate]:
    return list(dict.fromkeys(use.name for use in live.plugins if use.name.text))


def _served(marks: Marks, owned: Mapping[str, Application], *, is_being_deleted: bool) -> frozenset[str]:
    found = (marks.tenant_of(one) for one in owned.values() if one.is_being_deleted is is_being_deleted)
    return frozenset(tenant for tenant in found if tenant is not None)


_REMEDY = (
    "tenantry did not ask for that: see who deletes Applications, such as a person, an edited ApplicationSet or "
    "another controller. `tenantry guard history` names the tenants."
)
