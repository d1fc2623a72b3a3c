"""Which Application is which tenant's: by the label of our manifests, else by the name that its template makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tenantry.core.application import Application
from tenantry.core.steps import Steps, sliced
from tenantry.core.template_names import NameTemplate

_MARKED_AT_ONCE = 200
"""Parameter sets between two pauses."""


@dataclass(frozen=True, slots=True)
class Marks:
    """By what Applications of some tenants are known."""

    by_label: Mapping[str, str] = field(default_factory=dict)
    by_name: Mapping[str, str] = field(default_factory=dict)
    names_are_known: bool = True
    """Whether the name of each of these tenants' Applications could be made."""

    def tenant_of(self, one: Application) -> str | None:
        """Return whose an Application is; None where it is nobody's of these, or that cannot be known."""
        if one.label is not None and (found := self.by_label.get(one.label)) is not None:
            return found
        return self.by_name.get(one.name)

    def knows(self, one: Application) -> bool:
        """Tell whether it would be known if an Application were one of these tenants'."""
        return one.label is not None or self.names_are_known


def marks_of(
    tenants: Iterable[tuple[str, bytes]], label_of: Callable[[str], str], templates: Iterable[NameTemplate]
) -> Steps[Marks]:
    """Return by what the Applications of tenants, given with their parameter sets, are known."""
    by_label: dict[str, str] = {}
    by_name: dict[str, str] = {}
    is_known, made = True, tuple(templates)
    for some in sliced(list(tenants), _MARKED_AT_ONCE):
        for tenant, encoded in some:
            by_label[label_of(tenant)] = tenant
            for template in made:
                name = template.of(encoded)
                if name is None:
                    is_known = False
                else:
                    by_name[name] = tenant
        yield
    return Marks(by_label, by_name, is_known and bool(made))
