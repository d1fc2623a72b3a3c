"""The store of the ledger: transactions of one thread each, so that no request waits in the loop for a disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, SQLAlchemyError

from tenantry.adapters.database.state_documents import whole_document
from tenantry.adapters.database.state_migrations import make, migrate, version_of
from tenantry.adapters.database.state_reading import ROWS_AT_ONCE, Known, events_of, ledger_row, remembered
from tenantry.adapters.database.state_replicas import ReplicaTable
from tenantry.adapters.database.state_tables import APPLICATION_SET, EVENT, HEAD, LEDGER, NAME, NUDGE
from tenantry.adapters.database.state_writing import ONE, Numbers, Parameters, write_changes
from tenantry.adapters.database.urls import server_url
from tenantry.core.errors import (
    ConfigurationError,
    StateDamaged,
    StateError,
    StateMissing,
    StateUnreachable,
    StateUnwritable,
)
from tenantry.core.history import Event
from tenantry.core.ledger import SetLedger, SetName
from tenantry.core.live import LiveName
from tenantry.service.state import Changes, Counted, EventQuery, Remembered, Replica, Whole

T = TypeVar("T")

_MOST_STATEMENTS = 3
"""Times the longest that a statement may take, for a transaction that writes."""

_LONG = 12
"""The same for what reads all there is."""

_NUDGE = (
    "INSERT INTO {of}nudge AS known (namespace, application_set, number, digest, at) "
    "VALUES (:namespace, :application_set, 1, :digest, :now) "
    "ON CONFLICT (namespace, application_set) DO UPDATE "
    "SET number = known.number + 1, digest = excluded.digest, at = excluded.at "
    "WHERE known.digest <> excluded.digest OR known.at <= :before RETURNING number"
)

_GIVE_BACK = (
    "UPDATE {of}nudge SET at = 0 "
    "WHERE namespace = :namespace AND application_set = :application_set AND number = :number"
)


class StateDatabase(Parameters, Protocol):
    """What differs between a file and a server."""

    schema: str | None
    is_shared: bool
    at_once: int
    clock: str
    """An expression for the seconds of the database's own clock."""

    @property
    def engine(self) -> Engine:
        """Where connections come from."""
        ...

    def claim(self) -> None:
        """Make sure that no other process has what only one may have."""
        ...

    def prepare(self, *, make: bool) -> None:
        """Make ready what holds the tables, also where there is none yet, if `make`; else raise StateMissing."""
        ...

    def still_there(self) -> None:
        """Raise StateError where what is written would be lost."""
        ...

    def begin(self, connection: Connection) -> None:
        """Begin a transaction that has begun, with what holds in it alone."""
        ...

    def lock_migrations(self, connection: Connection) -> None:
        """Let one process at a time migrate."""
        ...

    def longest(self, statements: int) -> float | None:
        """Return the seconds that so many statements may take, connecting included; None if that is not bounded."""
        ...

    def hang_up(self) -> None:
        """End all connections below the driver, so that whoever waits for an answer gets an error."""
        ...

    def close(self) -> None:
        """Give back all that is held."""
        ...


