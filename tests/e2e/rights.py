"""A tenantry in the cluster: with the rights that its own manifests give, and no more."""

from __future__ import annotations

import json
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

from tests.e2e.argocd import ApplicationSet, ArgoCD, load
from tests.e2e.sets import application_set, elements, template


@dataclass
class Rights:
    """What the printed manifests give."""

    kubeconfig: Path
    environment: dict[str, str]
    client: Client


@pytest.fixture
def rights(argocd: ArgoCD, kubeconfig: Path, tmp_path: Path) -> Iterator[Rights]:
    """Apply what is printed, and become its ServiceAccount."""
    where = {"TENANTRY_KUBERNETES_NAMESPACES": argocd.namespace}
    command = [sys.executable, "-m", "tenantry", "manifests", "rbac", "--namespace", argocd.namespace]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env={**os.environ, **where})
    path = tmp_path / "rights.yaml"
    path.write_text(done.stdout)
    for document in load(path):
        argocd.client.apply(codecs.from_dict(document), force=True)
    config = json.loads(kubeconfig.read_text())
    config["users"][0]["user"] = {"token": argocd.token("tenantry")}
    config["contexts"][0]["context"]["namespace"] = argocd.namespace
    own = tmp_path / "tenantry.kubeconfig"
    own.write_text(json.dumps(config))
    client = Client(config=KubeConfig.from_file(own), namespace=argocd.namespace)
    refused_by_policy(argocd, client)
    yield Rights(own, {**where, "TENANTRY_KUBERNETES_KUBECONFIG": str(own)}, client)
    client.close()


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
