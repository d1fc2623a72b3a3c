"""`argocd appset generate`, by argocd-server's own code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.argocd import ArgoCD, Object
from tests.e2e.build import built

Preview = Callable[[Object], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def preview(argocd: ArgoCD, kubeconfig: Path) -> Preview:
    """Return a way to ask argocd-server which Applications an ApplicationSet would have."""

    def ask(application_set: Object) -> subprocess.CompletedProcess[str]:
        command = [str(built().binary), "preview", f"--kubeconfig={kubeconfig}", f"--namespace={argocd.namespace}"]
        wanted = {**application_set, "metadata": {**application_set["metadata"], "namespace": argocd.namespace}}
        return subprocess.run(command, input=json.dumps(wanted), capture_output=True, text=True, check=False)

    return ask
