"""The OpenAPI document against the application: every path, whatever the schema allows and forbids."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from schemathesis.generation.case import Case

from tenantry.service.overview import Overview
from tenantry.web.api import api
from tenantry.web.app import ADMIN
from tenantry.web.asgi import App, Receive, Scope, Send, response, send_all
from tenantry.web.failures import JSON
from tests.fuzz.model import FIELDS, model_door
from tests.web.harness import ADMIN_TOKEN, TOKEN


def with_fields() -> App:
    """Return an application whose document names the fields of its table, which ours cannot know."""
    here = model_door()
    document = json.loads(json.dumps(api(Overview(here.snapshots)).openapi()))
    request = document["components"]["schemas"]["PluginRequest"]
    parameters: dict[str, Any] = request["properties"]["input"]["properties"]["parameters"]
    value = parameters["additionalProperties"]
    parameters |= {"properties": dict.fromkeys((*FIELDS, "settings.tier"), value), "additionalProperties": False}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/openapi.json":
            await send_all(send, response(200, json.dumps(document).encode(), JSON))
        else:
            await here.app(scope, receive, send)

    return app


schema = schemathesis.openapi.from_asgi("/openapi.json", with_fields())


@schema.parametrize()
def test_the_application_keeps_its_schema(case: Case[Any]) -> None:
    token = ADMIN_TOKEN if case.path.startswith(ADMIN) else TOKEN

    case.call_and_validate(headers={"Authorization": f"Bearer {token}"})
