"""The bed of all scenarios: etcd and kube-apiserver on loopback ports, with the CRDs of Argo CD."""

from __future__ import annotations

import contextlib
import fcntl
import json
import secrets
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

import httpx2

from tests.e2e.build import Programs, built
from tests.support.processes import Program, free_port
from tests.support.waiting import eventually

PREFIX = "tenantry-e2e-"
CERTIFICATE = "apiserver.crt"
CRDS = {kind: f"{kind}s.argoproj.io" for kind in ("application", "applicationset", "appproject")}


class Bed:
    """A cluster of our own from start to end. Rights are checked (RBAC); the kubeconfig is an administrator's."""

    def __init__(self, programs: Programs | None = None, before_etcd: Callable[[int], int] = int) -> None:
        """Prepare it. The API server reaches etcd at the port that `before_etcd` gives for etcd's own."""
        self.programs = programs or built()
        self.port = free_port()
        self._token = secrets.token_hex(32)
        self._before_etcd = before_etcd
        self.running: dict[str, Program] = {}
        """By name, in the order of their start."""

        self._open = contextlib.ExitStack()
        self.folder = self._open.enter_context(own_folder(PREFIX))
        self.kubeconfig = self.folder / "kubeconfig"

    @property
    def pids(self) -> list[int]:
        """Return the ids of the processes."""
        return [program.pid for program in self.running.values()]

    def start(self) -> None:
        """Start, and wait until ApplicationSets can be applied."""
        try:
            self._start_api_server(self._start_etcd())
            with self._client() as client:
                self._wait(partial(self._serves, client, "/readyz"), "The API server")
                self._apply_crds(client)
        except BaseException as error:
            error.add_note("".join(f"{log}:\n{tail(log)}\n" for log in sorted(self.folder.glob("*.log"))))
            self.stop()
            raise

    def stop(self) -> None:
        """End all processes and forget all data. Nothing is kept, so nothing is waited for."""
        for program in self.running.values():
            program.kill()
        self._open.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, program: str, **flags: object) -> None:
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        command = [str(self.programs.binary), program, *arguments]
        self.running[program] = Program(command, self.folder / f"{program}.log")
        self.running[program].begin()

    def _start_etcd(self) -> str:
        port = free_port()
        clients, peers = (f"http://127.0.0.1:{number}" for number in (port, free_port()))
        self._start(
            "etcd",
            data_dir=self.folder / "etcd",
            listen_client_urls=clients,
            advertise_client_urls=clients,
            listen_peer_urls=peers,
            initial_advertise_peer_urls=peers,
            initial_cluster=f"default={peers}",
            unsafe_no_fsync="true",
            log_level="warn",
        )
        return f"http://127.0.0.1:{self._before_etcd(port)}"

    def _start_api_server(self, etcd: str) -> None:
        certificates = self.folder / "certificates"
        key, tokens = self.folder / "service-accounts.key", self.folder / "tokens.csv"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        tokens.write_text(f"{self._token},admin,admin,system:masters\n")
        self._start(
            "kube-apiserver",
            advertise_address="127.0.0.1",
            authorization_mode="RBAC",
            bind_address="127.0.0.1",
            cert_dir=certificates,
            disable_admission_plugins="ServiceAccount",
            endpoint_reconciler_type="none",
            etcd_servers=etcd,
            secure_port=self.port,
            service_account_issuer="https://kubernetes.default.svc",
            service_account_key_file=key,
            service_account_signing_key_file=key,
            service_cluster_ip_range="10.0.0.0/24",
            token_auth_file=tokens,
        )
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": str(certificates / CERTIFICATE)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": cluster}],
            "users": [{"name": "e2e", "user": {"token": self._token}}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e", "namespace": "argocd"}}],
            "current-context": "e2e",
        }
        self.kubeconfig.write_text(json.dumps(content))  # YAML too

    def _wait(self, probe: Callable[[], bool], what: str) -> None:
        """Wait for a condition, but not for what has ended."""
        eventually(lambda: self._ended() or probe(), within=120, every=0.1, what=what)
        if self._ended():
            raise RuntimeError(f"{what} did not come: a process ended")

    def _ended(self) -> bool:
        return any(program.code is not None for program in self.running.values())

    @contextlib.contextmanager
    def _client(self) -> Iterator[httpx2.Client]:
        """Return a client that trusts the certificate which the API server makes for itself when it starts."""
        certificate = self.folder / "certificates" / CERTIFICATE
        self._wait(certificate.exists, "The API server's certificate")
        trusted = ssl.create_default_context(cafile=certificate)
        headers = {"Authorization": f"Bearer {self._token}"}
        with httpx2.Client(base_url=f"https://127.0.0.1:{self.port}", verify=trusted, headers=headers) as client:
            yield client

    def _serves(self, client: httpx2.Client, path: str) -> bool:
        return client.get(path).is_success

    def _apply_crds(self, client: httpx2.Client) -> None:
        """Apply Argo CD's definitions, byte for byte, on the server's side: they are too large for any other."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for kind, name in CRDS.items():
            manifest = self.programs.manifest(f"{kind}-crd.yaml").read_bytes()
            how = {"Content-Type": "application/apply-patch+yaml"}
            client.patch(
                f"{path}/{name}", params={"fieldManager": "e2e"}, content=manifest, headers=how, timeout=60
            ).raise_for_status()
        for kind in CRDS:
            path = f"/apis/argoproj.io/v1alpha1/{kind}s"
            self._wait(partial(self._serves, client, path), path)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """Return a folder that goes with its owner. Those of owners who were killed go first."""
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError), (left / "owner").open() as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    unseen = Path(tempfile.mkdtemp(prefix=f".{prefix}"))
    with (unseen / "owner").open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        folder = unseen.rename(unseen.with_name(unseen.name.removeprefix(".")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
