"""Ready ApplicationSets: one Application per tenant, by its computed name and label, in as many shards as are wanted.

A function of what is wanted alone. Argo CD reads every text of a template for tags, so a text that has some is refused
rather than read as a template by surprise: only the tags written here are ever rendered.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from tenantry.core.application import TENANT_LABEL
from tenantry.core.errors import ConfigurationError, InvalidSelector, listed, nearest, quoted
from tenantry.core.fields import Naming
from tenantry.core.labels import selector_of
from tenantry.core.naming import LONGEST_LABEL
from tenantry.core.selection import RESERVED

LONGEST_NAME = 53
"""Characters of an Application's name: Argo CD makes it the name of the Helm release, which may have no more."""

_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_NAME = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_LONGEST_DNS_NAME = 253
_GO_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPTIONS = {
    "selector": "Give it by --selector.",
    "shard": "Give the number of them by --shards.",
    "view": "Give it by --view.",
}
"""Input parameters that have an option of their own."""

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Origin:
    """What an Application deploys: a chart of a Helm repository, or a folder of a Git repository."""

    repo_url: str
    target_revision: str
    chart: str = ""
    path: str = ""


PODINFO = Origin("https://stefanprodan.github.io/podinfo", "6.7.0", chart="podinfo")
"""A small chart that runs anywhere, to begin with."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the ApplicationSets are to be like."""

    name: str = "tenants"
    namespace: str = "argocd"
    plugin_configmap: str = "tenant-generator-plugin"
    shards: int | None = None
    """How many ApplicationSets share the tenants; None: one that has them all, and asks for no shard."""

    input: Mapping[str, object] = field(default_factory=dict)
    """Fields and the texts wanted, and `allowEmpty`."""

    selector: str | None = None
    views: tuple[str, ...] = ()
    go_template: bool = True
    prefix: str = ""
    """What each Application's name begins with."""

    origin: Origin = PODINFO
    project: str = "default"
    dest_server: str = "https://kubernetes.default.svc"
    dest_namespace: str | None = None
    """None: a namespace per tenant, called as its Application."""

    requeue_after: int = 1800
    """Seconds."""

    preserve_resources: bool = False
    confirm_deletion: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the configuration knows, to refuse what it does not."""

    naming: Naming = field(default_factory=Naming)
    views: Collection[str] = ()
    fields: Collection[str] | None = None
    """Every field there is; None: that depends on the columns of the table."""


def application_sets(wanted: Wanted, known: Known) -> list[Document]:
    """Return the ApplicationSets; raises ConfigurationError with everything that is wrong."""
    if problems := [*_of_naming(wanted, known.naming), *_of_texts(wanted), *_of_input(wanted, known)]:
        raise ConfigurationError(problems)
    if wanted.shards is None:
        return [_application_set(wanted, known.naming, wanted.name, {})]
    return [
        # Not padded with zeros: with another count, the ApplicationSets that stay must keep their names.
        _application_set(wanted, known.naming, f"{wanted.name}-{index}", {"index": index, "count": wanted.shards})
        for index in range(wanted.shards)
    ]


# --- what is printed ---------------------------------------------------------------------------------------------


def _application_set(wanted: Wanted, naming: Naming, name: str, shard: Document) -> Document:
    go = (
        {"goTemplate": True, "goTemplateOptions": ["missingkey=error"]} if wanted.go_template else {"goTemplate": False}
    )
    keep = {"syncPolicy": {"preserveResourcesOnDeletion": True}} if wanted.preserve_resources else {}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": name, "namespace": wanted.namespace},
        "spec": {
            **go,
            "generators": [{"plugin": _plugin(wanted, shard)}],
            **keep,
            "template": _template(wanted, naming),
        },
    }


def _plugin(wanted: Wanted, shard: Document) -> Document:
    asked: Document = dict(wanted.input)
    if wanted.selector is not None:
        asked["selector"] = wanted.selector
    if wanted.views:
        asked["view"] = list(wanted.views)
    if shard:
        asked["shard"] = shard
    return {
        "configMapRef": {"name": wanted.plugin_configmap},
        "requeueAfterSeconds": wanted.requeue_after,
        **({"input": {"parameters": asked}} if asked else {}),
    }


def _template(wanted: Wanted, naming: Naming) -> Document:
    name = wanted.prefix + _tag(naming.name_field or "", go=wanted.go_template)
    options = ["CreateNamespace=true", *(["Delete=confirm"] if wanted.confirm_deletion else [])]
    origin = {"chart": wanted.origin.chart} if wanted.origin.chart else {"path": wanted.origin.path}
    return {
        "metadata": {
            "name": name,
            "labels": {TENANT_LABEL: _tag(naming.label_field or "", go=wanted.go_template)},
        },
        "spec": {
            "project": wanted.project,
            "destination": {"server": wanted.dest_server, "namespace": wanted.dest_namespace or name},
            "source": {
                "repoURL": wanted.origin.repo_url,
                **origin,
                "targetRevision": wanted.origin.target_revision,
            },
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "syncOptions": options},
        },
    }


def _tag(name: str, *, go: bool) -> str:
    """Return what inserts a field."""
    if not go:
        return f"{{{{{name}}}}}"
    if _GO_FIELD.fullmatch(name):
        return f"{{{{ .{name} }}}}"
    return f"{{{{ index . {msgspec.json.encode(name).decode()} }}}}"  # JSON's escapes are Go's


# --- what is wrong -----------------------------------------------------------------------------------------------


def _of_naming(wanted: Wanted, naming: Naming) -> Iterator[str]:
    used = {"naming.name": naming.name_field, "naming.label": naming.label_field}
    for setting, name in used.items():
        if name is None:
            what = "named" if setting == "naming.name" else "found again"
            yield f"{setting} is off, but it is what the Applications are {what} by: give it the name of a field."
        elif not wanted.go_template and (name != name.strip() or not name.isprintable() or re.search("[{}]", name)):
            yield f"{setting} {quoted(name)} cannot be inserted without Go templates: leave out --no-go-template."
    if not re.fullmatch(r"([a-z0-9][-a-z0-9]*)?", wanted.prefix):
        yield f"--prefix {quoted(wanted.prefix)} begins no DNS-1123 label: allowed are a-z, 0-9 and, not first, '-'."
    elif len(wanted.prefix) + naming.length > LONGEST_NAME:
        yield (
            f"The Applications' names would have {len(wanted.prefix) + naming.length} characters, --prefix "
            f"{len(wanted.prefix)} and naming.length {naming.length}: Helm allows {LONGEST_NAME}."
        )


def _of_texts(wanted: Wanted) -> Iterator[str]:
    suffix = 0 if wanted.shards is None else len(f"-{wanted.shards - 1}")
    yield from _unless(_DNS_LABEL, LONGEST_LABEL - suffix, "--name", wanted.name, "a DNS-1123 label")
    yield from _unless(_DNS_LABEL, LONGEST_LABEL, "--namespace", wanted.namespace, "a DNS-1123 label")
    if wanted.dest_namespace is not None:
        yield from _unless(_DNS_LABEL, LONGEST_LABEL, "--dest-namespace", wanted.dest_namespace, "a DNS-1123 label")
    for option, name in (("--plugin-configmap", wanted.plugin_configmap), ("--project", wanted.project)):
        yield from _unless(_DNS_NAME, _LONGEST_DNS_NAME, option, name, "a DNS-1123 name")
    if not re.match(r"https?://.", wanted.dest_server):
        yield f"--dest-server {quoted(wanted.dest_server)} is no address such as https://kubernetes.default.svc."
    origin = wanted.origin
    for option, text in (
        ("--dest-server", wanted.dest_server),
        ("--repo-url", origin.repo_url),
        ("--chart" if origin.chart else "--path", origin.chart or origin.path),
        ("--target-revision", origin.target_revision),
    ):
        yield from _unless_plain(option, text)


def _unless(pattern: str, longest: int, option: str, text: str, kind: str) -> Iterator[str]:
    if len(text) > longest or not re.fullmatch(pattern, text):
        yield f"{option} {quoted(text)} is not {kind} of at most {longest} characters."


def _unless_plain(option: str, text: str) -> Iterator[str]:
    """Refuse what would be read as a template, or not be what was meant at all."""
    if "{{" in text:
        yield f"{option} {quoted(text)} has a tag, which only the printed text may get: write it in there."
    elif not text or text != text.strip() or not text.isprintable():
        yield f"{option} {quoted(text)} is empty, or begins or ends with a space, or has a control character."


def _of_input(wanted: Wanted, known: Known) -> Iterator[str]:
    for name, value in wanted.input.items():
        if name == "allowEmpty":
            if not isinstance(value, bool):
                yield "allowEmpty is true or false."
        elif name in RESERVED:
            yield f"{quoted(name)} is no field. {_OPTIONS[name]}"
        else:
            yield from _unless_field(name, known.fields)
            yield from (
                f"A value of {quoted(name)} is no Unicode text." for text in _texts(value) if not _is_text(text)
            )
    yield from _of_selector(wanted.selector, known.fields)
    for view in wanted.views:
        if view not in known.views:
            told = f"Known: {listed(known.views)}.{nearest(view, known.views)}"
            none = "It has none: name its file by --config."
            yield f"--view {quoted(view)} is no view of the configuration. {told if known.views else none}"


def _of_selector(selector: str | None, fields: Collection[str] | None) -> Iterator[str]:
    if selector is None:
        return
    if not _is_text(selector):
        yield "--selector is no Unicode text."
        return
    try:
        for key in sorted({requirement.key for requirement in selector_of(selector)}):
            yield from _unless_field(key, fields)
    except InvalidSelector as wrong:
        yield f"--selector: {wrong.message}"


def _unless_field(name: str, fields: Collection[str] | None) -> Iterator[str]:
    if not name or not _is_text(name):
        yield f"{quoted(name)} is no name of a field."
    elif fields is not None and not any(name == known or name.startswith(f"{known}.") for known in fields):
        yield f"There is no field {quoted(name)}. Known: {listed(fields)}.{nearest(name, fields)}"


def _texts(value: object) -> Iterator[str]:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            yield text


def _is_text(text: str) -> bool:
    """Tell whether it can be written: what a terminal gives may be no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
