"""Runs the steps on the connection that it is given, inside its transaction."""

from __future__ import annotations

from alembic import context

from tenantry.adapters.database.state_tables import METADATA, MIGRATION_TABLE

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    version_table=MIGRATION_TABLE,
    version_table_schema=context.config.attributes["schema"],
    transactional_ddl=True,
)
context.run_migrations()
