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
from tenantry.web.failures import JSON, error_body
from tenantry.web.page import DOCS_PAGE
from tenantry.web.schema import COMPONENTS, PATHS


def api() -> FastAPI:
    """Return the framework's application."""
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
    app.add_exception_handler(HTTPException, _refused)
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
        document["paths"] = {**PATHS, **document.get("paths", {})}
        document.setdefault("components", {}).update(COMPONENTS)
        app.openapi_schema = document
    return app.openapi_schema
