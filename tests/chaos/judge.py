"""Who looks at the Applications all the time: was it right that this one was deleted?

There is no application controller, so an Application that Argo CD deletes keeps its finalizer and stays until it was
judged here: none is missed, however long nobody could look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx2
from lightkube import ApiError
from lightkube.types import PatchType

from tenantry.core.application import TENANT_LABEL
from tests.chaos.customers import Customers
from tests.chaos.people import Operator
from tests.chaos.sets import SET_LABEL, Owned
from tests.e2e.argocd import Application, ArgoCD, Object

EVERY = 0.5
"""Seconds between two looks."""

OVERTAKEN = 30.0
"""Seconds after which no answer is on its way any more: longer than any fault lasts, and than Argo CD waits for one."""

UNSEEN = 8.0
"""Seconds for which somebody may be back and no read sees it: longer than a fault keeps one from reading."""


@dataclass(frozen=True)
class Found:
    """An Application."""

    name: str
    uid: str
    of: str
    tenant: str
    plan: str
    is_being_deleted: bool


@dataclass(frozen=True)
class Rules:
    """What may be deleted with nobody asked."""

    settle: float
    may_leave: int
    """Tenants in all, for the window of the limit is longer than the run."""


@dataclass
class Judge:
    """Looks, judges and clears away what was rightly deleted."""

    argocd: ArgoCD
    customers: Customers
    operator: Operator
    sets: Sequence[Owned]
    rules: Rules
    note: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    wrong: list[str] = field(default_factory=list)
    deleted: int = 0
    by_rows: set[str] = field(default_factory=set)
    """Tenants who lost an Application though nobody had approved it."""

    found: Mapping[str, Found] = field(default_factory=dict)
    """The Applications of the latest look, by name, without those that are being deleted."""

    seen: float = 0.0
    """When that look began."""

    _uids: dict[str, str] = field(default_factory=dict)
    _judged: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Look from now on."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            try:
                self.look()
            except (ApiError, httpx2.HTTPError):
                continue  # The API server is away: whatever is deleted meanwhile is there afterwards.
            except Exception as error:
                self.wrong.append(f"The judge failed: {error!r}")
                raise

    def look(self) -> None:
        """Look once, and judge what is new; raises what the API server's client does."""
        began = self.clock()
        found = [_found(one) for one in self.argocd.client.list(Application)]
        for one in found:
            if one.is_being_deleted:
                self._deleted(one)
            elif self._uids.setdefault(one.name, one.uid) != one.uid:
                self._say(f"{one.name} was made anew, and nobody saw it deleted")
                self._uids[one.name] = one.uid
        self.found = {one.name: one for one in found if not one.is_being_deleted}
        self.seen = began

    def _deleted(self, one: Found) -> None:
        if one.uid not in self._judged:
            self._judged.add(one.uid)
            self.deleted += 1
            self._judge(one)
        self._uids.pop(one.name, None)
        finalizers = {"metadata": {"finalizers": None}}
        try:
            self.argocd.client.patch(Application, one.name, finalizers, patch_type=PatchType.MERGE)
        except ApiError as error:
            if error.status.code != 404:
                raise

    def _judge(self, one: Found) -> None:
        now, is_approved = self.clock(), one.tenant in self.operator.said
        self.note(f"{one.name} is deleted{', approved' if is_approved else ''}")
        if not self.customers.knows(one.tenant):
            self._say(f"{one.name} is deleted, and belongs to nobody who ever was there")
            return
        [of] = [each for each in self.sets if each.name == one.of]
        absences = self.customers.absences(one.tenant, lambda row: of.has(one.tenant, row))
        long_enough = [
            (away, back)
            for away, back in as_read(absences)
            if (back or now) - away >= self.rules.settle and (back is None or now - back < OVERTAKEN)
        ]
        if not long_enough:
            self._say(f"{one.name} is deleted, and its tenant was there")
        if not is_approved:
            self.by_rows.add(one.tenant)
            if len(self.by_rows) > self.rules.may_leave:
                self._say(f"{one.name} is deleted: {len(self.by_rows)} tenants, and {self.rules.may_leave} may leave")

    def _say(self, what: str) -> None:
        self.note(f"WRONG: {what}")
        self.wrong.append(what)


def as_read(absences: Sequence[tuple[float, float | None]]) -> Sequence[tuple[float, float | None]]:
    """Return when a tenant may have been away for whoever reads now and then: a short return may be seen by nobody."""
    found: list[tuple[float, float | None]] = []
    for away, back in absences:
        before = found[-1][1] if found else None
        is_one = before is not None and away - before < UNSEEN
        found.append((found.pop()[0] if is_one else away, back))
    return found


def _found(document: Object) -> Found:
    metadata = document["metadata"]
    labels = metadata.get("labels", {})
    helm = document["spec"]["source"].get("helm", {}).get("parameters", [])
    plan = next((one.get("value", "") for one in helm if one["name"] == "plan"), "")
    return Found(
        metadata["name"],
        metadata["uid"],
        labels.get(SET_LABEL, ""),
        labels.get(TENANT_LABEL, ""),
        plan,
        "deletionTimestamp" in metadata,
    )
