"""One Argo CD in a namespace of the bed: its ApplicationSet controller, and what people do to it with kubectl."""

from __future__ import annotations

import copy
import json
import signal
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
from lightkube import ApiError, Client, KubeConfig, codecs
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.authentication_v1 import TokenRequestSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, ServiceAccountToken
from lightkube.types import PatchType
from ruamel.yaml import YAML

from tests.e2e.bed import tail
from tests.e2e.build import Programs
from tests.support.processes import Program, free_port
from tests.support.waiting import eventually

T = TypeVar("T")
Object = dict[str, Any]

NAME = "argocd-applicationset-controller"
REFRESH = "argocd.argoproj.io/application-set-refresh"
Application = create_namespaced_resource("argoproj.io", "v1alpha1", "Application", "applications")
ApplicationSet = create_namespaced_resource("argoproj.io", "v1alpha1", "ApplicationSet", "applicationsets")
AppProject = create_namespaced_resource("argoproj.io", "v1alpha1", "AppProject", "appprojects")


class NotSoon(AssertionError):
    """What a scenario waited for did not come; the message holds what Argo CD has to say."""


def load(path: Path) -> list[Object]:
    """Return the objects of a manifest."""
    return [found for found in YAML(typ="safe", pure=True).load_all(path.read_text()) if found]


class ArgoCD:
    """An Argo CD whose controller has the rights of Argo CD's own manifests, and no more."""

    def __init__(
        self, programs: Programs, kubeconfig: Path, namespace: str = "argocd", port: int | None = None
    ) -> None:
        """Prepare it. Its controller reaches the API server at another `port`, if one is given."""
        self.namespace = namespace
        self._port = port
        self.log = kubeconfig.parent / f"{namespace}.log"
        self.client = Client(KubeConfig.from_file(kubeconfig), namespace=namespace, field_manager="e2e")
        self._programs = programs
        self._admin = kubeconfig
        self._kubeconfig = kubeconfig.with_name(f"{namespace}.kubeconfig")
        self._metrics = free_port()
        ports = {"metrics": self._metrics, "probe": free_port(), "webhook": free_port()}
        flags = [f"--{name}-addr=127.0.0.1:{port}" for name, port in ports.items()]
        environment = {"KUBECONFIG": str(self._kubeconfig), "HOME": str(self.log.parent)}
        command = [str(programs.binary), "controller", "--logformat=text", *flags]
        self.program = Program(command, self.log, environment=environment)

    def install(self) -> None:
        """Make all that the controller needs."""
        self.client.apply(Namespace(metadata=ObjectMeta(name=self.namespace)))
        for name in (f"{NAME}-sa", f"{NAME}-role", f"{NAME}-rolebinding", "argocd-cm"):
            self.apply(*load(self._programs.manifest(f"{name}.yaml")))
        self.apply(*load(Path(__file__).with_name("argocd.yaml")))
        self.write_kubeconfig(self._kubeconfig, NAME, self._port)

    def write_kubeconfig(self, path: Path, service_account: str, port: int | None = None) -> None:
        """Write a kubeconfig with the rights of a ServiceAccount, for the API server or what listens before it."""
        kubeconfig = json.loads(self._admin.read_text())
        kubeconfig["users"][0]["user"] = {"token": self.token(service_account)}
        kubeconfig["contexts"][0]["context"]["namespace"] = self.namespace
        if port is not None:
            kubeconfig["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path.write_text(json.dumps(kubeconfig))

    def token(self, service_account: str) -> str:
        """Return a token with the rights of a ServiceAccount, as its pods get it."""
        wanted = ServiceAccountToken(
            metadata=ObjectMeta(), spec=TokenRequestSpec(audiences=[], expirationSeconds=86400)
        )
        given = self.client.create(wanted, service_account)
        assert given.status is not None
        assert given.status.token is not None
        return given.status.token

    def start(self) -> None:
        """Start the controller, and wait until it is alive."""
        self.program.begin()

        def alive() -> bool:
            return self.program.code is not None or httpx2.get(f"http://127.0.0.1:{self._metrics}/metrics").is_success

        self.eventually(alive, within=60, what="The controller")
        if self.program.code is not None:
            raise RuntimeError(f"The controller ended with {self.program.code}:\n{tail(self.log)}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the controller, by default as Kubernetes ends a pod."""
        self.program.end(how)

    def __enter__(self) -> Self:
        try:
            self.install()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)
        self.client.close()

    @property
    def pid(self) -> int:
        """Return the controller's process id."""
        return self.program.pid

    def apply(self, *objects: Object) -> None:
        """Apply objects on the server's side, in this Argo CD's namespace whichever they name."""
        for given in copy.deepcopy(objects):
            given["metadata"]["namespace"] = self.namespace
            for subject in given.get("subjects", []):
                subject["namespace"] = self.namespace
            self.client.apply(codecs.from_dict(given), force=True)

    def application_set(self, name: str) -> Object:
        """Return an ApplicationSet."""
        return self.client.get(ApplicationSet, name)

    def applications(self) -> dict[str, Object]:
        """Return all Applications, by name. One that Argo CD deleted is still there, with a deletionTimestamp."""
        return {found["metadata"]["name"]: found for found in self.client.list(Application)}

    def conditions(self, name: str) -> dict[str, Object]:
        """Return the conditions of an ApplicationSet, by type."""
        found = self.application_set(name).get("status", {}).get("conditions", [])
        return {condition["type"]: condition for condition in found}

    def delete(self, application_set: str) -> None:
        """Delete an ApplicationSet, and its Applications after it, for here is no garbage collector to do that."""
        uid = self.application_set(application_set)["metadata"]["uid"]
        self.client.delete(ApplicationSet, application_set)
        for name, found in self.applications().items():
            if any(owner["uid"] == uid for owner in found["metadata"].get("ownerReferences", [])):
                self.client.delete(Application, name)

    def patch(self, application_set: str, change: Mapping[str, Any]) -> None:
        """Change an ApplicationSet by a merge patch."""
        self.client.patch(ApplicationSet, application_set, dict(change), patch_type=PatchType.MERGE)

    def nudge(self, application_set: str) -> None:
        """Let the controller ask now, with a value that is new each time: the same again would be no event."""
        self.patch(application_set, {"metadata": {"annotations": {REFRESH: uuid.uuid4().hex}}})

    def eventually(self, probe: Callable[[], T], *, within: float = 60.0, what: str = "") -> T:
        """Wait for a condition; its failure shows the controller's log and what the ApplicationSets say."""
        try:
            return eventually(probe, within=within, every=0.1, what=what)
        except AssertionError as error:
            raise NotSoon(f"{error}\n{self.report()}") from None

    def report(self) -> str:
        """Tell the state of this Argo CD, for a failure to be understood."""
        return "\n".join([*self._told(), f"The controller's log ({self.log}), last lines:", tail(self.log)])

    def _told(self) -> Iterable[str]:
        try:
            for found in self.client.list(ApplicationSet):
                yield f"ApplicationSet {found['metadata']['name']}:"
                for said in found.get("status", {}).get("conditions", []):
                    yield f"  {said['type']}={said['status']} ({said['reason']}): {said['message']}"
        except (ApiError, httpx2.HTTPError) as error:
            yield f"ApplicationSets cannot be listed: {error}"
