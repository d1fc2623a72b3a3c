"""From a row to what a tenant is made of: which columns are id, state and parameters, and what is acceptable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter

import msgspec

from tenantry.core import values
from tenantry.core.allowing import Allowing
from tenantry.core.columns import Column, Kind
from tenantry.core.defaults import Defaults, Layer, NotMerged
from tenantry.core.errors import RefusedColumn, quoted
from tenantry.core.fields import NO_NAMES, Field, FieldShape, Naming, choose, computed_fields
from tenantry.core.layout import End, Paths, Tree, laid_out, laid_out_natively, native_number, paths_of
from tenantry.core.naming import tenant_name
from tenantry.core.tenant import Row, Unusable
from tenantry.core.values import Json, Nested, NoText

_NO_PATHS: Paths = frozenset()
EVERY_OTHER = "*"
"""In `source.retire`: each state that `source.serve` does not list."""


@dataclass(frozen=True, slots=True)
class TableShape:
    """What the configuration says about the table: the names, and which states are served."""

    table: str = "organization"
    """The table or view; empty where a query is read."""

    id: str = "tenant"
    state: str | None = None
    parameters: tuple[str, ...] | None = None
    serve: tuple[str, ...] | None = None
    retire: tuple[str, ...] = ()
    max_text: int = 32768
    fields: tuple[FieldShape, ...] = ()
    defaults: tuple[Layer, ...] = ()
    naming: Naming = NO_NAMES
    views: tuple[tuple[str, Mapping[str, object]], ...] = ()
    """Named selections: what a request may ask, by name."""

    @property
    def told(self) -> str:
        """What messages call the source of the rows."""
        return f"table {quoted(self.table)}" if self.table else "source.query"


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A mapped row before the snapshot's common JSON layout is known."""

    id: str
    parsed: tuple[Json, ...]
    row: Row
    paths: Paths
    missing: tuple[int, ...] = ()


class NotServed(msgspec.Struct, frozen=True, gc=False):
    """A row whose state is not deployed."""

    id: str
    state: str | None
    """None where it is NULL."""


