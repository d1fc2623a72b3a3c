"""Argo CD in Kubernetes, through lightkube: what there is is seen and watched, and asked for another pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import msgspec
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.exceptions import ConfigError
from lightkube.core.resource import ApiInfo, NamespacedResourceG, ResourceDef
from lightkube.types import PatchType
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tenantry.core import application as core
from tenantry.core.errors import ClusterDenied, ClusterError, ConfigurationError
from tenantry.core.live import REFRESH, LiveName, LiveSet, live_set
from tenantry.service.following import Applications, Gone, Listed, Seen, SeenOfApplications

_PAGE = 500
"""Objects asked for at once, as kubectl does."""

_WATCHED = 240
"""Seconds after which the server ends a watch, which then goes on where it was."""

_SILENT = _WATCHED + 60.0
"""Seconds without an event after which a watch begins anew with a list: the connection may be dead."""

_MANAGER = "tenantry"
_EXEC = "client.authentication.k8s.io/"


class _Metadata(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815 -- Kubernetes' name
    labels: dict[str, str] | None = None
    ownerReferences: list[dict[str, Any]] | None = None  # noqa: N815
    creationTimestamp: str | None = None  # noqa: N815
    deletionTimestamp: str | None = None  # noqa: N815


class _Status(msgspec.Struct):
    """Not `resources`, which may be a megabyte."""

    conditions: list[dict[str, Any]] | None = None
    resourcesCount: int | None = None  # noqa: N815 -- Argo CD's name


class _Spec(msgspec.Struct):
    generators: list[dict[str, Any]] | None = None
    goTemplate: bool | None = None  # noqa: N815 -- Argo CD's name
    template: _Template | None = None
    templatePatch: str | None = None  # noqa: N815
    syncPolicy: _SyncPolicy | None = None  # noqa: N815


class _SyncPolicy(msgspec.Struct):
    applicationsSync: str | None = None  # noqa: N815


class _Template(msgspec.Struct):
    metadata: _Name | None = None


class _Name(msgspec.Struct):
    name: str | None = None


class ApplicationSet(NamespacedResourceG, msgspec.Struct):
    """As much of an ApplicationSet as is looked at."""

    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status | None = None


ApplicationSet._api_info = ApiInfo(  # noqa: SLF001 -- how lightkube is told of a resource
    ResourceDef("argoproj.io", "v1alpha1", "ApplicationSet"),
    "applicationsets",
    ["get", "list", "global_list", "watch", "global_watch", "patch"],
)


class _Sync(msgspec.Struct):
    status: str | None = None


class _ApplicationStatus(msgspec.Struct):
    """Not `resources` and `history`, which may be large."""

    sync: _Sync | None = None
    health: _Sync | None = None


class Application(NamespacedResourceG, msgspec.Struct):
    """As much of an Application as is looked at."""

    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    status: _ApplicationStatus | None = None


Application._api_info = ApiInfo(  # noqa: SLF001
    ResourceDef("argoproj.io", "v1alpha1", "Application"),
    "applications",
    ["list", "global_list", "watch", "global_watch"],
)

Kind = TypeVar("Kind", ApplicationSet, Application)


class Kubernetes:
    """ApplicationSets and Applications of one cluster; raises ClusterError and nothing else."""

    def __init__(self, config: SingleConfig) -> None:
        """Talk to the cluster of `config`; nothing is connected yet. Raises ConfigurationError."""
        try:
            self._client = AsyncClient(config, field_manager=_MANAGER)
        except (ConfigError, OSError, ValueError, AssertionError) as error:
            raise _unusable(error) from None

    async def watch(self, namespace: str) -> AsyncGenerator[Seen, None]:
        """Give all ApplicationSets of a namespace, or of every one for `*`, then what happens to them.

        Raises ClusterError. Ends when nothing happened for so long that the connection may be dead.
        """
        async with aclosing(self._events(ApplicationSet, namespace)) as events:
            _, first = await anext(events)
            yield Listed([_live(one) for one in first])
            async for kind, [one] in events:
                live = _live(one)
                yield Gone(live.name) if kind == "DELETED" else live

    async def applications(self, namespace: str) -> AsyncGenerator[SeenOfApplications, None]:
        """Give all Applications of a namespace that ApplicationSets own, then what happens to them, as `watch` does."""
        async with aclosing(self._events(Application, namespace)) as events:
            _, first = await anext(events)
            yield Applications([found for one in first if (found := _application(one)) is not None])
            async for kind, [one] in events:
                found = _application(one)
                name = LiveName(one.metadata.namespace, one.metadata.name)
                yield Gone(name) if found is None or kind == "DELETED" else found

    async def _events(self, resource: type[Kind], namespace: str) -> AsyncGenerator[tuple[str, Sequence[Kind]], None]:
        """Give all that there is, then each event with the one that it is about.

        It goes on after no error, not even one that says that the position is too old: lightkube would, and miss
        whatever was deleted in between.
        """
        with _translating():
            listing = self._client.list(resource, namespace=namespace, chunk_size=_PAGE)
            yield "LISTED", [one async for one in listing]
            events = self._client.watch(
                resource,
                namespace=namespace,
                server_timeout=_WATCHED,
                resource_version=listing.resourceVersion,
            ).__aiter__()
            while True:
                try:
                    async with asyncio.timeout(_SILENT):
                        kind, one = await anext(events)
                except (TimeoutError, StopAsyncIteration):
                    return
                yield kind, [one]

    async def find(self, name: LiveName) -> LiveSet | None:
        """Return an ApplicationSet as the server has it now; None if there is none. Raises ClusterError."""
        try:
            with _translating():
                return _live(await self._client.get(ApplicationSet, name.application_set, namespace=name.namespace))
        except ClusterError as error:
            cause = error.__cause__
            if isinstance(cause, ApiError) and cause.status.code == _NOT_FOUND:
                return None
            raise

    async def refresh(self, name: LiveName, value: str) -> None:
        """Set the annotation for which Argo CD makes a pass, and nothing else; raises ClusterError."""
        with _translating():
            await self._client.patch(
                ApplicationSet,
                name.application_set,
                {"metadata": {"annotations": {REFRESH: value}}},
                namespace=name.namespace,
                patch_type=PatchType.MERGE,  # custom resources take no strategic one
            )

    async def close(self) -> None:
        """Give back all connections."""
        await self._client.close()


def _live(found: ApplicationSet) -> LiveSet:
    return live_set(msgspec.to_builtins(found))


def _application(found: Application) -> core.Application | None:
    return core.application(msgspec.to_builtins(found))


class _translating:  # noqa: N801 -- read as a verb
    """Turn what goes wrong with a request into ClusterError; not `contextmanager`, which no generator can leave."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ApiError):
            raise _refused(error) from error
        if isinstance(error, httpx2.HTTPStatusError):
            raise ClusterError(
                f"The Kubernetes API server answers with status {error.response.status_code}."
            ) from error
        if isinstance(error, httpx2.HTTPError | OSError):
            raise ClusterError(f"The Kubernetes API server cannot be reached ({type(error).__name__}).") from error
        if isinstance(error, ConfigError | msgspec.MsgspecError):
            raise ClusterError(f"The Kubernetes API server cannot be used ({type(error).__name__}).") from error


