"""What people say in the world of the walk, to the guard and to the model of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tenantry.core.asking import input_digest
from tenantry.core.errors import RequestRefused
from tenantry.core.ledger import SetName
from tenantry.service.approving import Speaker, Subject
from tenantry.service.regarding import digest_of_tenants, held_by_decision
from tests.guard.here import Here
from tests.guard.model import DAY, Approved
from tests.guard.reasons import Judge
from tests.guard.requests import EDITED, PROD, REQUESTS, text_of
from tests.guard.table import Table

T = TypeVar("T")
ME = Speaker("me", "a reason")


class People(Table):
    """Approvals, freezes and pins. Every step takes two small numbers."""

    here: Here
    model: Judge

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a result."""
        raise NotImplementedError

    def approve(self, a: int, b: int) -> None:
        self._approve(REQUESTS[b % len(REQUESTS)][0], self._tenant(a, b), (60.0, 7200.0, None)[b % 3])

    def approve_gone(self, a: int, b: int) -> None:
        """Approve those who were deleted last."""
        for tenant in self.gone[: 1 + a]:
            self._approve(REQUESTS[b % len(REQUESTS)][0], tenant, None)

    def _approve(self, name: SetName, tenant: str, seconds: float | None) -> None:
        subject = Subject(name.application_set, name.consumer, [tenant])
        if self._said(lambda: self.here.say.approve(subject, ME, seconds)):
            now = self.here.ledger.now()
            self.model.of(name).approved[tenant] = Approved(now, now + (seconds or DAY))

    def approve_held(self, a: int, b: int) -> None:
        """Approve all whom one decision holds, or all whom it keeps waiting."""
        name = REQUESTS[b % len(REQUESTS)][0]
        holds = self.here.own(name).holds.values()
        numbers = sorted({hold.decision for hold in holds})
        if not numbers:
            return
        number = numbers[a % len(numbers)]
        kinds = [tenants for tenants in held_by_decision(self.here.own(name))[number] if tenants]
        tenants = kinds[b % len(kinds)]
        shown = digest_of_tenants(tenants) if len(kinds) > 1 else None
        subject = Subject(name.application_set, name.consumer, decision=number, digest=shown)
        if self._said(lambda: self.here.say.approve(subject, ME)):
            now = self.here.ledger.now()
            self.model.of(name).approved |= {tenant: Approved(now, now + DAY) for tenant in tenants}

    def withdraw(self, a: int, b: int) -> None:
        name = REQUESTS[b % len(REQUESTS)][0]
        if self._said(lambda: self.here.say.withdraw(Subject(name.application_set, name.consumer), ME)):
            known = self.model.of(name)
            known.approved = {tenant: word for tenant, word in known.approved.items() if word.used}

    def admit(self, a: int, b: int) -> None:
        """Let an input be new."""
        name, parameters = EDITED[a % len(EDITED)]
        given = text_of(parameters)
        subject = Subject(name.application_set, name.consumer, input=input_digest(given))
        if self._said(lambda: self.here.say.approve(subject, ME, 7200.0)):
            self.model.of(name).admitted[given] = self.here.ledger.now() + 7200.0

    def freeze(self, a: int, b: int) -> None:
        if a % 2:
            if self._said(lambda: self.here.say.freeze(None, ME)):
                self.model.frozen = True
        elif self._said(lambda: self.here.say.freeze(Subject("prod", "argocd"), ME)):
            self.model.of(PROD).frozen = True

    def unfreeze(self, a: int, b: int) -> None:
        if self._said(lambda: self.here.say.unfreeze(None, ME)):
            self.model.frozen = False
        if self._said(lambda: self.here.say.unfreeze(Subject("prod", "argocd"), ME)):
            self.model.of(PROD).frozen = False

    def pin(self, a: int, b: int) -> None:
        self._pin(self._tenant(a, b))

    def pin_gone(self, a: int, b: int) -> None:
        """Pin those who were deleted last."""
        for tenant in self.gone[: 1 + a % 3]:
            self._pin(tenant)

    def _pin(self, tenant: str) -> None:
        if self._said(lambda: self.here.say.pin(Subject("prod", "argocd", [tenant]), ME)):
            self.model.of(PROD).pinned.add(tenant)

    def unpin(self, a: int, b: int) -> None:
        pinned = sorted(self.model.of(PROD).pinned)
        if pinned and self._said(lambda: self.here.say.unpin(Subject("prod", "argocd", pinned), ME)):
            self.model.of(PROD).pinned.clear()

    def _said(self, speak: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        try:
            self.run(speak())
        except RequestRefused:
            return False
        self.model.count(self.here.ledger.now())
        return True
