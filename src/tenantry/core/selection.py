"""Which tenants an ApplicationSet asks for: its input parameters as one predicate over a snapshot.

Whether a request is an error depends on the configuration and the names of the columns, never on the rows of the
moment: offboarding the last tenant that has some JSON leaf must not freeze the ApplicationSets that ask for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tenantry.core.asked import forms, text_of
from tenantry.core.errors import (
    BrokenView,
    InvalidParameter,
    RequestRefused,
    UnknownParameter,
    listed,
    nearest,
    quoted,
)
from tenantry.core.labels import NEGATIVE, POSITIVE, Operator, Requirement, selector_of
from tenantry.core.sharding import MOST_SHARDS, shard_of
from tenantry.core.tenant import Tenant
from tenantry.core.vocabulary import Place, Vocabulary

RESERVED = ("allowEmpty", "selector", "shard", "view")
"""Input parameters with a meaning of their own; every other one names a field."""

OF_A_VIEW = ("selector", "shard")
"""Those that a view may use."""

Predicate = Callable[[Tenant], bool]


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A field, or a leaf of a JSON field, whose text must be one of some values."""

    place: Place
    values: tuple[str, ...]
    """In order, none twice."""

    def predicate(self) -> Predicate:
        """Return what tells whether a tenant meets the condition; a leaf that it does not have meets none."""
        place, values = self.place, frozenset(self.values)
        if place.leaf:
            return lambda tenant: any(text in values for text in place.texts(tenant))
        if (make := place.make) is not None:
            return lambda tenant: make(tenant.id) in values
        position = place.position
        # An object or a list in JSON is no text; only texts can be looked up.
        return lambda tenant: (value := tenant.values[position]).__class__ is str and value in values

    @property
    def exact(self) -> Sequence[str] | None:
        """The texts of which a tenant must have one; None where that is not all."""
        return self.values

    def __str__(self) -> str:
        """Write it as it is asked for."""
        texts = ", ".join(quoted(value) for value in self.values)
        return f"{self.place.name} = {texts}" if len(self.values) == 1 else f"{self.place.name} is one of {texts}"


@dataclass(frozen=True, slots=True, order=True)
class Matching:
    """A requirement of a label selector, on a field or a leaf of a JSON field."""

    place: Place
    requirement: Requirement

    def predicate(self) -> Predicate:
        """Return what tells whether a tenant matches; NULL and a path that is not there are a missing key."""
        place, holds = self.place, self.requirement.predicate()
        label = place.label_of()
        if label is not None:
            return lambda tenant: holds(label(tenant))
        negative = self.requirement.operator in (*NEGATIVE, Operator.DOES_NOT_EXIST)
        some: Callable[[Iterable[bool]], bool] = all if negative else any
        return lambda tenant: some(holds(text) for text in place.labels(tenant))

    @property
    def exact(self) -> Sequence[str] | None:
        """The texts of which a tenant must have one; None where that is not all."""
        return self.requirement.values if self.requirement.operator in POSITIVE else None

    def __str__(self) -> str:
        """Write it as it is asked for."""
        return f"selector {self.requirement}"


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """One of `count` disjoint parts of all tenants."""

    count: int
    index: int

    def predicate(self) -> Predicate:
        """Return what tells whether a tenant belongs to it."""
        count, index = self.count, self.index
        return lambda tenant: shard_of(tenant.id, count) == index

    def __str__(self) -> str:
        """Write it as it is asked for."""
        return f"shard {self.index} of {self.count}"


@dataclass(frozen=True, slots=True)
class Selection:
    """All that a request asks for; a tenant must meet every part of it."""

    conditions: tuple[Condition, ...] = ()
    matchings: tuple[Matching, ...] = ()
    shards: tuple[Shard, ...] = ()
    allow_empty: bool = field(default=False, compare=False)
    """Whether its last tenant may go: of no concern for who is selected."""

    @property
    def clauses(self) -> tuple[Condition | Matching | Shard, ...]:
        """Every part."""
        return (*self.conditions, *self.matchings, *self.shards)

    def joined(self, others: Iterable[Selection]) -> Selection:
        """Return what meets this and all others."""
        every = (self, *others)
        return Selection(
            tuple(sorted({one for this in every for one in this.conditions})),
            tuple(sorted({one for this in every for one in this.matchings})),
            tuple(sorted({one for this in every for one in this.shards})),
            self.allow_empty,
        )


