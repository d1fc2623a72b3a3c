"""How a state database comes to have the tables of today."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

from tenantry.adapters.database.state_tables import HEAD, METADATA, VERSION_TABLE
from tenantry.core.errors import StateDamaged


def version_of(connection: Connection, schema: str | None) -> str | None:
    """Return the migration at which a database stands; None for one that has nothing of ours."""
    if not inspect(connection).has_table(VERSION_TABLE, schema):
        return None
    prefix = f"{schema}." if schema else ""
    found = connection.exec_driver_sql(f"SELECT version_num FROM {prefix}{VERSION_TABLE}").scalar_one_or_none()  # noqa: S608
    return None if found is None else str(found)


def make(connection: Connection, schema: str | None) -> None:
    """Make the tables as all migrations would, a quarter of a second sooner; a test holds both to be the same."""
    METADATA.create_all(connection)
    table = f"{schema}.{VERSION_TABLE}" if schema else VERSION_TABLE
    connection.exec_driver_sql(f"CREATE TABLE {table} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.exec_driver_sql(f"INSERT INTO {table} VALUES ('{HEAD}')")  # noqa: S608 -- constants of ours


def migrate(connection: Connection, schema: str | None) -> None:
    """Take a database to the latest migration; Alembic takes a while to import, so only now."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    try:
        command.upgrade(config, "head")
    except CommandError as unknown:  # a version that none of ours is
        raise StateDamaged from unknown
