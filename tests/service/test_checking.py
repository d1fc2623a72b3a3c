"""Findings, each with its remedy."""

from __future__ import annotations

import pytest

from tenantry.core.columns import Column, Kind
from tenantry.core.errors import SourceUnreachable
from tenantry.core.fields import Naming
from tenantry.core.mapping import TableShape
from tenantry.service.checking import Finding, check_source, tutorial_name
from tests.builders import columns_of
from tests.fakes import FakeSource, rows_of

pytestmark = pytest.mark.anyio


async def findings(source: FakeSource, **shape: object) -> list[Finding]:
    _, found = await check_source(source, TableShape(**shape), 5)  # type: ignore[arg-type]
    return found


async def test_a_good_table_has_no_findings() -> None:
    assert await findings(FakeSource(rows_of(("acme", "active"), ("beta", "trial")))) == []


async def test_a_source_that_cannot_be_read_is_a_finding_with_a_remedy() -> None:
    (found,) = await findings(FakeSource([], broken=SourceUnreachable()))

    assert "not reachable" in found.what
    assert found.remedy


async def test_a_row_that_will_be_quarantined_is_named_with_its_tenant() -> None:
    (found,) = await findings(FakeSource(rows_of(("acme", "active"), ("beta", "x" * 40_000))))

    assert "beta" in found.what
    assert "longer than" in found.what


async def test_a_row_without_an_id_is_named_by_its_number() -> None:
    (found,) = await findings(FakeSource([{"id": "1", "tenant": None, "status": "active"}, *rows_of(("a", "b"))]))

    assert "Row 1" in found.what


async def test_tenants_that_would_share_a_name_are_named() -> None:
    (found,) = await findings(FakeSource(rows_of(("Acme_Corp", "active"), ("acme-corp", "active"), ("b", "x"))))

    assert "'Acme_Corp', 'acme-corp'" in found.what
    assert found.remedy


async def test_long_ids_that_differ_only_at_the_end_share_a_name() -> None:
    assert await findings(FakeSource(rows_of(("x" * 53 + "a", "active"), ("x" * 53 + "b", "active"))))


async def test_a_field_that_looks_like_a_secret_is_a_note_once_it_is_named() -> None:
    columns = columns_of(tenant=Kind.TEXT, db_password=Kind.TEXT)
    source = FakeSource([{"tenant": "a", "db_password": "x"}], columns)

    (found,) = await findings(source, parameters=("tenant", "db_password"))

    assert found.note
    assert "db_password" in found.what


async def test_a_leaf_that_looks_like_a_secret_is_a_note() -> None:
    columns = (Column("tenant", Kind.TEXT), Column("settings", Kind.JSON))
    source = FakeSource([{"tenant": "a", "settings": '{"db": {"password": "x"}}'}], columns)

    (found,) = await findings(source)

    assert found.note
    assert "settings.db.password" in found.what


async def test_a_table_that_serves_nobody_is_a_finding() -> None:
    (found,) = await findings(FakeSource([]))

    assert "No tenant" in found.what


def test_the_tutorials_name_is_cut_by_bytes() -> None:
    assert tutorial_name("Acme_Corp") == "acme-corp"
    assert len(tutorial_name("ä" * 60).encode()) <= 55


@pytest.mark.parametrize(
    ("naming", "told"),
    [
        (
            Naming(length=25),
            "With naming.length 25 and naming.hash needed, 1 of 3 tenants have another tenantName than by",
        ),
        (
            Naming("appName", length=40, always_hash=True),
            "naming.hash always, 2 of 3 tenants have another appName than by",
        ),
    ],
)
async def test_names_that_are_made_otherwise_are_warned_of(naming: Naming, told: str) -> None:
    rows = rows_of(("acme", "active"), ("a" * 30, "active"), ("Beta Inc", "trial"))

    (found,) = await findings(FakeSource(rows), naming=naming)

    assert told in found.what
    assert found.note
    assert "renames them" in found.remedy


@pytest.mark.parametrize("naming", [Naming(), Naming(None, None, length=25), Naming("appName")])
async def test_names_as_they_usually_are_are_not_warned_of(naming: Naming) -> None:
    assert await findings(FakeSource(rows_of(("Acme Inc", "active"))), naming=naming) == []
