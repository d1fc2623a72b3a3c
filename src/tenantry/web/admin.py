"""The admin API: what an operator asks of the running service, typed, in the OpenAPI document.

The gate in front lets in who may use it; a route that is reached around the gate is not there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.convertors import Convertor, register_url_convertor

from tenantry.core.errors import (
    InternalError,
    InvalidQuery,
    InvalidWord,
    NoSnapshot,
    NoSuchPath,
    TenantryError,
    listed,
    nearest,
    quoted,
)
from tenantry.core.sharding import MOST_SHARDS
from tenantry.service.facts import (
    Quarantine,
    QuarantinedRow,
    QuarantinePage,
    ShardOf,
    SnapshotFacts,
    TenantApplication,
    TenantFound,
    TenantPage,
    TenantView,
)
from tenantry.service.overview import MOST_OF_A_PAGE, Overview, TenantQuery
from tenantry.web.app import ADMIN, ADMITTED
from tenantry.web.failures import JSON, error_body, status_of

PREFIX = f"{ADMIN}v1"
_DIGITS = re.compile(r"-?[0-9]{1,20}(?:\.0+)?")
_MESSAGE = {"$ref": "#/components/schemas/Message"}


class _Anything(Convertor[str]):
    """The rest of a path, whatever it holds: ids have slashes, and Starlette's own `path` ends at a line break."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def _in_digits(given: object) -> object:
    """Refuse what Python takes for a whole number besides digits: `1_0`, `+5`; `5.0` is one to JSON Schema."""
    if isinstance(given, str) and not _DIGITS.fullmatch(given):
        raise PydanticCustomError("int_parsing", "Input should be a valid integer")
    return given


IN_DIGITS = BeforeValidator(_in_digits)


class TenantAsked(BaseModel):
    """What one tenant takes."""

    shards: Annotated[int, Field(ge=1, le=MOST_SHARDS), IN_DIGITS] | None = Field(
        None, description="A count of shards, of which to tell the tenant's."
    )


class Page(BaseModel):
    """What a page of something takes."""

    limit: Annotated[int, Field(ge=1, le=MOST_OF_A_PAGE), IN_DIGITS] = Field(
        100, description="How many at most; a page may be shorter."
    )


class TenantsAsked(Page, TenantAsked):
    """What a list of tenants takes."""

    state: str | None = Field(None, description="Only those in this state.")
    quarantined: Literal["true", "false"] | None = Field(
        None, description="Only those whose row cannot be used, or only the others."
    )
    after: str | None = Field(None, description="Only those behind this id: `next` of the page before.")


class QuarantineAsked(Page):
    """What a list of quarantined rows takes."""

    after: Annotated[int, Field(ge=0, le=2**53), IN_DIGITS] = Field(
        0, description="Only those behind this row: `next` of the page before."
    )


def _refusal(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _MESSAGE}}}


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: _refusal("The query is not understood."),
    401: _refusal("No token, or an unknown one; none is needed on the socket."),
    403: _refusal("A token of the plugin, which the admin API does not take."),
    404: _refusal("No such tenant, ApplicationSet or path; over TCP also while no admin token is set."),
    405: _refusal("Another method."),
    500: _refusal("A fault of tenantry; the log has it."),
    503: _refusal("The tenants, or the state database, have not been read yet."),
}


ROUTE: dict[str, Any] = {"responses": _REFUSALS, "openapi_extra": {"security": [{"adminToken": []}, {}]}}
ROUTE_OF_A_WORD: dict[str, Any] = {
    **ROUTE,
    "responses": {**_REFUSALS, 409: _refusal("What is held is not what was looked at.")},
}

_TOLD: Sequence[type] = (
    Quarantine,
    QuarantinedRow,
    QuarantinePage,
    ShardOf,
    SnapshotFacts,
    TenantApplication,
    TenantFound,
    TenantPage,
    TenantView,
)
for _kind in _TOLD:
    # What stands below their fields is told in the document as well.
    _kind.__pydantic_config__ = ConfigDict(use_attribute_docstrings=True)  # type: ignore[attr-defined]


ReadNow: TypeAlias = Callable[[], Awaitable[object]]
"""Reads the tenants; raises NotReady."""


