"""What the use cases need from the world, as small promises; the contract tests check their very sentences."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from tenantry.core.columns import Column
from tenantry.core.errors import TenantryError
from tenantry.core.position import Position
from tenantry.core.snapshot import Snapshot
from tenantry.core.tenant import Row


class Reading(Protocol):
    """One read under way, inside one read-only transaction."""

    @property
    def position(self) -> Position:
        """Where the database stood before the first row was read."""
        ...

    @property
    def columns(self) -> Sequence[Column]:
        """All columns of the table, whether they are served or not."""
        ...

    async def reached(self) -> int:
        """Tell, after the last row, how far the log had come: nothing of what was read is newer; 0 without a log."""
        ...

    def rows(self, columns: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        """Give every row in slices, with these columns, in order of id.

        Ends normally only after the last row; a read that is cut raises SourceError. Values are text, None for
        NULL, and bytes where they are not text: two rows are equal exactly if their texts are.
        """
        ...


class TenantSource(Protocol):
    """Where tenants come from."""

    def read(self) -> AbstractAsyncContextManager[Reading]:
        """Begin a read of all rows in one consistent, read-only transaction; raises SourceError and nothing else."""
        ...

    async def close(self) -> None:
        """Give back all connections."""
        ...


class Tokens(Protocol):
    """The bearer tokens that are valid now."""

    def consumer_of(self, presented: str) -> str | None:
        """Return whose token this is, in a time that does not depend on how much of it is right; None if nobody's."""
        ...

    @property
    def count(self) -> int:
        """How many tokens are valid."""
        ...

    @property
    def consumers(self) -> Collection[str]:
        """Whose tokens are valid."""
        ...


class Clock(Protocol):
    """Time, handed in so that tests can hold it still."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        ...

    def now(self) -> datetime:
        """Return the time of day in UTC."""
        ...


class Observer(Protocol):
    """Who is told what happens; neither tokens nor tenants' data are ever among it."""

    def snapshot_published(
        self, snapshot: Snapshot, seconds: float, *, changed: bool, heard: float | None = None
    ) -> None:
        """A read became the snapshot in use, `seconds` after it began.

        `heard` is how many seconds before that the first change was heard of that it has, where a database tells.
        """
        ...

    def read_spared(self) -> None:
        """A read was not needed: it was proven that nothing has changed."""
        ...

    def read_failed(self, error: TenantryError, cause: str, seconds: float) -> None:
        """A read failed; `cause` is the name of what the driver raised, without its text."""
        ...

    def answered(
        self, application_set: str, consumer: str, tenants: int, checksum: int, seconds: float, *, held: bool
    ) -> None:
        """An answer left; `held` if the guard kept somebody in it, or out of it; `checksum` is its body's CRC-32."""
        ...

    def refused(self, status: int, error: TenantryError, seconds: float, application_set: str, consumer: str) -> None:
        """A request got something else than an answer; name and consumer are empty until the token was accepted."""
        ...

    def failed(self, error: BaseException) -> None:
        """Something raised that never should."""
        ...

    def told(self, event: str, fields: dict[str, object]) -> None:
        """Something worth a line of the log happened."""
        ...
