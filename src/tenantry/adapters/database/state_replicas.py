"""The processes that share a state database: each says that it is there, and hears of the others."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from tenantry.adapters.database.state_documents import origin_document, origin_of
from tenantry.service.state import Replica

_LATELY = 600.0
"""Seconds after which a process that was not seen is forgotten."""

_SEEN = (
    "INSERT INTO {of}replica (id, configuration, version, seen, position) "
    "VALUES (:id, :configuration, :version, {clock}, :position) ON CONFLICT (id) DO UPDATE SET "
    "configuration = excluded.configuration, version = excluded.version, seen = excluded.seen, "
    "position = excluded.position"
)
_FORGET = "DELETE FROM {of}replica WHERE abs({clock} - seen) > :lately AND id <> :id"
_LIST = "SELECT id, configuration, version, {clock} - seen, position FROM {of}replica ORDER BY id"
_GONE = "DELETE FROM {of}replica WHERE id = :id"


class ReplicaTable:
    """The table of processes; times are those of the database's clock, which all of them share."""

    def __init__(self, of: str, clock: str) -> None:
        """Put the statements together, for tables whose names begin with `of`."""
        self._seen, self._forget, self._list, self._gone = (
            text(statement.format(of=of, clock=clock)) for statement in (_SEEN, _FORGET, _LIST, _GONE)
        )

    def seen(self, connection: Connection, replica: Replica) -> Sequence[Replica]:
        """Note that a process is there, and return all that were seen lately."""
        values = {"id": replica.id, "configuration": replica.configuration, "version": replica.version}
        connection.execute(self._seen, {**values, "position": origin_document(replica.position)})
        connection.execute(self._forget, {"id": replica.id, "lately": _LATELY})
        return [
            # The clock may have been set back since: who is there has been seen again by then.
            Replica(one, configuration, version, abs(age), origin_of(position))
            for one, configuration, version, age, position in connection.execute(self._list)
        ]

    def gone(self, connection: Connection, replica: str) -> None:
        """Forget a process."""
        connection.execute(self._gone, {"id": replica})
