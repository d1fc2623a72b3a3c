"""A cluster to try things on: `make cluster` leaves the bed of the scenarios running for a person.

Argo CD's ApplicationSet controller, PostgreSQL with the sample tenants, tenantry, and the tutorial's ApplicationSet.
There is no application controller: an Application that Argo CD deletes stays, with a deletionTimestamp.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD
from tests.e2e.bed import Bed, own_folder
from tests.e2e.build import built
from tests.e2e.survival import settled
from tests.support.postgres import Database, PostgresServer
from tests.support.service import RunningService

TENANTS = 10
EVERY = 5
"""Seconds between two questions of Argo CD."""

READY = """
Argo CD has made {applications} Applications of {applications} tenants, and asks tenantry every {every} s. Try, in another terminal:

  export KUBECONFIG={kubeconfig}
  kubectl get applications

  psql '{database}'
  INSERT INTO organization (tenant, status) VALUES ('kilo-media', 'active');

  curl http://127.0.0.1:{port}/api/v1/getparams.execute -H 'Authorization: Bearer {token}' -d '{body}'

Logs: {logs}
Ctrl-C ends everything, and leaves nothing behind."""  # noqa: E501 -- as it is printed


@contextmanager
def database() -> Iterator[Database]:
    """Run a PostgreSQL with the sample tenants, in a folder that the server's own user can reach."""
    with own_folder("tenantry-cluster-") as folder:
        folder.chmod(0o755)
        server = PostgresServer(folder / "postgresql")
        try:
            server.start()
            server.make_template()
            yield server.create_database()
        finally:
            server.stop()


def main() -> None:
    """Start all, say how to use it, and stop all at the first signal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as running:
        print("Starting a cluster. This takes half a minute …", flush=True)
        bed = running.enter_context(Bed())
        argocd = running.enter_context(ArgoCD(built(), bed.kubeconfig))
        tenants = running.enter_context(database())
        service = running.enter_context(RunningService(bed.folder, tutorial.environment(tenants)))
        tutorial.poll_often(argocd, service, seconds=EVERY)
        told = READY.format(
            applications=len(settled(argocd, TENANTS)),
            every=EVERY,
            kubeconfig=bed.kubeconfig,
            database=tenants.url(),
            port=service.port,
            token=tutorial.token(),
            body='{"applicationSetName": "me", "input": {"parameters": {"status": "active"}}}',
            logs=f"{argocd.log} {service.log}",
        )
        print(told, flush=True)
        try:
            while True:
                time.sleep(0.2)  # not for ever: a signal just before that would wait too
        except KeyboardInterrupt:
            print("Ending.", flush=True)


if __name__ == "__main__":
    main()
