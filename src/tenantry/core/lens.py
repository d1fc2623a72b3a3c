"""What shapes an answer besides rows, as a digest: a removal that comes with another one is not by rows alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum

import msgspec

from tenantry.core.mapping import RowMapping, TableShape
from tenantry.core.selection import Condition, Matching, Selection, Shard

_ORDERED = msgspec.json.Encoder(order="sorted")
_PARTS = ("the configuration", "the database that the tenants are read from", "what the input selects")


def digest_of(meaning: object) -> str:
    """Return 80 bits of the SHA-256 of something that JSON can say, in hex."""
    return hashlib.sha256(_ORDERED.encode(meaning)).hexdigest()[:20]


def digest_of_shape(shape: TableShape, query: str | None) -> str:
    """Return the digest of the configuration of tenants; what has its default counts as not said.

    So a later version with one more option has the same digest, as long as nobody uses it. Views count where an
    input names them.
    """
    said = meaning_of(shape)
    assert isinstance(said, dict)  # noqa: S101 -- of a dataclass
    said.pop("views", None)
    if isinstance(naming := said.get("naming"), dict):
        naming.pop("kept", None)
    return digest_of({"shape": said, "query": query})


def digest_of_configuration(shape: TableShape, query: str | None) -> str:
    """Return the digest of all that the configuration says of answers, views among it, whichever input names them."""
    return digest_of([digest_of_shape(shape, query), [[name, meaning_of(view)] for name, view in shape.views]])


def meaning_of(value: object) -> object:
    """Return a value as JSON can say it, without what has its default."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            this.name: meaning_of(given)
            for this in fields(value)
            if this.init and (given := getattr(value, this.name)) != this.default
        }
    match value:
        case Enum():
            return value.value
        case Mapping():
            return {str(key): meaning_of(below) for key, below in value.items()}
        case tuple() | list():
            return [meaning_of(one) for one in value]
        case frozenset():
            return sorted(map(str, value))
        case str():
            return str(value)
    return value


def lens_of(shape: str, origin: str, selection: Selection, mapping: RowMapping) -> str:
    """Return the lens of an input: digests of configuration, origin of the rows, and what is selected.

    `shape` is what `digest_of_shape` gives, `origin` names the source and how often it went back.
    """
    kinds = {this.name: this.kind.value for this in mapping.offered}
    clauses = [_clause(clause, kinds) for clause in selection.clauses]
    return f"{shape}.{digest_of(origin)}.{digest_of(clauses)}"


def difference(before: str, after: str) -> str:
    """Say in which parts two lenses differ."""
    pairs = zip(_PARTS, before.split("."), after.split("."), strict=False)
    return " and ".join(part for part, one, other in pairs if one != other) or "something else than rows"


def _clause(clause: Condition | Matching | Shard, kinds: Mapping[str, str]) -> object:
    match clause:
        case Condition():
            return ["is", clause.place.name, kinds.get(_field(clause.place.name, kinds)), clause.values]
        case Matching():
            name = clause.place.name
            return ["matches", name, kinds.get(_field(name, kinds)), meaning_of(clause.requirement)]
        case Shard():
            return ["shard", clause.count, clause.index]


def _field(name: str, kinds: Mapping[str, str]) -> str:
    return name if name in kinds else name.partition(".")[0]
