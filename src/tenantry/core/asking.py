"""What the guard is asked, and what it decides: a request with what the rows say to it, and its answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from tenantry.core.guard import Policy
from tenantry.core.ledger import Hold, Input, Loss, Rule, SetLedger, Word, with_size
from tenantry.core.lens import digest_of
from tenantry.core.sight import SEES_ALL, Sight, flat_value
from tenantry.core.spec import Spec

POLL = 1.0
"""Seconds after which another request for an input is another poll, and not the same one once more."""

TOUCH = 3600.0
"""Seconds after which it is written down again that an input is still asked for."""

_VALUES = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Read(NamedTuple):
    """A successful read of all rows."""

    number: int
    began: float
    """On a clock that only ever grows, as all reads of this process."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and what the rows say to it."""

    input: Input
    candidate: Mapping[str, bytes]
    """The parameter sets that the rows give, by id."""

    lens: str
    layout: str
    now: float
    """On the ledger's clock."""

    read: Read
    absences: Mapping[str, Read] = field(default_factory=dict)
    """Since which read each tenant is missing from this input, in all reads since."""

    elsewhere: Callable[[str], Collection[Input]] = lambda _: ()
    """Tells which other inputs of the ApplicationSet, of those given by `SetLedger.live`, select a tenant now."""

    fit: Callable[[bytes], bytes] = lambda encoded: encoded
    """Gives a parameter set the keys of the present layout."""

    allow_empty: bool = False
    doubtful: bool = False
    """Whether some row has no usable id, so that it may be anybody's."""

    unreadable: Collection[str] = ()
    """Tenants that have a row which cannot be used, and no last good parameters but the released ones."""

    name: str | None = None
    """The field by which Applications are named."""

    cause: Callable[[Read], str] = lambda _: ""
    """Says what the read found by which tenants went missing."""

    came: Callable[[Input, str], int | None] = lambda _, __: None
    """Tells by which read a tenant came to another input that had been answered before, if it is known."""

    in_step: Collection[Input] = ()
    """The other inputs that were asked for since the poll before the last one of this input."""

    watched_since: float = math.inf
    """When that poll began, on the clock of reads, where other processes may have been asked besides."""

    twins: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """What other consumers were answered lately for an ApplicationSet of this name and this input, by consumer."""

    lets_go: bool = True
    """Whether what was read may be proof that somebody is gone."""

    anew: float = -math.inf
    """When it was read that somebody else had answered the ApplicationSet, on the clock of reads."""

    judged: Mapping[str, Read] = field(default_factory=dict)
    """The absences that the decision before knew of: whatever changes besides rows later is not their cause."""

    lens_at: Callable[[Read], str] = lambda _: ""
    """Tells through which lens an earlier read of this process was seen; empty if that is not known any more."""

    spec: Spec | None = None
    """What the ApplicationSet is in the cluster, as far as is known."""

    is_live: bool = False
    """Whether that is so now, and not only remembered."""

    standing: frozenset[Loss] = frozenset()
    """Removals that Argo CD has yet to carry out."""

    application_of: Callable[[bytes], str] = lambda _: ""
    """Tells the name of a parameter set's Application; empty where that is not known."""

    sight: Sight = SEES_ALL
    """Who of this input's answer has an Application."""

    count: Callable[[Input, Mapping[str, bytes]], int] = lambda _, released: len(released)
    """Tells how many of those an input is answered with have an Application."""

    def still_asks(self, given: Input) -> bool:
        """Tell whether it is known that the ApplicationSet goes on asking for an input, with this one beside it."""
        spec = self.spec if self.is_live else None
        return spec is not None and spec.may_ask(self.input) and spec.may_ask(given)

    def is_lost(self, before: bytes, after: bytes, identity: Sequence[str]) -> bool:
        """Tell whether the Application of one parameter set goes with another one in its place."""
        if before == after or (self.sight.is_current and not self.sight.may_see(before)):
            return False
        return is_another(before, after, identity) or self.sight.loses(before, after)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered, and what has to be remembered of it."""

    ledger: SetLedger
    put: Mapping[str, bytes]
    """Parameter sets that are new or changed in the baseline."""

    to_record: bool
    """Whether the answer may leave only after this was written."""

    unsettled: bool
    """Whether another read, or another answer of the ApplicationSet, may change this one with the same rows."""

    settling: bool = False
    """Whether a later read of the same rows may let somebody leave, or come."""

    came: Collection[str] = ()
    """Tenants who were not in the answer before; none where there was no answer before."""

    dropped: Mapping[str, Word | None] = field(default_factory=dict)
    """Tenants who leave, and by whose word."""

    lost: Sequence[Loss] = ()
    kept: Collection[str] = ()
    """Tenants who are answered with what was released last, whatever the rows say."""

    waiting: Collection[str] = ()
    """Those of the rows who are not answered."""

    absences: Mapping[str, Read] = field(default_factory=dict)
    began: Sequence[Hold] = ()
    ended: Sequence[Hold] = ()
    would_hold: Mapping[Rule, int] = field(default_factory=dict)
    """In mode observe: how many would have been held."""

    @property
    def released(self) -> Callable[[Input], Mapping[str, bytes]]:
        """Give the parameter sets that are answered to an input."""
        return lambda given: self.ledger.baselines[given].released


def input_digest(given: Input) -> str:
    """Return what an input is called where its text is too long."""
    return digest_of(given)[:10]


def value_in(encoded: bytes, name: str) -> bytes | None:
    """Return a field of a parameter set, as it is written; None if it has none."""
    value = _VALUES.decode(encoded).get(name)
    return None if value is None else bytes(value)


def is_another(before: bytes, after: bytes, identity: Sequence[str]) -> bool:
    """Tell whether two parameter sets of one tenant make two Applications: a field of the identity differs."""
    if before == after:
        return False
    old, new = _VALUES.decode(before), _VALUES.decode(after)
    return any(
        bytes(old[name]) != bytes(new[name]) if name in old and name in new else _differs(old, new, name)
        for name in identity
    )


def _differs(old: Mapping[str, msgspec.Raw], new: Mapping[str, msgspec.Raw], path: str) -> bool:
    """Tell whether a leaf of a JSON field, by its dotted path, was there, and is another one or none.

    One that nobody had before is none of a name that was made then.
    """
    before, after = (
        flat_value({name: msgspec.json.decode(raw) for name, raw in one.items() if path.startswith(f"{name}.")}, path)
        for one in (old, new)
    )
    return before is not None and before != after


def approval(own: SetLedger, tenant: str, now: float) -> Word | None:
    """Return the word by which a tenant may leave or come, if one stands."""
    word = own.approvals.get(tenant)
    return word if word is not None and word.stands(now) else None


def present(ledger: SetLedger, asked: Asked) -> int:
    """Return how many tenants have an Application by the live inputs, that which is asked for among them."""
    live = dict(ledger.live(asked.now))
    if asked.input in ledger.baselines:
        live[asked.input] = ledger.baselines[asked.input]
    return sum(asked.count(given, one.released) for given, one in live.items())


def sized(ledger: SetLedger, policy: Policy, asked: Asked) -> SetLedger:
    """Return a ledger that knows how large its ApplicationSet is now, and nothing that no window needs."""
    oldest = asked.now - policy.longest
    sizes = with_size(ledger.sizes, asked.now, present(ledger, asked), oldest)
    losses = tuple(loss for loss in ledger.losses if loss.at > oldest or loss in asked.standing)
    return msgspec.structs.replace(ledger, sizes=sizes, losses=losses)
