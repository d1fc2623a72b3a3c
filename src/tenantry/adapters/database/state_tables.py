"""The tables of the state database, as the latest migration leaves them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

HEAD = "0002"
"""The latest migration: a database that stands there needs no Alembic."""

VERSION_TABLE = "schema_version"
SCHEMA = "tenantry"
"""In PostgreSQL, where the tables are: tenants' own database may be the same one."""

METADATA = MetaData()
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

LEDGER = Table(
    "ledger",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("writes", BigInteger, nullable=False),
    Column("clock", Double, nullable=False),
    Column("document", Text, nullable=False),
)
"""One row: how often was written, the latest time, and what is known of all ApplicationSets together."""

APPLICATION_SET = Table(
    "application_set",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("consumer", "name"),
)

INPUT = Table(
    "input",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("application_set", _NUMBER, ForeignKey("application_set.id"), nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("application_set", "text"),
)

RELEASED = Table(
    "released",
    METADATA,
    Column("input", _NUMBER, ForeignKey("input.id"), primary_key=True, autoincrement=False),
    Column("tenant", Text, primary_key=True),
    Column("parameters", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

NAME = Table(
    "name",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""The name of each tenant at its first release."""

NUDGE = Table(
    "nudge",
    METADATA,
    Column("namespace", Text, primary_key=True),
    Column("application_set", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""How often each ApplicationSet of the cluster was told of a change, and of which one last."""

EVENT = Table(
    "event",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("at", Double, nullable=False),
    Column("consumer", Text, nullable=False),
    Column("application_set", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("event_at", "at"),
    Index("event_of", "application_set", "consumer", "id"),
)
"""The history, to which is only ever added."""
