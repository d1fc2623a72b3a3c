"""Probing before production does: what is wrong with the source and its rows, each finding with its remedy."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from tenantry.core.application import Application
from tenantry.core.columns import Kind, looks_secret
from tenantry.core.errors import ClusterError, SourceError, shortened
from tenantry.core.fields import Naming
from tenantry.core.gaps import Gap, gaps_of
from tenantry.core.layout import dotted
from tenantry.core.live import LiveSet, spec_of
from tenantry.core.mapping import TableShape
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import at_once
from tenantry.core.strays import strays_among, with_a_place
from tenantry.core.tenant import Unusable
from tenantry.core.whereabouts import marks_of
from tenantry.service.following import Applications, Cluster, Listed
from tenantry.service.ports import TenantSource
from tenantry.service.refreshing import read_snapshot

T = TypeVar("T")

_LONGEST_NAME_OF_THE_TUTORIAL = 53
_MOST_SHOWN = 10
_MOST_TOLD = 20
"""Findings of one kind: what is beyond is counted."""

_AS_ABOVE = "As above."


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to correct, or with `note` something to know."""

    what: str
    remedy: str
    note: bool = False


async def check_cluster(
    cluster: Cluster,
    namespaces: Sequence[str],
    config_maps: Collection[str] | None,
    snapshot: Snapshot | None,
) -> list[Finding]:
    """Look once at the ApplicationSets that use a plugin by `config_maps`, or by any for None, and at what they own.

    Without a snapshot, what depends on the rows is not looked at.
    """
    fields = None if snapshot is None else snapshot.mapping.names
    findings: list[Finding] = []
    seen = 0
    for namespace in namespaces:
        try:
            first = await _first_of(cluster.watch(namespace))
        except ClusterError as error:
            findings.append(Finding(f"In namespace {namespace}: {error.what}", error.advice))
            continue
        owned: Sequence[Application] = ()
        try:
            applications = await _first_of(cluster.applications(namespace))
            owned = applications.found if isinstance(applications, Applications) else ()
        except ClusterError as error:
            findings.append(
                Finding(f"Applications in namespace {namespace} cannot be seen: {error.what}", error.advice)
            )
        assert isinstance(first, Listed)  # noqa: S101 -- what a watch begins with
        for live in sorted(first.sets, key=lambda one: one.name):
            if (ours := live.asking(config_maps)) is not None:
                seen += 1
                findings += [_of_gap(ours, gap) for gap in gaps_of(ours, fields)]
                if snapshot is not None:
                    findings += _of_strays(ours, owned, snapshot)
    if not seen and not findings:
        where = ", ".join(namespaces)
        findings.append(Finding(f"No ApplicationSet in {where} uses tenantry.", _NOBODY, note=True))
    return findings


async def _first_of(watch: AsyncGenerator[T, None]) -> T:
    """Return what a watch begins with; raises ClusterError."""
    try:
        async with asyncio.timeout(_LOOK), aclosing(watch) as watched:
            return await anext(watched)
    except TimeoutError:
        raise ClusterError("The Kubernetes API server does not answer.") from None


def _of_strays(live: LiveSet, applications: Sequence[Application], snapshot: Snapshot) -> Iterator[Finding]:
    """Find Applications that no row would keep: with an empty state the ApplicationSet would not be answered."""
    owned = [one for one in applications if one.owner == live.uid]
    if not owned or not live.deletes:
        return
    spec = spec_of(live.plugins)
    known = dict(with_a_place(spec, snapshot, live.name.application_set))
    templates = [spec.name] if spec.name.text else []
    marks = at_once(marks_of(known.items(), snapshot.mapping.shape.naming.label_of, templates))
    if strays := strays_among(owned, marks, len(known)):
        shown = ", ".join(strays[:_MOST_SHOWN]) + (", …" if len(strays) > _MOST_SHOWN else "")
        yield Finding(
            f"ApplicationSet {live.name.application_set!r} in {live.name.namespace} owns {len(strays)} of {len(owned)} "
            f"Applications that are no tenant's, by the rows and as its template names them: {shown}.",
            "They go with the answer that leaves those tenants out, as far as the guard lets them; where it remembers "
            "nothing, the ApplicationSet is not answered. See whether this is the right database, and the template.",
        )


def _of_gap(live: LiveSet, gap: Gap) -> Finding:
    told = f"The guard cannot see all of ApplicationSet {live.name.application_set!r} in {live.name.namespace}"
    return Finding(f"{told}. {gap.what}", gap.remedy, note=True)


_LOOK = 30.0
_NOBODY = "If one should, compare kubernetes.namespaces and kubernetes.plugin_configmaps with it."


async def check_source(source: TenantSource, shape: TableShape, within: float) -> tuple[Snapshot | None, list[Finding]]:
    """Read once, as the service does, and look at what came."""
    try:
        snapshot = await read_snapshot(source, shape, None, within)
    except SourceError as error:
        return None, [Finding(f"{error.what}{_cause(error)}", error.advice)]
    return snapshot, [
        *_quarantined(snapshot),
        *_shared_names(snapshot),
        *_renamed(snapshot),
        *_secrets(snapshot),
        *_nothing(snapshot),
    ]


