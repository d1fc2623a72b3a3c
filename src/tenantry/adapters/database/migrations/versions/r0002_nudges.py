"""Nudges: how often each ApplicationSet was told of a change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "nudge",
        sa.Column("namespace", sa.Text(), primary_key=True),
        sa.Column("application_set", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        schema=context.config.attributes["schema"],
        sqlite_with_rowid=False,
    )
