"""A world for the guard to stand in: tenants that come and go, people, requests, faults and time.

Every step is a name and two small numbers, so that a random walk and Hypothesis can take the same ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from tenantry.core.columns import Kind
from tenantry.core.errors import EditedInput, NotReady, RequestRefused, StateUnwritable
from tenantry.core.ledger import SetName
from tenantry.service.approving import Speaker, Subject
from tests.builders import columns_of
from tests.fakes import FakeStore
from tests.guard.here import Here, policy
from tests.guard.model import Broken, Model

T = TypeVar("T")
NAMES = ("plan", "region", "status", "tenant")
COLUMNS = columns_of(**dict.fromkeys(NAMES, Kind.TEXT))
ME = Speaker("me", "a reason")
PROD, STAGING = SetName("argocd", "prod"), SetName("staging", "prod")
MATRIX = SetName("argocd", "regions")
REQUESTS: tuple[tuple[SetName, dict[str, object]], ...] = (
    (PROD, {}),
    (PROD, {}),
    (STAGING, {"status": "active"}),
    (MATRIX, {"region": "eu"}),
    (MATRIX, {"region": "us"}),
    (SetName("argocd", "free"), {"status": "active", "allowEmpty": True}),
)
EDITED: tuple[tuple[SetName, dict[str, object]], ...] = (
    (PROD, {"status": "active"}),
    (STAGING, {"region": "eu"}),
    (MATRIX, {"region": "ap"}),
)
SECONDS = (1.0, 2.0, 5.0, 31.0, 61.0, 61.0, 1200.0, 3700.0, 90_000.0, 700_000.0)
REGIONS = ("eu", "us", "ap")
MANY = 60


class World:
    """The guard, the model, and what happens to both."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.policy = policy()
        self.model = Model(self.policy)
        self.rows = {f"t{n:02}": self._row(n) for n in range(MANY)}
        self.backup = dict(self.rows)
        self.unreadable: set[str] = set()
        self.nameless = False
        self.process = 0
        self.edits = 0
        self.lsn = 1000
        self.taken: list[tuple[str, int, int]] = []
        self.here = self._run(Here(self.policy).start())
        self.read(0, 0)

    def close(self) -> None:
        """End."""
        self.loop.close()

    def do(self, action: str, a: int, b: int) -> None:
        """Take one step; raises Broken where the invariant does not hold any more."""
        self.taken.append((action, a, b))
        getattr(self, action)(a, b)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def _row(self, n: int) -> dict[str, str]:
        return {"status": "active", "region": REGIONS[n % 2], "plan": "pro"}

    def _tenant(self, a: int, b: int) -> str:
        return f"t{(a * 10 + b) % MANY:02}"

    # --- rows ------------------------------------------------------------------------------------------------------

    def insert(self, a: int, b: int) -> None:
        self.rows.setdefault(self._tenant(a, b), self._row(a))

    def delete(self, a: int, b: int) -> None:
        self.rows.pop(self._tenant(a, b), None)

    def delete_some(self, a: int, b: int) -> None:
        for tenant in list(self.rows)[b : b + a % 5]:
            del self.rows[tenant]

    def delete_half(self, a: int, b: int) -> None:
        self.backup = dict(self.rows)
        for tenant in list(self.rows)[:: 1 + a % 3]:
            del self.rows[tenant]

    def put_back(self, a: int, b: int) -> None:
        for tenant in [one for one in self.backup if one not in self.rows][: a + 1]:
            self.rows[tenant] = self.backup[tenant]

    def change(self, a: int, b: int) -> None:
        tenant = self._tenant(a, b)
        if tenant in self.rows:
            self.rows[tenant] = {**self.rows[tenant], "plan": f"plan-{b}"}

    def move(self, a: int, b: int) -> None:
        tenant = self._tenant(a, b)
        if tenant in self.rows:
            self.rows[tenant] = {**self.rows[tenant], "region": REGIONS[b % 3]}

    def retire(self, a: int, b: int) -> None:
        tenant = self._tenant(a, b)
        if tenant in self.rows:
            self.rows[tenant] = {**self.rows[tenant], "status": "inactive" if b % 2 else "active"}

    def retire_all(self, a: int, b: int) -> None:
        self.rows = {tenant: {**row, "status": "inactive"} for tenant, row in self.rows.items()}

    def revive_all(self, a: int, b: int) -> None:
        self.rows = {tenant: {**row, "status": "active"} for tenant, row in self.rows.items()}

    def rewrite_ids(self, a: int, b: int) -> None:
        self.backup = dict(self.rows)
        self.rows = {f"{tenant}-x": row for tenant, row in self.rows.items() if not tenant.endswith("-x")}

    def restore(self, a: int, b: int) -> None:
        self.rows = {f"t{n:02}": self._row(n) for n in range(MANY)}

    def spoil(self, a: int, b: int) -> None:
        tenant = self._tenant(a, b)
        if tenant in self.rows:
            self.unreadable.add(tenant)

    def mend(self, a: int, b: int) -> None:
        self.unreadable.clear()
        self.nameless = False

    def lose_an_id(self, a: int, b: int) -> None:
        self.nameless = True

    # --- time and reads --------------------------------------------------------------------------------------------

    def wait(self, a: int, b: int) -> None:
        self.here.clock.pass_by(seconds=SECONDS[a % len(SECONDS)])

    def read(self, a: int, b: int) -> None:
        self.lsn += 1
        self.here.position = replace(self.here.position, lsn=self.lsn)
        rows: list[dict[str, object]] = [
            # A line break is no text of a field: the row cannot be used.
            {"tenant": tenant, **row, **({"plan": "a\nb"} if tenant in self.unreadable else {})}
            for tenant, row in self.rows.items()
        ]
        if self.nameless:
            rows.append({"tenant": "", **self._row(0)})
        snapshot = self.here.read(sorted(rows, key=lambda row: str(row["tenant"])), COLUMNS)
        served = {
            tenant: {name: str(value) for name, value in zip(NAMES, found.values, strict=True) if name != "tenant"}
            for tenant, found in snapshot.tenants.items()
        }
        self.model.read(self.here.clock.monotonic(), served, self.process, doubtful=self.nameless)

    def read_for_long(self, a: int, b: int) -> None:
        for _ in range(2):
            self.here.clock.pass_by(seconds=31)
            self.read(a, b)
        self.here.clock.pass_by(seconds=1)
        self.read(a, b)

    # --- requests --------------------------------------------------------------------------------------------------

    def ask(self, a: int, b: int) -> None:
        self._ask(*REQUESTS[a % len(REQUESTS)])

    def poll(self, a: int, b: int) -> None:
        for request in REQUESTS:
            self._ask(*request)
            self.here.clock.pass_by(seconds=0.1)

    def ask_otherwise(self, a: int, b: int) -> None:
        self._ask(*EDITED[a % len(EDITED)])

    def _ask(self, name: SetName, parameters: dict[str, object]) -> None:
        given = str(sorted((key, value) for key, value in parameters.items() if key != "allowEmpty"))
        held = self._held(name, parameters)
        unreadable = [row.tenant for row in self.here.snapshots.seen().quarantined if row.tenant and not row.kept]
        try:
            answer = self._run(self.here.ask(parameters, name))
        except (EditedInput, NotReady, RequestRefused):
            return
        now, failing = self.here.ledger.now(), self.here.store.broken is not None
        self.model.answered(name, given, parameters, answer, now, self._lens(), held, unreadable, failing=failing)

    def _held(self, name: SetName, parameters: dict[str, object]) -> list[str]:
        shown = {key: value for key, value in parameters.items() if key != "allowEmpty"}
        text = msgspec.json.encode(shown, order="sorted").decode()
        return [
            tenant
            for (given, tenant), hold in self.here.own(name).holds.items()
            if given == text and str(hold.rule) != "replacement"
        ]

    def _lens(self) -> str:
        return f"{self.here.shape}/{self.here.position.source}/{self.here.guarding.watching.origin(self.here.position)}"

    # --- people ----------------------------------------------------------------------------------------------------

    def approve(self, a: int, b: int) -> None:
        name, tenant = REQUESTS[b % len(REQUESTS)][0], self._tenant(a, b)
        seconds = (60.0, 7200.0, None)[b % 3]
        if self._said(
            lambda: self.here.say.approve(Subject(name.application_set, name.consumer, [tenant]), ME, seconds)
        ):
            now = self.here.ledger.now()
            self.model.of(name).approved[tenant] = (now, now + (seconds or 24 * 3600.0) + 1)

    def approve_held(self, a: int, b: int) -> None:
        name = REQUESTS[b % len(REQUESTS)][0]
        own = self.here.own(name)
        numbers = sorted({hold.decision for hold in own.holds.values()})
        if not numbers:
            return
        number = numbers[a % len(numbers)]
        tenants = {hold.tenant for hold in own.holds.values() if hold.decision == number}
        subject = Subject(name.application_set, name.consumer, decision=number)
        if self._said(lambda: self.here.say.approve(subject, ME)):
            now = self.here.ledger.now()
            self.model.of(name).approved |= dict.fromkeys(tenants, (now, now + 24 * 3600.0 + 1))

    def withdraw(self, a: int, b: int) -> None:
        name = REQUESTS[b % len(REQUESTS)][0]
        if self._said(lambda: self.here.say.withdraw(Subject(name.application_set, name.consumer), ME)):
            for tenant in self._unused_before(name):
                self.model.of(name).approved.pop(tenant, None)

    def _unused_before(self, name: SetName) -> list[str]:
        kept = self.here.own(name).approvals
        return [tenant for tenant in self.model.of(name).approved if tenant not in kept]

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
        tenant = self._tenant(a, b)
        if self._said(lambda: self.here.say.pin(Subject("prod", "argocd", [tenant]), ME)):
            self.model.of(PROD).pinned.add(tenant)

    def unpin(self, a: int, b: int) -> None:
        for tenant in sorted(self.model.of(PROD).pinned):
            if self._said(lambda tenant=tenant: self.here.say.unpin(Subject("prod", "argocd", [tenant]), ME)):  # type: ignore[misc]
                self.model.of(PROD).pinned.discard(tenant)

    def _said(self, speak: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        try:
            self._run(speak())
        except RequestRefused:
            return False
        return True

    # --- faults ----------------------------------------------------------------------------------------------------

    def restart(self, a: int, b: int) -> None:
        self._restart()

    def _restart(self, **changed: Any) -> None:  # noqa: ANN401 -- the fields of Here
        self.process += 1
        self.here.clock.pass_by(seconds=1)
        self.here = self._run(self.here.restarted(**changed))
        self.read(0, 0)

    def edit_configuration(self, a: int, b: int) -> None:
        self.edits += 1
        self._restart(shape=f"shape-{self.edits}")

    def another_database(self, a: int, b: int) -> None:
        source = f"system/{a % 2}/organization"
        self._restart(position=replace(self.here.position, source=source))

    def restore_a_backup(self, a: int, b: int) -> None:
        """Last night's data: fewer tenants, at an earlier position."""
        self.rows = dict(list(self.rows.items())[: max(1, len(self.rows) - a)])
        self.lsn = max(1, self.lsn - (1 << 21))
        self._restart(position=replace(self.here.position, lsn=self.lsn))

    def lose_the_ledger(self, a: int, b: int) -> None:
        self.model.forget()
        self._restart(store=FakeStore())

    def fail_to_write(self, a: int, b: int) -> None:
        """One round of requests while the state cannot be written."""
        self.here.store.broken = StateUnwritable()
        try:
            self.poll(a, b)
        finally:
            self.here.store.broken = None


ACTIONS: dict[str, int] = {
    "ask": 30,
    "poll": 40,
    "read": 15,
    "read_for_long": 25,
    "wait": 20,
    "insert": 10,
    "delete": 10,
    "delete_some": 4,
    "delete_half": 2,
    "put_back": 8,
    "change": 8,
    "move": 8,
    "retire": 8,
    "retire_all": 1,
    "revive_all": 2,
    "rewrite_ids": 1,
    "restore": 3,
    "spoil": 3,
    "mend": 4,
    "lose_an_id": 1,
    "ask_otherwise": 3,
    "approve": 6,
    "approve_held": 4,
    "withdraw": 2,
    "freeze": 1,
    "unfreeze": 3,
    "pin": 2,
    "unpin": 2,
    "restart": 3,
    "edit_configuration": 1,
    "another_database": 1,
    "restore_a_backup": 1,
    "lose_the_ledger": 1,
    "fail_to_write": 2,
}
"""Every kind of step, and how often a random walk takes it."""


def told(world: World, last: int = 60) -> str:
    """Write the last steps, as `replay` takes them."""
    return repr(world.taken[-last:])


__all__ = ["ACTIONS", "Broken", "World", "told"]
