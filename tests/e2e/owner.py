"""Owns a bed with an Argo CD until its input ends; its first line of output tells the ids of what it started."""

from __future__ import annotations

import json
import select
import signal
import sys

from tests.e2e.argocd import ArgoCD
from tests.e2e.bed import Bed
from tests.e2e.build import built


def main() -> None:
    """Start all, and stop all."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which pytest-xdist takes from the workers' children
    with Bed() as bed, ArgoCD(built(), bed.kubeconfig) as argocd:
        print(json.dumps({"pids": [*bed.pids, argocd.pid], "folder": str(bed.folder)}), flush=True)
        # A look now and then: a signal that comes just before a read that blocks would wait for the read's end.
        while not select.select([sys.stdin], [], [], 0.2)[0]:
            pass


if __name__ == "__main__":
    main()
