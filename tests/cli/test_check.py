"""`tenantry check`: each finding with its remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.contract.bed import SQLiteFile
from tests.support.postgres import Database
from tests.support.processes import free_port

TOKEN = "test-token"


def findings(command: Command, code: int, *arguments: str, **environment: str) -> list[dict[str, Any]]:
    """Check, and hold every finding to the promise that it says what to do."""
    ended = command("check", *arguments, "-o", "json", **{"AUTH_TOKEN": TOKEN, **environment})
    assert ended.code == code, ended
    found: list[dict[str, Any]] = json.loads(ended.out)["findings"]
    assert all(one["what"] and one["remedy"] for one in found), found
    return found


def the_one(found: list[dict[str, Any]]) -> tuple[str, str]:
    assert len(found) == 1, found
    return found[0]["what"], found[0]["remedy"]


def test_what_is_right_has_no_findings(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("check", AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url)

    assert ended.code == 0
    assert ended.out == (
        "3 tenants of 3 rows would be served, with settings, status, tenant, tenantLabel, tenantName.\n"
        "A change of the file is noticed within 0.25 s.\nNo findings.\n"
    )


def test_a_finding_is_printed_with_its_remedy(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("check", "--source-table", "nowhere", AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url)

    assert ended.code == 1
    assert ended.out == (
        "finding: Table 'nowhere' does not exist.\n"
        "  remedy: Check source.table and the search path of the database role.\n1 finding.\n"
    )


def test_json_has_what_would_be_served(tenantry: Command, file: SQLiteFile) -> None:
    ended = tenantry("check", "-o", "json", AUTH_TOKEN=TOKEN, TENANTRY_SOURCE_URL=file.url)

    assert json.loads(ended.out) == {
        "findings": [],
        "changes": "A change of the file is noticed within 0.25 s.",
        "tenants": 3,
        "rows": 3,
        "fields": ["settings", "status", "tenant", "tenantLabel", "tenantName"],
    }


def test_no_token_is_a_finding_and_the_rest_is_checked_all_the_same(tenantry: Command, file: SQLiteFile) -> None:
    file.execute("UPDATE organization SET settings = '{' WHERE tenant = 'acme'")

    found = findings(tenantry, 1, AUTH_TOKEN="", TENANTRY_SOURCE_URL=file.url)

    assert len(found) == 2
    assert "There is no token." in found[0]["what"]
    assert "AUTH_TOKEN" in found[0]["what"] + found[0]["remedy"]


@pytest.mark.parametrize("given", ["$tenantry:token", "$ARGOCD_TOKEN"])
def test_a_token_that_is_an_unresolved_reference_is_a_finding_that_does_not_show_it(
    tenantry: Command, file: SQLiteFile, tmp_path: Path, given: str
) -> None:
    mounted = tmp_path / "token"
    mounted.write_text(f"{given}\n")

    by_value = the_one(findings(tenantry, 1, AUTH_TOKEN=given, TENANTRY_SOURCE_URL=file.url))
    by_file = the_one(findings(tenantry, 1, "--tokens-file", str(mounted), AUTH_TOKEN="", TENANTRY_SOURCE_URL=file.url))

    assert by_value[0] == "AUTH_TOKEN (tokens.value) begins with '$': it is a Secret reference that nobody resolved."
    assert by_file[0] == "The token in tokens.file begins with '$': it is a Secret reference that nobody resolved."
    assert given not in " ".join((*by_value, *by_file))


def test_no_source_is_a_finding(tenantry: Command) -> None:
    assert "There is no source" in the_one(findings(tenantry, 1))[0]


def test_every_mistake_of_the_configuration_is_a_finding(tenantry: Command, tmp_path: Path) -> None:
    config = tmp_path / "tenantry.yaml"
    config.write_text("source:\n  tabel: organization\nsnapshot:\n  refresh: fast\n")

    found = findings(tenantry, 1, "--config", str(config))

    assert ["tabel" in one["what"] for one in found] == [True, False]
    assert "snapshot.refresh" in found[1]["what"]


def test_a_database_that_is_not_there_is_a_finding(tenantry: Command) -> None:
    url = f"postgresql://reader:geheim@127.0.0.1:{free_port()}/organization"

    what, remedy = the_one(findings(tenantry, 1, TENANTRY_SOURCE_URL=url))

    assert what.startswith("The database is not reachable.")
    assert "host, port" in remedy
    assert "geheim" not in what


def test_a_wrong_password_is_a_finding_that_does_not_tell_it(tenantry: Command, database: Database) -> None:
    what, remedy = the_one(findings(tenantry, 1, TENANTRY_SOURCE_URL=database.url(password="geheim")))

    assert what.startswith("The database refused the login.")
    assert "password" in remedy
    assert "geheim" not in what


def test_a_table_that_may_not_be_read_is_a_finding(tenantry: Command, database: Database) -> None:
    role, password = database.create_reader()
    database.execute(f"REVOKE SELECT ON organization FROM {role}")

    what, remedy = the_one(findings(tenantry, 1, TENANTRY_SOURCE_URL=database.url(role, password)))

    assert what.startswith("The database role may not read the tenants.")
    assert "SELECT" in remedy


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        pytest.param("--source-table", "organisation", "Table 'organisation' does not exist.", id="a table"),
        pytest.param("--source-id", "tennant", "Did you mean 'tenant'?", id="the id"),
        pytest.param("--source-state", "state", "Column 'state'", id="the state"),
        pytest.param("--source-parameters", "tenant,plam", "Column 'plam'", id="a parameter"),
    ],
)
def test_a_name_that_the_database_does_not_have_is_a_finding(
    tenantry: Command, file: SQLiteFile, setting: str, value: str, told: str
) -> None:
    assert told in the_one(findings(tenantry, 1, setting, value, TENANTRY_SOURCE_URL=file.url))[0]


def test_rows_that_cannot_be_used_are_findings_that_name_their_tenants(tenantry: Command, file: SQLiteFile) -> None:
    file.execute(
        "UPDATE organization SET settings = '{' WHERE tenant = 'acme';"
        "INSERT INTO organization VALUES ('beta', 'active', NULL), (NULL, 'active', NULL)"
    )

    found = findings(tenantry, 1, TENANTRY_SOURCE_URL=file.url)

    told = " ".join(one["what"] for one in found)
    assert len(found) == 3
    assert "is not valid JSON (tenant 'acme')" in told
    assert "has the id of another row (tenant 'beta')" in told
    assert "has no usable id: no removal is released while it stands" in told


def test_of_many_rows_with_one_reason_twenty_are_told_and_the_others_counted(
    tenantry: Command, file: SQLiteFile
) -> None:
    file.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
        " INSERT INTO organization SELECT printf('t%03d', i), 'active', iif(i <= 45, '{', 'NaN') FROM n"
    )

    found = findings(tenantry, 1, TENANTRY_SOURCE_URL=file.url)

    told = [one["what"] for one in found]
    assert len(told) == 20 + 1 + 5
    assert sum("is not valid JSON (tenant" in what for what in told) == 20
    assert sum("holds NaN or Infinity (tenant" in what for what in told) == 5
    assert "And 25 more rows: column 'settings' is not valid JSON." in told


def test_of_many_names_that_would_be_shared_twenty_are_told_and_the_others_counted(
    tenantry: Command, file: SQLiteFile
) -> None:
    file.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)"
        " INSERT INTO organization SELECT printf('t-%03d', i), 'active', NULL FROM n"
        " UNION ALL SELECT printf('T_%03d', i), 'active', NULL FROM n"
    )

    told = [one["what"] for one in findings(tenantry, 1, TENANTRY_SOURCE_URL=file.url)]

    assert len(told) == 21
    assert told[-1] == "And 10 more names would be shared."


def test_tenants_that_a_common_template_merges_are_a_finding(tenantry: Command, file: SQLiteFile) -> None:
    file.execute("INSERT INTO organization VALUES ('north_sea', 'active', NULL), ('North-Sea', 'active', NULL)")

    what, _ = the_one(findings(tenantry, 1, TENANTRY_SOURCE_URL=file.url))

    assert "'North-Sea', 'north_sea' would share the name 'north-sea'" in what


def test_names_cut_at_the_same_place_are_a_finding(tenantry: Command, file: SQLiteFile) -> None:
    file.execute(f"INSERT INTO organization VALUES ('{'a' * 53}x', 'active', NULL), ('{'a' * 53}y', 'active', NULL)")

    assert "would share the name" in the_one(findings(tenantry, 1, TENANTRY_SOURCE_URL=file.url))[0]


def test_a_column_that_looks_like_a_secret_is_refused_unless_it_is_named(tenantry: Command, file: SQLiteFile) -> None:
    file.execute("ALTER TABLE organization ADD db_password TEXT")

    what, remedy = the_one(findings(tenantry, 1, TENANTRY_SOURCE_URL=file.url))
    note = findings(tenantry, 0, TENANTRY_SOURCE_URL=file.url, TENANTRY_SOURCE_PARAMETERS="tenant,db_password")

    assert "'db_password' looks like a secret" in what
    assert "source.parameters" in remedy
    assert [one["level"] for one in note] == ["note"]
    assert "served to every ApplicationSet" in the_one(note)[0]


def test_a_leaf_that_looks_like_a_secret_is_a_note(tenantry: Command, file: SQLiteFile) -> None:
    file.execute("""UPDATE organization SET settings = '{"smtp":{"apiKey":"x"}}' WHERE tenant = 'acme'""")

    assert "'settings.smtp.apiKey'" in the_one(findings(tenantry, 0, TENANTRY_SOURCE_URL=file.url))[0]


def test_a_table_without_tenants_is_a_finding(tenantry: Command, file: SQLiteFile) -> None:
    file.execute("DELETE FROM organization")

    assert (
        "No tenant is served: the table has 0 rows." in the_one(findings(tenantry, 1, TENANTRY_SOURCE_URL=file.url))[0]
    )


# --- the admin API -----------------------------------------------------------------------------------------------


def test_a_data_directory_that_cannot_be_had_is_a_note(tenantry: Command, file: SQLiteFile) -> None:
    found = findings(tenantry, 0, TENANTRY_SOURCE_URL=file.url, TENANTRY_DATA_DIRECTORY=str(file.path / "data"))

    what, remedy = the_one(found)
    assert what == f"The admin API's socket '{file.path}/data/admin.sock' cannot be made (Not a directory)."
    assert "Tenants are served all the same" in remedy
    assert found[0]["level"] == "note"


def test_an_admin_token_that_argo_cd_has_too_is_a_finding(tenantry: Command, file: SQLiteFile, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    for name in ("tokens/argocd.1", "admin-token"):
        (tmp_path / name).write_text("one-and-the-same\n")

    what, remedy = the_one(
        findings(
            tenantry,
            1,
            TENANTRY_SOURCE_URL=file.url,
            TENANTRY_TOKENS_DIRECTORY=str(tmp_path / "tokens"),
            TENANTRY_ADMIN_TOKEN_FILE=str(tmp_path / "admin-token"),
        )
    )

    assert what.startswith("The admin token is one of the plugin's too")
    assert "openssl rand" in remedy


@pytest.mark.parametrize("content", [None, "", " \n"], ids=["missing", "empty", "blank"])
def test_a_file_without_an_admin_token_is_a_finding(
    tenantry: Command, file: SQLiteFile, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "admin-token"
    if content is not None:
        path.write_text(content)

    what, _ = the_one(findings(tenantry, 1, TENANTRY_SOURCE_URL=file.url, TENANTRY_ADMIN_TOKEN_FILE=str(path)))

    assert what == f"There is no admin token in '{path}' (admin.token_file)."


@pytest.mark.parametrize("way", ["TENANTRY_ADMIN_TOKEN", "TENANTRY_ADMIN_TOKEN_FILE"])
def test_an_admin_token_that_is_an_unresolved_reference_is_a_finding(
    tenantry: Command, file: SQLiteFile, tmp_path: Path, way: str
) -> None:
    reference = "$tenantry:admin"
    (tmp_path / "token").write_text(reference)
    given = str(tmp_path / "token") if way.endswith("FILE") else reference

    what, _ = the_one(findings(tenantry, 1, **{"TENANTRY_SOURCE_URL": file.url, way: given}))

    assert "admin" in what.lower()
    assert "Secret reference" in what