def _cause(error: SourceError) -> str:
    """Quote the driver for the person at the terminal: log and answers never hold its text."""
    cause = error.__cause__
    lines = str(getattr(cause, "orig", None) or cause or "").strip().splitlines()
    return f" ({shortened(lines[0], 300)})" if lines else ""


def _quarantined(snapshot: Snapshot) -> Iterator[Finding]:
    """Tell the rows that cannot be used, of each reason the first ones."""
    by_reason: dict[tuple[str, str], list[Unusable]] = defaultdict(list)
    for row in snapshot.quarantined:
        by_reason[row.column, row.reason].append(row)
    for (column, reason), rows in by_reason.items():
        yield from (_of_row(row) for row in rows[:_MOST_TOLD])
        if len(rows) > _MOST_TOLD:
            where = f"column {column!r} " if column else ""
            yield Finding(f"And {len(rows) - _MOST_TOLD} more rows: {where}{reason}.", _AS_ABOVE)


def _of_row(row: Unusable) -> Finding:
    whose = f" (tenant {row.tenant!r})" if row.tenant is not None else ""
    effect = "no removal is released while it stands" if row.tenant is None else "it would be quarantined"
    return Finding(
        f"{row.sentence.rstrip('.')}{whose}: {effect}, and tenantry does not start answering with it.",
        "Correct the row.",
    )


def _shared_names(snapshot: Snapshot) -> Iterator[Finding]:
    """Find tenants that the well-known template merges: Argo CD then updates neither of their Applications."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for tenant in snapshot.tenants:
        by_name[tutorial_name(tenant)].append(tenant)
    shared = sorted((name, tenants) for name, tenants in by_name.items() if len(tenants) > 1)
    for name, tenants in shared[:_MOST_TOLD]:
        shown = ", ".join(repr(tenant) for tenant in tenants[:_MOST_SHOWN])
        yield Finding(
            f"Tenants {shown} would share the name {name!r} under "
            'the template `lower | replace "_" "-" | trunc 53`; Argo CD then updates none of them.',
            "Name the Applications by `tenantName`, which no two tenants share, or change one of the ids.",
        )
    if len(shared) > _MOST_TOLD:
        yield Finding(f"And {len(shared) - _MOST_TOLD} more names would be shared.", _AS_ABOVE)


def tutorial_name(tenant: str) -> str:
    """Return what `lower | replace "_" "-" | trunc 53` makes of an id, as sprig does: `trunc` counts bytes."""
    name = tenant.lower().replace("_", "-").encode()
    return name[:_LONGEST_NAME_OF_THE_TUTORIAL].decode(errors="replace")


def _renamed(snapshot: Snapshot) -> Iterator[Finding]:
    """Warn of names that are made otherwise than by default: to change that is to rename, which deletes."""
    naming, usual = snapshot.mapping.shape.naming, Naming()
    if naming.name_field is None or (naming.length, naming.always_hash) == (usual.length, usual.always_hash):
        return
    number = sum(naming.name_of(tenant) != usual.name_of(tenant) for tenant in snapshot.tenants)
    yield Finding(
        f"With naming.length {naming.length} and naming.hash {'always' if naming.always_hash else 'needed'}, {number} "
        f"of {len(snapshot.tenants)} tenants have another {naming.name_field} than by default.",
        "Keep both as they are once Applications are named by it: a change renames them, and Argo CD deletes and "
        "creates what is renamed. `tenantry compare --against` the running service shows which.",
        note=True,
    )


def _secrets(snapshot: Snapshot) -> Iterator[Finding]:
    names = [column.name for column in snapshot.fields if looks_secret(column.name)]
    for column in snapshot.fields:
        if column.kind is Kind.JSON:
            leaves = dotted(column.name, snapshot.tree.get(column.name, {}))
            names += [path for path in leaves if _leaf_looks_secret(path)]
    for name in names[:_MOST_TOLD]:
        yield Finding(
            f"Field {name!r} looks like a secret and is served to every ApplicationSet that asks.",
            "Argo CD stores parameters in plain text: serve a reference to the secret instead.",
            note=True,
        )
    if len(names) > _MOST_TOLD:
        yield Finding(f"And {len(names) - _MOST_TOLD} more fields look like secrets.", _AS_ABOVE, note=True)


def _leaf_looks_secret(path: str) -> bool:
    return looks_secret(re.split(r"\.", path)[-1])


def _nothing(snapshot: Snapshot) -> Iterator[Finding]:
    if not snapshot.tenants:
        yield Finding(
            f"No tenant is served: the table has {snapshot.rows} row{'' if snapshot.rows == 1 else 's'}.",
            "Check source.table and source.serve; an ApplicationSet without tenants has no Applications.",
        )
