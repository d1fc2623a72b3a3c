"""An Application in the cluster, as far as it tells what became of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

TENANT_LABEL = "tenantry.io/tenant"
"""The label by which a tenant's Application is found again; its value is the computed label."""


class Application(NamedTuple):
    """One that an ApplicationSet owns."""

    namespace: str
    name: str
    owner: str
    """The uid of its ApplicationSet."""

    label: str | None
    """Whose it is, where it was labelled as `tenantry manifests applicationset` does."""

    sync: str
    health: str
    """What Argo CD says of it, such as `Synced` and `Healthy`; empty where it says nothing yet."""

    is_being_deleted: bool
    created: float = 0.0
    """When it was made, in seconds; 0 where that is not told."""


def application(document: Mapping[str, Any]) -> Application | None:
    """Understand an Application as the API server gives it; None where no ApplicationSet owns it."""
    metadata, status = _mapping(document.get("metadata")), _mapping(document.get("status"))
    owners = metadata.get("ownerReferences")
    owner = next(
        (
            str(one.get("uid", ""))
            for one in (owners if isinstance(owners, list) else ())
            if _mapping(one).get("kind") == "ApplicationSet" and one.get("controller")
        ),
        None,
    )
    if owner is None:
        return None
    label = _mapping(metadata.get("labels")).get(TENANT_LABEL)
    return Application(
        str(metadata.get("namespace", "")),
        str(metadata.get("name", "")),
        owner,
        None if label is None else str(label),
        str(_mapping(status.get("sync")).get("status") or ""),
        str(_mapping(status.get("health")).get("status") or ""),
        is_being_deleted=metadata.get("deletionTimestamp") is not None,
        created=_seconds(metadata.get("creationTimestamp")),
    )


def _seconds(timestamp: object) -> float:
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp() if timestamp else 0.0
    except ValueError:
        return 0.0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
