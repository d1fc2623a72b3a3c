"""`tenantry query`: what an ApplicationSet would be answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import click

from tenantry.cli.asking import INPUT_HELP, question
from tenantry.cli.options import SettingsSource, settings_options
from tenantry.cli.output import output_option, print_document, print_table
from tenantry.cli.reading import snapshot_now
from tenantry.core.answer import make_answer, parameter_sets
from tenantry.core.layout import Tree
from tenantry.core.selection import parse_selection
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import at_once


@click.command()
@click.argument("application_set", default="query", metavar="[APPLICATIONSET]")
@click.argument("pairs", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--input", "given", metavar="JSON", help=INPUT_HELP)
@settings_options
@output_option
def query(application_set: str, pairs: tuple[str, ...], given: str | None, source: SettingsSource, form: str) -> None:
    """Show what an ApplicationSet with this input would be answered, from a read of its own; records nothing.

    \b
    Example:
      tenantry query prod-eu status=active status=trial
      tenantry query --input '{"settings.tier": "gold"}' -o json
    """
    if "=" in application_set:
        application_set, pairs = "query", (application_set, *pairs)
    request = question(application_set, pairs, given)
    snapshot = asyncio.run(snapshot_now(source.load()))
    selection = parse_selection(request.parameters, snapshot.fields, request.application_set)
    answer = at_once(make_answer(snapshot, selection))
    for warning in _warnings(snapshot, request.parameters):
        click.echo(f"warning: {warning}", err=True)
    items = parameter_sets(answer.body)
    if form != "table":
        print_document({"output": {"parameters": items}}, form)
    else:
        print_table(snapshot.mapping.names, items)
        click.echo(f"{len(items)} of {len(snapshot.tenants)} tenants.", err=True)


def _warnings(snapshot: Snapshot, asked: Mapping[str, object]) -> Iterator[str]:
    """Warn of JSON leaves that no tenant has: not an error, since that depends on the rows of the moment."""
    for name in asked:
        if "." in name and name not in snapshot.mapping.names and not _is_leaf(snapshot.tree, name.split(".")):
            yield f"no tenant has a leaf '{name}' now, so none matches."


def _is_leaf(tree: Tree, keys: Sequence[str]) -> bool:
    """Tell whether some way of joining keys leads into the layout: a key may have dots of its own."""
    if not keys or not tree:
        return True
    return any(
        _is_leaf(tree[".".join(keys[:length])], keys[length:])
        for length in range(1, len(keys) + 1)
        if ".".join(keys[:length]) in tree
    )