def add_admin(app: FastAPI, overview: Overview, read_now: ReadNow | None) -> None:
    """Add the routes to an application, and how their refusals look."""
    register_url_convertor("anything", _Anything())
    router = APIRouter(prefix=PREFIX, tags=["admin"])

    @router.get(
        "/tenants",
        operation_id="list_tenants",
        summary="Tenants, served or not, in order of id",
        response_model=TenantPage,
        response_description="A page of them.",
        dependencies=[Depends(takes(TenantsAsked))],
        **ROUTE,
    )
    async def list_tenants(asked: Annotated[TenantsAsked, Query()]) -> Response:
        quarantined = None if asked.quarantined is None else asked.quarantined == "true"
        query = TenantQuery(asked.state, quarantined, asked.limit, asked.after, asked.shards)
        return json_of(await overview.tenants(query))

    @router.get(
        "/tenants/{id:anything}",
        operation_id="show_tenant",
        summary="One tenant, and why it is served or not",
        response_model=TenantFound,
        response_description="All that is known of it.",
        dependencies=[Depends(takes(TenantAsked))],
        **ROUTE,
    )
    async def show_tenant(
        tenant: Annotated[str, Path(alias="id", description="Its id, percent-encoded, slashes and dots too.")],
        asked: Annotated[TenantAsked, Query()],
    ) -> Response:
        return json_of(await overview.tenant(tenant, asked.shards))

    @router.get(
        "/quarantine",
        operation_id="list_quarantine",
        summary="Rows that cannot be used, in order of the read",
        response_model=QuarantinePage,
        response_description="A page of them.",
        dependencies=[Depends(takes(QuarantineAsked))],
        **ROUTE,
    )
    async def list_quarantine(asked: Annotated[QuarantineAsked, Query()]) -> Response:
        return json_of(await overview.quarantine(asked.limit, asked.after))

    @router.post(
        "/refresh",
        operation_id="refresh",
        summary="Read the tenants now, whatever is known of changes",
        response_model=SnapshotFacts,
        response_description="What was read.",
        dependencies=[Depends(takes(None))],
        **ROUTE,
    )
    async def refresh() -> Response:
        if read_now is None:
            raise NoSnapshot
        await read_now()
        return json_of(overview.snapshot())

    app.include_router(router)
    app.add_exception_handler(TenantryError, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)


def takes(model: type[BaseModel] | None) -> Callable[[Request], Awaitable[None]]:
    """Return what lets through who came by the gate, with the query parameters of `model` and no others, each once."""
    known = sorted(model.model_fields) if model else []

    async def check(request: Request) -> None:
        if not request.scope.get(ADMITTED):
            raise NoSuchPath
        try:
            unquote(request.scope["query_string"].decode("ascii"), errors="strict")
        except UnicodeDecodeError:
            raise InvalidQuery("The query is not UTF-8.") from None
        given = Counter(name for name, _ in request.query_params.multi_items())
        for name, times in sorted(given.items()):
            if name not in known:
                raise InvalidQuery(
                    f"There is no query parameter {quoted(name)} here. Known: {listed(known)}.{nearest(name, known)}"
                )
            if times > 1:
                raise InvalidQuery(f"The query has {quoted(name)} more than once.")

    return check


def json_of(document: object) -> Response:
    """Return a document as the body of an answer."""
    return Response(msgspec.json.encode(document), media_type=JSON.decode())


async def _refused(request: Request, error: Exception) -> Response:  # noqa: ARG001 -- the framework's signature
    told = error if isinstance(error, TenantryError) else InternalError()
    return Response(error_body(told), status_of(told), media_type=JSON.decode())


async def _not_understood(request: Request, error: Exception) -> Response:
    """Tell the first thing that is wrong with a query or a body, by name, and what it has to be."""
    wrong = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": [""], "msg": ""}
    why = str(wrong["msg"]).replace("Input should be", "has to be", 1)
    if wrong["loc"][0] == "body":
        name = quoted(str(wrong["loc"][1])) if len(wrong["loc"]) > 1 and isinstance(wrong["loc"][1], str) else "body"
        return await _refused(request, InvalidWord(f"In what was sent, {name}: {why}."))
    return await _refused(request, InvalidQuery(f"The query parameter {quoted(str(wrong['loc'][-1]))} {why}."))
