"""Replicas: what each write changed, where answers were read, by which configuration, and who is there.

All of it has defaults, so that the version before goes on with the database, beside this one or after it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns and make the tables."""
    schema = context.config.attributes["schema"]
    for table, names in {
        "ledger": ("marked", "unmarked"),
        "application_set": ("written",),
        "input": ("written",),
    }.items():
        for name in names:
            op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"), schema=schema)
    op.add_column("input", sa.Column("origin", sa.Text()), schema=schema)
    op.create_table(
        "configuration",
        sa.Column("digest", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        schema=schema,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "replica",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("seen", sa.Double(), nullable=False),
        sa.Column("position", sa.Text()),
        schema=schema,
        sqlite_with_rowid=False,
    )
