"""All tenants at one moment: immutable, in order, with a digest; and how the next one is made from rows.

Two rules keep a bad row from becoming a removal. A row that cannot be used leaves its tenant with the last good
parameters. While some row has no usable id, nobody knows whose it is, so every tenant of the snapshot before stays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from tenantry.core.carrying import LastGood
from tenantry.core.errors import MissingColumn, SourceError, listed
from tenantry.core.fields import Field
from tenantry.core.fitting import Ends, Misfit, conflicts, refuse_too_many, room_for, united
from tenantry.core.layout import Paths, Tree, leaves_of, tree_of
from tenantry.core.mapping import Draft, NotServed, RowMapping
from tenantry.core.position import Position
from tenantry.core.selection import Selection, parse_views
from tenantry.core.steps import SLICE, Steps, sliced, sliced_by_size
from tenantry.core.tenant import Row, Tenant, Unusable, size_of
from tenantry.core.vocabulary import Vocabulary

_ENCODER = msgspec.json.Encoder()
_NO_PATHS: Paths = frozenset()
_LIVE = (Draft, Tenant)
_OUTWEIGHS_ALL = 10**9
_LEAVES_OF_A_TURN = 4000
"""Leaves that are laid out between two pauses: about a millisecond of work."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All tenants that are served, as one read found them."""

    revision: str
    """SHA-256 in hex over the names of the fields, all parameter sets, and which of their empty texts are NULL."""

    tenants: Mapping[str, Tenant]
    """By id, in order of id."""

    mapping: RowMapping
    tree: Tree
    position: Position
    rows: int
    """Rows read, served or not."""

    retired: Mapping[str, str | None] = field(default_factory=dict)
    """The states of those whose row is not served, by id, in order of id; only for people to look at."""

    quarantined: tuple[Unusable, ...] = ()
    in_doubt: frozenset[str] = frozenset()
    """Tenants without a served row that stay, since some row may be theirs: it has no usable id, or another's."""

    complete: bool = True
    """False while a tenant may be missing because its last good parameters were never known."""

    views: Mapping[str, Selection] = field(default_factory=dict)
    """The named selections of the configuration."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that are made from columns, in order of name."""
        return self.mapping.fields

    @property
    def kept_in_doubt(self) -> int:
        """How many tenants stay in doubt."""
        return len(self.in_doubt)

    @property
    def vocabulary(self) -> Vocabulary:
        """What a request may name."""
        return Vocabulary(self.mapping.offered, self.mapping.layered, self.views)

    @property
    def unknown(self) -> tuple[Unusable, ...]:
        """The rows for which nothing can be answered: their tenants' last good parameters are not known."""
        return () if self.complete else tuple(row for row in self.quarantined if not row.kept)


Entry: TypeAlias = "Draft | Tenant | NotServed | Unusable"


