"""From a row to what a tenant is made of: which columns are id, state and parameters, and what is acceptable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from tenantry.core import values
from tenantry.core.columns import Column, Kind, choose
from tenantry.core.layout import End, Paths, Tree, laid_out, paths_of
from tenantry.core.tenant import Row, Unusable
from tenantry.core.values import Json, Nested, NoText

_NO_PATHS: Paths = frozenset()
EVERY_OTHER = "*"
"""In `source.retire`: each state that `source.serve` does not list."""


@dataclass(frozen=True, slots=True)
class TableShape:
    """What the configuration says about the table: the names, and which states are served."""

    table: str = "organization"
    id: str = "tenant"
    state: str | None = None
    parameters: tuple[str, ...] | None = None
    serve: tuple[str, ...] | None = None
    retire: tuple[str, ...] = ()
    max_text: int = 32768


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A mapped row before the snapshot's common JSON layout is known."""

    id: str
    parsed: tuple[Json, ...]
    row: Row
    paths: Paths


class NotServed(msgspec.Struct, frozen=True, gc=False):
    """A row whose state is not deployed."""

    id: str


@dataclass(frozen=True)
class RowMapping:
    """How rows with these columns become tenants."""

    shape: TableShape
    columns: tuple[Column, ...]
    """What is read, in the order of a row: parameters by name, then id and state where they are not among them."""

    fields: tuple[Column, ...]
    """What is served: the leading columns."""

    _positions: dict[str, int] = field(init=False, repr=False, compare=False)
    _wanted: frozenset[str] | None = field(init=False, repr=False, compare=False)
    _canonical: tuple[Callable[[str], str] | None, ...] = field(init=False, repr=False, compare=False)
    _is_plain: bool = field(init=False, repr=False, compare=False)
    """Whether text of every column is canonical as it is."""

    _id_position: int = field(init=False, repr=False, compare=False)
    _json_positions: tuple[int, ...] = field(init=False, repr=False, compare=False)
    has_json: bool = field(init=False, repr=False, compare=False)
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The names of the fields, in order."""

    def __post_init__(self) -> None:
        """Look names up once, not once a row."""
        serve, retire = self.shape.serve, self.shape.retire
        object.__setattr__(self, "_positions", {column.name: n for n, column in enumerate(self.columns)})
        object.__setattr__(self, "_wanted", None if serve is None else frozenset((*serve, *retire)))
        of_json = tuple(n for n, column in enumerate(self.fields) if column.kind is Kind.JSON)
        object.__setattr__(self, "_json_positions", of_json)
        object.__setattr__(self, "has_json", bool(of_json))
        kinds = [column.kind for column in self.columns]
        object.__setattr__(self, "_canonical", tuple(values.CANONICAL.get(kind) for kind in kinds))
        object.__setattr__(self, "_is_plain", not self.has_json and not any(self._canonical))
        object.__setattr__(self, "_id_position", self._positions[self.shape.id])
        object.__setattr__(self, "names", tuple(column.name for column in self.fields))

    @classmethod
    def of(cls, shape: TableShape, table_columns: Sequence[Column]) -> RowMapping:
        """Check the configured names against the columns that the table has; raises SourceError."""
        needed = [shape.id, *([shape.state] if shape.state else [])]
        fields = choose(table_columns, shape.table, needed, shape.parameters)
        by_name = {column.name: column for column in table_columns}
        extra = [by_name[name] for name in needed if by_name[name] not in fields]
        return cls(shape, (*fields, *dict.fromkeys(extra)), fields)

    def position_of(self, column: str) -> int:
        """Return where a column stands in a row."""
        return self._positions[column]

    def id_of(self, row: Row) -> str | None:
        """Return the id of a row, or None where it has none that can be used."""
        position = self._id_position
        try:
            text = self._text(position, row[position])
        except NoText:
            return None
        return text if text and not text.isspace() else None

    def map(self, row: Row, number: int) -> Draft | NotServed | Unusable:
        """Map one row; what is wrong with it is told, not raised, since other rows go on."""
        if self._is_plain and self.shape.serve is None and len(row) == len(self.fields):
            most = self.shape.max_text
            for value in row:
                if type(value) is not str or len(value) > most:
                    break
            else:
                identifier: str = row[self._id_position]  # type: ignore[assignment]
                if identifier and not identifier.isspace():
                    return Draft(identifier, row, row, _NO_PATHS)  # type: ignore[arg-type]
        tenant = self.id_of(row)
        if tenant is None:
            return Unusable(number, "has no usable id", column=self.shape.id)
        column = self.shape.state or ""
        try:
            if not self._is_served(row):
                return NotServed(tenant)
            parsed: list[Json] = []
            for position, this in enumerate(self.fields):
                column = this.name
                parsed.append(self._parsed(position, row[position]))
            ends: set[End] = set()
            for position in self._json_positions:
                column = self.fields[position].name
                ends |= paths_of(column, parsed[position])
        except NoText as reason:
            return Unusable(number, str(reason), column=column, tenant=tenant)
        # Text columns make the parsed values equal to the row: one tuple then serves as both.
        whole = row if not self.has_json and tuple(parsed) == row else tuple(parsed)
        return Draft(tenant, whole, row, frozenset(ends) if ends else _NO_PATHS)  # type: ignore[arg-type]

    def lay_out(self, draft: Draft, tree: Tree) -> tuple[Nested, ...]:
        """Give a draft's values the common layout; text is as it is, NULL the empty text."""
        if not self.has_json and None not in draft.parsed:
            return draft.parsed  # type: ignore[return-value]
        return tuple(
            laid_out(value, tree.get(column.name, {})) for column, value in zip(self.fields, draft.parsed, strict=True)
        )

    def _is_served(self, row: Row) -> bool:
        if self.shape.state is None or self._wanted is None or self.shape.serve is None:
            return True
        position = self._positions[self.shape.state]
        value = row[position]
        state = "" if value is None else self._text(position, value)
        if state not in self._wanted and EVERY_OTHER not in self.shape.retire:
            raise NoText("has a state that neither source.serve nor source.retire lists")
        return state in self.shape.serve

    def _parsed(self, position: int, value: object) -> Json:
        if value is None:
            return None
        text = self._text(position, value)
        return values.parse_json(text) if self.fields[position].kind is Kind.JSON else text

    def _text(self, position: int, value: object) -> str:
        text = value if type(value) is str else values.plain_text(value)
        if len(text) > self.shape.max_text:
            raise NoText(f"is longer than {self.shape.max_text} characters (source.max_text)")
        canonical = self._canonical[position]
        return canonical(text) if canonical else text
