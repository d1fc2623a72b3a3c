"""Watching reads: since which one each tenant is missing from an input, and what it was that a read found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tenantry.core.asking import Read, is_another
from tenantry.core.errors import MissingColumn, listed, nearest, quoted
from tenantry.core.guard import Policy
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import Input, SetName
from tenantry.core.mapping import RowMapping
from tenantry.core.position import Position
from tenantry.core.selection import Selection
from tenantry.core.sight import SEES_ALL, Sight
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import Steps, sliced
from tenantry.core.vocabulary import Vocabulary
from tenantry.service.keys import Key, Keys, still_missing
from tenantry.service.ledger import Ledger
from tenantry.service.ports import Clock, Observer

_MOST_CAUSES = 256
_MOST_EPOCHS = 63
_SINCE_THE_START = "It was missing when the input was first asked for after the start."


_LOOK = "If a backup was restored, whoever it lacks is held: see `tenantry guard holds`."


class Epoch(NamedTuple):
    """A run of reads in which nothing but rows changed."""

    first: int
    """The number of its first read."""

    origin: str
    mapping: RowMapping
    vocabulary: Vocabulary


class Watching:
    """Takes in every read before it is answered from."""

    def __init__(self, keys: Keys, ledger: Ledger, policy: Policy, observer: Observer, clock: Clock) -> None:
        """Watch for the inputs in `keys`."""
        self._keys = keys
        self._ledger = ledger
        self._policy = policy
        self._observer = observer
        self._clock = clock
        self._causes: dict[int, str] = {}
        self._position: Position | None = None
        self._turns = 0
        self._counted_at = 0
        """The timeline for which the turns are known."""

        self._epochs: tuple[Epoch, ...] = ()
        self.identity: Callable[[SetName], Sequence[str]] = lambda _: policy.identity
        """Tells by which fields Applications of an ApplicationSet are named: set by whoever knows."""

        self.sight: Callable[[SetName, Input], Sight] = lambda _, __: SEES_ALL
        """Tells who of an input's answer has an Application: set by whoever knows."""

        self.latest = 0
        """The number of the read that was taken in last, or is being taken in."""

    def epoch_of(self, read: Read) -> Epoch | None:
        """Return how a read was seen, unless that is long ago."""
        return next((epoch for epoch in reversed(self._epochs) if epoch.first <= read.number), None)

    def cause(self, read: Read) -> str:
        """Say what a read found."""
        return self._causes.get(read.number, _SINCE_THE_START)

    def observe(self, previous: Snapshot | None, snapshot: Snapshot, read: Read) -> Steps[None]:
        """Take in a read before it is answered from: who is missing since when, and who is back."""
        self._refuse_unknown_identity(snapshot)
        self.latest = read.number
        self._stand_at(snapshot.position)
        self._note_epoch(Epoch(read.number, self.origin(snapshot.position), snapshot.mapping, snapshot.vocabulary))
        if previous is not None and (is_doubtful(previous) or previous.tree != snapshot.tree):
            self._keys.all_due()
        if is_doubtful(snapshot):
            self._doubt(previous, snapshot)
            return
        if previous is not None and previous.revision == snapshot.revision and not snapshot.quarantined:
            return
        changed = yield from _changed(previous, snapshot)
        changed += unreadable_in(snapshot)
        if not changed:
            return
        self._explain(previous, snapshot, read)
        among, unreadable = frozenset(changed), frozenset(unreadable_in(snapshot))
        for name, of in list(self._keys.sets.items()):
            baselines = self._ledger.own(name).baselines
            for given, key in list(of.keys.items()):
                if given in baselines:
                    yield from self._observe_key(key, snapshot, baselines[given].released, among, unreadable, read)

    def _doubt(self, previous: Snapshot | None, snapshot: Snapshot) -> None:
        """Take in a read after which nobody is known to be missing; who is new comes all the same."""
        if previous is None or previous.revision != snapshot.revision:
            self._keys.all_due()
        for of in self._keys.sets.values():
            for key in of.keys.values():
                key.absences = {}

    def _note_epoch(self, epoch: Epoch) -> None:
        latest = self._epochs[-1] if self._epochs else None
        if latest is None or (latest.origin, latest.mapping.offered) != (epoch.origin, epoch.mapping.offered):
            self._epochs = (*self._epochs[-_MOST_EPOCHS:], epoch)
            self._keys.all_due()

    def _observe_key(
        self,
        key: Key,
        snapshot: Snapshot,
        released: Mapping[str, bytes],
        changed: AbstractSet[str],
        unreadable: AbstractSet[str],
        read: Read,
    ) -> Steps[None]:
        """Note who is missing and who is back; of those who were never there it only matters whether one is chosen."""
        selection = self._keys.selection(key.set_name, key.input, snapshot)
        if selection is None:
            key.absences = {}
            return
        rows = _Rows(snapshot, selection, released, self.sight(key.set_name, key.input), self.identity(key.set_name))
        fewer, more = sorted((released.keys(), changed), key=len)
        theirs: list[str] = []
        for some in sliced(list(fewer)):
            theirs += [tenant for tenant in some if tenant in more]
            yield
        absences = {
            tenant: since for tenant, since in key.absences.items() if tenant in released or tenant not in changed
        }
        for some in sliced(theirs):
            for tenant in some:
                if tenant in unreadable or rows.are_back(tenant, is_missing=tenant in key.absences):
                    absences.pop(tenant, None)
                else:
                    absences.setdefault(tenant, read)
            yield
        now = self._ledger.own(key.set_name).baselines.get(key.input)
        if now is not None and now.released is not released:  # It was answered while the read was taken in.
            absences = dict(still_missing(absences, released, now.released))
        key.absences = absences
        if theirs or key.is_due or key.difference is not None:
            key.is_due = True  # One that differs may do so no more: who was to come may be gone again.
            return
        for some in sliced(list(changed)):
            if any(map(rows.choose, some)):
                key.is_due = True
                return
            yield

    def _refuse_unknown_identity(self, snapshot: Snapshot) -> None:
        known = snapshot.mapping.names
        for name in self._policy.identity:
            if name not in known:
                raise MissingColumn(
                    f"guard.identity names {quoted(name)}, which is no field. "
                    f"Known: {listed(known)}.{nearest(name, known)}",
                    remedy="Correct guard.identity.",
                )

    def _explain(self, previous: Snapshot | None, snapshot: Snapshot, read: Read) -> None:
        """Remember what a read found, for those whom it may cost their place."""
        at = self._clock.now().strftime("%Y-%m-%d %H:%M:%S UTC")
        if previous is None:
            sentence = f"At {at} the first read after the start found {snapshot.rows} rows."
        else:
            sentence = (
                f"At {at} a read found {snapshot.rows} rows and {len(snapshot.tenants)} tenants, "
                f"where the one before had found {previous.rows} and {len(previous.tenants)}."
            )
        self._causes[read.number] = sentence
        while len(self._causes) > _MOST_CAUSES:
            self._causes.pop(next(iter(self._causes)))

    def _stand_at(self, position: Position) -> None:
        """Find out at the first read whether the source is at an earlier position than it was released from.

        Whoever comes to a later timeline by waiting until that had come as far takes what others found there.
        """
        known = self._ledger.origin_of(position.source)
        if self._position is None or self._position.source != position.source:
            self._turns, self._counted_at = known.turns if known else 0, position.timeline
            # A standby that is behind what was released says nothing of what became of its database: it is waited for.
            if known is not None and not position.standby:
                earlier = Position(position.source, known.timeline, known.lsn, known.standby)
                if reason := position.went_back_from(earlier):
                    self._turns += 1
                    self._observer.told("source_went_back", {"reason": reason, "remedy": _LOOK})
                    self._ledger.note(Event(self._ledger.now(), EventKind.WENT_BACK, because=reason))
        elif known is not None and known.turns > self._turns and self._counted_at < position.timeline == known.timeline:
            self._turns, self._counted_at = known.turns, position.timeline
        self._position = position
        self._ledger.stand_at(position, self._turns)

    @property
    def turns(self) -> int:
        """How often the source went back, as far as is known."""
        return self._turns

    def origin(self, position: Position) -> str:
        """Name a source, and how often it went back."""
        return f"{position.source}#{self._turns}"


