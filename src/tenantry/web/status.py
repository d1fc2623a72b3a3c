"""How it all stands, in the admin API."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import Response
from pydantic import ConfigDict

from tenantry.core.errors import NoSnapshot
from tenantry.service.status import FeedStatus, NamespaceStatus, ReplicaStatus, SetStatus, Status, StatusFacts
from tenantry.service.whereabouts import States
from tenantry.web.admin import PREFIX, ROUTE, json_of, takes

_TOLD: Sequence[type] = (FeedStatus, NamespaceStatus, ReplicaStatus, States, SetStatus, StatusFacts)
for _kind in _TOLD:
    _kind.__pydantic_config__ = ConfigDict(use_attribute_docstrings=True)  # type: ignore[attr-defined]


def add_status(app: FastAPI, status: Status | None) -> None:
    """Add the route to an application."""
    router = APIRouter(prefix=PREFIX, tags=["admin"])

    @router.get(
        "/status",
        operation_id="status",
        summary="How it all stands: source, feed, cluster and each ApplicationSet",
        response_model=StatusFacts,
        response_description="All of it.",
        dependencies=[Depends(takes(None))],
        **ROUTE,
    )
    async def show() -> Response:
        if status is None:
            raise NoSnapshot
        return json_of(await status.facts())

    app.include_router(router)