class StateStore:
    """A ledger store in a database; raises StateError and nothing else."""

    def __init__(self, database: StateDatabase, now: Callable[[], float], *, make: bool = True) -> None:
        """Keep the state in `database`, made where there is none if `make`; `now` is the clock of this machine."""
        self._make = make
        self._database = database
        self._now = now
        self._threads = ThreadPoolExecutor(database.at_once, thread_name_prefix="state")
        self._history = asyncio.Semaphore(1)
        """Whoever reads or forgets the history, which may be long, leaves the other threads to answers."""

        of = f"{database.schema}." if database.schema else ""
        self._nudge = text(_NUDGE.format(of=of))
        self._give_back = text(_GIVE_BACK.format(of=of))
        self._replicas = ReplicaTable(of, database.clock)
        self._numbers = Numbers()

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write to it too."""
        return self._database.is_shared

    def claim(self) -> None:
        """Make sure that no other process has what only one may have; raises StateError."""
        _translating(self._database.claim)

    async def load(self) -> Remembered:
        """Migrate, and return everything but the history."""
        return await self._aside(self._load, _LONG)

    async def catch_up(self, writes: int, known: Mapping[SetName, SetLedger]) -> Remembered:
        """Return everything but the history, with what nobody wrote since as the very object that was known."""
        return await self._aside(lambda: self._catch_up(writes, known), _LONG)

    async def write(self, changes: Changes, writes: int) -> None:
        """Write all changes in one transaction; raises StateMoved unless it was written to `writes` times."""
        await self._aside(lambda: self._write(changes, writes), _MOST_STATEMENTS)

    async def counts(self) -> Counted:
        """Return how often it was written to, -1 where as often as is known and not the same; and how many nudges."""
        return await self._aside(lambda: self._in_transaction(self._all_counted), 1)

    def _all_counted(self, connection: Connection) -> Counted:
        numbers, (writes, stamp, nudges) = self._numbers, connection.execute(_COUNTS).one()
        is_another = writes == numbers.writes and stamp != numbers.stamp
        return Counted(-1 if is_another else int(writes), int(nudges))

    async def nudge(self, name: LiveName, digest: str, now: float, lately: float) -> int | None:
        """Count a nudge of an ApplicationSet; None if one of this digest was counted less than `lately` seconds ago."""
        values = {**name._asdict(), "digest": digest, "now": now, "before": now - lately}
        return await self._aside(
            lambda: self._in_transaction(lambda connection: self._counted(connection, values)), _MOST_STATEMENTS
        )

    async def give_back(self, name: LiveName, number: int) -> None:
        """Have a nudge, if it is the last that was counted, count as of long ago."""
        values = {**name._asdict(), "number": number}
        await self._aside(
            lambda: self._in_transaction(lambda connection: self._given_back(connection, values)), _MOST_STATEMENTS
        )

    def _given_back(self, connection: Connection, values: Mapping[str, object]) -> None:
        self._database.still_there()
        connection.execute(self._give_back, values)

    def _counted(self, connection: Connection, values: Mapping[str, object]) -> int | None:
        self._database.still_there()
        number: int | None = connection.execute(self._nudge, values).scalar_one_or_none()
        return number

    async def seen(self, replica: Replica) -> Sequence[Replica]:
        """Note that a process is there, and return all that were seen lately, it among them, by their ids."""
        return await self._aside(
            lambda: self._in_transaction(lambda connection: self._replicas.seen(connection, replica)),
            _MOST_STATEMENTS,
        )

    async def gone(self, replica: str) -> None:
        """Note that a process, by its id, is there no more."""
        await self._aside(
            lambda: self._in_transaction(lambda connection: self._replicas.gone(connection, replica)), _MOST_STATEMENTS
        )

    async def names_besides(self, made: Callable[[str], str]) -> Mapping[str, str]:
        """Return, by id, the released names that are not what `made` gives."""

        def read(connection: Connection) -> dict[str, str]:
            rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(select(NAME.c.tenant, NAME.c.name))
            return {tenant: name for tenant, name in rows if made(tenant) != name}

        return await self._aside(lambda: self._in_transaction(read), _LONG)

    async def events(self, asked: EventQuery) -> Sequence[Event]:
        """Return a part of the history, in its order."""
        async with self._history:
            return await self._aside(
                lambda: self._in_transaction(lambda connection: events_of(connection, asked)), _LONG
            )

    async def forget(self, before: float) -> None:
        """Forget the history before a moment."""
        async with self._history:
            await self._aside(
                lambda: self._in_transaction(
                    lambda connection: connection.execute(delete(EVENT).where(EVENT.c.at < before))
                ),
                _LONG,
            )

    async def close(self) -> None:
        """Give back all that is held."""
        # Whoever was given up may have a connection still, which nobody would close.
        ended = asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        if not (await asyncio.wait([ended], timeout=self._database.longest(1)))[0]:
            self._database.hang_up()
            await asyncio.wait([ended], timeout=self._database.longest(1))
        await asyncio.to_thread(_translating, self._database.close)

    async def _aside(self, work: Callable[[], T], statements: int) -> T:
        """Work on a thread, for as long as so many statements may take.

        The server bounds each of them itself; but one that hangs, or a pooler that does, says nothing at all.
        """
        future = asyncio.get_running_loop().run_in_executor(self._threads, lambda: _translating(work))
        longest = self._database.longest(statements)
        if longest is None:
            return await future
        done, _ = await asyncio.wait([future], timeout=longest)
        if not done:
            future.add_done_callback(_heard)
            self._database.hang_up()
            raise StateUnreachable(f"The state database has not answered for {longest:g} s.")
        return future.result()

    def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        with self._database.engine.begin() as connection:
            self._database.begin(connection)
            return work(connection)

    # --- reading ---------------------------------------------------------------------------------------------------

    def _load(self) -> Remembered:
        self._database.prepare(make=self._make)
        with self._transaction_that_migrates() as connection, _no_damage():
            return self._remembered(connection)

    def _catch_up(self, writes: int, known: Mapping[SetName, SetLedger]) -> Remembered:
        self._database.still_there()
        with self._database.engine.begin() as connection, _no_damage():
            self._database.begin(connection)
            return self._caught_up(connection, writes, known)

    @contextmanager
    def _transaction_that_migrates(self) -> Iterator[Connection]:
        with self._database.engine.begin() as connection:
            self._database.begin(connection)
            self._database.lock_migrations(connection)
            version = version_of(connection, self._database.schema)
            if version is None:
                if not self._make:
                    raise StateMissing("The database is there, and no state of tenantry is in it.")
                make(connection, self._database.schema)
            elif version < HEAD:
                migrate(connection, self._database.schema)
            yield connection

    def _remembered(self, connection: Connection) -> Remembered:
        row, now = ledger_row(connection), self._moment(connection)
        if row is None:
            if not self._make or connection.execute(select(APPLICATION_SET.c.id).limit(1)).first():
                raise StateDamaged
            made = self._now() if now is None else now
            whole = Whole(made=made)
            connection.execute(insert(LEDGER).values(id=ONE, writes=0, clock=made, document=whole_document(whole)))
            self._numbers = Numbers(writes=0)
            return Remembered(0, made, whole, {}, is_new=True, now=now)
        found, self._numbers = remembered(connection, row, None)
        return msgspec.structs.replace(found, now=now)

    def _moment(self, connection: Connection) -> float | None:
        """Return the time by the clock of a server, which all processes have in common; None without one."""
        if not self._database.is_shared:
            return None
        return float(connection.execute(text(f"SELECT {self._database.clock}")).scalar_one())

    def _caught_up(self, connection: Connection, writes: int, sets: Mapping[SetName, SetLedger]) -> Remembered:
        row = ledger_row(connection)
        if row is None:
            raise StateDamaged
        found, self._numbers = remembered(connection, row, Known(writes, sets, self._numbers))
        return found

    # --- writing ---------------------------------------------------------------------------------------------------

    def _write(self, changes: Changes, writes: int) -> None:
        self._database.still_there()
        numbers = self._numbers.copy()
        with self._database.engine.begin() as connection:
            self._database.begin(connection)
            write_changes(connection, self._database, changes, writes, numbers)
        self._numbers = numbers


_NUDGES = select(func.coalesce(func.sum(NUDGE.c.number), 0)).scalar_subquery()
_COUNTS = select(LEDGER.c.writes, LEDGER.c.stamp, _NUDGES).where(LEDGER.c.id == ONE)


@contextmanager
def _no_damage() -> Iterator[None]:
    """Raise StateDamaged where what is read cannot be ours."""
    try:
        yield
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise StateDamaged from error


def _heard(future: asyncio.Future[T]) -> None:
    """Take the error of what nobody waits for any more."""
    if not future.cancelled():
        future.exception()


def _translating(work: Callable[[], T]) -> T:
    """Run what talks to the database; raises StateError for all that it raises."""
    try:
        return work()
    except (SQLAlchemyError, OSError) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> StateError:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    if isinstance(cause, InvalidRequestError):
        return StateDamaged()
    if isinstance(cause, OSError):
        return StateUnwritable(f"The state database cannot be written to ({cause.strerror or 'no reason given'}).")
    state = str(getattr(cause, "sqlstate", None) or "")
    if state.startswith(("25006", "53100", "42501")):
        return StateUnwritable()
    return StateDamaged() if state.startswith(("42", "XX", "22", "23")) else StateUnreachable()


_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _of_sqlite(cause: sqlite3.Error) -> StateError:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in _UNWRITABLE:
        return StateUnwritable()
    return StateDamaged() if code in _DAMAGED else StateUnreachable()


def open_state(
    url: str, connect: timedelta, statement: timedelta, now: Callable[[], float], *, make: bool = True
) -> StateStore:
    """Return the store that a URL names, SQLite or PostgreSQL; connects to nothing. Raises ConfigurationError.

    Without `make` a state that is not there is an error when it is loaded.
    """
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] == "sqlite":
        path = unquote(rest.removeprefix("/"))
        if not path or path == ":memory:" or "\0" in path:
            raise ConfigurationError(["state.url: sqlite needs a file, such as sqlite:///tenantry-state.db."])
        from tenantry.adapters.database.state_file import StateFile

        return StateStore(StateFile(Path(path)), now, make=make)
    found = server_url(url, "state.url")
    if found.get_backend_name() != "postgresql":
        raise ConfigurationError(
            [f"state.url: {found.get_backend_name()} is not supported; known: postgresql, sqlite."]
        )
    from tenantry.adapters.database.state_server import StateServer

    try:
        return StateStore(StateServer(found, connect, statement), now, make=make)
    except (ArgumentError, ValueError):
        raise ConfigurationError(["state.url has a host or port that cannot be used."]) from None