class SnapshotBuilder:
    """Makes a snapshot from rows and the snapshot before, in steps of about a millisecond."""

    def __init__(self, mapping: RowMapping, previous: Snapshot | None) -> None:
        """Begin; raises MissingColumn if a field of the snapshot before has no column any more, or BrokenView."""
        self._mapping = mapping
        self._previous = previous
        self._known: Mapping[str, Tenant] = previous.tenants if previous else {}
        self._last_good = LastGood(self._known, previous.mapping if previous else None, mapping)
        self._same_mapping = previous is not None and previous.mapping == mapping
        self._id_position = mapping.position_of(mapping.shape.id)
        self._entries: dict[str, Entry] = {}
        self._kept: dict[str, Draft | Tenant] = {}
        self._nameless: list[Unusable] = []
        self._surplus: list[Unusable] = []
        self._without_entry: list[int] = []
        self._unusable: set[str] = set()
        self._ends = Ends(previous.tree if previous else {})
        self._rows = 0
        self._unchanged = 0
        self._all_served = True
        self._refuse_lost_fields()
        self._views = parse_views(mapping.shape.views, Vocabulary(mapping.offered, mapping.layered))

    def _refuse_lost_fields(self) -> None:
        """Columns are a part of every template: one that vanished is never a smaller answer."""
        before = self._previous.fields if self._previous else ()
        lost = {column.name for column in before} - {column.name for column in self._mapping.fields}
        if lost:
            raise MissingColumn(
                f"Of {self._mapping.shape.told} these columns are gone: {listed(lost)}.",
                remedy="Put them back; or, if no template uses them, restart tenantry.",
            )

    def add(self, rows: Sequence[Row]) -> None:
        """Take in rows, in the order of the read."""
        before_of: Callable[[Any], Tenant | None] = self._known.get if self._same_mapping else _nobody
        entries, position = self._entries, self._id_position
        for row in rows:
            self._rows += 1
            before = before_of(row[position])
            if before is None or before.row != row:
                self._add_changed(row)
                continue
            self._unchanged += 1
            if before.id in entries:
                self._enter(before.id, before)
            else:
                entries[before.id] = before

    def _add_changed(self, row: Row) -> None:
        mapped = self._mapping.map(row, self._rows)
        if isinstance(mapped, Draft) and mapped.paths:
            mapped = self._with_shared_paths(mapped)
        tenant = mapped.tenant if isinstance(mapped, Unusable) else mapped.id
        if tenant is not None:
            self._last_good.note(tenant, row)
            self._enter(tenant, mapped)
        else:
            self._nameless.append(mapped)  # type: ignore[arg-type]
            self._without_entry.append(self._rows)

    def _with_shared_paths(self, draft: Draft) -> Draft | Unusable:
        """Most rows have JSON of a few shapes: each is kept once."""
        match self._ends.of_row(draft.paths):
            case (str(column), str(reason)):
                return Unusable(self._rows, reason, self._mapping.column_of(column), draft.id)
            case shared:
                return draft if shared is draft.paths else msgspec.structs.replace(draft, paths=shared)

    def _enter(self, tenant: str, entry: Entry) -> None:
        if tenant not in self._entries:
            self._entries[tenant] = entry
            if isinstance(entry, Unusable):
                self._unusable.add(tenant)
            elif isinstance(entry, NotServed):
                self._all_served = False
            return
        self._without_entry.append(self._rows)
        if not (isinstance(entry, NotServed) and isinstance(self._entries[tenant], NotServed)):
            surplus = Unusable(self._rows, "has the id of another row", self._mapping.shape.id, tenant)
            self._entries[tenant] = surplus
            self._unusable.add(tenant)
            # Whose row it was before it got another's id, nobody knows: as with a row without one.
            self._surplus.append(surplus)

    def finish(self, position: Position) -> Steps[Snapshot]:
        """Make the snapshot; raises LastGoodIncomplete rather than make up a value."""
        for some in sliced(list(self._unusable)):
            for tenant in some:
                self._keep_last_good(tenant)
            yield
        in_doubt = self._keep_in_doubt()
        yield
        tree = yield from self._tree()
        retired = yield from self._retired()
        tenants, revision = yield from self._tenants_and_revision(tree)
        unusable = [entry for tenant in self._unusable if isinstance(entry := self._entries[tenant], Unusable)]
        was_complete = self._previous is not None and self._previous.complete
        return Snapshot(
            revision=revision,
            tenants=tenants,
            mapping=self._mapping,
            tree=tree,
            position=position,
            rows=self._rows,
            retired=retired,
            quarantined=tuple(sorted((*unusable, *self._nameless), key=lambda row: row.row)),
            in_doubt=in_doubt,
            views=self._views,
            complete=was_complete or not (self._nameless or any(not row.kept for row in unusable)),
        )

    def _keep_last_good(self, tenant: str) -> None:
        row = self._entries[tenant]
        if isinstance(row, Unusable):
            carried = self._last_good.of(tenant, row)
            if carried is not None:
                self._kept[tenant] = carried
            self._entries[tenant] = msgspec.structs.replace(row, kept=carried is not None)

    def _keep_in_doubt(self) -> frozenset[str]:
        """Keep every tenant of the snapshot before that has no served row, while it is not known whose some row is."""
        doubtful = [*self._nameless, *self._surplus]
        if not doubtful:
            return frozenset()
        gone = [tenant for tenant in self._known if isinstance(self._entries.get(tenant), NotServed | None)]
        for tenant in gone:
            carried = self._last_good.of(tenant, doubtful[0])
            if carried is not None:
                self._kept[tenant] = carried
        return frozenset(gone)

    def _retired(self) -> Steps[dict[str, str | None]]:
        """Return the states of the rows that are not served; none where every state is."""
        states: dict[str, str | None] = {}
        if self._mapping.shape.serve is None:
            return states
        ids: list[str] = []
        for some in sliced(list(self._entries.items())):
            ids += [tenant for tenant, entry in some if isinstance(entry, NotServed) and tenant not in self._kept]
            yield
        ids.sort()
        yield
        for part in sliced(ids):
            states.update((tenant, self._entries[tenant].state) for tenant in part)  # type: ignore[union-attr]
            yield
        return states

    def _tree(self) -> Steps[Tree]:
        """Find the layout that all rows have together, and quarantine those that do not fit; raises TooManyLeaves."""
        before = self._previous
        if not self._mapping.has_json:
            return {}
        if before is not None and self._same_mapping and self._nothing_changed(before):
            return before.tree
        settled = self._ends.settled
        path_sets, tenants = yield from self._path_sets()
        while odd := (yield from conflicts(path_sets, settled, room_for(tenants, len(settled)))):
            yield from self._quarantine(odd)
            path_sets, tenants = yield from self._path_sets()
        tree = tree_of((yield from united(path_sets)))
        refuse_too_many(tree, tenants)
        return tree

    def _path_sets(self) -> Steps[tuple[Counter[Paths], int]]:
        """Count how many rows have each set of JSON paths, and the tenants; last good parameters outweigh all rows."""
        counts: Counter[Paths] = Counter()
        for some in sliced(list(self._entries.values())):
            counts.update(entry.paths for entry in some if isinstance(entry, _LIVE))
            yield
        live = counts.total()
        for entry in self._kept.values():
            counts[entry.paths] += _OUTWEIGHS_ALL
        return counts, live + len(self._kept)

    def _quarantine(self, odd: Mapping[Paths, Misfit]) -> Steps[None]:
        """Quarantine the rows whose JSON does not fit; raises SourceError if it is none of today's."""
        misfits: list[tuple[str, Misfit]] = []
        for some in sliced(list(self._entries.items())):
            misfits += [
                (tenant, odd[entry.paths]) for tenant, entry in some if isinstance(entry, _LIVE) and entry.paths in odd
            ]
            yield
        if not misfits:
            raise SourceError("The last good parameters of rows that cannot be used do not fit together.")
        numbers = self._numbers()
        yield
        for some_misfits in sliced(misfits):
            for tenant, (column, reason) in some_misfits:
                self._entries[tenant] = Unusable(numbers[tenant], reason, self._mapping.column_of(column), tenant)
                self._unusable.add(tenant)
                self._keep_last_good(tenant)
            yield

    def _numbers(self) -> dict[str, int]:
        """Return the number of each entry's row, counting those that made no entry."""
        taken = set(self._without_entry)
        free = (number for number in range(1, self._rows + 1) if number not in taken)
        return dict(zip(self._entries, free, strict=True))

    def _tenants_and_revision(self, tree: Tree) -> Steps[tuple[Mapping[str, Tenant], str]]:
        before = self._previous if self._same_mapping else None
        if before is not None and before.tree == tree and self._nothing_changed(before):
            return before.tenants, before.revision
        chosen = yield from self._chosen()
        reusable = before is not None and before.tree == tree
        leaves = sum(1 for _ in leaves_of(tree))
        for some in sliced(list(chosen), max(1, min(SLICE, _LEAVES_OF_A_TURN // max(1, leaves)))):
            for tenant in some:
                entry = chosen[tenant]
                if not (reusable and isinstance(entry, Tenant)):
                    # In its place, so that each draft is let go as soon as it was used: there are many.
                    chosen[tenant] = self._made(entry, tree)
            yield
        made: dict[str, Tenant] = chosen  # type: ignore[assignment]
        return made, (yield from self._revision(made))

    def _nothing_changed(self, before: Snapshot) -> bool:
        """Tell whether there was an unchanged row for each tenant, none twice and none besides."""
        return self._unchanged == self._rows == len(self._entries) == len(before.tenants) and not self._unusable

    def _chosen(self) -> Steps[dict[str, Entry]]:
        """Return what all who are served are made from, in order of id: where the rows came in it, that is at hand."""
        if self._all_served and not (self._unusable or self._kept):
            ids = list(self._entries)
            yield
            ids.sort()
            if ids == list(self._entries):
                return self._entries
        else:
            ids = yield from self._ids()
        chosen: dict[str, Entry] = {}
        for some in sliced(ids):
            for tenant in some:
                chosen[tenant] = self._kept.get(tenant) or self._entries.pop(tenant)
            yield
        return chosen

    def _ids(self) -> Steps[list[str]]:
        """Return the ids of all who are served, in order; the database's own order makes sorting cheap."""
        ids: list[str] = []
        for some in sliced(list(self._entries.items())):
            ids += [tenant for tenant, entry in some if isinstance(entry, _LIVE) and tenant not in self._kept]
            yield
        ids += self._kept
        yield
        ids.sort()
        return ids

    def _made(self, entry: Entry, tree: Tree) -> Tenant:
        draft = self._mapping.map(entry.row, 0) if isinstance(entry, Tenant) else entry
        if not isinstance(draft, Draft):
            raise SourceError("A row that could be used before cannot be used again.")
        values, parameters = self._mapping.made(draft, tree)
        return Tenant(draft.id, values, _ENCODER.encode(parameters), draft.row, draft.paths, draft.missing)

    def _revision(self, tenants: Mapping[str, Tenant]) -> Steps[str]:
        """Tell NULL from an empty text, and JSON that lacks a leaf from JSON that has it: a selector does so too."""
        digest = hashlib.sha256(_ENCODER.encode(self._mapping.names))
        marks: dict[tuple[tuple[int, ...], Paths], bytes] = {((), _NO_PATHS): b"\n"}
        for some in sliced_by_size(list(tenants.values()), size_of):
            plain = [tenant.encoded for tenant in some if not (tenant.missing or tenant.paths)]
            if len(plain) == len(some):
                digest.update(b"\n".join((*plain, b"")))
            else:
                for tenant in some:
                    digest.update(tenant.encoded)
                    digest.update(marks.get((tenant.missing, tenant.paths)) or _mark(marks, tenant))
            yield
        return digest.hexdigest()


def _nobody(_: object) -> None:
    """Know no tenant."""


def _mark(marks: dict[tuple[tuple[int, ...], Paths], bytes], tenant: Tenant) -> bytes:
    """Return what tells where a tenant has nothing, made once for all that have nothing in the same places."""
    told = repr((tenant.missing, sorted(tenant.paths))).encode()
    mark = marks[tenant.missing, tenant.paths] = hashlib.sha256(told).digest()
    return mark
