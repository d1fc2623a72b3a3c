"""Fields of the parameter sets: which columns are served under which name, and what the configuration says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tenantry.core.columns import OVERWRITTEN, Column, Kind, looks_secret
from tenantry.core.errors import MissingColumn, RefusedColumn, listed, nearest, quoted
from tenantry.core.naming import tenant_label, tenant_name
from tenantry.core.values import Json

NATIVE_KINDS = frozenset({Kind.NUMBER, Kind.BOOLEAN, Kind.JSON})
"""Kinds that JSON has types for."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """What the configuration says of a field, or, under a dotted name, of a leaf of a JSON field."""

    name: str
    column: str = ""
    """The column that it is made from; empty: the one of the same name."""

    kind: Kind | None = None
    """None: what the database says."""

    native: bool = False
    """Whether it keeps its JSON type, rather than being text."""

    default: Json = None
    """What NULL means; for JSON an object, whose leaves are then declared."""

    allow: tuple[str, ...] = ()
    """Patterns, of which one must match the whole text; `*` is any text. None: any text will do."""

    @property
    def is_free(self) -> bool:
        """Whether its text may have line breaks and control characters: only where it is declared to be text."""
        return self.kind is Kind.TEXT

    @property
    def is_strict(self) -> bool:
        """Whether a request may only name leaves that are declared."""
        return isinstance(self.default, dict)


@dataclass(frozen=True, slots=True)
class Naming:
    """How a tenant's computed fields are made and called; a name of None switches one off."""

    name_field: str | None = "tenantName"
    label_field: str | None = "tenantLabel"
    length: int = 40
    """Characters of a name at most."""

    always_hash: bool = False
    kept: Mapping[str, str] = field(default_factory=dict, hash=False)
    """By id, the names that tenants were released with, where they would get another one today."""

    _taken: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look up who has which name once."""
        object.__setattr__(self, "_taken", frozenset(self.kept.values()))

    def name_of(self, tenant: str) -> str:
        """Return a tenant's DNS-1123 label."""
        kept = self.kept.get(tenant)
        return self.made(tenant) if kept is None else kept

    def made(self, tenant: str) -> str:
        """Make a tenant's label anew; never one that somebody else was released with."""
        name = tenant_name(tenant, self.length, always_hash=self.always_hash)
        if name in self._taken:
            return tenant_name(tenant, self.length, always_hash=True)
        return name

    def label_of(self, tenant: str) -> str:
        """Return a tenant's label value."""
        return tenant_label(tenant, always_hash=self.always_hash)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that are computed, in order."""
        return tuple(sorted(name for name in (self.name_field, self.label_field) if name))


NO_NAMES = Naming(None, None)
"""No computed fields."""


@dataclass(frozen=True)
class Field:
    """A field of every parameter set."""

    name: str
    column: Column
    """What it is made from."""

    kind: Kind
    shape: FieldShape = field(default=FieldShape(""), repr=False)
    make: Callable[[str], str] | None = field(default=None, repr=False, compare=False)
    """How it is made from the id, where it is no column's."""


def choose(
    columns: Sequence[Column],
    told: str,
    needed: Iterable[str],
    named: Sequence[str] | None,
    shapes: Mapping[str, FieldShape] | None = None,
    computed: Sequence[str] = (),
) -> tuple[Field, ...]:
    """Return the fields to serve, in order of name.

    `told` is what messages call their source, `needed` are the id and state columns, `named` the configured parameters,
    None for every column, `shapes` what is said of each, `computed` the names that are taken.
    Raises MissingColumn or RefusedColumn, which fail the read: a smaller answer is never an option.
    """
    by_name = {column.name: column for column in columns}
    shapes = shapes or {}
    source = {name: shape.column or name for name, shape in shapes.items() if "." not in name or shape.column}
    renamed = {column for name, column in source.items() if column != name}
    chosen = named if named is not None else [*(name for name in by_name if name not in renamed), *source]
    wanted = {name: source.get(name, name) for name in chosen}
    missing = [name for name in dict.fromkeys((*needed, *wanted.values())) if name not in by_name]
    if missing:
        noun, verb = ("Column", "does") if len(missing) == 1 else ("Columns", "do")
        raise MissingColumn(
            f"{noun} {', '.join(map(quoted, missing))} of {told} {verb} not exist. "
            f"Known: {listed(by_name)}.{nearest(missing[0], by_name)}"
        )
    served = [_field(name, by_name[column], shapes.get(name)) for name, column in sorted(wanted.items())]
    by_choice = set(named or ()) | set(source)
    reasons = [reason for this in served for reason in _refusals(this, served, by_choice, computed)]
    reasons += _of_leaves(shapes.values(), served)
    if reasons:
        raise RefusedColumn(f"{told[:1].upper()}{told[1:]}: {'; '.join(reasons)}.")
    return tuple(served)


def _field(name: str, column: Column, shape: FieldShape | None) -> Field:
    shape = shape or FieldShape(name)
    return Field(name, column, column.kind if column.kind is Kind.BYTES else shape.kind or column.kind, shape)


def _refusals(this: Field, served: Sequence[Field], by_choice: set[str], computed: Sequence[str]) -> Iterator[str]:
    name, column = quoted(this.name), quoted(this.column.name)
    if this.name in OVERWRITTEN:
        yield f"Argo CD overwrites a parameter called {name}"
    if this.name in computed:
        yield (
            f"a field called {name} is computed from the id: call that one otherwise or switch it off "
            "(naming.name, naming.label), or give the column another name under `fields`"
        )
    if this.kind is Kind.BYTES:
        yield f"column {column} holds bytes, which have no text"
    elif this.shape.native and this.kind not in NATIVE_KINDS:
        yield f"field {name} is native, but its type is not known: declare it as number, boolean or json"
    if this.name not in by_choice and looks_secret(this.column.name):
        yield f"column {column} looks like a secret and is served only if source.parameters names it"
    parents = [other.name for other in served if other.kind is Kind.JSON and this.name.startswith(f"{other.name}.")]
    if parents:
        yield f"column {name} flattens to the same dotted name as a leaf of {quoted(parents[0])}"


def _of_leaves(shapes: Iterable[FieldShape], served: Sequence[Field]) -> Iterator[str]:
    """Refuse what is said of a leaf that no JSON field can have."""
    names = {this.name for this in served}
    above = [this.name for this in served if this.kind is Kind.JSON]
    for shape in shapes:
        if shape.name in names:
            continue
        if not any(shape.name.startswith(f"{name}.") for name in above):
            yield f"`fields` tells of {quoted(shape.name)}, which is neither a field nor a leaf of a JSON field"
        elif shape.native or shape.default is not None or shape.kind not in (None, Kind.TEXT):
            yield f"of the leaf {quoted(shape.name)}, `fields` can only tell `allow` and `type: text`"


def computed_fields(naming: Naming) -> tuple[Field, ...]:
    """Return the fields that are made from the id, in order of name."""
    makers = {naming.name_field: naming.name_of, naming.label_field: naming.label_of}
    return tuple(Field(name, Column(name, Kind.TEXT), Kind.TEXT, make=makers[name]) for name in naming.fields)
