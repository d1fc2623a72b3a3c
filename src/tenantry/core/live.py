"""What an ApplicationSet in the cluster says: which plugins it asks, for what, and how its last pass went.

What it selects of the answers is for the guard to know: whoever is left out has no Application.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from tenantry.core.errors import InvalidSelector
from tenantry.core.labels import live_selector_of
from tenantry.core.ledger import Input
from tenantry.core.sight import Layer, Layers
from tenantry.core.spec import Generator, Spec
from tenantry.core.template_names import NO_NAME, NameTemplate, fields_in

REFRESH = "argocd.argoproj.io/application-set-refresh"
"""The annotation whose change asks Argo CD for another pass (`AnnotationApplicationSetRefresh` of its API)."""

_INPUT = msgspec.json.Encoder(order="sorted")
_FIRST_INEXACT = 1 << 53
"""From here on a float stands for several whole numbers."""

_PATCHED_NAME = re.compile(r"^metadata:[^\n]*\n(?:(?:[ \t][^\n]*|\{\{[^\n]*|)\n)*?[ \t]+name:", re.MULTILINE)
"""Where a `templatePatch` may give Applications another name: it is text, and becomes YAML when it is filled."""

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
    asks: Input = ""
    """The same as it is written, with tags where Argo CD fills them."""

    layers: Layers = ()
    """What its answers go through before they become Applications."""

    is_only: bool = False
    """Whether the ApplicationSet has no other generator."""

    has_company: bool = False
    """Whether the ApplicationSet has a generator that asks no plugin, whose Applications are nobody's here."""

    identity: frozenset[str] | None = frozenset()
    """The dotted fields of its answers that names of Applications are made of; None where that cannot be known."""

    name: NameTemplate = NO_NAME
    of: str = ""
    """The uid of the ApplicationSet."""


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

    problems: tuple[str, ...] = ()
    """What of its generators cannot be understood."""

    deletes: bool = True
    """Whether, as far as its own policy says, Argo CD deletes the Applications of who is not answered any more."""

    def asking(self, config_maps: Collection[str] | None) -> LiveSet | None:
        """Return it if it uses a plugin by one of these ConfigMaps, or by any for None.

        With all its plugins: another ConfigMap, or one whose name a matrix fills, may lead here too.
        """
        uses = any(config_maps is None or one.config_map in config_maps for one in self.plugins)
        return self if uses else None

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


def spec_of(uses: Sequence[PluginUse]) -> Spec:
    """Return what the guard is to know of the ApplicationSets of one name: a plugin cannot tell them apart."""
    return Spec(
        tuple(dict.fromkeys(Generator(use.asks, is_exact=use.input is not None, layers=use.layers) for use in uses)),
        is_single=len(uses) == 1 and uses[0].is_only and uses[0].input is not None,
        identity=tuple(sorted({field for use in uses for field in use.identity or ()})),
        name=uses[0].name if len({use.name for use in uses}) == 1 else NO_NAME,
        uids=tuple(sorted({use.of for use in uses if use.of})),
        has_company=any(use.has_company for use in uses),
    )


def live_set(document: Mapping[str, Any]) -> LiveSet:
    """Understand an ApplicationSet as the API server gives it; what it lacks counts as empty."""
    metadata, status = _mapping(document.get("metadata")), _mapping(document.get("status"))
    count = status.get("resourcesCount")
    spec = _mapping(document.get("spec"))
    generators, problems = spec.get("generators"), list[str]()
    go_template = spec.get("goTemplate") is True
    uid = str(metadata.get("uid", ""))
    is_patched = _PATCHED_NAME.search(str(spec.get("templatePatch") or "")) is not None
    plugins = tuple(
        replace(_named(use, NameTemplate(own or _name_in(spec), go_template), values), of=uid)
        for use, own, values in _plugins(generators, (), problems, go_template=go_template)
    )
    if is_patched:
        plugins = tuple(replace(one, name=NO_NAME, identity=None) for one in plugins)
    if isinstance(generators, list) and len(generators) == 1 and "plugin" in _mapping(generators[0]):
        plugins = tuple(replace(one, is_only=True) for one in plugins)
    if _is_in_company(generators, go_template=go_template):
        plugins = tuple(replace(one, has_company=True) for one in plugins)
    return LiveSet(
        LiveName(str(metadata.get("namespace", "")), str(metadata.get("name", ""))),
        uid,
        plugins,
        _failure(status.get("conditions")),
        count if isinstance(count, int) else None,
        tuple(problems),
        deletes=_mapping(spec.get("syncPolicy")).get("applicationsSync") not in ("create-only", "create-update"),
    )


