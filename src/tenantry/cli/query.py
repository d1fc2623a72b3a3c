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
from tenantry.core.columns import Kind
from tenantry.core.errors import listed, nearest, quoted
from tenantry.core.layout import dotted
from tenantry.core.selection import parse_selection, values_at
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import at_once
from tenantry.core.values import Nested


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
    """Warn of comparisons that no tenant meets: not an error, since that depends on the rows of the moment."""
    for position, column in enumerate(snapshot.fields):
        if column.kind is not Kind.JSON or not snapshot.tenants:
            continue
        tree = snapshot.tree.get(column.name, {})
        leaves = dotted(column.name, tree) if tree else [column.name]
        for name in asked:
            if name == column.name or name.startswith(f"{column.name}."):
                yield from _warning(name, list(_standing_at(snapshot, position, name)), leaves)


def _standing_at(snapshot: Snapshot, position: int, name: str) -> Iterator[Nested]:
    """Return what each tenant has under the name of a JSON column, or of something in it."""
    column = snapshot.fields[position].name
    for tenant in snapshot.tenants.values():
        value = tenant.values[position]
        yield from [value] if name == column else values_at(value, name[len(column) + 1 :])


def _warning(name: str, found: Sequence[Nested], leaves: Sequence[str]) -> Iterator[str]:
    if not found:
        yield f"no tenant has a leaf {quoted(name)} now, so none matches.{nearest(name, leaves)}"
    elif all(isinstance(value, str) for value in found) or any(isinstance(value, str) and value for value in found):
        return
    elif any(isinstance(value, dict) for value in found):
        below = [leaf for leaf in leaves if leaf.startswith(f"{name}.")]
        told = f" Its leaves: {listed(below)}." if below else ""
        yield f"{quoted(name)} is an object in JSON, which equals no text.{told}"
    else:
        yield f"{quoted(name)} is a list in JSON, which equals no text. Name an item by its number, as in {name}.0."
