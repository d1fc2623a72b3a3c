"""A tenantry in the cluster: with the rights that its own manifests give, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lightkube import ApiError, Client, KubeConfig, codecs
from lightkube.types import PatchType
from ruamel.yaml import YAML

from tests.e2e.argocd import ApplicationSet, ArgoCD
from tests.e2e.sets import application_set, elements, template

ACCOUNT = "tenantry"
"""The ServiceAccount that is printed."""


@dataclass
class Rights:
    """What the printed manifests give."""

    kubeconfig: Path
    environment: dict[str, str]
    client: Client


@pytest.fixture
def rights(argocd: ArgoCD, tmp_path: Path) -> Iterator[Rights]:
    """Apply what is printed, and become its ServiceAccount."""
    where = grant(argocd)
    own = tmp_path / "tenantry.kubeconfig"
    argocd.write_kubeconfig(own, ACCOUNT)
    client = Client(config=KubeConfig.from_file(own), namespace=argocd.namespace)
    refused_by_policy(argocd, client)
    yield Rights(own, {**where, "TENANTRY_KUBERNETES_KUBECONFIG": str(own)}, client)
    client.close()


def grant(argocd: ArgoCD) -> dict[str, str]:
    """Apply what `manifests rbac` prints; returns the variables of a tenantry that is told of this namespace."""
    where = {"TENANTRY_KUBERNETES_NAMESPACES": argocd.namespace}
    command = [sys.executable, "-m", "tenantry", "manifests", "rbac", "--namespace", argocd.namespace]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env={**os.environ, **where})
    for document in YAML(typ="safe", pure=True).load_all(done.stdout):
        argocd.client.apply(codecs.from_dict(document), force=True)
    return where


def refused_by_policy(argocd: ArgoCD, client: Client) -> None:
    """Wait until the policy is in force, which takes the API server a moment."""
    probe = application_set("probe", elements(), template=template("probe"))
    argocd.apply(probe)

    def is_refused() -> bool:
        # What is there already is no change, and is let through.
        change = {"metadata": {"labels": {"try": uuid.uuid4().hex}}}
        try:
            client.patch(ApplicationSet, "probe", change, patch_type=PatchType.MERGE)
        except ApiError as error:
            return error.status.code in (403, 422)
        return False

    argocd.eventually(is_refused, what="The admission policy")
    argocd.delete("probe")