class _Rows:
    """What the rows of a snapshot say to an input that was answered before."""

    def __init__(
        self,
        snapshot: Snapshot,
        selection: Selection,
        released: Mapping[str, bytes],
        sight: Sight,
        identity: Sequence[str],
    ) -> None:
        self._tenants = snapshot.tenants
        self._predicates = [clause.predicate() for clause in selection.clauses]
        self._released = released
        self._sight = sight
        self._identity = identity

    def choose(self, tenant: str) -> bool:
        """Tell whether the input selects a tenant."""
        found = self._tenants.get(tenant)
        return found is not None and all(meets(found) for meets in self._predicates)

    def are_back(self, tenant: str, *, is_missing: bool) -> bool:
        """Tell whether a tenant that was answered has a place by them.

        One that was missing though its row was there has none for as long as the row would cost it its Application.
        """
        if not self.choose(tenant):
            return False
        before, after = self._released[tenant], self._tenants[tenant].encoded
        return not is_missing or not (is_another(before, after, self._identity) or self._sight.loses(before, after))


def is_doubtful(snapshot: Snapshot) -> bool:
    """Tell whether some row may be anybody's: it has no usable id, or another row's."""
    identifier = snapshot.mapping.shape.id
    return any(row.tenant is None or (row.column == identifier) for row in snapshot.quarantined)


def unreadable_in(snapshot: Snapshot) -> list[str]:
    """Return the tenants that have a row which cannot be used, and no last good parameters in memory."""
    return [row.tenant for row in snapshot.quarantined if row.tenant is not None and not row.kept]


def _changed(previous: Snapshot | None, snapshot: Snapshot) -> Steps[list[str]]:
    """Return the tenants that two snapshots do not have in common."""
    before = previous.tenants if previous is not None else {}
    changed: list[str] = []
    now = snapshot.tenants
    for ids in sliced(list(now)):
        changed += [tenant for tenant in ids if before.get(tenant) is not now[tenant]]
        yield
    for ids in sliced(list(before)):
        changed += [tenant for tenant in ids if tenant not in now]
        yield
    return changed
