"""What every command prints, and the codes that it ends with."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from ruamel.yaml import YAML

import tenantry as package
from tenantry.cli.main import commands, exit_code
from tenantry.cli.output import number_in_digits, print_document, print_table
from tenantry.core.errors import (
    ConfigurationError,
    InternalError,
    LastGoodUnknown,
    MissingTable,
    SourceUnreachable,
    TenantryError,
    UnknownParameter,
)
from tests.cli.conftest import Command


def test_the_version_is_told(tenantry: Command) -> None:
    ended = tenantry("--version")

    assert (ended.code, ended.out) == (0, f"tenantry, version {package.__version__}\n")


def test_help_names_every_command_and_the_codes(tenantry: Command) -> None:
    ended = tenantry("--help")

    assert ended.code == 0
    assert "0 done, 1 a finding or a refusal, 2 wrong use, 3 not reachable" in ended.out
    assert all(f"\n  {name} " in ended.out for name in ("check", "compare", "demo", "query", "serve", "tenants"))


@pytest.mark.parametrize("command", sorted(commands.commands))
def test_the_help_of_a_command_has_an_example_that_fits_a_terminal(tenantry: Command, command: str) -> None:
    ended = tenantry(command, "--help")

    assert ended.code == 0
    assert f"tenantry {command}" in ended.out.partition("Example:")[2].partition("Options:")[0]
    assert max(map(len, ended.out.splitlines())) <= 100


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["sevre"], id="a command that there is not"),
        pytest.param(["query", "--no-such-flag"], id="a flag that there is not"),
        pytest.param(["query", "-o", "xml"], id="a form that there is not"),
        pytest.param(["compare"], id="a flag that is missing"),
        pytest.param(["demo", "--port", "70000"], id="a port that there is not"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_was_wrong(tenantry: Command, arguments: list[str]) -> None:
    ended = tenantry(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert "Error: " in ended.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError(["It is wrong."]), 2),
        (SourceUnreachable(), 3),
        (MissingTable(), 3),
        (LastGoodUnknown(), 1),
        (UnknownParameter(), 1),
        (InternalError(), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_ends_with_the_code_of_its_kind(error: TenantryError, code: int) -> None:
    assert exit_code(error) == code


def test_a_table_has_aligned_columns_and_obeys_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("tenant", "n"), [{"tenant": "a", "n": "1"}, {"tenant": "\x1b[31mbeta\n", "n": ["2"]}, {}])

    assert capsys.readouterr().out == 'TENANT      N\na           1\n�[31mbeta�  ["2"]\n\n'


@pytest.mark.parametrize("text", ["yes", "1", "null", "1e3", "2026-01-01", "~", "", " x", "a: b", "#", "☃", "\x1b[31m"])
def test_text_is_text_again_after_json_and_yaml(capsys: pytest.CaptureFixture[str], text: str) -> None:
    document = {"output": {"parameters": [{"a": text}]}}

    print_document(document, "json")
    assert json.loads(capsys.readouterr().out) == document
    print_document(document, "yaml")
    assert YAML(typ="safe", pure=True).load(StringIO(capsys.readouterr().out)) == document


def test_json_has_nothing_that_a_terminal_obeys_and_stays_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"a\x9bb": "\x1b[31m\x7f\x85\u202e\u2028\U000e0001 é 東京 🦀 \\u0041"}

    print_document(document, "json")

    printed = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in printed)
    assert json.loads(printed) == document
    assert "é 東京 🦀" in printed


def test_yaml_has_nothing_that_a_terminal_obeys_and_stays_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"a\u202eb": ["\x1b[31m", "\x9b", "\U000e0001", "0\U00018d09", "-\x1b", "yes\u202e", "é 東京"]}

    print_document(document, "yaml")

    printed = capsys.readouterr().out
    assert all(one.isprintable() or one == "\n" for one in printed)
    assert "é 東京" in printed
    assert YAML(typ="safe", pure=True).load(printed) == document


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        ("1234567890123456789.12345678900", "1234567890123456789.12345678900"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1e30", "1.0e+30"),
        ("1.5E-7", "1.5e-7"),
        ("-0.0", "-0.0"),
    ],
)
def test_a_number_keeps_its_digits_in_yaml_and_stays_a_number(
    number: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_document(number_in_digits(f'{{"seats": {number}}}'.encode()), "yaml")

    out = capsys.readouterr().out
    assert out == f"seats: {printed}\n"
    assert YAML(typ="safe", pure=True).load(out) == {"seats": json.loads(number)}
