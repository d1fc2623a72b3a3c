"""The tables that are measured: the tutorial's two columns, and a wide one with JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql
from tests.support.postgres import Database, PostgresServer

FIRST, SECOND = "tenant-000001-c4ca42", "tenant-000002-c81e72"
"""Two of the tenants; ids are made of digits in order and some noise, so that they compress as names do."""

NARROW = "tenant varchar(255) NOT NULL, status varchar(50) NOT NULL"
FILL_NARROW = """
INSERT INTO organization (tenant, status)
SELECT 'tenant-' || lpad(n::text, 6, '0') || '-' || left(md5(n::text), 6),
    (ARRAY['active', 'trial', 'inactive', 'de-provisioned'])[1 + n %% 4]
FROM generate_series(1, %s) AS n
"""
WIDE = f"{NARROW}, plan text, region text, seats integer, created timestamptz, settings jsonb"
FILL_WIDE = """
INSERT INTO organization (tenant, status, plan, region, seats, created, settings)
SELECT 'tenant-' || lpad(n::text, 6, '0') || '-' || left(md5(n::text), 6),
    (ARRAY['active', 'trial', 'inactive', 'de-provisioned'])[1 + n %% 4],
    'enterprise-' || n %% 7, 'europe-west-' || n %% 5, n %% 1000,
    timestamptz '2024-01-01 00:00+00' + n * interval '1 hour',
    jsonb_build_object('domain', 'tenant-' || n || '.example.org', 'replicas', 1 + n %% 9,
        'features', jsonb_build_array('search', 'export-' || n %% 3),
        'limits', jsonb_build_object('cpu', n %% 8 || '00m'))
FROM generate_series(1, %s) AS n
"""


class Tables:
    """A PostgreSQL server with one database for each table that is measured."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def make(self, tenants: int, *, wide: bool = False) -> Database:
        """Make a database with a filled table."""
        database = self._server.create_database(template="template0")
        with self._server.connect(database.name) as connection:
            columns = sql.SQL(WIDE if wide else NARROW)
            connection.execute(sql.SQL("CREATE TABLE organization (id serial PRIMARY KEY, {})").format(columns))
            connection.execute(FILL_WIDE if wide else FILL_NARROW, (tenants,))
            connection.execute("VACUUM ANALYZE organization")
        return database


@contextmanager
def tables_in(folder: Path) -> Iterator[Tables]:
    """Run a server whose data are in a folder."""
    # The server runs as another user where we are root.
    folder.chmod(0o755)
    server = PostgresServer(folder / "postgresql")
    server.start()
    try:
        yield Tables(server)
    finally:
        server.stop()
