"""The ledger: what ApplicationSets were answered, what they lost, and whose word stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite numbers rows by itself only where the type is `INTEGER`."""


def upgrade() -> None:
    """Make the tables."""
    schema = context.config.attributes["schema"]
    of = f"{schema}." if schema else ""
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("writes", sa.BigInteger(), nullable=False),
        sa.Column("clock", sa.Double(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "application_set",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.UniqueConstraint("consumer", "name"),
        schema=schema,
    )
    op.create_table(
        "input",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("application_set", _NUMBER, sa.ForeignKey(f"{of}application_set.id"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.UniqueConstraint("application_set", "text"),
        schema=schema,
    )
    op.create_table(
        "released",
        sa.Column("input", _NUMBER, sa.ForeignKey(f"{of}input.id"), primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("parameters", sa.LargeBinary(), nullable=False),
        schema=schema,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "name",
        sa.Column("tenant", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        schema=schema,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "event",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("application_set", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        schema=schema,
    )
    op.create_index("event_at", "event", ["at"], schema=schema)
    op.create_index("event_of", "event", ["application_set", "consumer", "id"], schema=schema)
