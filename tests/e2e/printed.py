"""ApplicationSets as `tenantry manifests` prints them, and what became of their tenants."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from ruamel.yaml import YAML

from tenantry.core.application import TENANT_LABEL
from tests.e2e.argocd import ArgoCD, Object

FINALIZER = "resources-finalizer.argocd.argoproj.io"
"""Of an Application whose end is the end of what it deployed."""

GO = ("--go-template", "--no-go-template")


def printed(*arguments: object, environment: Mapping[str, str] | None = None) -> list[Object]:
    """Return what `tenantry manifests applicationset` prints."""
    command = [sys.executable, "-m", "tenantry", "manifests", "applicationset", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=True)
    return list(YAML(typ="safe", pure=True).load_all(ended.stdout))


def labels(argocd: ArgoCD) -> dict[str, str]:
    """Return the label of each Application, by name."""
    return {name: found["metadata"]["labels"][TENANT_LABEL] for name, found in argocd.applications().items()}


def owners(argocd: ArgoCD) -> dict[str, str]:
    """Return the ApplicationSet of each Application, by name."""
    return {
        name: found["metadata"]["ownerReferences"][0]["name"]
        for name, found in argocd.applications().items()
        if "deletionTimestamp" not in found["metadata"]
    }


def cascading(argocd: ArgoCD) -> list[str]:
    """Return the Applications whose end is the end of what they deployed."""
    return [
        name for name, found in argocd.applications().items() if FINALIZER in found["metadata"].get("finalizers", [])
    ]


def contented(argocd: ArgoCD, *application_sets: str) -> bool:
    """Tell whether each of these had a pass, and nothing to complain of."""
    for name in application_sets:
        conditions = argocd.conditions(name)
        wanted = {"ErrorOccurred": "False", "ParametersGenerated": "True", "ResourcesUpToDate": "True"}
        if any(conditions.get(kind, {}).get("status") != status for kind, status in wanted.items()):
            return False
    return True
