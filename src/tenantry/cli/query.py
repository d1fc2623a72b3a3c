"""`tenantry query`: what an ApplicationSet would be answered, and why."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import click

from tenantry.cli.asking import INPUT_HELP, question
from tenantry.cli.options import SettingsSource, settings_options
from tenantry.cli.output import output_option, print_document, print_table
from tenantry.cli.reading import snapshot_now
from tenantry.cli.warning import warnings_of
from tenantry.core.answer import make_answer, parameter_sets
from tenantry.core.explaining import Explanation, explain
from tenantry.core.index import SnapshotIndex
from tenantry.core.selection import Selection, parse_selection
from tenantry.core.sharding import MOST_SHARDS, shard_of
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import at_once
from tenantry.service.answering import PluginRequest


@click.command()
@click.argument("application_set", default="query", metavar="[APPLICATIONSET]")
@click.argument("pairs", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--input", "given", metavar="JSON", help=INPUT_HELP)
@click.option(
    "--view", "views", metavar="NAME", multiple=True, help="A view of the configuration; several must all hold."
)
@click.option("--shard", metavar="INDEX/COUNT", help="One of so many parts, such as 0/4.")
@click.option("--explain", "explained", metavar="ID", help="Tell why this tenant is in the answer or is not.")
@click.option(
    "--reshard", metavar="OLD:NEW", help="Show which of these tenants another number of shards would move, and where."
)
@settings_options
@output_option
def query(
    application_set: str,
    pairs: tuple[str, ...],
    given: str | None,
    views: tuple[str, ...],
    shard: str | None,
    explained: str | None,
    reshard: str | None,
    source: SettingsSource,
    form: str,
) -> None:
    """Show what an ApplicationSet with this input would be answered, from a read of its own; records nothing.

    \b
    Example:
      tenantry query prod-eu status=active status=trial
      tenantry query selector='plan in (pro,enterprise),!legacy'
      tenantry query --input '{"settings.tier": "gold"}' -o json
      tenantry query prod-eu --view paying --explain acme-corp
    """
    if "=" in application_set:
        application_set, pairs = "query", (application_set, *pairs)
    counts = _counts(reshard)
    request = _with_options(question(application_set, pairs, given), views, shard)
    snapshot = asyncio.run(snapshot_now(source.load()))
    selection = parse_selection(request.parameters, snapshot.vocabulary, request.application_set)
    for warning in warnings_of(snapshot, selection):
        click.echo(f"warning: {warning}", err=True)
    if explained is not None:
        _print_explanation(explain(snapshot, selection, explained), form)
    elif counts is not None:
        _print_moves(snapshot, selection, *counts, form)
    else:
        _print_answer(snapshot, selection, form)


def _with_options(request: PluginRequest, views: Sequence[str], shard: str | None) -> PluginRequest:
    """Add what has an option of its own to a request; raises UsageError where it says so already."""
    added: dict[str, object] = {}
    if views:
        added["view"] = list(views)
    if shard is not None:
        index, slash, count = shard.partition("/")
        if not slash:
            raise click.UsageError(f"--shard '{shard}' is not INDEX/COUNT, such as 0/4.")
        added["shard"] = {"index": index, "count": count}
    if twice := sorted(added.keys() & request.parameters.keys()):
        raise click.UsageError(f"'{twice[0]}' is given both in the input and as an option.")
    return PluginRequest(request.application_set, {**request.parameters, **added})


def _counts(reshard: str | None) -> tuple[int, int] | None:
    if reshard is None:
        return None
    found = re.fullmatch(r"([0-9]{1,4}):([0-9]{1,4})", reshard)
    if not found or not all(1 <= int(count) <= MOST_SHARDS for count in found.groups()):
        raise click.UsageError(f"--reshard '{reshard}' is not OLD:NEW, two numbers from 1 to {MOST_SHARDS}.")
    return int(found[1]), int(found[2])


def _print_answer(snapshot: Snapshot, selection: Selection, form: str) -> None:
    items = parameter_sets(at_once(make_answer(SnapshotIndex(snapshot), selection)).body)
    if form != "table":
        print_document({"output": {"parameters": items}}, form)
    else:
        print_table(snapshot.mapping.names, items)
        click.echo(f"{len(items)} of {len(snapshot.tenants)} tenants.", err=True)


def _print_explanation(found: Explanation, form: str) -> None:
    clauses = [{"clause": one.asked, "holds": one.holds, "found": one.found} for one in found.clauses]
    if form != "table":
        print_document({"tenant": found.tenant, "matches": found.matches, "why": found.why, "clauses": clauses}, form)
        return
    if clauses:
        shown: list[Mapping[str, object]] = [
            {
                **one,
                "holds": "yes" if one["holds"] else "no",
                "found": "(nothing)" if one["found"] is None else one["found"],
            }
            for one in clauses
        ]
        print_table(("holds", "clause", "found"), shown)
    click.echo(f"{'It matches' if found.matches else 'It does not match'}. {found.why}")


def _print_moves(snapshot: Snapshot, selection: Selection, old: int, new: int, form: str) -> None:
    """Print the tenants whose shard is another one with another count: their Applications are deleted and made anew."""
    chosen = at_once(SnapshotIndex(snapshot).chosen(selection))
    moves = [
        {"tenant": tenant.id, "from": shard_of(tenant.id, old), "to": shard_of(tenant.id, new)} for tenant in chosen
    ]
    moving = [move for move in moves if move["from"] != move["to"]]
    if form != "table":
        print_document({"tenants": len(moves), "moves": moving}, form)
        return
    print_table(("tenant", "from", "to"), [{key: str(value) for key, value in move.items()} for move in moving])
    click.echo(f"{len(moving)} of {len(moves)} tenants would move to another shard.", err=True)
