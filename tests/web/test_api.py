"""What the framework serves: the OpenAPI document and its page, in our shape of errors."""

from __future__ import annotations

import re

import jsonschema  # type: ignore[import-untyped]
import pytest

import tenantry
from tenantry.web.plugin import PATH
from tests.web.harness import Reply, ask, door

pytestmark = pytest.mark.anyio

ADMIN_PATHS = {f"/api/admin/v1/{path}" for path in ("tenants", "tenants/{id}", "quarantine")}
ADMIN_PATHS |= {"/api/admin/v1/refresh", "/api/admin/v1/status"}
ADMIN_PATHS |= {"/api/admin/v1/guard", "/api/admin/v1/guard/application-sets/{name}", "/api/admin/v1/guard/history"}
ADMIN_PATHS |= {f"/api/admin/v1/guard/{verb}" for verb in ("approve", "withdraw", "freeze", "unfreeze", "pin", "unpin")}
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


async def get(path: str, method: str = "GET") -> Reply:
    return await ask(door(), b"", method=method, path=path, token=None)


async def test_the_document_describes_every_path_that_is_served() -> None:
    document = (await get("/openapi.json")).json

    assert set(document["paths"]) == {PATH, "/healthz", "/readyz", "/metrics", *ADMIN_PATHS}
    assert document["info"]["version"] == tenantry.__version__
    assert document["openapi"].startswith("3.1")


async def test_the_documents_references_lead_somewhere_and_its_schemas_are_valid() -> None:
    reply = await get("/openapi.json")
    document = reply.json

    for reference in re.findall(r'"\$ref":\s*"#/([^"]+)"', reply.body.decode()):
        node = document
        for key in reference.split("/"):
            node = node[key]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_every_operation_has_a_name_and_every_answer_a_description() -> None:
    document = (await get("/openapi.json")).json
    operations = [
        operation for path in document["paths"].values() for name, operation in path.items() if name in METHODS
    ]

    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] for operation in operations)
    assert all(answer["description"] for operation in operations for answer in operation["responses"].values())


async def test_the_plugins_path_wants_a_token_and_tells_its_refusals() -> None:
    document = (await get("/openapi.json")).json
    operation = document["paths"][PATH]["post"]

    assert operation["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert set(operation["responses"]) == {
        "200",
        *("400", "401", "403", "405", "408", "409", "413"),
        *("500", "503"),
    }


async def test_the_examples_of_the_document_are_answered() -> None:
    operation = (await get("/openapi.json")).json["paths"][PATH]["post"]
    bodies = [
        example["value"] for example in operation["requestBody"]["content"]["application/json"]["examples"].values()
    ]

    statuses = [(await ask(door(), repr(body).replace("'", '"').encode())).status for body in bodies]

    assert statuses == [200] * len(bodies) != []


async def test_the_page_loads_nothing_from_elsewhere() -> None:
    reply = await get("/docs")
    page = reply.body.decode()

    assert reply.status == 200
    assert (reply.header("content-type") or "").startswith("text/html")
    assert "//" not in re.sub(r"^\s*//.*$", "", page, flags=re.MULTILINE)
    assert not re.search(r"\b(src|href|@import|url\()\s*=?\s*[\"']?(?!/openapi\.json)[\w:/.]", page)
    assert "default-src 'self'" in (reply.header("content-security-policy") or "")


@pytest.mark.parametrize("path", ["/", "/elsewhere", "/docs/", "/redoc", "/docs/oauth2-redirect", "/favicon.ico"])
async def test_a_path_that_there_is_not_is_told_in_our_shape(path: str) -> None:
    reply = await get(path)

    assert reply.status == 404
    assert "baseUrl" in reply.message
    assert b"detail" not in reply.body


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_method_that_a_page_does_not_take_is_told_in_our_shape(path: str, method: str) -> None:
    reply = await get(path, method)

    assert reply.status == 405
    assert "GET" in (reply.header("allow") or "")
    assert "Use GET." in reply.message
