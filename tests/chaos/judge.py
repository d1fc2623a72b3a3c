"""Who looks at the Applications all the time: was it right that this one was deleted?

There is no application controller, so an Application that Argo CD deletes keeps its finalizer and stays until it was
judged here: none is missed, however long nobody could look.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

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

UNSEEN = 8.0
"""Seconds for which somebody may be back and no read sees it: longer than a fault keeps a replica from reading."""


@dataclass(frozen=True)
class Found:
    """An Application."""

    name: str
    uid: str
    of: str
    tenant: str
    plan: str
    deleted: float | None
    """Since when it is being deleted, in whole seconds of the machine's clock."""


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
    passes: Callable[[str], Sequence[float]]
    """Returns when Argo CD was answered for an ApplicationSet."""

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
            if one.deleted is not None:
                self._deleted(one)
            elif self._uids.setdefault(one.name, one.uid) != one.uid:
                self._say(f"{one.name} was made anew, and nobody saw it deleted")
                self._uids[one.name] = one.uid
        self.found = {one.name: one for one in found if one.deleted is None}
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
        # Of a pass in the very second of the deletion nobody can tell whether it came before.
        deleted = (one.deleted or 0.0) - time.time() + now
        away = away_as_answered(absences, [when for when in self.passes(one.of) if when < deleted])
        if away is None or (away[1] or now) - away[0] < self.rules.settle:
            self._say(f"{one.name} is deleted, and its tenant was there")
        if not is_approved:
            self.by_rows.add(one.tenant)
            if len(self.by_rows) > self.rules.may_leave:
                self._say(f"{one.name} is deleted: {len(self.by_rows)} tenants, and {self.rules.may_leave} may leave")

    def _say(self, what: str) -> None:
        self.note(f"WRONG: {what}")
        self.wrong.append(what)


def away_as_answered(
    absences: Sequence[tuple[float, float | None]], passes: Sequence[float]
) -> tuple[float, float | None] | None:
    """Return since when, and until when, a tenant was away for whoever answers Argo CD; None for who is not.

    A return of which Argo CD was told nothing is none: it began no time anew.
    """
    chain: tuple[float, float | None] | None = None
    for number, (away, back) in enumerate(absences):
        again = absences[number + 1][0] if number + 1 < len(absences) else None
        chain = (chain[0] if chain else away, back)
        if back is not None and any(back + UNSEEN <= one and (again is None or one < again) for one in passes):
            chain = None
    return chain


class Passes:
    """When Argo CD was answered, by the log of its controller, which tells whole seconds."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = 0
        self._known: dict[str, list[float]] = {}

    def __call__(self, application_set: str) -> Sequence[float]:
        """Return when, on the monotonic clock."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            lines = log.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        for when, name in _ANSWERED.findall(whole.decode(errors="replace")):
            self._known.setdefault(name, []).append(datetime.fromisoformat(when).timestamp())
        ahead = time.time() - time.monotonic()
        return [one - ahead for one in self._known.get(application_set, ())]


_ANSWERED = re.compile(
    r'^time="([^"]+)" level=info msg="generated \d+ applications" applicationset=[^/]+/(\S+)', re.MULTILINE
)


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
        datetime.fromisoformat(since).timestamp() if (since := metadata.get("deletionTimestamp")) else None,
    )