def _is_in_company(generators: object, *, go_template: bool) -> bool:
    return isinstance(generators, list) and any(
        next(_plugins([one], (), [], go_template=go_template), None) is None for one in generators
    )


def _name_in(parent: Mapping[str, Any]) -> str:
    return str(_mapping(_mapping(parent.get("template")).get("metadata")).get("name") or "")


def _named(use: PluginUse, name: NameTemplate, values: Mapping[str, Any]) -> PluginUse:
    """Return a use with its names, and the fields that they are made of, also by way of `values` of the generator."""
    direct = fields_in(name.text, go_template=name.go_template)
    fields: set[str] | None = None if direct is None else set()
    for field in direct or ():
        head, _, rest = field.partition(".")
        is_value = head == "values" and rest in values
        below = fields_in(str(values[rest]), go_template=name.go_template) if is_value else {field}
        fields = None if fields is None or below is None else fields | set(below)
    return replace(use, name=name, identity=None if fields is None else frozenset(fields))


def _plugins(
    generators: object, above: Layers, problems: list[str], *, go_template: bool
) -> Iterator[tuple[PluginUse, str, Mapping[str, Any]]]:
    """Find plugin generators at any depth: matrix and merge hold generators of their own.

    With each comes the name in a template of its own, which counts at the top only, and its `values`.
    """
    for generator in generators if isinstance(generators, list) else ():
        parts = _mapping(generator)
        if isinstance(parts.get("plugin"), Mapping):
            use = _plugin_use(parts["plugin"], (*_layers(parts, problems, is_whole=True), *above))
            yield use, _name_in(parts["plugin"]), _mapping(parts["plugin"].get("values"))
        for kind in ("matrix", "merge"):
            if parts.get(kind) is not None:
                layers = (*_layers(parts, problems, is_whole=False), *above)
                found = _mapping(parts[kind]).get("generators")
                children = found if isinstance(found, list) else []
                for number, child in enumerate(children):
                    # Of a matrix without Go templates two values of one key are an error.
                    first, last = number == 0 or not go_template, number == len(children) - 1
                    is_sure = first if kind == "matrix" else last
                    seen = layers if is_sure else tuple(structs.replace(one, is_sure=False) for one in layers)
                    below = _plugins([child], seen, problems, go_template=go_template)
                    yield from ((use, _name_in(_mapping(parts[kind])), values) for use, _, values in below)


def _layers(generator: Mapping[str, Any], problems: list[str], *, is_whole: bool) -> Layers:
    """Return the selector of a generator; one that Argo CD refuses selects nobody anew, and costs nobody anything."""
    if generator.get("selector") is None:
        return ()
    try:
        requirements = live_selector_of(generator["selector"])
    except InvalidSelector as error:
        problems.append(error.message)
        return ()
    return (Layer(requirements, is_whole=is_whole),) if requirements else ()


def _plugin_use(plugin: Mapping[str, Any], layers: Layers) -> PluginUse:
    given = _mapping(_mapping(plugin.get("input")).get("parameters"))
    allow_empty = given.get("allowEmpty") in (True, "true")
    asked = {name: value for name, value in given.items() if name != "allowEmpty"}
    text = _INPUT.encode(asked).decode()
    exact = "{{" not in text and not any(map(_is_written_anew, asked.values()))
    config_map = str(_mapping(plugin.get("configMapRef")).get("name", ""))
    return PluginUse(config_map, text if exact else None, allow_empty, text, layers)


def _is_written_anew(value: object) -> bool:
    """Tell whether it has a number that Go, for which all are floats, may write in another way than it stands."""
    match value:
        case bool() | str() | None:
            return False
        case Mapping():
            return any(map(_is_written_anew, value.values()))
        case list():
            return any(map(_is_written_anew, value))
        case int():
            return abs(value) >= _FIRST_INEXACT
    return True


def _failure(conditions: object) -> str | None:
    for condition in conditions if isinstance(conditions, list) else ():
        said = _mapping(condition)
        if said.get("type") == "ErrorOccurred" and said.get("status") == "True":
            return str(said.get("message", ""))
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
