"""The inputs of ApplicationSets, as far as this process knows them: who is missing since when, and who asked when."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tenantry.core.asking import POLL, Read
from tenantry.core.errors import RequestRefused
from tenantry.core.ledger import Baseline, Input, SetName
from tenantry.core.selection import Selection, parse_selection
from tenantry.core.sight import Sight
from tenantry.core.snapshot import Snapshot
from tenantry.service.answering import PluginRequest

_INPUT = msgspec.json.Encoder(order="sorted")


class Difference(NamedTuple):
    """What another answer would be."""

    digest: str
    asked: float
    """When its input was last asked for, on the monotonic clock; 0 if not by this process."""

    answered: float = 0.0
    """The same of any process: when it was heard here that it had been answered."""


@dataclass(slots=True)
class Key:
    """An input of an ApplicationSet, as far as this process knows it."""

    set_name: SetName
    input: Input
    absences: Mapping[str, Read] = field(default_factory=dict)
    judged: Mapping[str, Read] = field(default_factory=dict)
    """Of these, what the latest decision knew of."""

    selection: tuple[object, Selection | None] | None = None
    """With the mapping for which it was understood."""

    sight: tuple[object, Sight] | None = None
    """Who has an Application of those that it is answered with, and the selectors by which that is so."""

    came: Mapping[str, int] = field(default_factory=dict)
    """By which read tenants came, who were in another input of the ApplicationSet then."""

    asked: float = 0.0
    """When it was last asked for, on the monotonic clock."""

    polled: float = 0.0
    polled_before: float = 0.0
    """When the last poll of it began, and the one before that: requests less than a poll apart are one."""

    allow_empty: bool = False
    """Whether the ApplicationSet said, when it last asked, that it may lose its last tenant."""

    is_due: bool = True
    """Whether something happened since it was last looked at by which its next answer may be another one."""

    difference: str | None = None
    """The digest of what its next answer would change of the last one, as far as was looked."""

    def note_request(self, now: float) -> None:
        """Remember that it was asked for."""
        if now - self.polled >= POLL:
            self.polled_before, self.polled = self.polled, now
        self.asked = now


@dataclass(slots=True)
class KnownSet:
    """An ApplicationSet, as far as this process knows it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: dict[Input, Key] = field(default_factory=dict)
    version: int = 0
    """Grows when somebody says something about it."""

    recognised: str = ""
    """The origin of the rows with which it was compared with what it owns in the cluster."""

    def foreseen_anew(self) -> None:
        """Have those looked at again who were found to differ: what another input was answered may change that."""
        for key in self.keys.values():
            if key.difference is not None:
                key.is_due = True

    def in_step_with(self, key: Key) -> Collection[Input]:
        """Return the other inputs that were asked for since the poll before the last one of `key`."""
        return [
            given
            for given, one in self.keys.items()
            if given != key.input and one.asked and one.asked >= key.polled_before
        ]

    def all_due(self) -> None:
        """Have every input looked at again."""
        for key in self.keys.values():
            key.is_due = True


class Keys:
    """Every ApplicationSet that asked, and its inputs."""

    def __init__(self) -> None:
        """Know of none."""
        self.sets: dict[SetName, KnownSet] = {}
        self.version = 0
        """Grows when somebody says something about all of them."""

    def of(self, name: SetName) -> KnownSet:
        """Return an ApplicationSet, known from now on."""
        return self.sets.setdefault(name, KnownSet())

    def key(self, name: SetName, given: Input) -> Key:
        """Return an input, known from now on."""
        return self.of(name).keys.setdefault(given, Key(name, given))

    def selection(self, name: SetName, given: Input, snapshot: Snapshot) -> Selection | None:
        """Understand an input that is known; None where it names what there is no more."""
        key = self.key(name, given)
        if key.selection is None or key.selection[0] is not snapshot.mapping:
            try:
                understood = parse_selection(parameters_of(given), snapshot.vocabulary, name.application_set)
            except RequestRefused:
                key.selection = (snapshot.mapping, None)
            else:
                key.selection = (snapshot.mapping, understood)
        return key.selection[1]

    def spoken(self, name: SetName | None) -> None:
        """Make void what was answered to an ApplicationSet, or to all of them."""
        if name is None:
            self.version += 1
            self.all_due()
        else:
            of = self.of(name)
            of.version += 1
            of.all_due()

    def answered_elsewhere(self, name: SetName, given: Input, before: Baseline, after: Baseline) -> None:
        """Hear what another process answered an input: whom it changed it had read, so nobody of them is missing."""
        if key := self.of(name).keys.get(given):
            key.absences = still_missing(key.absences, before.released, after.released)

    def all_due(self) -> None:
        """Have every input looked at again: something changed that may touch any of them."""
        for of in self.sets.values():
            of.all_due()


def still_missing(
    absences: Mapping[str, Read], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> Mapping[str, Read]:
    """Return the absences of those who are answered as they were when these were noted."""
    return {tenant: since for tenant, since in absences.items() if before.get(tenant) == after.get(tenant)}


def input_of(request: PluginRequest) -> Input:
    """Return the canonical text of input parameters, without `allowEmpty`, which selects nobody."""
    return _INPUT.encode({name: value for name, value in request.parameters.items() if name != "allowEmpty"}).decode()


def parameters_of(given: Input) -> Mapping[str, object]:
    """Return the input parameters again."""
    return msgspec.json.decode(given, type=dict[str, object])
