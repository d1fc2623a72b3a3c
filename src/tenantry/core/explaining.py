"""Why a tenant is, or is not, in the answer to a request: clause by clause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tenantry.core.selection import Condition, Matching, Selection, Shard
from tenantry.core.sharding import shard_of
from tenantry.core.snapshot import Snapshot
from tenantry.core.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Clause:
    """One part of a request, and what a tenant has there."""

    asked: str
    holds: bool
    found: str | None
    """The tenant's text; None where there is NULL, nothing, an object or a list."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a tenant matches a request or does not."""

    tenant: str
    matches: bool
    why: str
    clauses: tuple[Clause, ...] = ()


def explain(snapshot: Snapshot, selection: Selection, tenant: str) -> Explanation:
    """Tell why a request gets a tenant, by its id, or why not."""
    found = snapshot.tenants.get(tenant)
    unusable = next((row for row in snapshot.quarantined if row.tenant == tenant), None)
    if found is None:
        why = "No row that is served has this id." if unusable is None else f"It is quarantined. {unusable.sentence}"
        return Explanation(tenant, matches=False, why=why)
    clauses = tuple(_clause(clause, found) for clause in selection.clauses)
    failing = sum(not clause.holds for clause in clauses)
    if not clauses:
        why = "Nothing is asked for, so every tenant matches."
    elif failing:
        why = f"{failing} of {len(clauses)} clauses {'does' if failing == 1 else 'do'} not hold; all have to."
    else:
        why = "Every clause holds."
    kept = f" It has its last good parameters. {unusable.sentence}" if unusable is not None else ""
    return Explanation(tenant, not failing, why + kept, clauses)


def _clause(clause: Condition | Matching | Shard, tenant: Tenant) -> Clause:
    holds = clause.predicate()(tenant)
    match clause:
        case Shard(count=count):
            return Clause(str(clause), holds, f"{shard_of(tenant.id, count)} of {count}")
        case Condition(place=place):
            return Clause(str(clause), holds, _told(place.texts(tenant)))
        case Matching(place=place):
            return Clause(str(clause), holds, _told(place.labels(tenant)))


def _told(texts: Sequence[str | None]) -> str | None:
    given = [text for text in texts if text is not None]
    return ", ".join(given) if given else None
