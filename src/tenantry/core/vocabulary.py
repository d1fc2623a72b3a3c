"""What a request may name: fields, dotted leaves of JSON fields, and views; and what stands there in a tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenantry.core.columns import Kind
from tenantry.core.errors import UnknownParameter, listed, nearest, quoted
from tenantry.core.fields import Field
from tenantry.core.tenant import Tenant
from tenantry.core.values import Json, values_at

if TYPE_CHECKING:
    from tenantry.core.selection import Selection


_LONGEST_NAME = 1024
"""Characters of a field's name, or of a path into JSON, that a request may use: each tenant is looked at with it."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a name of a request points in a tenant."""

    name: str
    position: int
    """In `Tenant.values`."""

    leaf: str = ""
    """The dotted path below a JSON field."""

    make: Callable[[str], str] | None = field(default=None, compare=False, repr=False)
    """Set where the value is made from the id."""

    def texts(self, tenant: Tenant) -> Sequence[str]:
        """Return what the answer holds there: one text, none for an object or a list, several for odd keys."""
        if self.make is not None:
            return (self.make(tenant.id),)
        value = tenant.values[self.position]
        if not self.leaf:
            return (value,) if isinstance(value, str) else ()
        if "." not in self.leaf and isinstance(value, dict):
            below = value.get(self.leaf)
            return (below,) if isinstance(below, str) else ()
        return [text for text in values_at(value, self.leaf) if isinstance(text, str)]

    def labels(self, tenant: Tenant) -> Sequence[str | None]:
        """Return the same as a selector sees it: None where there is NULL, nothing, an object or a list."""
        if not self.leaf and self.position in tenant.missing:
            return (None,)
        texts = self.texts(tenant)
        if not texts or (self.leaf and "" in texts and not self._is_given(tenant)):
            return (None,)
        return texts

    def label_of(self) -> Callable[[Tenant], str | None] | None:
        """Return a fast way to what `labels` tells, where one text is all that there can be."""
        if self.leaf:
            return None
        if (make := self.make) is not None:
            return lambda tenant: make(tenant.id)
        position = self.position

        def label(tenant: Tenant) -> str | None:
            value = tenant.values[position]
            return None if not isinstance(value, str) or position in tenant.missing else value

        return label

    def _is_given(self, tenant: Tenant) -> bool:
        """Tell whether the tenant's own JSON has a value there, rather than the common layout an empty text."""
        return any(
            leaf and (below := ".".join(path[1:])) and (self.leaf == below or self.leaf.startswith(f"{below}."))
            for path, leaf in tenant.paths
            if self.name == f"{path[0]}.{self.leaf}"
        )


@dataclass(frozen=True)
class Vocabulary:
    """All that a request may name."""

    fields: Sequence[Field]
    """In the order of `Tenant.values`, and then those that are made from the id."""

    layered: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    """By field, what layers of defaults add to its declared leaves."""

    views: Mapping[str, Selection] = field(default_factory=dict)

    def place(self, name: str, who: str, reserved: Sequence[str] = ()) -> Place:
        """Return where a name points; raises UnknownParameter, which lists what is known, `reserved` names included.

        `who` tells whose name it is, such as `from ApplicationSet 'a'`.
        """
        if len(name) > _LONGEST_NAME:
            raise UnknownParameter(f"An input parameter {who} has a name of more than {_LONGEST_NAME} characters.")
        for position, this in enumerate(self.fields):
            if name == this.name:
                return Place(name, position, make=this.make)
            if this.kind is Kind.JSON and name.startswith(f"{this.name}.") and len(name) > len(this.name) + 1:
                return self._leaf(this, position, name, who)
        known = [this.name for this in self.fields]
        dotted = [this.name for this in self.fields if this.kind is Kind.JSON]
        hint = f" (dots reach into {listed(dotted)})" if dotted else ""
        besides = f" Besides: {listed(reserved)}." if reserved else ""
        raise UnknownParameter(
            f"Unknown input parameter {quoted(name)} {who}. Known: {listed(known)}{hint}.{besides}"
            f"{nearest(name, [*known, *reserved])}"
        )

    def _leaf(self, this: Field, position: int, name: str, who: str) -> Place:
        """Return a leaf; where leaves are declared, one of those, since others may vanish with a row."""
        leaf = name[len(this.name) + 1 :]
        if this.shape.is_strict:
            declared = dict.fromkeys(
                path for value in (this.shape.default, *self.layered.get(this.name, ())) for path in _paths(value)
            )
            if not any(leaf == path or leaf.startswith(f"{path}.") for path in declared):
                known = [f"{this.name}.{path}" for path in declared]
                raise UnknownParameter(
                    f"Unknown input parameter {quoted(name)} {who}: the leaves of {quoted(this.name)} are declared. "
                    f"Known: {listed(known)}.{nearest(name, known)}"
                )
        return Place(name, position, leaf)


def _paths(value: Json, above: str = "") -> Iterator[str]:
    """Yield the dotted paths of declared leaves."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _paths(below, f"{above}.{key}" if above else key)
    elif above:
        yield above