def _refused(error: ApiError) -> ClusterError:
    code, reason = error.status.code, error.status.reason or "no reason given"
    if code in (_UNAUTHORIZED, _FORBIDDEN):
        return ClusterDenied(f"The Kubernetes API server refuses tenantry ({code} {reason}).")
    if code == _NOT_FOUND:
        return ClusterError(
            "The ApplicationSet, or the kind ApplicationSet, is not there (404).",
            remedy="If Argo CD is in another namespace, give it as kubernetes.namespaces.",
        )
    return ClusterError(f"The Kubernetes API server refuses ({code} {reason}).")


_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


def of_service_account() -> Kubernetes:
    """Return the cluster that this pod is in; raises ConfigurationError."""
    try:
        return Kubernetes(_single(KubeConfig.from_service_account()))
    except (ConfigError, OSError, KeyError) as error:
        raise _unusable(error) from None


def of_kubeconfig(path: Path) -> Kubernetes:
    """Return the cluster of a kubeconfig's current context; raises ConfigurationError."""
    try:
        document = YAML(typ="safe").load(path.read_text("utf-8"))
        return Kubernetes(_single(KubeConfig.from_dict(_with_known_exec(document), path)))
    except (ConfigError, OSError, YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(error) from None


def _single(config: KubeConfig) -> SingleConfig:
    found: SingleConfig | None = config.get()
    if found is None or found.user is None:
        raise ConfigError("no user")
    return found


def _with_known_exec(document: dict[str, Any]) -> dict[str, Any]:
    """Name the version of credential plugins that lightkube knows: what they answer is the same in v1."""
    for user in document.get("users") or []:
        plugin = user.get("user", {}).get("exec")
        if plugin and plugin.get("apiVersion") == f"{_EXEC}v1":
            plugin["apiVersion"] = f"{_EXEC}v1beta1"
    return document


def _unusable(error: BaseException) -> ConfigurationError:
    return ConfigurationError(
        [f"kubernetes.kubeconfig, or the pod's ServiceAccount, cannot be used ({type(error).__name__})."]
    )
