"""The faults, as data: how each is made, what goes on while it lasts, and how it is mended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import psycopg

from tests.support.postgres import Database, PostgresServer
from tests.support.proxy import FaultProxy


@dataclass
class Bed:
    """What a fault can get at, and the role that the service reads with."""

    server: PostgresServer
    database: Database
    proxy: FaultProxy
    reader: str
    password: str
    held: list[psycopg.Connection] = field(default_factory=list)

    def execute(self, statement: str) -> None:
        """Run a statement as superuser in the tenants' database; it may name the `{reader}` and its `{password}`."""
        password = self.password.replace("'", "''")
        self.database.execute(statement.format(reader=self.reader, password=password))

    def release(self) -> None:
        """Close the connections that a fault holds."""
        for connection in self.held:
            with contextlib.suppress(psycopg.Error):
                connection.close()
        self.held.clear()


class HasTable(Protocol):
    """Whatever a fault is made on."""

    def execute(self, statement: str) -> None:
        """Run a statement as superuser in the tenants' database."""


B = TypeVar("B")
Step = Callable[[Bed], None]


def _nothing(bed: object) -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class Fault(Generic[B]):
    """A fault by name."""

    name: str
    make: Callable[[B], None]
    mend: Callable[[B], None] = _nothing
    keep: Callable[[B], None] = _nothing
    """What is done again and again while it lasts."""
    lasts: float = 2.5
    """Seconds that it lasts at least; more than an answer may take, so that whoever waits for its end is found."""
    fails_reads: bool = True
    """Whether no read can succeed while it lasts."""
    fools_the_rival: bool = True
    """Whether a plugin that reads in the request gives a wrong answer, or a late one."""
    empties_the_rival: bool = False
    """Whether its answer has no tenant, or too few, for as long as the fault lasts."""
    environment: dict[str, str] = field(default_factory=dict)


def _sql(*statements: str) -> Step:
    def apply(bed: Bed) -> None:
        for statement in statements:
            bed.execute(statement)

    return apply


def _set(**values: object) -> Step:
    def apply(bed: Bed) -> None:
        for name, value in values.items():
            setattr(bed.proxy, name, value)

    return apply


def _heal(bed: Bed) -> None:
    bed.proxy.heal()


def _refuse(bed: Bed) -> None:
    bed.proxy.refuse = True
    bed.proxy.cut()


_terminate = _sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{reader}'")


def _exhaust(bed: Bed) -> None:
    """Take every connection; also those of the service, as soon as they are free."""
    ours = [connection.info.backend_pid for connection in bed.held]
    others = f"usename = '{{reader}}' AND pid <> ALL (ARRAY{ours}::int[])"
    bed.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            bed.held.append(bed.server.connect(bed.database.name, bed.reader, bed.password))


def _lock(bed: Bed) -> None:
    connection = bed.server.connect(bed.database.name)
    connection.execute("BEGIN; LOCK TABLE organization IN ACCESS EXCLUSIVE MODE")
    bed.held.append(connection)


def _change_password(bed: Bed) -> None:
    bed.execute("ALTER ROLE {reader} PASSWORD 'another'")
    _terminate(bed)


FAULTS: list[Fault[Bed]] = [
    Fault(
        "the server is stopped",
        lambda bed: bed.server.stop(),
        lambda bed: bed.server.start(),
        empties_the_rival=True,
    ),
    Fault(
        "the server is killed",
        lambda bed: bed.server.kill(),
        lambda bed: bed.server.start(),
        empties_the_rival=True,
    ),
    Fault("its back ends are terminated", _terminate, keep=_terminate, fails_reads=False),
    Fault("connections are exhausted", _exhaust, Bed.release, keep=_exhaust),
    Fault("the table is locked for five seconds", _lock, Bed.release, lasts=5),
    Fault(
        "the table is renamed",
        _sql("ALTER TABLE organization RENAME TO gone"),
        _sql("ALTER TABLE gone RENAME TO organization"),
        empties_the_rival=True,
    ),
    Fault(
        "a column is dropped",
        _sql("ALTER TABLE organization DROP COLUMN status"),
        _sql("ALTER TABLE organization ADD COLUMN status varchar(50)"),
        empties_the_rival=True,
    ),
    Fault(
        "the password is changed",
        _change_password,
        _sql("ALTER ROLE {reader} PASSWORD '{password}'"),
        empties_the_rival=True,
    ),
    Fault(
        "SELECT is revoked",
        _sql("REVOKE SELECT ON organization FROM {reader}"),
        _sql("GRANT SELECT ON organization TO {reader}"),
        empties_the_rival=True,
    ),
    Fault(
        "row-level security hides rows",
        _sql("CREATE POLICY few ON organization USING (id < 3)", "ALTER TABLE organization ENABLE ROW LEVEL SECURITY"),
        _sql("ALTER TABLE organization DISABLE ROW LEVEL SECURITY"),
        empties_the_rival=True,
    ),
    Fault(
        "the statement time-out is tiny",
        _sql(
            "ALTER TABLE organization RENAME TO slow",
            "CREATE VIEW organization AS SELECT slow.* FROM slow, pg_sleep(1)",
            "GRANT SELECT ON organization TO {reader}",
        ),
        _sql("DROP VIEW organization", "ALTER TABLE slow RENAME TO organization"),
        environment={"TENANTRY_SOURCE_STATEMENT_TIMEOUT": "300ms", "TENANTRY_SOURCE_LOCK_TIMEOUT": "300ms"},
        fools_the_rival=False,
    ),
    Fault("the result is cut in the middle", _set(cut_at=b"foxtrot-consulting"), _heal),
    Fault("connections are refused", _refuse, _heal, empties_the_rival=True),
    Fault("the network is slow", _set(delay=1.0), _heal, fails_reads=False),
    Fault(
        "the network swallows everything",
        _set(black_hole=True),
        _heal,
        environment={"TENANTRY_SOURCE_READ_TIMEOUT": "2s", "TENANTRY_SOURCE_STATEMENT_TIMEOUT": "2s"},
    ),
]


def environment_of(bed: Bed, fault: Fault[Bed], port: int = 0) -> dict[str, str]:
    """Return the variables of a service that reads through the proxy, or through what listens on `port` before it."""
    tutorial = bed.database.tutorial_environment(port or bed.proxy.port, bed.reader, bed.password)
    # Faults are of reads: with a feed there are few while nothing changes.
    feed = {"TENANTRY_SOURCE_FEED": "off"}
    return {**tutorial, **feed, "TENANTRY_SOURCE_CONNECT_TIMEOUT": "2s", **fault.environment}
