"""Foreseeing: by what the next answer of an ApplicationSet would differ from its last one, if it asked now.

The decision is the guard's own, and nothing of it is recorded. What is noted is since which read somebody is missing,
which a request would find out the same: so a removal settles while nobody asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from tenantry.core.asking import Decision, Read
from tenantry.core.errors import RequestRefused
from tenantry.core.ledger import Input, SetName
from tenantry.core.lens import digest_of
from tenantry.core.position import Position
from tenantry.service.answering import Answering, PluginRequest
from tenantry.service.circumstances import Circumstances, Request
from tenantry.service.driving import driven
from tenantry.service.keys import Difference, Key, Keys, parameters_of
from tenantry.service.ledger import Ledger
from tenantry.service.snapshots import SnapshotHolder
from tenantry.service.watching import Watching, is_doubtful

_ALL_AGAIN = 600.0
"""Seconds after which every input is looked at again, for what time alone brings about."""


class Foresight(Protocol):
    """Who knows what ApplicationSets would be answered."""

    wake: Callable[[], None]
    """Called when somebody should look: set by whoever looks."""

    async def look(self, asking: Mapping[str, bool]) -> None:
        """Look at ApplicationSets, by name, with whether they may lose their last tenant; raises NotReady."""
        ...

    def differences(self, application_set: str, inputs: Collection[Input] | None) -> Sequence[Difference]:
        """Return by what the answers to these inputs, or to all for None, would differ; in an order that stays."""
        ...

    def knows(self, application_set: str) -> bool:
        """Tell whether an ApplicationSet of this name was ever answered."""
        ...

    def epoch(self, application_set: str) -> str:
        """Name what a refused request depends on, besides rows and time: it changes when people say something."""
        ...

    def require(self) -> None:
        """Raise NotReady while nobody could be answered."""
        ...


class Foreseeing:
    """Looks ahead by the ledger and the guard."""

    def __init__(
        self,
        answering: Answering,
        snapshots: SnapshotHolder,
        ledger: Ledger,
        keys: Keys,
        circumstances: Circumstances,
        watching: Watching,
        require: Callable[[], None],
    ) -> None:
        """Look at what `ledger` knows, by what `circumstances` tell."""
        self._answering = answering
        self._snapshots = snapshots
        self._ledger = ledger
        self._keys = keys
        self._circumstances = circumstances
        self._watching = watching
        self._versions: dict[SetName, int] = {}
        self._all_at = 0.0
        self.may_follow: Callable[[SetName, Input, Position, Read], bool] = lambda *_: True
        """Tells whether rows of a read may change what an input was answered: set by whoever knows."""

        self.require = require
        self.wake: Callable[[], None] = lambda: None

    async def look(self, asking: Mapping[str, bool]) -> None:
        """Look at what is due of ApplicationSets, by name, with whether they may lose their last tenant.

        Raises NotReady; what was not looked at then stays due.
        """
        self._ledger.require()
        await self._ledger.confirm()
        self.require()
        now = self._ledger.now()
        if now - self._all_at > _ALL_AGAIN:
            self._all_at = now
            self._keys.all_due()
        for name, own in list(self._ledger.sets.items()):
            if (allows_empty := asking.get(name.application_set)) is None:
                continue
            if self._versions.get(name) != (version := self._ledger.version_of(name)):
                self._versions[name] = version
                self._keys.of(name).all_due()
            known = own.known()
            for given in own.baselines:
                key = self._keys.key(name, given)
                if given not in known:
                    key.difference = None
                elif key.is_due:
                    await self._look_at(key, allows_empty=allows_empty)

    async def _look_at(self, key: Key, *, allows_empty: bool) -> None:
        name, before = key.set_name, self._ledger.own(key.set_name)
        snapshot, read = self._snapshots.fresh(), self._snapshots.read
        key.is_due = False
        if key.input not in before.baselines:
            key.difference = None
            return
        allows_empty = key.allow_empty if key.asked else allows_empty
        parameters = {**parameters_of(key.input), **({"allowEmpty": True} if allows_empty else {})}
        try:
            question = self._answering.question(PluginRequest(name.application_set, parameters), snapshot)
        except RequestRefused:  # Who asks is told; there is no answer for which it should ask.
            key.difference = None
            return
        this = Request(self._keys.of(name), key, question, read)
        chosen = await driven(question.index.chosen(question.selection))
        fitting, candidate = await driven(self._circumstances.fitted(this, chosen))
        absences = key.absences
        if not self.may_follow(name, key.input, snapshot.position, read):
            key.is_due, key.difference = True, None  # Another process answers from a later read, and tells.
            return
        decision = await driven(self._circumstances.decided(this, candidate, fitting))
        if before is not self._ledger.own(name) or read.number < self._watching.latest:
            # Somebody was answered meanwhile, or a read is coming in: what was found out may not hold any more.
            key.is_due = True
            self.wake()
            return
        if not is_doubtful(snapshot):
            # Not `judged`: what was only foreseen does not excuse what changes besides rows until somebody asks.
            going = {tenant: since for tenant, since in absences.items() if tenant in decision.dropped}
            key.absences = {**going, **decision.absences}
        key.difference = _difference(key, decision)
        key.is_due = key.is_due or decision.settling

    def differences(self, application_set: str, inputs: Collection[Input] | None) -> Sequence[Difference]:
        """Return by what the answers to these inputs, or to all for None, would differ; in an order that stays."""
        return [
            Difference(key.difference, key.asked, self._ledger.learned(name, given) or 0.0)
            for name in sorted(self._keys.sets)
            if name.application_set == application_set
            for given, key in sorted(self._keys.sets[name].keys.items())
            if key.difference is not None and (inputs is None or given in inputs)
        ]

    def knows(self, application_set: str) -> bool:
        """Tell whether an ApplicationSet of this name was ever answered."""
        return any(name.application_set == application_set for name in self._ledger.sets)

    def epoch(self, application_set: str) -> str:
        """Name what a refused request depends on, besides rows and time: it changes when people say something."""
        said = sum(of.version for name, of in self._keys.sets.items() if name.application_set == application_set)
        latest = self._snapshots.latest
        columns = "" if latest is None else digest_of(sorted(latest.mapping.names))
        names = [name for name in self._ledger.sets if name.application_set == application_set]
        changed = max(map(self._ledger.version_of, names), default=0)
        return f"{said + self._keys.version}.{changed}.{columns}"

    def last_asked(self, name: SetName) -> float:
        """Return when an ApplicationSet last asked this process, on the monotonic clock; 0 if it never did."""
        of = self._keys.sets.get(name)
        return max((key.asked for key in of.keys.values()), default=0.0) if of else 0.0


def _difference(key: Key, decision: Decision) -> str | None:
    if not (decision.put or decision.dropped):
        return None
    digest = hashlib.sha256(key.input.encode())
    for tenant in sorted(decision.put):
        digest.update(b"+" + tenant.encode() + b"\0" + decision.put[tenant] + b"\0")
    for tenant in sorted(decision.dropped):
        digest.update(b"-" + tenant.encode() + b"\0")
    return digest.hexdigest()[:20]
