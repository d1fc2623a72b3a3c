"""The acceptance cases of the plugin contract about selection and names, each with its number."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.contract.cases import case
from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LONGEST_RELEASE = 53
"""Characters of a Helm release, and so of an Application that is one."""


class Table:
    """A table of tenants in a file, and a service that reads it."""

    def __init__(self, folder: Path, serving: Serving) -> None:
        self._path = folder / "tenants.db"
        self._folder = folder
        self._serving = serving

    def execute(self, statements: str) -> None:
        with closing(sqlite3.connect(self._path)) as connection:
            connection.executescript(statements)

    def serve(self, columns: str, *rows: str, **configuration: Any) -> RunningService:  # noqa: ANN401 -- what YAML holds
        self.execute(f"CREATE TABLE organization ({columns})")
        for row in rows:
            self.execute(f"INSERT INTO organization VALUES ({row})")
        config = self._folder / "tenantry.yaml"
        config.write_text(json.dumps({"snapshot": {"refresh": "50ms"}, **configuration}))
        return self._serving({"TENANTRY_CONFIG": str(config), "TENANTRY_SOURCE_URL": f"sqlite:///{self._path}"})


@pytest.fixture
def table(tmp_path: Path, serving: Serving) -> Table:
    return Table(tmp_path, serving)


def items(service: RunningService, parameters: dict[str, object] | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.ask(parameters).json()["output"]["parameters"]
    return found


@case(23)
@pytest.mark.parametrize(
    "parameters", [{"plam": "gold"}, {"selector": "plam=gold"}, {"view": "plam"}, {"Plan": "gold"}]
)
def test_an_unknown_or_misspelt_key_is_refused_and_neither_ignored_nor_matched_by_none(
    table: Table, parameters: dict[str, object]
) -> None:
    service = table.serve("tenant TEXT, plan TEXT", "'acme', 'gold'", views={"plan": {"plan": "gold"}})

    reply = service.ask(parameters)

    assert reply.status == 400
    assert "Did you mean 'plan'?" in reply.json()["message"]


@case(33)
def test_an_odd_id_has_a_name_that_fits_with_an_affix(table: Table) -> None:
    service = table.serve("tenant TEXT", "'Acme_Inc. (EU)'")

    (item,) = items(service)

    name = f"tenant-{item['tenantName']}-app"
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= LONGEST_RELEASE
    assert item["tenantName"].startswith("acme-inc-eu-")


@case(34)
def test_ids_that_read_alike_have_names_of_their_own_and_keep_them_when_others_come_and_go(table: Table) -> None:
    service = table.serve("tenant TEXT", "'Acme_Corp'")
    alone = items(service)[0]["tenantName"]

    table.execute("INSERT INTO organization VALUES ('acme-corp'), ('ACME corp'), ('acme--corp!')")
    eventually(lambda: len(items(service)) == 4, what="The others")

    names = {item["tenant"]: item["tenantName"] for item in items(service)}
    assert len(set(names.values())) == 4
    assert names["Acme_Corp"] == alone
    assert names["acme-corp"] == "acme-corp"


@case(35)
@pytest.mark.parametrize("identifier", ["x" * 64, "Acme Inc", "-acme", "acme.", "株式会社", "a" * 63, "A.b_c"])
def test_the_label_of_any_id_is_a_valid_label(table: Table, identifier: str) -> None:
    service = table.serve("tenant TEXT", f"'{identifier}'")

    assert LABEL_VALUE.fullmatch(items(service)[0]["tenantLabel"])


@case(36)
def test_a_display_name_with_a_newline_is_refused_unless_declared_and_other_signs_are_text(table: Table) -> None:
    hostile = '"quoted": {{ .x }} # & <b>'
    service = table.serve("tenant TEXT, display TEXT", f"'acme', '{hostile}'", "'beta', 'Beta'")
    before = items(service)

    table.execute("UPDATE organization SET display = 'Beta' || char(10) || 'project: admin' WHERE tenant = 'beta'")
    eventually(lambda: "tenantry_quarantined_tenants 1.0" in metrics(service), what="The quarantine")

    assert items(service) == before
    assert before[0]["display"] == hostile


def metrics(service: RunningService) -> str:
    return service.ask(path="/metrics", method="GET", body=b"").body.decode()


@case(36)
def test_a_display_name_that_is_declared_as_text_keeps_its_newline(table: Table) -> None:
    service = table.serve(
        "tenant TEXT, display TEXT", "'acme', 'a' || char(10) || 'b'", fields={"display": {"type": "text"}}
    )

    assert items(service)[0]["display"] == "a\nb"


@case(37)
def test_a_display_name_that_changes_changes_no_name(table: Table) -> None:
    service = table.serve("tenant TEXT, display TEXT", "'Acme Corp', 'Acme'")
    before = items(service)[0]

    table.execute("UPDATE organization SET display = 'Acme International'")
    eventually(lambda: items(service)[0]["display"] == "Acme International", what="The change")

    after = items(service)[0]
    assert (after["tenantName"], after["tenantLabel"]) == (before["tenantName"], before["tenantLabel"])


@case(39)
def test_five_hundred_calls_of_one_pass_are_all_answered(table: Table) -> None:
    service = table.serve("tenant TEXT, region TEXT")
    rows = ", ".join(f"('t{n:04}', 'r{n % 500}')" for n in range(2000))
    table.execute(f"INSERT INTO organization VALUES {rows}")
    eventually(lambda: len(items(service)) == 2000, what="All rows")

    replies = [service.ask({"region": f"r{number}"}) for number in range(500)]

    assert {reply.status for reply in replies} == {200}
    assert sorted(tenant for reply in replies for tenant in reply.tenants()) == [f"t{n:04}" for n in range(2000)]


@case(41)
@pytest.mark.parametrize(
    ("body", "found"),
    [
        (rb'{"seats":"5"}', ["acme"]),
        (rb'{"seats":5}', ["acme"]),
        (rb'{"note":"\u003ca\u0026b\u003e"}', ["acme"]),
        (rb'{"note":"<a&b>"}', ["acme"]),
        (rb'{"selector":"seats in (5)"}', ["acme"]),
        (rb'{"shard":{"index":"0","count":"1"},"allowEmpty":"true"}', ["acme", "beta"]),
        (rb'{"seats":"1e+06"}', ["beta"]),
        (rb'{"selector":{"matchLabels":{"seats":"1e+06"}}}', ["beta"]),
    ],
)
def test_what_a_matrix_writes_otherwise_means_the_same(table: Table, body: bytes, found: list[str]) -> None:
    service = table.serve("tenant TEXT, seats INTEGER, note TEXT", "'acme', 5, '<a&b>'", "'beta', 1000000, ''")

    reply = service.ask(body=b'{"applicationSetName":"a","input":{"parameters":%s}}' % body)

    assert reply.tenants() == found


@case(42)
def test_the_key_of_a_merge_is_text_unique_and_never_null(table: Table) -> None:
    service = table.serve("id INTEGER, tenant TEXT", "1, 'acme'", "2, 'beta'", source={"id": "id"})

    keys = [item["id"] for item in items(service)]

    assert keys == ["1", "2"]
    table.execute("INSERT INTO organization VALUES (NULL, 'gamma'), (2, 'delta')")
    eventually(lambda: "tenantry_quarantined_tenants 2.0" in metrics(service), what="The quarantine")
    assert [item["id"] for item in items(service)] == keys


def test_a_service_with_a_view_that_fits_no_column_never_answers_and_says_why(tmp_path: Path, serving: Serving) -> None:
    path = tmp_path / "tenants.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE organization (tenant TEXT)")
    config = tmp_path / "tenantry.yaml"
    config.write_text(json.dumps({"views": {"paying": {"plan": "pro"}}}))
    environment = {"TENANTRY_CONFIG": str(config), "TENANTRY_SOURCE_URL": f"sqlite:///{path}"}

    service = serving(environment, ready=False)
    eventually(lambda: b"View 'paying'" in service.ask().body, what="The reason")

    reply = service.ask()
    assert reply.status == 503
    assert "Unknown input parameter 'plan' in view 'paying'. Known: tenant" in reply.json()["message"]
