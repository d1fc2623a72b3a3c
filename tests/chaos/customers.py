"""The tenants of the chaos: rows that change all the time, and when each of them was there."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from tenantry.core.trigger import trigger_sql
from tests.chaos.sets import REGIONS, Row
from tests.support.postgres import Database

TABLE = "organization"
FIRST = 36
"""Tenants that there are at first."""

_PATIENCE = 60.0
"""Seconds for which a statement is tried again: the database is never away for so long."""


@dataclass
class Spell:
    """A time in which a tenant's row was as it is told here, or was not there."""

    row: Row | None
    began: float
    """Before the statement was sent."""

    done: float | None = None
    """After its commit was known; until then it may have happened or not."""


class NotWritten(AssertionError):
    """The database took no statement for so long that the run says nothing."""


@dataclass
class Customers:
    """The table, written by one thread, and its history for whoever judges."""

    database: Database
    clock: Callable[[], float] = time.monotonic
    rows: dict[str, Row] = field(default_factory=dict)
    """Who is there now."""

    last: dict[str, Row] = field(default_factory=dict)
    """The latest row of everybody who ever was there."""

    _spells: dict[str, list[Spell]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, chance: random.Random) -> None:
        """Make the table, with its trigger and the first tenants."""
        self.database.execute(
            f"DROP TABLE {TABLE}; CREATE TABLE {TABLE} (tenant text, status text, region text, plan text);"
            f"{trigger_sql(TABLE, 'tenantry')}"
        )
        for _ in range(FIRST):
            self.add(chance)

    # --- what is written -------------------------------------------------------------------------------------------

    def add(self, chance: random.Random) -> str:
        """Sign somebody up; returns the id, which nobody had before."""
        tenant = f"t{len(self.last):03}"
        self.write({tenant: Row("active", chance.choice(REGIONS), "0")})
        return tenant

    def write(self, rows: Mapping[str, Row | None]) -> None:
        """Write rows, or delete those of None, in one transaction."""
        self._note(rows)
        written = [(tenant, *row) for tenant, row in rows.items() if row is not None]
        self._surely(
            [
                (f"DELETE FROM {TABLE} WHERE tenant = %s", [(tenant,) for tenant in rows]),
                (f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s)", written),
            ]
        )
        self._noted(rows)

    def statement(self, text: str, *values: object) -> None:
        """Run a statement that is about nobody's row, such as one without an id."""
        self._surely([(text, [values])])

    def _surely(self, steps: Sequence[tuple[str, Sequence[Sequence[object]]]]) -> None:
        """Run a transaction until it is known to be committed; each may be run again."""
        until = self.clock() + _PATIENCE
        while True:
            try:
                with self.database.server.connect(self.database.name) as connection, connection.transaction():
                    for text, all_values in steps:
                        for values in all_values:
                            connection.execute(text.encode(), values)
            except psycopg.Error as error:
                if self.clock() > until:
                    raise NotWritten(str(error)) from error
                time.sleep(0.05)
            else:
                return

    # --- what is remembered ----------------------------------------------------------------------------------------

    def _note(self, rows: Mapping[str, Row | None]) -> None:
        with self._lock:
            for tenant, row in rows.items():
                self._spells.setdefault(tenant, []).append(Spell(row, self.clock()))

    def _noted(self, rows: Mapping[str, Row | None]) -> None:
        with self._lock:
            for tenant, row in rows.items():
                self._spells[tenant][-1].done = self.clock()
                if row is None:
                    self.rows.pop(tenant, None)
                else:
                    self.rows[tenant] = self.last[tenant] = row

    def knows(self, tenant: str) -> bool:
        """Tell whether somebody ever was there."""
        return tenant in self._spells

    def absences(self, tenant: str, is_there: Callable[[Row], bool]) -> Sequence[tuple[float, float | None]]:
        """Return when a tenant was away: from before it was, until after it surely was no more; None for until now."""
        with self._lock:
            spells = list(self._spells.get(tenant, ()))
        found: list[tuple[float, float | None]] = []
        away: float | None = None
        for spell in spells:
            if spell.row is None or not is_there(spell.row):
                away = spell.began if away is None else away
            elif away is not None and spell.done is not None:
                found.append((away, spell.done))
                away = None
        return found if away is None else [*found, (away, None)]
