"""What an ApplicationSet in the cluster says: which plugins it asks, for what, and how its last pass went."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from tenantry.core.ledger import Input

REFRESH = "argocd.argoproj.io/application-set-refresh"
"""The annotation whose change asks Argo CD for another pass (`AnnotationApplicationSetRefresh` of its API)."""

_INPUT = msgspec.json.Encoder(order="sorted")
_STATUS = re.compile(r"API error with status code (\d{3})")


class LiveName(NamedTuple):
    """What an ApplicationSet is called in the cluster."""

    namespace: str
    application_set: str


@dataclass(frozen=True, slots=True)
class PluginUse:
    """One plugin generator of an ApplicationSet."""

    config_map: str
    input: Input | None
    """What it asks for, without `allowEmpty`; None where that is known only when Argo CD has filled a template."""

    allow_empty: bool


@dataclass(frozen=True, slots=True)
class LiveSet:
    """An ApplicationSet in the cluster."""

    name: LiveName
    uid: str
    plugins: tuple[PluginUse, ...]
    failure: str | None = None
    """What the condition `ErrorOccurred` says, if its last pass failed."""

    applications: int | None = None
    """How many Applications Argo CD counts as its own; None where it has not counted yet."""

    def asking(self, config_maps: Collection[str] | None) -> LiveSet | None:
        """Return it with the plugins of these ConfigMaps alone, or with all for None; None if it has none of them."""
        plugins = tuple(one for one in self.plugins if config_maps is None or one.config_map in config_maps)
        return LiveSet(self.name, self.uid, plugins, self.failure, self.applications) if plugins else None

    @property
    def inputs(self) -> Collection[Input] | None:
        """All that it can ask for; None where that cannot be known."""
        known = {one.input for one in self.plugins if one.input is not None}
        return known if all(one.input is not None for one in self.plugins) else None

    @property
    def allows_empty(self) -> bool:
        """Whether it may lose its last tenant."""
        return any(one.allow_empty for one in self.plugins)

    @property
    def failed_by_plugin(self) -> bool:
        """Whether its last pass failed because a plugin did not answer: these words stand before the plugin's own."""
        return self.failure is not None and f"error get api '{self.name.application_set}': " in self.failure

    @property
    def refusal(self) -> int | None:
        """The HTTP status with which a plugin refused; None where there was no response."""
        found = _STATUS.search(self.failure or "")
        return int(found[1]) if found else None


def live_set(document: Mapping[str, Any]) -> LiveSet:
    """Understand an ApplicationSet as the API server gives it; what it lacks counts as empty."""
    metadata, status = _mapping(document.get("metadata")), _mapping(document.get("status"))
    count = status.get("resourcesCount")
    return LiveSet(
        LiveName(str(metadata.get("namespace", "")), str(metadata.get("name", ""))),
        str(metadata.get("uid", "")),
        tuple(_plugins(_mapping(document.get("spec")).get("generators"))),
        _failure(status.get("conditions")),
        count if isinstance(count, int) else None,
    )


def _plugins(generators: object) -> Iterator[PluginUse]:
    """Find plugin generators at any depth: matrix and merge hold generators of their own."""
    for generator in generators if isinstance(generators, list) else ():
        parts = _mapping(generator)
        if isinstance(parts.get("plugin"), Mapping):
            yield _plugin_use(parts["plugin"])
        for kind in ("matrix", "merge"):
            yield from _plugins(_mapping(parts.get(kind)).get("generators"))


def _plugin_use(plugin: Mapping[str, Any]) -> PluginUse:
    given = _mapping(_mapping(plugin.get("input")).get("parameters"))
    allow_empty = given.get("allowEmpty") in (True, "true")
    asked = {name: value for name, value in given.items() if name != "allowEmpty"}
    text = _INPUT.encode(asked).decode()
    exact = "{{" not in text and not any(map(_has_number, asked.values()))
    return PluginUse(str(_mapping(plugin.get("configMapRef")).get("name", "")), text if exact else None, allow_empty)


def _has_number(value: object) -> bool:
    """Tell whether there is a number in it, which Go may write in another way than it was read."""
    match value:
        case bool() | str() | None:
            return False
        case Mapping():
            return any(map(_has_number, value.values()))
        case list():
            return any(map(_has_number, value))
    return True


def _failure(conditions: object) -> str | None:
    for condition in conditions if isinstance(conditions, list) else ():
        said = _mapping(condition)
        if said.get("type") == "ErrorOccurred" and said.get("status") == "True":
            return str(said.get("message", ""))
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