@dataclass(frozen=True)
class RowMapping:
    """How rows with these columns become tenants."""

    shape: TableShape
    columns: tuple[Column, ...]
    """What is read, in the order of a row: the columns of the fields, then id and state if they are not among them."""

    fields: tuple[Field, ...]
    """What is served of the row, in order of name: one for each of the leading columns."""

    _positions: dict[str, int] = field(init=False, repr=False, compare=False)
    _wanted: frozenset[str] | None = field(init=False, repr=False, compare=False)
    _canonical: tuple[Callable[[str], str] | None, ...] = field(init=False, repr=False, compare=False)
    _is_plain: bool = field(init=False, repr=False, compare=False)
    """Whether text of every column is a value as it is."""

    _id_position: int = field(init=False, repr=False, compare=False)
    _json_positions: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _native_positions: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _defaults: Defaults = field(init=False, repr=False, compare=False)
    _allowing: Allowing = field(init=False, repr=False, compare=False)
    _missing: dict[tuple[int, ...], tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _states: dict[str, str] = field(init=False, repr=False, compare=False)
    _computing: tuple[Callable[[str], str], ...] = field(init=False, repr=False, compare=False)
    _in_order: Callable[[tuple[object, ...]], tuple[object, ...]] | None = field(init=False, repr=False, compare=False)
    has_json: bool = field(init=False, repr=False, compare=False)
    computed: tuple[Field, ...] = field(init=False, repr=False, compare=False)
    """What is made from the id, in order of name."""

    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The names of all parameters, in order."""

    native_names: frozenset[str] = field(init=False, repr=False, compare=False)
    layered: Mapping[str, Sequence[Json]] = field(init=False, repr=False, compare=False)
    """By field, what layers of defaults give it."""

    def __post_init__(self) -> None:
        """Look names up once, not once a row."""
        put = self._put
        serve, retire, naming = self.shape.serve, self.shape.retire, self.shape.naming
        put("_positions", {column.name: n for n, column in enumerate(self.columns)})
        put("_wanted", None if serve is None else frozenset((*serve, *retire)))
        put("_json_positions", tuple(n for n, this in enumerate(self.fields) if this.kind is Kind.JSON))
        put("_native_positions", tuple(n for n, this in enumerate(self.fields) if this.shape.native))
        put("has_json", bool(self._json_positions))
        put("_canonical", (*map(_canonical, self.fields), *[None] * (len(self.columns) - len(self.fields))))
        put("_defaults", self._made_defaults())
        put("layered", _layered(self.shape.defaults))
        put("_allowing", Allowing(self.fields, self.shape.fields))
        plain = not (self.has_json or any(self._canonical) or self._defaults or self._allowing)
        put("_is_plain", plain and serve is None and len(self.columns) == len(self.fields))
        put("_id_position", self._positions[self.shape.id])
        put("_missing", {})
        put("_states", {})
        self._put_names(naming)

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _put_names(self, naming: Naming) -> None:
        self._put("computed", computed_fields(naming))
        self._put("_computing", tuple(this.make for this in self.computed))
        unordered = [this.name for this in (*self.fields, *self.computed)]
        order = sorted(range(len(unordered)), key=unordered.__getitem__)
        self._put("names", tuple(unordered[n] for n in order))
        self._put("_in_order", itemgetter(*order) if self.computed and len(order) > 1 else None)
        self._put("native_names", frozenset(self.fields[n].name for n in self._native_positions))

    def _made_defaults(self) -> Defaults:
        plain = {this.name: this.shape.default for this in self.fields if this.shape.default is not None}
        try:
            return Defaults(self.fields, plain, self.shape.defaults)
        except NoText as reason:
            raise RefusedColumn(
                f"A default {reason}.", remedy="Correct `fields` and `defaults` in the configuration file."
            ) from None

    @classmethod
    def of(cls, shape: TableShape, table_columns: Sequence[Column]) -> RowMapping:
        """Check the configured names against the columns that the table has; raises SourceError."""
        needed = [shape.id, *([shape.state] if shape.state else [])]
        shapes = {this.name: this for this in shape.fields}
        fields = choose(table_columns, shape.told, needed, shape.parameters, shapes, shape.naming.fields)
        by_name = {column.name: column for column in table_columns}
        served = [this.column for this in fields]
        extra = [by_name[name] for name in needed if by_name[name] not in served]
        return cls(shape, (*served, *dict.fromkeys(extra)), fields)

    @property
    def offered(self) -> tuple[Field, ...]:
        """What a request may name, in the order of `Tenant.values` and then of `computed`."""
        return (*self.fields, *self.computed)

    def position_of(self, column: str) -> int:
        """Return where a column stands in a row."""
        return self._positions[column]

    def column_of(self, name: str) -> str:
        """Return the column that a field is made from; of a name that is no field, the name."""
        return next((this.column.name for this in self.fields if this.name == name), name)

    def id_of(self, row: Row) -> str | None:
        """Return the id of a row, or None where it has none that can be used."""
        position = self._id_position
        try:
            text = self._text(position, row[position])
        except NoText:
            return None
        return text if text and not text.isspace() else None

    def state_of(self, row: Row) -> str | None:
        """Return the state of a row as `source.serve` would name it, one text for all rows that have it.

        None where it is NULL or no text, and without a column that holds it.
        """
        if self.shape.state is None:
            return None
        position = self._positions[self.shape.state]
        value = row[position]
        try:
            text = None if value is None else self._text(position, value)
        except NoText:
            return None
        return None if text is None else self._states.setdefault(text, text)

    def map(self, row: Row, number: int) -> Draft | NotServed | Unusable:
        """Map one row; what is wrong with it is told, not raised, since other rows go on."""
        if self._is_plain:
            most = self.shape.max_text
            for value in row:
                if type(value) is not str or len(value) > most or not value.isprintable():
                    break
            else:
                identifier: str = row[self._id_position]  # type: ignore[assignment]
                if identifier and not identifier.isspace():
                    return Draft(identifier, row, row, _NO_PATHS)  # type: ignore[arg-type]
        tenant = self.id_of(row)
        if tenant is None:
            return Unusable(number, "has no usable id", column=self.shape.id)
        try:
            return self._mapped(tenant, row)
        except _InColumn as reason:
            return Unusable(number, str(reason), column=reason.column, tenant=tenant)

    def _mapped(self, tenant: str, row: Row) -> Draft | NotServed:
        """Map a row with an id; raises _InColumn."""
        with _telling(self.shape.state or "") as look_at:
            if not self._is_served(row):
                return NotServed(tenant, self.state_of(row))
            parsed: list[Json] = []
            for position, this in enumerate(self.fields):
                look_at(this.column.name)
                parsed.append(self._parsed(position, row[position]))
            try:
                parsed = self._defaults.applied(parsed) if self._defaults else parsed
            except NotMerged as reason:
                look_at(self.column_of(reason.field))
                raise
            for position in self._native_positions:
                look_at(self.fields[position].column.name)
                is_number = self.fields[position].kind is Kind.NUMBER
                values.refuse_beyond_float(parsed[position], is_number=is_number)
            for position in self._allowing.positions:
                look_at(self.fields[position].column.name)
                self._allowing.check(position, parsed[position])
            ends: set[End] = set()
            for position in self._json_positions:
                look_at(self.fields[position].column.name)
                ends |= paths_of(self.fields[position].name, parsed[position])
        # Text columns make the parsed values equal to the row: one tuple then serves as both.
        whole = row if not self.has_json and tuple(parsed) == row else tuple(parsed)
        return Draft(tenant, whole, row, frozenset(ends) if ends else _NO_PATHS, self._missing_of(parsed))  # type: ignore[arg-type]

    def _missing_of(self, parsed: Sequence[Json]) -> tuple[int, ...]:
        """Return where NULL stays, one tuple for all rows that agree."""
        if None not in parsed:
            return ()
        missing = tuple(n for n, value in enumerate(parsed) if value is None)
        return self._missing.setdefault(missing, missing)

    def made(self, draft: Draft, tree: Tree) -> tuple[tuple[Nested, ...], dict[str, object]]:
        """Give a draft's values the common layout: as text, NULL the empty one, and as the parameters by name."""
        texts: tuple[Nested, ...] = draft.parsed  # type: ignore[assignment]
        if self.has_json or None in draft.parsed:
            texts = tuple(
                laid_out(value, tree.get(this.name, {})) for this, value in zip(self.fields, draft.parsed, strict=True)
            )
        sent: tuple[object, ...] = texts
        if self._native_positions:
            natives = {n: self._native(n, draft.parsed[n], tree) for n in self._native_positions}
            sent = tuple(natives.get(n, text) for n, text in enumerate(texts))
        if self._in_order is not None:
            sent = self._in_order((*sent, *self._computed_of(draft.id)))
        return texts, dict(zip(self.names, sent, strict=True))

    def _computed_of(self, tenant: str) -> tuple[str, ...]:
        """Make the computed values; an id that is its own name is its own label too."""
        naming = self.shape.naming
        if not naming.kept and tenant_name(tenant, naming.length, always_hash=naming.always_hash) == tenant:
            return (tenant,) * len(self._computing)
        return tuple(make(tenant) for make in self._computing)

    def _native(self, position: int, value: Json, tree: Tree) -> object:
        this = self.fields[position]
        if this.kind is Kind.JSON:
            return laid_out_natively(value, tree.get(this.name, {}))
        if not isinstance(value, str):
            return ""
        if this.kind is Kind.NUMBER:
            return native_number(values.declared_number(value))
        return {"true": True, "false": False}.get(value, value)

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
        this = self.fields[position]
        text = self._text(position, value)
        if this.kind is Kind.JSON:
            parsed = values.parse_json(text)
            self._allowing.refuse_controls_in(this.name, text, parsed)
            return parsed
        if not this.shape.is_free:
            values.refuse_controls(text)
        return text

    def _text(self, position: int, value: object) -> str:
        text = value if type(value) is str else values.plain_text(value)
        if len(text) > self.shape.max_text:
            raise NoText(f"is longer than {self.shape.max_text} characters (source.max_text)")
        canonical = self._canonical[position]
        return canonical(text) if canonical else text


def _layered(layers: Sequence[Layer]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for layer in layers:
        for name, value in layer.defaults:
            found.setdefault(name, []).append(value)
    return found


def _canonical(this: Field) -> Callable[[str], str] | None:
    """Return what makes text of a field canonical; what only the configuration knows of is held to it."""
    declared = this.shape.kind is this.kind and this.column.kind is not this.kind
    return (values.DECLARED.get(this.kind) if declared else None) or values.CANONICAL.get(this.kind)


class _InColumn(NoText):
    """A value that cannot be used, and its column."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


@contextmanager
def _telling(column: str) -> Iterator[Callable[[str], None]]:
    """Add to what is raised inside which column was looked at; what is given tells of another one."""
    looked_at = column

    def look_at(other: str) -> None:
        nonlocal looked_at
        looked_at = other

    try:
        yield look_at
    except NoText as reason:
        raise _InColumn(looked_at, str(reason)) from None
