"""The state in PostgreSQL, in a schema of its own; a pooler in transaction mode may stand before it."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from weakref import WeakSet

import psycopg
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL

from tenantry.adapters.database.state_tables import SCHEMA
from tenantry.core.errors import StateUnwritable

_MIGRATIONS = 7166452021
"""The key of the advisory lock: whichever number, as long as it is always the same."""

OF_LIBPQ = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "5000"}

_PUT = text(f"""
INSERT INTO {SCHEMA}.released (input, tenant, parameters)
SELECT :given, tenant, parameters FROM unnest(CAST(:tenants AS text[]), CAST(:parameters AS bytea[]))
    AS new (tenant, parameters)
ON CONFLICT (input, tenant) DO UPDATE SET parameters = excluded.parameters
""")  # noqa: S608 -- a constant of ours
_DROP = text(
    f"DELETE FROM {SCHEMA}.released WHERE input = :given AND tenant = ANY(CAST(:tenants AS text[]))"  # noqa: S608
)
_NAME = text(f"""
INSERT INTO {SCHEMA}.name (tenant, name)
SELECT tenant, name FROM unnest(CAST(:tenants AS text[]), CAST(:names AS text[])) AS new (tenant, name)
ON CONFLICT DO NOTHING
""")  # noqa: S608

_MOMENT = 0.5
"""Seconds for all that is no statement."""


class StateServer:
    """A PostgreSQL server."""

    schema: str | None = SCHEMA
    is_shared = True
    at_once = 4
    clock = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)"

    def __init__(self, url: URL, connect: timedelta, statement: timedelta) -> None:
        """Name the server; nothing is connected to yet."""
        self._statement = round(statement.total_seconds() * 1000)
        self._seconds = max(2.0, connect.total_seconds()), statement.total_seconds()
        self._open: WeakSet[psycopg.Connection[object]] = WeakSet()
        defaults = {
            **OF_LIBPQ,
            "application_name": "tenantry-state",
            # libpq counts whole seconds and takes 1 for 2.
            "connect_timeout": str(max(2, math.ceil(connect.total_seconds()))),
            # Of several hosts, the one that is the primary now.
            **({"target_session_attrs": "read-write"} if "host" in url.query else {}),
        }
        self.engine = create_engine(
            url.update_query_dict({name: value for name, value in defaults.items() if name not in url.query}),
            pool_size=self.at_once,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=connect.total_seconds(),
            # A pooler in transaction mode hands each transaction another server connection.
            connect_args={"prepare_threshold": None},
            use_native_hstore=False,
            isolation_level="READ COMMITTED",
            hide_parameters=True,
        ).execution_options(schema_translate_map={None: SCHEMA})
        event.listen(self.engine, "connect", lambda connection, _: self._open.add(connection))

    def claim(self) -> None:
        """Do nothing: a server takes several processes."""

    def prepare(self, *, make: bool) -> None:
        """Do nothing: whether the server is there shows with the first statement."""

    def still_there(self) -> None:
        """Do nothing: a server that is not there fails by itself."""

    def begin(self, connection: Connection) -> None:
        """Bound what statements take, for this transaction alone: through a pooler nothing else holds.

        Raises StateUnwritable where the server is a standby.
        """
        found = connection.execute(
            text(
                "SELECT pg_is_in_recovery(), set_config('statement_timeout', :most, true), "
                "set_config('lock_timeout', :most, true), "
                "set_config('idle_in_transaction_session_timeout', :most, true), "
                "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'local' "
                "ELSE current_setting('synchronous_commit') END, true)"
            ),
            {"most": str(self._statement)},
        )
        if found.one()[0]:
            # Whatever it says was so a while ago, or is so no more.
            raise StateUnwritable("The state database is a standby of the one that is written to.")

    def lock_migrations(self, connection: Connection) -> None:
        """Let one process at a time look whether there is something to migrate, and make the schema."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATIONS})
        there = connection.execute(text("SELECT to_regnamespace(:schema) IS NOT NULL"), {"schema": SCHEMA}).scalar_one()
        if not there:
            # Not `IF NOT EXISTS` alone, which wants the right to make schemas even where there is one.
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))

    def put(self, connection: Connection, given: int, parameters: Mapping[str, bytes]) -> None:
        """Put parameter sets into an input."""
        if parameters:
            values = {"given": given, "tenants": list(parameters), "parameters": list(parameters.values())}
            connection.execute(_PUT, values)

    def drop(self, connection: Connection, given: int, tenants: Sequence[str]) -> None:
        """Take parameter sets out of an input."""
        if tenants:
            connection.execute(_DROP, {"given": given, "tenants": list(tenants)})

    def name(self, connection: Connection, names: Mapping[str, str]) -> None:
        """Keep names that are released for the first time."""
        if names:
            connection.execute(_NAME, {"tenants": list(names), "names": list(names.values())})

    def longest(self, statements: int) -> float | None:
        """Return what connecting and so many statements may take, and a moment more."""
        connect, statement = self._seconds
        return connect + statements * statement + _MOMENT

    def hang_up(self) -> None:
        """Shut the sockets down, at which libpq, which waits for them, sees the end of its connections."""
        for connection in list(self._open):
            with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()
