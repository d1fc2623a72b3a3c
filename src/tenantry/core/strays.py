"""Applications that an ApplicationSet owns and nobody knows of: the sign of a ledger that was lost, or is older."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from tenantry.core.application import Application
from tenantry.core.asking import input_digest
from tenantry.core.errors import RequestRefused, UnknownApplications
from tenantry.core.ledger import SetLedger
from tenantry.core.selection import parse_selection
from tenantry.core.sight import Sight
from tenantry.core.snapshot import Snapshot
from tenantry.core.spec import Generator, Spec
from tenantry.core.tenant import Tenant
from tenantry.core.whereabouts import Marks


def strays_among(owned: Collection[Application], marks: Marks, known: int, *, by_number: bool = True) -> Sequence[str]:
    """Return the names of those that are none of some `known` tenants', which `marks` tells; in order.

    By label; where there is none, by name; where neither tells, by number: then all of them, if there are more than
    tenants. That tells nothing where a tenant may have several. One that is being deleted is nobody's any more.
    """
    alive = [one for one in owned if not one.is_being_deleted]
    strays = [one.name for one in alive if marks.knows(one) and marks.tenant_of(one) is None]
    dark = [one.name for one in alive if not marks.knows(one) and marks.tenant_of(one) is None]
    found = {marks.tenant_of(one) for one in alive} - {None}
    if by_number and len(dark) > known - len(found):
        strays += dark
    return sorted(strays)


def with_a_place(spec: Spec, snapshot: Snapshot, application_set: str) -> Iterator[tuple[str, bytes]]:
    """Give whom the rows give an Application by some generator, with their parameter sets.

    Of a generator whose input is known only when Argo CD has filled it, that may be anybody.
    """
    for generator in spec.generators:
        sight = Sight([generator.layers])
        for tenant in _selected(generator, snapshot, application_set):
            if sight.may_see(tenant.encoded):
                yield tenant.id, tenant.encoded


def _selected(generator: Generator, snapshot: Snapshot, application_set: str) -> Iterator[Tenant]:
    if not generator.is_exact:
        yield from snapshot.tenants.values()
        return
    try:
        asked = msgspec.json.decode(generator.asks, type=dict[str, object])
        selection = parse_selection(asked, snapshot.vocabulary, application_set)
    except RequestRefused:
        return
    predicates = [clause.predicate() for clause in selection.clauses]
    yield from (one for one in snapshot.tenants.values() if all(meets(one) for meets in predicates))


def refusal(own: SetLedger, strays: Sequence[str], now: float) -> UnknownApplications | None:
    """Return why an ApplicationSet is not answered that owns these; None if somebody said that they may go."""
    digest = digest_of_strays(strays)
    word = own.admitted.get(digest)
    if not strays or (word is not None and word.stands(now)):
        return None
    number = f"{len(strays)} Application{'' if len(strays) == 1 else 's'}"
    return UnknownApplications(
        f"This ApplicationSet owns {number} of which tenantry knows nothing, and would delete them with this answer. "
        f"Its state was lost, or is older than they are, or this is another database. They are known as {digest}."
    )


def digest_of_strays(strays: Sequence[str]) -> str:
    """Return what these are called, where names are nobody's business."""
    return input_digest("\n".join(strays))
