"""How a state database comes to have the tables of today, and who may use it.

A migration that only adds leaves the version before in: it looks at `schema_version` alone, which therefore says who
can use the tables, while how far they were migrated stands in a table of its own.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

from tenantry.adapters.database.state_tables import HEAD, METADATA, MIGRATION_TABLE, READABLE_BY, VERSION_TABLE
from tenantry.core.errors import StateDamaged, StateTooNew


def version_of(connection: Connection, schema: str | None) -> str | None:
    """Return the migration at which a database stands; None for one that has nothing of ours.

    Raises StateTooNew for one that a later version of tenantry made so that this one cannot use it.
    """
    tables = inspect(connection)
    if not tables.has_table(VERSION_TABLE, schema):
        return None
    readable_by = _number_in(connection, VERSION_TABLE, schema)
    if readable_by is not None and readable_by > HEAD:
        raise StateTooNew
    if readable_by is None or not tables.has_table(MIGRATION_TABLE, schema):
        return readable_by
    if readable_by < READABLE_BY:
        raise StateDamaged
    return _number_in(connection, MIGRATION_TABLE, schema)


def make(connection: Connection, schema: str | None) -> None:
    """Make the tables as all migrations would, a quarter of a second sooner; a test holds both to be the same."""
    METADATA.create_all(connection)
    _say(connection, VERSION_TABLE, schema, READABLE_BY)
    _say(connection, MIGRATION_TABLE, schema, HEAD)


def migrate(connection: Connection, schema: str | None) -> None:
    """Take a database to the latest migration; Alembic takes a while to import, so only now."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    tables = inspect(connection)
    if tables.has_table(VERSION_TABLE, schema) and not tables.has_table(MIGRATION_TABLE, schema):
        _say(connection, MIGRATION_TABLE, schema, _number_in(connection, VERSION_TABLE, schema) or "")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    try:
        command.upgrade(config, "head")
    except CommandError as unknown:  # a version that none of ours is
        raise StateDamaged from unknown
    _say(connection, VERSION_TABLE, schema, READABLE_BY)


def _number_in(connection: Connection, table: str, schema: str | None) -> str | None:
    found = connection.exec_driver_sql(f"SELECT version_num FROM {_named(table, schema)}").scalar_one_or_none()  # noqa: S608
    return None if found is None else str(found)


def _say(connection: Connection, table: str, schema: str | None, number: str) -> None:
    """Leave a number in a table of one row, which is made where there is none."""
    name = _named(table, schema)
    connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {name} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.exec_driver_sql(f"DELETE FROM {name}")  # noqa: S608 -- constants of ours
    connection.exec_driver_sql(f"INSERT INTO {name} VALUES ('{number}')")  # noqa: S608


def _named(table: str, schema: str | None) -> str:
    return f"{schema}.{table}" if schema else table
