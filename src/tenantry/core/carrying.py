"""Last good parameters under the columns of today.

A column that is new since, or whose type changed, has no last good value: it is taken from the row of today, if that
value can be used by itself. Where it cannot, nobody knows it, and a value that is made up would be an answer: the
read fails, and the snapshot before stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenantry.core.errors import LastGoodIncomplete, listed
from tenantry.core.mapping import Draft, RowMapping
from tenantry.core.tenant import Row, Tenant, Unusable

Cells = tuple[object, ...]


class LastGood:
    """The tenants of the snapshot before, and what today's rows say about columns that it did not have."""

    def __init__(self, tenants: Mapping[str, Tenant], before: RowMapping | None, today: RowMapping) -> None:
        """Know the tenants of the snapshot `before`, none if there was none."""
        self._tenants = tenants
        self._today = today
        self._same = before is None or before == today
        columns = before.columns if before else ()
        self._positions = {column: position for position, column in enumerate(columns)}
        self._fresh = [n for n, column in enumerate(today.columns) if column not in self._positions]
        self._cells: dict[str, Cells | None] = {}

    def note(self, tenant: str, row: Row) -> None:
        """Remember what a row of today says about the columns that are new; nothing where two rows disagree."""
        if not self._same and tenant in self._tenants:
            cells = tuple(row[position] for position in self._fresh)
            if self._cells.setdefault(tenant, cells) != cells:
                self._cells[tenant] = None

    def of(self, tenant: str, because: Unusable) -> Draft | Tenant | None:
        """Return a tenant's last good parameters, which the row `because` calls for; None if there are none.

        Raises LastGoodIncomplete rather than make up a value.
        """
        before = self._tenants.get(tenant)
        if before is None or self._same:
            return before
        cells = self._cells.get(tenant)
        if (cells is None and self._fresh) or because.column in self._fresh_names():
            raise self._incomplete(self._fresh_names(), because)
        fresh = dict(zip(self._fresh, cells or (), strict=False))
        mapped = self._today.map(
            tuple(
                fresh[n] if n in fresh else before.row[self._positions[column]]
                for n, column in enumerate(self._today.columns)
            ),
            0,
        )
        if not isinstance(mapped, Draft):
            columns = [mapped.column] if isinstance(mapped, Unusable) else self._fresh_names()
            raise self._incomplete(columns, because)
        return mapped

    def _fresh_names(self) -> list[str]:
        return [self._today.columns[position].name for position in self._fresh]

    def _incomplete(self, columns: list[str], because: Unusable) -> LastGoodIncomplete:
        one = len(columns) == 1
        names = f"Column '{columns[0]}' is" if one else f"Columns {listed(columns)} are"
        return LastGoodIncomplete(
            f"{because.sentence} {names} new or {'has' if one else 'have'} another type since the last good read, so "
            "that the last good parameters that have to stay in its place have no such value."
        )
