"""The invariant over several replicas: what each of them answers is judged by its own reads and by what all answered.

What each may do by itself is judged as if it were alone. What is added here: no answer goes back, nobody goes by a read
that is out of date, and of several configurations only the newest answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tenantry.core.guard import Policy
from tenantry.core.ledger import SetName
from tenantry.service.replicas import ALIVE
from tests.guard.model import FIRST_PASS, Answer, Broken, Given, Known, Missing, Polls, ReadOf, is_same
from tests.guard.reasons import Judge

_EVERYWHERE = -1
"""The process under which requests to all of them are noted."""

Key = tuple[SetName, str]


@dataclass(frozen=True)
class ReadBy(ReadOf):
    """What one read of one replica found."""

    source: str = ""
    version: int = 0
    """Which version of the table that was."""

    standby: bool = False


@dataclass(frozen=True)
class Asked(Given):
    """An answer of one of several replicas."""

    came: float = 0.0
    """When the request did."""

    primaries: Sequence[int] = ()
    """The other replicas that are there and read from the primary."""

    is_crossed: bool = False
    """Whether others answered meanwhile."""


class Sign(NamedTuple):
    """A process that may answer, as far as the others can know."""

    configuration: str
    seen: float
    """When it gave one."""

    asked: float
    """When it may have given one."""


class Together(Judge):
    """Hears of everything that any of them does."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.slot = 0
        self.history: dict[Key, list[Answer]] = {}
        """Every answer that was another one than that before."""

        self.configurations: list[tuple[str, float]] = []
        """By which was answered, and since when it is the newest, the newest one last."""

        self._read_in: dict[int, list[ReadOf]] = {0: self.reads}
        self._missing: dict[tuple[int, SetName], dict[str, dict[str, Missing]]] = {}
        self._changed: dict[Key, ReadBy] = {}
        """By which read the answer to an input changed last."""

        self._unheard: dict[int, set[SetName]] = {}
        """Which ApplicationSets others answered otherwise, and a replica has not heard of it."""

        self._heard: dict[tuple[int, SetName], float] = {}
        self._number = 0

    def turn_to(self, slot: int) -> None:
        """Judge by the reads of a replica from now on."""
        if slot == self.slot:
            return
        for name, known in self.sets.items():
            self._missing[self.slot, name] = known.missing
            known.missing = _still_answered(self._missing.get((slot, name), {}), known)
        self.slot, self.reads = slot, self._read_in.setdefault(slot, [])

    def forget(self) -> None:
        super().forget()
        for by_key in (self.history, self.configurations, self._missing, self._changed, self._unheard, self._heard):
            by_key.clear()

    # --- what is heard ---------------------------------------------------------------------------------------------

    def found(self, read: ReadOf) -> None:
        self._number = max(self._number, read.number)
        super().found(read)

    def hears(self, now: float) -> None:
        """Hear that this replica looked at what others wrote."""
        for name in self._unheard.pop(self.slot, ()):
            self._heard[self.slot, name] = now

    def answered(self, given: Given, *, failing: bool = False) -> None:
        assert isinstance(given, Asked)
        known = self.of(given.name)
        before, left = known.answers.get(given.input), len(known.left)
        changed = (
            before is None or before != given.answer or _holds_of(given.before, given) != _holds_of(given.after, given)
        )
        if changed:
            self._check_order(given, known)
        if before is not None and any(not is_same(before, given.answer, tenant) for tenant in before):
            self._check_read_of_who_leaves(given)
        super().answered(given)
        if before is None and len(known.left) > left:
            self._check_read_of_who_leaves(given)
        if changed:
            self._note_change(given)

    def repeated(self, given: Given) -> None:
        """Hear of an answer that was prepared, and left as it was."""
        known = self.of(given.name)
        if known.answers.get(given.input) != given.answer:
            raise Broken(f"{given.input} was answered as it had been prepared, and others had answered otherwise")
        self.note_request(known, given.input, given.now, surely=True)
        known.asked[given.input] = given.now

    def overlapped(self, given: Given, since: int) -> bool:
        """Hear of an answer while which others answered; tell whether it may have left before theirs."""
        history = self.history.get((given.name, given.input), [])
        if given.answer not in history[max(0, since - 1) :] or given.answer == history[-1]:
            return False
        self.note_request(self.of(given.name), given.input, given.now, surely=False)
        return True

    def _note_change(self, given: Given) -> None:
        read, key = self.read, (given.name, given.input)
        assert isinstance(read, ReadBy)
        self._changed[key] = read
        history = self.history.setdefault(key, [])
        if history[-1:] != [given.answer]:
            history.append(given.answer)
        for slot in self._read_in:
            if slot != self.slot:
                self._unheard.setdefault(slot, set()).add(given.name)
                # It learns anew who is missing: what it knew may be of a tenant who left and came back meanwhile.
                self._missing.pop((slot, given.name), None)

    # --- no answer goes back ---------------------------------------------------------------------------------------

    def _check_order(self, given: Asked, known: Known) -> None:
        """An answer that is another one than before is from rows that are no older than those of that one."""
        read = self.read
        assert isinstance(read, ReadBy)
        of = [given.input] if given.input in known.answers else self._inputs_before(given, known)
        before = [found for one in of if (found := self._changed.get((given.name, one)))]
        latest = max((one.version for one in before if one.source == read.source), default=0)
        if read.version < latest:
            raise Broken(f"{given.name} was answered by version {read.version}, after others by version {latest}")

    def _inputs_before(self, given: Given, known: Known) -> list[str]:
        """Return the inputs that a new one may take the place of."""
        began = min(known.first.values(), default=given.now)
        return list(known.answers) if given.now - began > FIRST_PASS else []

    def _check_read_of_who_leaves(self, given: Asked) -> None:
        """Nobody goes by a read that is out of date, since somebody may have been answered by a later one."""
        read = self.read
        assert isinstance(read, ReadBy)
        if read.standby and given.primaries:
            raise Broken(f"somebody left by a standby, while {given.primaries} read from the primary")
        if read.began < given.came:
            raise Broken("somebody left by a read that began before the request")

    # --- which configuration ---------------------------------------------------------------------------------------

    def answered_by(self, configuration: str, came: float, now: float, others: Iterable[Sign]) -> None:
        """Hear by which configuration was answered, while others gave signs of life."""
        known = [one for one, _ in self.configurations]
        if configuration in known:
            newer = self.configurations[known.index(configuration) + 1 :]
            there = {one.configuration for one in others if now - one.seen < ALIVE}
            if any(one in there and since < came for one, since in newer):
                raise Broken(f"it was answered by {configuration}, after {newer}")
            if any(since >= came for _, since in newer) or not newer:
                return
        self.configurations = [one for one in self.configurations if one[0] != configuration]
        self.configurations.append((configuration, now))

    def refused_as_older(self, configuration: str, came: float, others: Iterable[Sign]) -> None:
        """Hear that nobody was answered by a configuration, since there are newer ones."""
        known = [one for one, _ in self.configurations]
        newer = known[known.index(configuration) + 1 :] if configuration in known else []
        if not any(one.configuration in newer and came - one.asked < ALIVE for one in others):
            raise Broken(f"{configuration} was refused as an older one, and there is none newer")

    def holds_ended(self, name: SetName, ended: Collection[tuple[str, str]], now: float) -> None:
        """Of who asks another replica, one knows for certain only what was written."""
        known = self.of(name)
        for given, tenant in ended:
            if not known.is_approved(tenant, now):
                raise Broken(f"the hold of {tenant} in {given} ended, and nobody let it")
            known.answers[given].pop(tenant, None)
            known.missing.get(given, {}).pop(tenant, None)

    # --- what is judged otherwise than of one process --------------------------------------------------------------

    def note(self, given: Given, known: Known) -> None:
        super().note(given, known)
        known.lenses[given.input][-1] = (self._number, known.lenses[given.input][-1][1])

    def note_request(self, known: Known, given: str, now: float, *, surely: bool) -> None:
        super().note_request(known, given, now, surely=surely)
        known.polls.setdefault((_EVERYWHERE, given), Polls()).note(now)

    @property
    def asked_process(self) -> int:
        """An input that nobody asks for any more keeps no tenant, whichever replica it had asked."""
        return _EVERYWHERE

    def _check_lens(self, known: Known, given: Given, tenant: str) -> None:
        """Whoever went missing did so in a read through the lens of an answer before, by whichever replica."""
        item, first = known.answers[given.input][tenant], self.read
        for read in reversed(self.reads):
            if self.is_there(read, given.parameters, tenant, item):
                break
            first = read
        before = [lens for number, lens in known.lenses[given.input] if number < first.number][-1:]
        since = [lens for number, lens in known.lenses[given.input] if number >= first.number]
        if before and not {first.lens_for(given.parameters), self.read.lens_for(given.parameters)} & {*before, *since}:
            raise Broken(f"{tenant} left, and had gone missing together with another lens")

    def _has_reason(self, tenant: str, since: Missing, given: Given, known: Known) -> bool:
        """Who reads a standby leaves it to others to let go, and who has just heard of an answer reads once more.

        Where nothing could be read for the request, nobody goes by what was read before it; nor where others answered
        meanwhile, and that was not read in time.
        """
        read = self.read
        assert isinstance(read, ReadBy)
        assert isinstance(given, Asked)
        is_late = given.name in self._unheard.get(self.slot, ()) or (
            self._heard.get((self.slot, given.name), float("-inf")) > read.began
        )
        is_doubtful = read.standby or read.began < given.came or given.is_crossed
        if is_doubtful or super()._has_reason(tenant, since, given, known):
            return True
        has_others = any(one in self._selected(given.parameters) for one in given.answer if one != tenant)
        # Whether other inputs keep somebody is known once it was asked twice since nobody is here any more.
        return (is_late or not has_others) and not self.observes(known)


def _holds_of(holds: Mapping[tuple[str, str], object], given: Given) -> object:
    return {tenant: hold for (one, tenant), hold in holds.items() if one == given.input}


def _still_answered(missing: dict[str, dict[str, Missing]], known: Known) -> dict[str, dict[str, Missing]]:
    """Leave out those whom another replica let go meanwhile."""
    return {
        one: {tenant: since for tenant, since in tenants.items() if tenant in known.answers[one]}
        for one, tenants in missing.items()
        if one in known.answers
    }
