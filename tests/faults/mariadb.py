"""The faults of MariaDB: those of PostgreSQL that it can have, made its own way."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from asyncmy.errors import Error

from tests.faults.scenarios import Fault
from tests.support.mariadb import MariaDatabase, MariaServer, Session
from tests.support.proxy import FaultProxy

SOON = 0.5
"""Seconds that a fault lasts at least, besides being noticed: that no answer waits is shown on PostgreSQL."""


@dataclass
class MariaBed:
    """What a fault can get at, and the user that the service reads with."""

    server: MariaServer
    database: MariaDatabase
    proxy: FaultProxy
    reader: str
    password: str
    held: list[Session] = field(default_factory=list)

    def execute(self, statement: str) -> None:
        """Run a statement as superuser in the tenants' database; it may name the `{reader}` and its `{password}`."""
        password = self.password.replace("'", "''")
        self.database.execute(statement.format(reader=f"{self.reader}@'127.0.0.1'", password=password))

    def release(self) -> None:
        """Close the connections that a fault holds."""
        for session in self.held:
            with contextlib.suppress(Error, OSError):
                session.close()
        self.held.clear()


Step = Callable[[MariaBed], None]


def _sql(*statements: str) -> Step:
    def apply(bed: MariaBed) -> None:
        for statement in statements:
            bed.execute(statement)

    return apply


def _set(**values: object) -> Step:
    def apply(bed: MariaBed) -> None:
        for name, value in values.items():
            setattr(bed.proxy, name, value)

    return apply


def _heal(bed: MariaBed) -> None:
    bed.proxy.heal()


def _refuse(bed: MariaBed) -> None:
    bed.proxy.refuse = True
    bed.proxy.cut()


_terminate = _sql("KILL USER {reader}")


def _exhaust(bed: MariaBed) -> None:
    """Take every connection that the user may have."""
    if not bed.held:
        bed.execute("ALTER USER {reader} WITH MAX_USER_CONNECTIONS 1")
        _terminate(bed)
    with contextlib.suppress(Error):
        bed.held.append(bed.server.connect(bed.database.name, bed.reader, bed.password))


def _free(bed: MariaBed) -> None:
    bed.release()
    bed.execute("ALTER USER {reader} WITH MAX_USER_CONNECTIONS 0")


def _lock(bed: MariaBed) -> None:
    session = bed.database.connect()
    session.execute("LOCK TABLES organization WRITE")
    bed.held.append(session)


def _change_password(bed: MariaBed) -> None:
    bed.execute("ALTER USER {reader} IDENTIFIED BY 'another'")
    _terminate(bed)


FAULTS: list[Fault[MariaBed]] = [
    Fault("the server is stopped", lambda bed: bed.server.stop(), lambda bed: bed.server.start(), lasts=SOON),
    Fault(
        "the server is killed",
        lambda bed: bed.server.stop(signal.SIGKILL),
        lambda bed: bed.server.start(),
        lasts=SOON,
    ),
    Fault("its connections are killed", _terminate, keep=_terminate, fails_reads=False, lasts=SOON),
    Fault("connections are exhausted", _exhaust, _free, keep=_exhaust, lasts=SOON),
    Fault("the table is locked", _lock, MariaBed.release, lasts=SOON),
    Fault(
        "the table is renamed",
        _sql("RENAME TABLE organization TO gone"),
        _sql("RENAME TABLE gone TO organization"),
        lasts=SOON,
    ),
    Fault(
        "a column is dropped",
        _sql("ALTER TABLE organization DROP COLUMN status"),
        _sql("ALTER TABLE organization ADD COLUMN status varchar(50)"),
        lasts=SOON,
    ),
    Fault(
        "the password is changed",
        _change_password,
        _sql("ALTER USER {reader} IDENTIFIED BY '{password}'"),
        lasts=SOON,
    ),
    Fault(
        "SELECT is revoked",
        _sql("REVOKE SELECT ON organization FROM {reader}"),
        _sql("GRANT SELECT ON organization TO {reader}"),
        lasts=SOON,
    ),
    Fault(
        "the statement takes too long",
        _sql(
            "RENAME TABLE organization TO slow",
            "CREATE VIEW organization AS SELECT slow.* FROM slow WHERE SLEEP(1) = 0",
        ),
        _sql("DROP VIEW organization", "RENAME TABLE slow TO organization"),
        environment={"TENANTRY_SOURCE_STATEMENT_TIMEOUT": "300ms", "TENANTRY_SOURCE_LOCK_TIMEOUT": "300ms"},
        lasts=SOON,
    ),
    Fault("the result is cut in the middle", _set(cut_at=b"foxtrot-consulting"), _heal, lasts=SOON),
    Fault("connections are refused", _refuse, _heal, lasts=SOON),
    Fault(
        "the network swallows everything",
        _set(black_hole=True),
        _heal,
        environment={"TENANTRY_SOURCE_READ_TIMEOUT": "2s", "TENANTRY_SOURCE_STATEMENT_TIMEOUT": "2s"},
        lasts=SOON,
    ),
]


def environment_of(bed: MariaBed, fault: Fault[MariaBed]) -> dict[str, str]:
    """Return the variables of a service that reads through the proxy."""
    return {
        "TENANTRY_SOURCE_URL": bed.database.url(bed.reader, bed.password, bed.proxy.port, scheme="mariadb"),
        "TENANTRY_SOURCE_PARAMETERS": "tenant,status",
        "TENANTRY_SOURCE_CONNECT_TIMEOUT": "2s",
        **fault.environment,
    }
