"""Who asks in the world of the walk, and for what."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tenantry.core.ledger import SetName

PROD, STAGING = SetName("argocd", "prod"), SetName("staging", "prod")
MATRIX, FREE, SIZED = SetName("argocd", "regions"), SetName("argocd", "free"), SetName("argocd", "sized")
Request = tuple[SetName, dict[str, object]]
REQUESTS: tuple[Request, ...] = (
    (PROD, {}),
    (STAGING, {"status": "active"}),
    (MATRIX, {"region": "eu"}),
    (MATRIX, {"region": "us"}),
    (FREE, {"status": "active", "allowEmpty": True}),
    (SIZED, {"size": "1"}),
)
EDITED: tuple[Request, ...] = (
    (PROD, {"status": "active"}),
    (STAGING, {"region": "eu"}),
    (MATRIX, {"region": "ap"}),
)


def text_of(parameters: Mapping[str, object]) -> str:
    """Return what operators see an input as."""
    shown = {key: value for key, value in parameters.items() if key != "allowEmpty"}
    return msgspec.json.encode(shown, order="sorted").decode()
