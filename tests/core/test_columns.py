"""Which columns may be served."""

from __future__ import annotations

import pytest

from tenantry.core.columns import Column, Kind, looks_secret
from tenantry.core.errors import MissingColumn, RefusedColumn
from tenantry.core.fields import choose
from tests.builders import columns_of

TABLE = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, settings=Kind.JSON, logo=Kind.BYTES)


def test_parameters_are_in_order_of_name() -> None:
    assert [column.name for column in choose(TABLE, "table 't'", [], ("tenant", "status"))] == ["status", "tenant"]


def test_a_missing_column_names_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(MissingColumn, match=r"'staus'.*Known: logo, settings, status, tenant.*'status'"):
        choose(TABLE, "table 't'", [], ("staus",))


def test_the_id_and_state_columns_must_exist_too() -> None:
    with pytest.raises(MissingColumn, match="'uuid'"):
        choose(TABLE, "table 't'", ["uuid"], ("tenant",))


@pytest.mark.parametrize("name", ["generator", "values"])
@pytest.mark.parametrize("by_choice", [True, False])
def test_names_that_argo_cd_overwrites_are_refused(name: str, *, by_choice: bool) -> None:
    with pytest.raises(RefusedColumn, match=name):
        choose([Column(name, Kind.TEXT)], "table 't'", [], (name,) if by_choice else None)


def test_bytes_are_refused() -> None:
    with pytest.raises(RefusedColumn, match="logo"):
        choose(TABLE, "table 't'", [], None)


def test_a_column_that_flattens_to_the_name_of_a_leaf_is_refused() -> None:
    with pytest.raises(RefusedColumn, match="flattens"):
        choose([*TABLE[:3], Column("settings.tier", Kind.TEXT)], "table 't'", [], None)


def test_a_secret_is_refused_unless_it_is_named() -> None:
    table = columns_of(tenant=Kind.TEXT, db_password=Kind.TEXT)

    with pytest.raises(RefusedColumn, match="db_password"):
        choose(table, "table 't'", [], None)
    assert len(choose(table, "table 't'", [], ("tenant", "db_password"))) == 2


@pytest.mark.parametrize(
    "name", ["password", "db_password", "apiKey", "API_KEY", "authToken", "private-key", "clientSecret"]
)
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["tenant", "status", "monkey", "secretary", "key", "tokenizer", "plan", "keyspace"])
def test_other_names_are_not(name: str) -> None:
    assert not looks_secret(name)
