"""The guard with its ledger in one process: reads, requests, words and restarts, on a clock that is held still."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tenantry.core.asking import Read
from tenantry.core.fields import Naming
from tenantry.core.guard import GuardMode, Policy, RemovalLimit
from tenantry.core.ledger import SetLedger, SetName
from tenantry.core.lens import digest_of
from tenantry.core.position import Position
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import at_once
from tenantry.service.answering import Answering, PluginRequest, Reply
from tenantry.service.approving import Approving
from tenantry.service.desk import GuardDesk
from tenantry.service.guarding import Guarding
from tenantry.service.ledger import Ledger
from tenantry.service.regarding import Regarding
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.state import Replica
from tests.builders import HERE, snapshot_of
from tests.fakes import FakeClock, FakeSpecs, FakeStore, FakeTokens, Recorder

LIMITS = (
    RemovalLimit(timedelta(hours=1), 5, 2),
    RemovalLimit(timedelta(hours=24), 10, 3),
    RemovalLimit(timedelta(days=7), 25, 5),
)
"""As shipped."""

SETTLE = 60.0


def policy(
    mode: GuardMode = GuardMode.HOLD,
    settle: float = SETTLE,
    limits: Sequence[RemovalLimit] = LIMITS,
    identity: Sequence[str] = (),
) -> Policy:
    """Return a policy, as shipped unless told otherwise."""
    return Policy(mode, settle, tuple(limits), tuple(identity))


@dataclass
class Here:
    """One process, and what survives it: its store and its clock."""

    policy: Policy = field(default_factory=policy)
    store: FakeStore = field(default_factory=FakeStore)
    clock: FakeClock = field(default_factory=FakeClock)
    shape: str = "shape"
    naming: Naming = field(default_factory=lambda: Naming(name_field=None, label_field=None))
    position: Position = HERE
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The fields of `TableShape`."""

    specs: FakeSpecs = field(default_factory=FakeSpecs)
    """What ApplicationSets are in the cluster."""

    views: str = ""
    """What of the configuration only some inputs see."""

    name: str = "one"
    """What other processes call this one."""

    tokens: FakeTokens = field(default_factory=lambda: FakeTokens(argocd="a", staging="b"))

    def __post_init__(self) -> None:
        self.seen = Recorder()
        self.snapshots = SnapshotHolder(self.clock, 1e12)
        self.ledger = Ledger(self.store, self.clock, self.policy.longest)
        self.guarding = Guarding(
            Answering(self.snapshots),
            self.snapshots,
            self.ledger,
            self.policy,
            self.tokens,
            self.seen,
            self.clock,
            shape=digest_of(self.shape),
            naming=self.naming,
            this=Replica(self.name, digest_of([self.shape, self.views]), "1.0"),
        )
        self.specs.listen(self.guarding.spec_changed)
        self.guarding.look_by(self.specs)
        self.say = Approving(self.ledger, self.guarding)
        self.desk = GuardDesk(self.ledger, Regarding(self.ledger, self.policy), self.say)

    async def start(self) -> Here:
        """Open the ledger."""
        await self.ledger.open()
        return self

    async def restarted(self, **changed: Any) -> Here:  # noqa: ANN401 -- the fields of this class
        """Return another process on the same store and clock, with what has `changed`."""
        kept = {
            name: getattr(self, name)
            for name in ("policy", "store", "clock", "shape", "naming", "position", "columns", "tokens", "specs")
        }
        return await Here(**{**kept, **changed}).start()

    def reads_when_asked(self) -> Here:
        """Read the same rows again as soon as a request wants that, as a service does."""

        async def read_now() -> None:
            self.read(*self._last)

        self.guarding.catching_up.read_now = read_now
        return self

    def read(
        self,
        rows: Sequence[Mapping[str, object]],
        columns: Sequence[Any] | None = None,
        *,
        began: float | None = None,
    ) -> Snapshot:
        """Read these rows, and publish them; the read `began` just now unless told otherwise."""
        self._last = (rows, columns)
        previous = self.snapshots.latest
        shape = {"naming": self.naming, **self.columns}
        snapshot = snapshot_of(rows, columns, previous=previous, position=self.position, **shape)
        read = Read(self.snapshots.read.number + 1, self.clock.monotonic() if began is None else began)
        at_once(self.guarding.watching.observe(previous, snapshot, read))
        self.snapshots.publish(snapshot, read.began)
        return snapshot

    async def reply(
        self, parameters: Mapping[str, object] | None = None, name: SetName | str = "prod", consumer: str = "argocd"
    ) -> Reply:
        """Ask, and return all of the reply."""
        if isinstance(name, SetName):
            consumer, name = name
        return await self.guarding.answer(consumer, PluginRequest(name, dict(parameters or {})))

    async def ask(
        self, parameters: Mapping[str, object] | None = None, name: SetName | str = "prod", consumer: str = "argocd"
    ) -> dict[str, dict[str, Any]]:
        """Ask, and return the parameter sets by tenant."""
        reply = await self.reply(parameters, name, consumer)
        items = json.loads(reply.answer.body)["output"]["parameters"]
        return {item["tenant"]: item for item in items}

    async def ask_twice(self, parameters: Mapping[str, object] | None = None, **who: Any) -> list[str]:  # noqa: ANN401
        """Ask, and again a poll later: what was asked for once only may have been a preview."""
        await self.ask(parameters, **who)
        self.clock.pass_by(seconds=2)
        return list(await self.ask(parameters, **who))

    def settle(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Read the same rows for as long as a removal takes to count."""
        self.read(rows)
        self.clock.pass_by(seconds=self.policy.settle + 1)
        self.read(rows)

    def own(self, name: SetName | str = "prod", consumer: str = "argocd") -> SetLedger:
        """Return what is known of an ApplicationSet."""
        return self.ledger.own(name if isinstance(name, SetName) else SetName(consumer, name))

    def held(self, name: SetName | str = "prod") -> list[str]:
        """Return who is held in an ApplicationSet."""
        return sorted(tenant for _, tenant in self.own(name).holds)
