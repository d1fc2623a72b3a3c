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

HEAD = "0004"
"""The latest migration: a database that stands there needs no Alembic."""

READABLE_BY = "0002"
"""The earliest version of tenantry, by its latest migration, that can use a database which stands at `HEAD`.

What came since has defaults, and is found out of step where that version wrote.
"""

VERSION_TABLE = "schema_version"
"""Says who can use the database; where there is no `MIGRATION_TABLE`, also at which migration it stands."""

MIGRATION_TABLE = "migration"
"""Says at which migration it stands; no version up to `READABLE_BY` knows of it."""

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
    Column("marked", BigInteger, nullable=False, server_default="0"),
    Column("unmarked", BigInteger, nullable=False, server_default="0"),
    Column("stamp", BigInteger, nullable=False, server_default="0"),
)
"""One row: how often was written, the latest time, and what is known of all ApplicationSets together.

`stamp` is a number by chance that each write leaves here and with all that it changed: where a server lost the latest
writes, others come to have their numbers. `marked` is the latest write that left one, `unmarked` the latest before it
that did not: versions up to `READABLE_BY` do not.
"""

APPLICATION_SET = Table(
    "application_set",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("consumer", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("written", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("consumer", "name"),
)
"""`written` is the stamp of the write that changed it last."""

INPUT = Table(
    "input",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("application_set", _NUMBER, ForeignKey("application_set.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("written", BigInteger, nullable=False, server_default="0"),
    Column("origin", Text),
    UniqueConstraint("application_set", "text"),
)
"""`written` is the stamp of the write that changed it last, `origin` where the rows were read by which it did."""

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

CONFIGURATION = Table(
    "configuration",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""By which configurations was answered, and by which write each became the newest one."""

REPLICA = Table(
    "replica",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("configuration", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("seen", Double, nullable=False),
    Column("position", Text),
    sqlite_with_rowid=False,
)
"""The processes that answer by this state, and when each of them was seen last, by the clock of the database."""

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
