"""Printing for people and for programs: a table, or JSON and YAML that stay as they are."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click
import msgspec

FORMATS = ("table", "json", "yaml")

MANIFEST_FORMATS = ("yaml", "json")

Command = TypeVar("Command", bound=Callable[..., Any])

_NO_PLAIN_TEXT = re.compile(r"[-+.0-9].*|y|yes|n|no|on|off", re.IGNORECASE)
"""What a reader of YAML 1.1, such as kubectl, takes for something else than a text, and one of YAML 1.2 does not."""


_UNPRINTABLE = re.compile(r"[^\n -~]+")
"""What may not be printable."""


def output_option(command: Command) -> Command:
    """Add `-o table|json|yaml` to a command."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print."
    )(command)


def print_document(document: object, form: str) -> None:
    """Print a document as JSON or YAML."""
    if form == "json":
        formatted = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
        click.echo(_UNPRINTABLE.sub(_escaped, formatted))
        return
    text = io.StringIO()
    _yaml(in_order=True).dump(document, text)
    _print_yaml(text.getvalue())


def print_manifests(manifests: Sequence[Mapping[str, object]], form: str) -> None:
    """Print objects for `kubectl apply -f -`: as YAML, each with its line `---`, or as a List in JSON."""
    if form == "json":
        print_document({"apiVersion": "v1", "kind": "List", "items": manifests}, form)
        return
    text = io.StringIO()
    yaml = _yaml(in_order=False)
    yaml.explicit_start = True
    yaml.dump_all(manifests, text)
    _print_yaml(text.getvalue())


class Digits(str):
    """A number as it is written, which is printed so in YAML too."""

    __slots__ = ()


def number_in_digits(document: bytes) -> object:
    """Decode JSON for YAML: a number that is no whole one keeps every digit."""
    return msgspec.json.Decoder(float_hook=Digits).decode(document)


def _print_yaml(text: str) -> None:
    click.echo(_UNPRINTABLE.sub(_escaped_in_yaml, text), nl=False)


def _yaml(*, in_order: bool) -> Any:  # noqa: ANN401 -- its type is known where it is imported
    """Return a writer of YAML, one line for each text, keys in order of name or as they come."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        """Writes texts that all versions of YAML read as texts, and the same object twice where it stands twice."""

        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- whatever it is
            return True

        def represent_text(self, text: str) -> object:
            style = '"' if not text.isprintable() else "'" if _NO_PLAIN_TEXT.fullmatch(text) else None
            return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

        def represent_digits(self, number: Digits) -> object:
            # Without a point, YAML 1.1 reads an exponent as text.
            mantissa, exponent, power = number.lower().partition("e")
            digits = f"{mantissa}.0" if exponent and "." not in mantissa else mantissa
            return self.represent_scalar("tag:yaml.org,2002:float", f"{digits}{exponent}{_signed(power)}")

    Representer.add_representer(str, Representer.represent_text)
    Representer.add_representer(Digits, Representer.represent_digits)
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.width = 1_000_000
    yaml.sort_base_mapping_type_on_output = in_order
    return yaml


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows under the names of their columns."""
    cells = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(text) for text in (name, *column)) for name, *column in zip(columns, *cells, strict=True)]
    for line in ([column.upper() for column in columns], *cells):
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    """Write a value on one line, without control characters: a terminal obeys some of them."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return plain(text)


def plain(text: str) -> str:
    """Return a text without control characters, line breaks among them."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _signed(power: str) -> str:
    """Return an exponent with its sign, as YAML 1.1 wants it."""
    return power if power[:1] in ("", "+", "-") else f"+{power}"


def _escaped_in_yaml(found: re.Match[str]) -> str:
    """Do the same for YAML, where a text with such characters stands between double quotes."""
    return "".join(
        one if one.isprintable() else f"\\u{ord(one):04x}" if ord(one) < 1 << 16 else f"\\U{ord(one):08x}"
        for one in found[0]
    )


def _escaped(found: re.Match[str]) -> str:
    """Write characters as JSON's escapes where they are not printable: the same JSON, and nothing to obey."""
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in found[0])
