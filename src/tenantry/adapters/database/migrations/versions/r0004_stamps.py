"""Stamps: a number by chance for each write, since a server that lost the latest ones counts to the same again.

It has a default, so that the versions before go on with the database: what they write is told by its number alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    column = sa.Column("stamp", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("ledger", column, schema=context.config.attributes["schema"])
