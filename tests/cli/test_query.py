"""`tenantry query` on a real file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.contract.bed import SQLiteFile


def test_a_table_shows_all_fields_of_all_tenants(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("query", "--source-url", file.url)

    assert ended.code == 0
    assert ended.out == (
        "SETTINGS         STATUS  TENANT  TENANTLABEL  TENANTNAME\n"
        '{"tier":"gold"}  active  acme    acme         acme\n'
        '{"tier":"free"}  trial   beta    beta         beta\n'
        '{"tier":""}      active  gamma   gamma        gamma\n'
    )
    assert ended.err == "3 of 3 tenants.\n"


def test_a_table_tells_how_many_of_all_tenants_it_shows(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("query", "status=active", "--source-url", file.url)

    assert [line.split()[2] for line in ended.out.splitlines()] == ["TENANT", "acme", "gamma"]
    assert ended.err == "2 of 3 tenants.\n"


def test_json_is_the_answer_itself(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("query", "prod-eu", "status=trial", "-o", "json", TENANTRY_SOURCE_URL=file.url)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "{\n"
        '  "output": {\n'
        '    "parameters": [\n'
        "      {\n"
        '        "settings": {\n'
        '          "tier": "free"\n'
        "        },\n"
        '        "status": "trial",\n'
        '        "tenant": "beta",\n'
        '        "tenantLabel": "beta",\n'
        '        "tenantName": "beta"\n'
        "      }\n"
        "    ]\n"
        "  }\n"
        "}\n"
    )


def test_yaml_is_the_same_answer(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("query", "prod-eu", "status=trial", "-o", "yaml", TENANTRY_SOURCE_URL=file.url)

    assert ended.code == 0
    assert ended.out == (
        "output:\n  parameters:\n  - settings:\n      tier: free\n    status: trial\n    tenant: beta\n"
        "    tenantLabel: beta\n    tenantName: beta\n"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["status=active"], ["acme", "gamma"], id="without the name of an ApplicationSet"),
        pytest.param(["prod", "status=active", "settings.tier=gold"], ["acme"], id="two fields"),
        pytest.param(["prod", "status=active", "status=trial"], ["acme", "beta", "gamma"], id="a field twice"),
        pytest.param(["--input", '{"settings.tier": ["gold", "free"]}'], ["acme", "beta"], id="as JSON"),
        pytest.param(["prod", "tenant=a=b"], [], id="a value with an equals sign"),
        pytest.param(["prod", "status="], [], id="an empty value"),
    ],
)
def test_fields_select(tenantry: Command, file: SQLiteFile, arguments: list[str], expected: list[str]) -> None:
    ended = tenantry("query", *arguments, "-o", "json", "--source-url", file.url)

    assert ended.code == 0
    assert [item["tenant"] for item in json.loads(ended.out)["output"]["parameters"]] == expected


def test_a_leaf_that_no_tenant_has_is_warned_of(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("query", "settings.teir=gold", "--source-url", file.url)

    assert ended.code == 0
    assert "no tenant has a leaf 'settings.teir' now" in ended.err


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        pytest.param(
            "settings=gold",
            "'settings' is an object in JSON, which equals no text. "
            "Its leaves: settings.db.host, settings.db.port, settings.regions, settings.tier.",
            id="a whole column",
        ),
        pytest.param("settings.db=x", "Its leaves: settings.db.host, settings.db.port.", id="an object in it"),
        pytest.param(
            "settings.regions=eu",
            "'settings.regions' is a list in JSON, which equals no text. "
            "Name an item by its number, as in settings.regions.0.",
            id="a list",
        ),
        pytest.param("settings.teir=x", "Did you mean 'settings.tier'?", id="a leaf with a slip of the pen"),
    ],
)
def test_a_comparison_that_no_tenant_can_meet_is_warned_of_with_what_could_be_meant(
    tenantry: Command, file: SQLiteFile, parameter: str, told: str
) -> None:
    file.execute(
        """UPDATE organization SET settings =
           '{"tier":"gold","db":{"host":"a","port":1},"regions":["eu"]}' WHERE tenant = 'acme'"""
    )

    ended = tenantry("query", parameter, "-o", "json", "--source-url", file.url)

    assert (ended.code, json.loads(ended.out)) == (0, {"output": {"parameters": []}})
    assert ended.err.startswith("warning: ")
    assert told in ended.err


def test_a_leaf_of_an_item_of_a_list_is_not_warned_of(tenantry: Command, file: SQLiteFile) -> None:
    file.execute("""UPDATE organization SET settings = '{"regions":["eu", {"name": "us"}]}' WHERE tenant = 'acme'""")

    ended = tenantry("query", "settings.regions.1.name=us", "-o", "json", "--source-url", file.url)

    assert (ended.code, ended.err) == (0, "")
    assert [item["tenant"] for item in json.loads(ended.out)["output"]["parameters"]] == ["acme"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        pytest.param(["prod", "plam=gold"], 1, "Unknown input parameter 'plam'", id="a field that there is not"),
        pytest.param(["prod", "--input", "{"], 1, "not valid JSON", id="an input that is not JSON"),
        pytest.param(["prod", "--input", '{}}, "x": {{}'], 1, "not valid JSON", id="an input that breaks out"),
        pytest.param(["prod", "gold"], 2, "'gold' is not FIELD=VALUE", id="a word that is not a pair"),
        pytest.param(["prod", "a=b", "--input", "{}"], 2, "not both", id="pairs and JSON"),
        pytest.param(["--source-table", "nowhere"], 3, "Table 'nowhere' does not exist.", id="no such table"),
        pytest.param(["--source-id", "key"], 3, "Column 'key' of table 'organization' does not exist", id="no column"),
        pytest.param(["--source-url", "oracle://x"], 2, "Its scheme is not known", id="another database"),
    ],
)
def test_a_refusal_ends_with_its_code_and_prints_nothing_else(
    tenantry: Command, file: SQLiteFile, arguments: list[str], code: int, told: str
) -> None:
    given = arguments if "--source-url" in arguments else [*arguments, "--source-url", file.url]

    ended = tenantry("query", *given)

    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err


def test_without_a_source_the_ways_to_give_one_are_told(tenantry: Command) -> None:
    ended = tenantry("query")

    assert ended.code == 2
    assert "TENANTRY_SOURCE_URL" in ended.err


def test_a_file_that_is_not_there_is_not_reachable_and_not_made(tenantry: Command, tmp_path: Path) -> None:
    ended = tenantry("query", "--source-url", f"sqlite:///{tmp_path}/none.db")

    assert (ended.code, ended.out) == (3, "")
    assert list(tmp_path.iterdir()) == []


def test_where_the_service_would_not_answer_query_does_not_either(tenantry: Command, file: SQLiteFile) -> None:
    file.execute("UPDATE organization SET settings = '{' WHERE tenant = 'acme'")

    ended = tenantry("query", "--source-url", file.url)

    assert (ended.code, ended.out) == (1, "")
    assert "Row 1, column 'settings', is not valid JSON." in ended.err


def test_a_query_changes_nothing(tenantry: Command, file: SQLiteFile) -> None:
    before = file.path.read_bytes()

    tenantry("query", "--source-url", file.url)

    assert file.path.read_bytes() == before
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]
