"""Printing for people and for programs: a table, or JSON and YAML that stay as they are."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import msgspec

FORMATS = ("table", "json", "yaml")

Command = TypeVar("Command", bound=Callable[..., Any])


def output_option(command: Command) -> Command:
    """Add `-o table|json|yaml` to a command."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print."
    )(command)


def print_document(document: object, form: str) -> None:
    """Print a document as JSON or YAML."""
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    from ruamel.yaml import YAML

    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(document, text)
    click.echo(text.getvalue(), nl=False)


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows under the names of their columns."""
    cells = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(text) for text in (name, *column)) for name, *column in zip(columns, *cells, strict=True)]
    for line in ([column.upper() for column in columns], *cells):
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    """Write a value on one line, without control characters: a terminal obeys some of them."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
