"""The faults, as data: how each is made and how it is mended."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from tests.support.postgres import Database, PostgresServer
from tests.support.proxy import FaultProxy

READER = "reader"


@dataclass
class Bed:
    """What a fault can get at."""

    server: PostgresServer
    database: Database
    proxy: FaultProxy
    held: list[psycopg.Connection] = field(default_factory=list)

    def execute(self, statement: str) -> None:
        """Run a statement in the tenants' database."""
        self.database.execute(statement)

    def release(self) -> None:
        """Close the connections that a fault holds."""
        for connection in self.held:
            with contextlib.suppress(psycopg.Error):
                connection.close()
        self.held.clear()


@dataclass(frozen=True)
class Fault:
    """A fault by name."""

    name: str
    make: Callable[[Bed], None]
    mend: Callable[[Bed], None]
    environment: dict[str, str] = field(default_factory=dict)
    notices: bool = True
    """Whether reads fail while it lasts (a connection that is open does not mind a changed password)."""


def _lock(bed: Bed) -> None:
    connection = bed.server.connect(bed.database.name)
    connection.execute("BEGIN; LOCK TABLE organization IN ACCESS EXCLUSIVE MODE")
    bed.held.append(connection)


def _exhaust(bed: Bed) -> None:
    """Take every connection, then the one of the service's own as soon as it is free."""
    role = "greedy"
    bed.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    for again in (False, True):
        if again:
            _terminate(bed)
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                bed.held.append(bed.server.connect(bed.database.name, role, "x"))


def _terminate(bed: Bed) -> None:
    bed.server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{READER}'")


def _terminate_again_and_again(bed: Bed) -> None:
    def run() -> None:
        for _ in range(30):
            _terminate(bed)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def _stop(bed: Bed) -> None:
    bed.server.stop(signal.SIGINT)


def _set(**values: object) -> Callable[[Bed], None]:
    def apply(bed: Bed) -> None:
        for name, value in values.items():
            setattr(bed.proxy, name, value)
        if values.get("refuse"):
            bed.proxy.cut()

    return apply


def _sql(*statements: str) -> Callable[[Bed], None]:
    def apply(bed: Bed) -> None:
        for statement in statements:
            bed.execute(statement)

    return apply


def _heal(bed: Bed) -> None:
    bed.proxy.heal()


def _nothing(bed: Bed) -> None:
    """The fault passes by itself."""


def _new_password(bed: Bed) -> None:
    bed.execute(f"ALTER ROLE {READER} PASSWORD 'another'")
    _terminate(bed)


FAULTS = [
    Fault("the server is stopped", _stop, lambda bed: bed.server.start()),
    Fault("the server is killed", lambda bed: bed.server.kill(), lambda bed: bed.server.start()),
    Fault("its back ends are terminated", _terminate_again_and_again, _nothing, notices=False),
    Fault("connections are exhausted", _exhaust, Bed.release),
    Fault("the table is locked", _lock, Bed.release),
    Fault(
        "the table is renamed",
        _sql("ALTER TABLE organization RENAME TO gone"),
        _sql("ALTER TABLE gone RENAME TO organization"),
    ),
    Fault(
        "a column is dropped",
        _sql("ALTER TABLE organization RENAME COLUMN status TO gone; ALTER TABLE organization DROP COLUMN gone"),
        _sql("ALTER TABLE organization ADD COLUMN status varchar(50)"),
    ),
    Fault("the password is changed", _new_password, _sql(f"ALTER ROLE {READER} PASSWORD '{READER}'")),
    Fault(
        "SELECT is revoked",
        _sql(f"REVOKE SELECT ON organization FROM {READER}"),
        _sql(f"GRANT SELECT ON organization TO {READER}"),
    ),
    Fault(
        "row-level security hides rows",
        _sql("CREATE POLICY few ON organization USING (id < 3); ALTER TABLE organization ENABLE ROW LEVEL SECURITY"),
        _sql("ALTER TABLE organization DISABLE ROW LEVEL SECURITY"),
    ),
    Fault(
        "the statement time-out is made tiny",
        _sql(
            "ALTER TABLE organization RENAME TO slow; CREATE VIEW organization AS SELECT s.* FROM slow s, pg_sleep(1)",
            f"GRANT SELECT ON organization TO {READER}",
        ),
        _sql("DROP VIEW organization; ALTER TABLE slow RENAME TO organization"),
        environment={"TENANTRY_SOURCE_STATEMENT_TIMEOUT": "300ms", "TENANTRY_SOURCE_LOCK_TIMEOUT": "300ms"},
    ),
    Fault("the result is cut in the middle", lambda bed: bed.proxy.cut_next(2500), _heal),
    Fault("connections are refused", _set(refuse=True), _heal),
    Fault("the network is slow", _set(delay=1.0), _heal, notices=False),
    Fault(
        "the network swallows everything",
        _set(black_hole=True),
        _heal,
        environment={"TENANTRY_SOURCE_READ_TIMEOUT": "2s", "TENANTRY_SOURCE_STATEMENT_TIMEOUT": "2s"},
    ),
]

THROUGH_A_POOLER = [
    fault
    for fault in FAULTS
    if fault.name
    in {
        "the server is stopped",
        "the server is killed",
        "the table is locked",
        "the table is renamed",
        "SELECT is revoked",
        "row-level security hides rows",
        "its back ends are terminated",
    }
]
