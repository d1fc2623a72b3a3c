"""The typed part of the HTTP side: the OpenAPI document and its page, without a request to anybody else.

The plugin's path and the probes are dispatched in front of the framework, so their schema is added by hand;
a test sends what the schema allows to the real paths.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

import tenantry
from tenantry.core.errors import InternalError, MethodNotAllowed, NoSuchPath
from tenantry.service.desk import GuardDesk
from tenantry.service.overview import Overview
from tenantry.service.status import Status
from tenantry.web.admin import ReadNow, add_admin
from tenantry.web.failures import JSON, error_body
from tenantry.web.guard import add_guard
from tenantry.web.page import DOCS_PAGE
from tenantry.web.schema import COMPONENTS, PATHS
from tenantry.web.status import add_status


def api(
    overview: Overview,
    guard: GuardDesk | None = None,
    read_now: ReadNow | None = None,
    status: Status | None = None,
) -> FastAPI:
    """Return the framework's application, which shows `overview` and `status` to admins.

    It lets them speak to the `guard`; `read_now` reads the tenants.
    """
    app = FastAPI(
        title="tenantry",
        version=tenantry.__version__,
        description="Answers Argo CD's ApplicationSet plugin generator from a table of tenants.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_api_route("/docs", _docs, methods=["GET"], include_in_schema=False, response_class=HTMLResponse)
    add_admin(app, overview, read_now)
    add_guard(app, guard)
    add_status(app, status)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _refused)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


async def _docs() -> HTMLResponse:
    return HTMLResponse(DOCS_PAGE, headers={"content-security-policy": "default-src 'self' 'unsafe-inline'"})


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001 -- the framework's signature
    """Give the framework's own refusals our shape: `detail` would reach Argo CD as an empty text."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    told = {404: NoSuchPath(), 405: MethodNotAllowed("This path does not take that method.", remedy="Use GET.")}
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return Response(error_body(told.get(status, InternalError())), status, headers, media_type=JSON.decode())


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: the framework's, and what stands in front of it."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        document["paths"] = {**PATHS, **_without_validation(document.get("paths", {}))}
        components = document.setdefault("components", {})
        for kind, ours in COMPONENTS.items():
            components[kind] = {**components.get(kind, {}), **ours}
        for name in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema


def _without_validation(paths: dict[str, Any]) -> dict[str, Any]:
    """Take out the 422 that the framework promises: our refusal of a query is a 400 with a message."""
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    return paths
