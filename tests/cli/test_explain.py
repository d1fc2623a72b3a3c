"""`tenantry query` with selectors, views and shards, and why a tenant is in the answer or is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tenantry.core.columns import Kind
from tenantry.core.explaining import Clause, Explanation, explain
from tenantry.core.selection import Selection, parse_selection
from tenantry.core.sharding import shard_of
from tenantry.core.snapshot import Snapshot
from tests.builders import columns_of, snapshot_of
from tests.cli.conftest import Command
from tests.contract.bed import SQLiteFile

VIEWS = "views: {live: {status: active}, gold: {selector: settings.tier=gold}}\n"
TENANTS = ("acme", "beta", "gamma")


def explained(snapshot: Snapshot, parameters: dict[str, object], tenant: str) -> Explanation:
    """Return why a request gets a tenant or not."""
    return explain(snapshot, parse_selection(parameters, snapshot.vocabulary, "test"), tenant)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "tenantry.yaml"
    path.write_text(VIEWS)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--view", "live"], ["acme", "gamma"]),
        (["prod", "--view", "live", "--view", "gold"], ["acme"]),
        (["selector=settings.tier in (gold,free),status!=trial"], ["acme"]),
        (["prod", "selector=!settings.tier"], ["gamma"]),
        (["--input", '{"view": "live", "selector": {"matchLabels": {"tenant": "gamma"}}}'], ["gamma"]),
        (["view=gold"], ["acme"]),
        (["--shard", "0/1"], ["acme", "beta", "gamma"]),
        (["--shard", "1/2", "--view", "live"], [name for name in ("acme", "gamma") if shard_of(name, 2) == 1]),
    ],
)
def test_a_request_is_the_services(
    tenantry: Command, file: SQLiteFile, config: str, arguments: list[str], expected: list[str]
) -> None:
    ended = tenantry("query", *arguments, "-o", "json", "--config", config, "--source-url", file.url)

    assert (ended.code, ended.err) == (0, "")
    assert [item["tenant"] for item in json.loads(ended.out)["output"]["parameters"]] == expected


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--view", "glod"], 1, "Unknown view 'glod' from ApplicationSet 'query'. Known: gold, live."),
        (["--view", "gold", "view=live"], 2, "'view' is given both in the input and as an option."),
        (["--shard", "1"], 2, "--shard '1' is not INDEX/COUNT, such as 0/4."),
        (["--shard", "4/4"], 1, "Input parameter 'shard' has index 4 of 4."),
        (["--reshard", "4"], 2, "--reshard '4' is not OLD:NEW, two numbers from 1 to 1024."),
        (["--reshard", "0:4"], 2, "--reshard '0:4' is not OLD:NEW"),
        (["--reshard", "4:1025"], 2, "--reshard '4:1025' is not OLD:NEW"),
        (["--reshard", "4:2000"], 2, "--reshard '4:2000' is not OLD:NEW"),
        (["selector=tier=gold"], 1, "Unknown input parameter 'tier' from ApplicationSet 'query'."),
    ],
)
def test_what_is_wrong_with_a_request_is_told(
    tenantry: Command, file: SQLiteFile, config: str, arguments: list[str], code: int, told: str
) -> None:
    ended = tenantry("query", *arguments, "--config", config, "--source-url", file.url)

    assert ended.code == code
    assert told in ended.err
    assert ended.out == ""


def test_a_view_that_does_not_fit_the_columns_is_told_as_the_service_would(
    tenantry: Command, file: SQLiteFile, tmp_path: Path
) -> None:
    path = tmp_path / "tenantry.yaml"
    path.write_text("views: {live: {stauts: active}}")

    ended = tenantry("query", "--config", str(path), "--source-url", file.url)

    assert ended.code == 3
    assert "View 'live' cannot be understood. Unknown input parameter 'stauts' in view 'live'." in ended.err
    assert "Did you mean 'status'?" in ended.err


def test_each_clause_is_told_with_what_the_tenant_has(tenantry: Command, file: SQLiteFile, config: str) -> None:
    arguments = ["--view", "live", "selector=settings.tier,settings.x!=1", "tenant=gamma", "tenant=acme"]

    ended = tenantry("query", *arguments, "--explain", "gamma", "--config", config, "--source-url", file.url)

    assert ended.code == 0
    assert ended.out == (
        "HOLDS  CLAUSE                            FOUND\n"
        "yes    status = 'active'                 active\n"
        "yes    tenant is one of 'acme', 'gamma'  gamma\n"
        "no     selector settings.tier            (nothing)\n"
        "yes    selector settings.x!=1            (nothing)\n"
        "It does not match. 1 of 4 clauses does not hold; all have to.\n"
    )


def test_an_empty_text_is_not_told_as_nothing(tenantry: Command, file: SQLiteFile) -> None:
    file.execute("UPDATE organization SET status = NULL WHERE tenant = 'acme'")

    ended = tenantry("query", "status=", "selector=status", "--explain", "acme", "--source-url", file.url)

    assert [line.split() for line in ended.out.splitlines()[1:3]] == [
        ["yes", "status", "=", "''"],
        ["no", "selector", "status", "(nothing)"],
    ]


def test_several_clauses_that_do_not_hold_are_counted() -> None:
    snapshot = snapshot_of([{"tenant": "a", "status": "active", "plan": "pro"}])

    found = explained(snapshot, {"status": "trial", "plan": "free", "tenant": "a"}, "a")

    assert (found.matches, found.why) == (False, "2 of 3 clauses do not hold; all have to.")


def test_null_is_the_empty_text_to_a_comparison_and_nothing_to_a_selector() -> None:
    snapshot = snapshot_of([{"tenant": "a", "status": None}])

    found = explained(snapshot, {"status": "", "selector": "!status"}, "a")

    assert found.clauses == (Clause("status = ''", True, ""), Clause("selector !status", True, None))


def test_every_text_at_a_path_is_told() -> None:
    columns = columns_of(tenant=Kind.TEXT, settings=Kind.JSON)
    snapshot = snapshot_of([{"tenant": "a", "settings": '{"l": [{"x.y": "1", "x": {"y": "2"}}]}'}], columns)

    (clause,) = explained(snapshot, {"settings.l.0.x.y": "2"}, "a").clauses

    assert (clause.holds, clause.found) == (True, "2, 1")


@pytest.mark.parametrize("index", range(3))
def test_the_shard_that_is_told_is_the_tenants_own(index: int) -> None:
    snapshot = snapshot_of([{"tenant": "a"}])
    own = shard_of("a", 3)

    (clause,) = explained(snapshot, {"shard": {"index": index, "count": 3}}, "a").clauses

    assert clause == Clause(f"shard {index} of 3", index == own, f"{own} of 3")


def test_an_explanation_is_a_document_too(tenantry: Command, file: SQLiteFile) -> None:
    arguments = ["status=active", "--shard", "0/1", "--explain", "acme", "-o", "json"]

    ended = tenantry("query", *arguments, "--source-url", file.url)

    assert json.loads(ended.out) == {
        "tenant": "acme",
        "matches": True,
        "why": "Every clause holds.",
        "clauses": [
            {"clause": "status = 'active'", "holds": True, "found": "active"},
            {"clause": "shard 0 of 1", "holds": True, "found": "0 of 1"},
        ],
    }


@pytest.mark.parametrize(
    ("tenant", "why"),
    [
        ("acme", "It matches. Nothing is asked for, so every tenant matches.\n"),
        ("", "It does not match. No row that is served has this id.\n"),
        ("nobody", "It does not match. No row that is served has this id.\n"),
    ],
)
def test_without_clauses_there_is_a_reason_all_the_same(
    tenantry: Command, file: SQLiteFile, tenant: str, why: str
) -> None:
    assert tenantry("query", "--explain", tenant, "--source-url", file.url).out == why


def test_a_quarantined_tenant_is_told_as_that() -> None:
    columns = columns_of(tenant=Kind.TEXT, settings=Kind.JSON)
    good = snapshot_of([{"tenant": "a", "settings": "{}"}], columns)
    rows: list[dict[str, object]] = [{"tenant": name, "settings": "{"} for name in "ab"]
    snapshot = snapshot_of(rows, columns, previous=good)

    kept, left_out = (explain(snapshot, Selection(), name) for name in "ab")

    assert kept.matches
    assert kept.why.endswith("It has its last good parameters. Row 1, column 'settings', is not valid JSON.")
    assert not left_out.matches
    assert left_out.why == "It is quarantined. Row 2, column 'settings', is not valid JSON."


def test_what_another_number_of_shards_would_move_is_shown(tenantry: Command, file: SQLiteFile) -> None:
    moves = [
        {"tenant": name, "from": shard_of(name, 3), "to": shard_of(name, 64)}
        for name in TENANTS
        if shard_of(name, 3) != shard_of(name, 64)
    ]

    ended = tenantry("query", "--reshard", "3:64", "-o", "json", "--source-url", file.url)
    table = tenantry("query", "--reshard", "3:64", "--source-url", file.url)

    assert moves
    assert json.loads(ended.out) == {"tenants": 3, "moves": moves}
    assert table.err == f"{len(moves)} of 3 tenants would move to another shard.\n"
    assert len(table.out.splitlines()) == len(moves) + 1


def test_the_most_and_the_fewest_shards_can_be_asked_about(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("query", "tenant=acme", "--reshard", "1:1024", "-o", "json", "--source-url", file.url)

    assert json.loads(ended.out) == {
        "tenants": 1,
        "moves": [{"tenant": "acme", "from": 0, "to": shard_of("acme", 1024)}],
    }


def test_the_same_number_of_shards_moves_nobody(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("query", "--reshard", "3:3", "--source-url", file.url)

    document = tenantry("query", "--reshard", "3:3", "-o", "json", "--source-url", file.url)

    assert (ended.out, ended.err) == ("TENANT  FROM  TO\n", "0 of 3 tenants would move to another shard.\n")
    assert json.loads(document.out) == {"tenants": 3, "moves": []}
