"""`tenantry status`: how it all stands, at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import msgspec

from tenantry.cli.output import output_option, plain, print_document, print_table
from tenantry.cli.reaching import AdminApi, ServiceUnreachable, reaching_options

_COLUMNS = ("applicationset", "namespace", "consumer", "tenants", "applications", "held", "answered", "told", "problem")


@click.command()
@reaching_options
@output_option
def status(*, api: AdminApi, form: str) -> None:
    """Show how it all stands: the snapshot, how changes are heard and told, and each ApplicationSet that uses tenantry.

    Ends with 1 while nobody can be answered.

    \b
    Example:
      tenantry status
      tenantry status -o json
    """
    try:
        found: dict[str, Any] = msgspec.json.decode(api.get("status", {}), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ServiceUnreachable(f"What answers at {api} is not tenantry, or another version of it.") from error
    if form != "table":
        print_document(found, form)
    else:
        for line in _lines(found):
            click.echo(plain(line))
        print_table(_COLUMNS, [_row(one) for one in found["application_sets"]])
        for one in found["application_sets"]:
            for line in _lines_of_applications(one):
                click.echo(plain(line))
            for gap in one["gaps"]:
                click.echo(plain(f"note: the guard cannot see all of {one['application_set']}. {gap}"))
    if found["problem"]:
        click.echo(f"warning: ApplicationSets are not answered now. {plain(found['problem'])}", err=True)
        raise SystemExit(1)


def _lines(found: Mapping[str, Any]) -> list[str]:
    snapshot, feed, cluster = found["snapshot"], found["feed"], found["cluster"]
    lines = [f"tenantry {found['version']}"]
    if snapshot is None:
        lines.append("Tenants: not read yet.")
    else:
        lines.append(
            f"Tenants: {snapshot['tenants']} served, {snapshot['retired']} retired, {snapshot['quarantined']} rows in "
            f"quarantine; read {snapshot['age_seconds']:.0f} s ago."
        )
    if feed is None:
        lines.append("Changes are found by the timer.")
    else:
        lines.append(f"Changes are {'heard' if feed['is_heard'] else 'NOT heard now'} ({feed['name']}).")
    if found["applications_problem"]:
        lines.append(f"What became of answers cannot be seen: {found['applications_problem']}")
    lines += map(_line_of, found["replicas"] or [])
    if found["replica_problem"]:
        lines.append(f"warning: this replica leaves answers to others. {found['replica_problem']}")
    if cluster is None:
        lines.append("Argo CD polls: there is no access to a cluster.")
    for one in cluster or []:
        where = "every namespace" if one["namespace"] == "*" else f"namespace {one['namespace']}"
        lines.append(
            f"Argo CD is told of changes in {where}." if not one["problem"] else f"In {where}: {one['problem']}"
        )
    return lines


def _line_of(replica: Mapping[str, Any]) -> str:
    this = ", this one" if replica["is_this"] else ""
    configuration = "the newest configuration" if replica["is_newest"] else "another configuration"
    seen = f"seen {replica['seen_seconds']:.0f} s ago"
    return f"Replica {replica['id']}{this}: {replica['version']}, {configuration}, {seen}."


def _lines_of_applications(one: Mapping[str, Any]) -> list[str]:
    """Return what there is to tell of Applications, which is nothing while they are as they should be."""
    states = one["states"] or {}
    what = {
        "out_of_sync": "out of sync",
        "degraded": "degraded",
        "being_deleted": "being deleted",
    }
    told = [f"{states[name]} {text}" for name, text in what.items() if states.get(name)]
    name = one["application_set"]
    lines = [f"{name}: of {states['owned']} Applications {', '.join(told)}."] if told else []
    if states.get("served_being_deleted"):
        lines.append(
            f"warning: {states['served_being_deleted']} tenants of {name} are answered, and their Applications are "
            "being deleted."
        )
    if one["unmatched"]:
        lines.append(
            f"warning: {one['unmatched']} Applications of {name} are nobody's who is answered, as its template names "
            "them now: the next pass deletes them."
        )
    return lines


def _row(one: Mapping[str, Any]) -> dict[str, object]:
    pending, last = one["pending_seconds"], one["last_nudge_seconds"]
    told = f"waits {pending:.0f} s" if pending is not None else "" if last is None else f"{last:.0f} s ago"
    return {
        "applicationset": one["application_set"],
        "namespace": one["namespace"] or "",
        "consumer": one["consumer"] or "",
        "tenants": "" if one["tenants"] is None else str(one["tenants"]),
        "applications": "" if one["applications"] is None else str(one["applications"]),
        "held": str(one["held"]),
        "answered": (one["last_answer"] or "")[:19].replace("T", " "),
        "told": told,
        "problem": one["problem"] or "",
    }
