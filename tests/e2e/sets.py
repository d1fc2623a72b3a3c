"""ApplicationSets as data: generators, a template, and what is read back from an Application."""

from __future__ import annotations

from collections.abc import Mapping

from tests.e2e.argocd import Object, load
from tests.e2e.tutorial import FOLDER

PLUGIN: str = load(FOLDER / "configmap.yaml")[0]["metadata"]["name"]
OFTEN = 2
SELDOM = 3600


def plugin(*, every: int = OFTEN, **parameters: object) -> Object:
    """Return a generator that asks tenantry, by the tutorial's ConfigMap, with these input parameters."""
    asked = {"input": {"parameters": parameters}} if parameters else {}
    return {"plugin": {"configMapRef": {"name": PLUGIN}, "requeueAfterSeconds": every, **asked}}


def elements(*items: Object) -> Object:
    """Return a list generator."""
    return {"list": {"elements": list(items)}}


def matrix(first: Object, second: Object) -> Object:
    """Return every pair; the second generator may insert what the first one gives."""
    return {"matrix": {"generators": [first, second]}}


def merge(base: Object, *others: Object, on: str = "tenant") -> Object:
    """Return the items of the base, each with what the others say of it."""
    return {"merge": {"mergeKeys": [on], "generators": [base, *others]}}


def tag(field: str, *, go: bool = True) -> str:
    """Return what inserts a field into a template, with Go templates or without."""
    return f"{{{{ .{field} }}}}" if go else f"{{{{{field}}}}}"


def template(name: str, parameters: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None) -> Object:
    """Return a template of Applications with these Helm parameters."""
    helm = {"parameters": [{"name": key, "value": value} for key, value in (parameters or {}).items()]}
    chart = {"repoURL": "https://stefanprodan.github.io/podinfo", "chart": "podinfo", "targetRevision": "6.7.0"}
    return {
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {
            "project": "default",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
            "source": {**chart, "helm": helm},
        },
    }


def application_set(name: str, *generators: Object, template: Object, go: bool = True) -> Object:
    """Return an ApplicationSet; with Go templates, a field that is missing is an error."""
    how = {"goTemplate": True, "goTemplateOptions": ["missingkey=error"]} if go else {"goTemplate": False}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": name},
        "spec": {**how, "generators": list(generators), "template": template},
    }


def parameters(application: Object) -> dict[str, str]:
    """Return the Helm parameters of an Application."""
    found = application["spec"]["source"]["helm"].get("parameters", [])
    return {each["name"]: each.get("value", "") for each in found}