def parse_selection(parameters: Mapping[str, object], vocabulary: Vocabulary, application_set: str) -> Selection:
    """Understand input parameters against what there is; raises RequestRefused."""
    return _Parser(vocabulary, f"from ApplicationSet {quoted(application_set)}", RESERVED).parse(parameters)


def parse_views(views: Iterable[tuple[str, Mapping[str, object]]], vocabulary: Vocabulary) -> Mapping[str, Selection]:
    """Understand the views of the configuration; raises BrokenView."""
    found: dict[str, Selection] = {}
    for name, parameters in views:
        try:
            found[name] = _Parser(vocabulary, f"in view {quoted(name)}", OF_A_VIEW).parse(parameters)
        except RequestRefused as refused:
            raise BrokenView(f"View {quoted(name)} cannot be understood. {refused.message}") from None
    return found


class _Parser:
    """Reads the parameters of one request or view."""

    def __init__(self, vocabulary: Vocabulary, who: str, reserved: Sequence[str]) -> None:
        self._vocabulary = vocabulary
        self._who = who
        self._reserved = reserved

    def parse(self, parameters: Mapping[str, object]) -> Selection:
        conditions: list[Condition] = []
        matchings: list[Matching] = []
        shards: list[Shard] = []
        views: list[Selection] = []
        allow_empty = False
        for name, value in parameters.items():
            if name not in self._reserved:
                conditions.append(Condition(self._place(name), _texts(name, value)))
            elif name == "selector":
                matchings += [Matching(self._place(this.key), this) for this in selector_of(value)]
            elif name == "shard":
                shards.append(_shard(value))
            elif name == "view":
                views += self._views(value)
            else:
                allow_empty = _boolean(name, value)
        return Selection(tuple(conditions), tuple(matchings), tuple(shards), allow_empty).joined(views)

    def _place(self, name: str) -> Place:
        return self._vocabulary.place(name, self._who, self._reserved)

    def _views(self, value: object) -> Iterator[Selection]:
        names = value if isinstance(value, list) else [value]
        if not names:
            raise InvalidParameter("Input parameter 'view' is an empty list.", remedy=_OF_VIEW)
        for name in names:
            if not isinstance(name, str):
                raise InvalidParameter("Input parameter 'view' holds something else than a name.", remedy=_OF_VIEW)
            view = self._vocabulary.views.get(name)
            if view is None:
                known = list(self._vocabulary.views)
                told = f"Known: {listed(known)}.{nearest(name, known)}" if known else "The configuration has no views."
                raise UnknownParameter(f"Unknown view {quoted(name)} {self._who}. {told}")
            yield view


_OF_VIEW = "Give the name of a view, or a list of names, all of which must hold."
_OF_SHARD = f"Give {{index, count}}: two whole numbers, count from 1 to {MOST_SHARDS}, index from 0 to count - 1."


def _shard(value: object) -> Shard:
    if not isinstance(value, dict):
        raise InvalidParameter("Input parameter 'shard' is no object.", remedy=_OF_SHARD)
    if unknown := sorted(value.keys() - {"index", "count"}):
        known = ("count", "index")
        raise InvalidParameter(
            f"Input parameter 'shard' has an unknown key {quoted(unknown[0])}.{nearest(unknown[0], known)}",
            remedy=_OF_SHARD,
        )
    if missing := sorted({"index", "count"} - value.keys()):
        raise InvalidParameter(f"Input parameter 'shard' has no {missing[0]}.", remedy=_OF_SHARD)
    count, index = _whole("count", value["count"]), _whole("index", value["index"])
    if not 1 <= count <= MOST_SHARDS:
        raise InvalidParameter(f"Input parameter 'shard' has a count of {count}.", remedy=_OF_SHARD)
    if index >= count:
        raise InvalidParameter(f"Input parameter 'shard' has index {index} of {count}.", remedy=_OF_SHARD)
    return Shard(count, index)


def _whole(name: str, value: object) -> int:
    text = str(value) if isinstance(value, str | Decimal) or type(value) is int else ""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidParameter(f"Input parameter 'shard' has no whole number as its {name}.", remedy=_OF_SHARD)
    return int(text)


def _boolean(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise InvalidParameter(f"Input parameter {quoted(name)} is neither true nor false.", remedy="Give true or false.")


def _texts(name: str, value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise InvalidParameter(f"Input parameter {quoted(name)} is an empty list, which would match no tenant.")
    return tuple(sorted({text for one in values for text in forms(text_of(name, one))}))
