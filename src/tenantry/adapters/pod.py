"""Whether this process is in a pod; apart from what talks to Kubernetes, which takes a while to import."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def is_in_cluster(environment: Mapping[str, str], account: Path = SERVICE_ACCOUNT) -> bool:
    """Tell whether this is a pod with a ServiceAccount's token."""
    return "KUBERNETES_SERVICE_HOST" in environment and (account / "token").is_file()
