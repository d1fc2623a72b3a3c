"""Applications that an ApplicationSet owns and nobody knows of: the sign of a ledger that was lost, or is older."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tenantry.core.application import Application
from tenantry.core.asking import input_digest
from tenantry.core.errors import UnknownApplications
from tenantry.core.ledger import SetLedger
from tenantry.core.whereabouts import Marks


def strays_among(owned: Collection[Application], marks: Marks, known: int) -> Sequence[str]:
    """Return the names of those that are none of some `known` tenants', which `marks` tells; in order.

    By label; where there is none, by name; where neither tells, by number: then all of them, if there are more than
    tenants. One that is being deleted is nobody's any more.
    """
    alive = [one for one in owned if not one.is_being_deleted]
    strays = [one.name for one in alive if marks.knows(one) and marks.tenant_of(one) is None]
    dark = [one.name for one in alive if not marks.knows(one) and marks.tenant_of(one) is None]
    found = {marks.tenant_of(one) for one in alive} - {None}
    if len(dark) > known - len(found):
        strays += dark
    return sorted(strays)


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
