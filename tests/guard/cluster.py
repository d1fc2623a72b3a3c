"""The cluster in the world of the walk: ApplicationSets with a selector, and the Applications that come of answers.

An ApplicationSet that selects among what an input is answered is, for whoever counts its Applications, one whose input
selects as much: so the model judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from tenantry.core.application import Application
from tenantry.core.errors import UnknownApplications
from tenantry.core.ledger import SetLedger, SetName
from tests.guard.here import Here
from tests.guard.model import Answer, Broken, Rows, selects
from tests.guard.requests import MATRIX, PROD, REQUESTS, text_of

ACTIVE: Mapping[str, Any] = {"matchLabels": {"status": "active"}}


def _generator(parameters: Mapping[str, object], *, selects_active: bool) -> dict[str, object]:
    plugin: dict[str, object] = {"plugin": {"configMapRef": {"name": "p"}, "input": {"parameters": parameters}}}
    return {**plugin, "selector": ACTIVE} if selects_active else plugin


class InCluster:
    """What the guard sees, and what Argo CD makes of answers; it deletes at once."""

    def __init__(self) -> None:
        self._applications: dict[SetName, dict[str, frozenset[str]]] = {PROD: {}, MATRIX: {}}
        self._since_lost: dict[SetName, frozenset[str]] = {}
        """Whom each ApplicationSet had when the ledger was lost, until it is answered again."""

        self._refused: dict[SetName, str] = {}
        self._may_go: set[tuple[SetName, str]] = set()
        self._label_of: Callable[[str], str] = str

    def appear_in(self, here: Here) -> dict[SetName, frozenset[str]]:
        """Let a process see it; returns what each ApplicationSet asks for."""
        asked: dict[SetName, list[dict[str, object]]] = {}
        for name, parameters in REQUESTS:
            if self.sees(name):
                asked.setdefault(name, []).append(parameters)
        for name, inputs in asked.items():
            generators = [_generator(one, selects_active=name == PROD) for one in inputs]
            here.specs.put(*generators, name=name.application_set, consumer=name.consumer)
        here.guarding.look_by(here.specs, self)
        self._label_of = here.naming.label_of
        return {name: frozenset(map(text_of, inputs)) for name, inputs in asked.items()}

    def sees(self, name: SetName) -> bool:
        """Tell whether an ApplicationSet is in this cluster."""
        return name in self._applications

    def as_seen(self, name: SetName, parameters: Mapping[str, object]) -> dict[str, object]:
        """Return the input by which as many would be selected as have an Application."""
        return {**parameters, "status": "active"} if name == PROD else dict(parameters)

    def made_of(self, name: SetName, answer: Answer) -> Answer:
        """Return who of an answer has an Application."""
        return {one: item for one, item in answer.items() if name != PROD or item["status"] == "active"}

    async def listed(self) -> bool:
        return True

    def owned_by(self, application_set: str) -> Collection[Application]:
        """Return what the guard is shown."""
        return [
            Application("argocd", f"{name.application_set}-{tenant}", "uid", self._label_of(tenant), "", "", False)
            for name in self._applications
            if name.application_set == application_set
            for tenant in self._of(name)
        ]

    def _of(self, name: SetName) -> frozenset[str]:
        return frozenset().union(*self._applications[name].values())

    def _strays(self, name: SetName, rows: Rows, of: frozenset[str]) -> frozenset[str]:
        """Return those of some tenants who have no row that would give them an Application."""
        inputs = [self.as_seen(one, parameters) for one, parameters in REQUESTS if one == name]
        return frozenset(
            tenant
            for tenant in of
            if not any(tenant in rows and selects(parameters, rows[tenant]) for parameters in inputs)
        )

    # --- what happens ----------------------------------------------------------------------------------------------

    def ledger_was_lost(self) -> None:
        """Remember who is there: nobody of them may go unseen."""
        self._since_lost = {name: self._of(name) for name in self._applications}
        self._refused.clear()
        self._may_go.clear()

    def answered(self, name: SetName, given: str, answer: Answer, rows: Rows) -> None:
        """Make Applications of an answer."""
        if not self.sees(name):
            return
        lost = self._strays(name, rows, self._since_lost.pop(name, frozenset())) - answer.keys()
        if lost and not any(one == name for one, _ in self._may_go):
            raise Broken(f"{sorted(lost)} were deleted, of whom a ledger that was lost knew nothing")
        self._applications[name][given] = frozenset(answer)

    def refused(self, name: SetName, error: UnknownApplications, rows: Rows, own: SetLedger) -> None:
        """Hear that an ApplicationSet was refused for what it owns."""
        released = {tenant for one in own.baselines.values() for tenant in one.released}
        if not self._strays(name, rows, self._of(name)) - released:
            raise Broken(f"{name} was refused, and owns nothing that nobody knows")
        self._refused[name] = error.message.rpartition("known as ")[2][:10]

    def waiting(self) -> Collection[tuple[SetName, str]]:
        """Return who was refused, and how that is called."""
        return list(self._refused.items())

    def admitted(self, name: SetName, digest: str) -> None:
        """Hear that somebody lets them go."""
        self._may_go.add((name, digest))
