"""The OpenAPI schema of what is dispatched in front of the framework: the plugin's path and the probes."""

from __future__ import annotations

from typing import Any

from tenantry.web.plugin import PATH

_MESSAGE = {"$ref": "#/components/schemas/Message"}

_TEXT_VALUE: dict[str, Any] = {"type": ["string", "number", "boolean"]}

COMPONENTS: dict[str, Any] = {
    "schemas": {
        "Message": {
            "type": "object",
            "description": "Why there is no answer, and what to do; Argo CD shows it as a condition.",
            "required": ["message"],
            "properties": {"message": {"type": "string", "minLength": 1, "maxLength": 1000}},
        },
        "Standing": {
            "type": "object",
            "description": "How the guard stands: removals held, freezes, and what is set loosely.",
            "required": ["mode", "held", "frozen", "loose"],
            "properties": {
                "mode": {"type": "string", "enum": ["observe", "hold", "upsert-only", "off"]},
                "held": {"type": "integer", "minimum": 0},
                "frozen": {"type": "integer", "minimum": 0},
                "loose": {"type": "array", "items": {"type": "string"}},
                "problem": {"type": ["string", "null"], "description": "Why the state could not be used last."},
            },
        },
        "NotReady": {
            "type": "object",
            "required": ["message", "reasons"],
            "properties": {
                "guard": {"$ref": "#/components/schemas/Standing"},
                "message": {"type": "string", "minLength": 1},
                "reasons": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            },
        },
        "Status": {
            "type": "object",
            "required": ["status"],
            "properties": {
                "status": {"type": "string", "enum": ["ok", "ready"]},
                "guard": {"$ref": "#/components/schemas/Standing"},
            },
        },
        "PluginRequest": {
            "type": "object",
            "additionalProperties": False,
            "required": ["applicationSetName"],
            "properties": {
                "applicationSetName": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "\\S"},
                "input": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "parameters": {
                            "type": "object",
                            "description": "A field (dots reach into JSON columns) and its value, or a list of values.",
                            "additionalProperties": {
                                "anyOf": [_TEXT_VALUE, {"type": "array", "minItems": 1, "items": _TEXT_VALUE}]
                            },
                        }
                    },
                },
            },
        },
        "PluginAnswer": {
            "type": "object",
            "additionalProperties": False,
            "required": ["output"],
            "properties": {
                "output": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["parameters"],
                    "properties": {
                        "parameters": {
                            "type": "array",
                            "description": "One parameter set per tenant, in order of id; all have the same keys.",
                            "items": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Value"}},
                        }
                    },
                }
            },
        },
        "Value": {
            "description": "Text; of a JSON column an object or a list whose leaves are text.",
            "anyOf": [
                {"type": "string"},
                {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Value"}},
                {"type": "array", "items": {"$ref": "#/components/schemas/Value"}},
            ],
        },
    },
    "securitySchemes": {
        "token": {"type": "http", "scheme": "bearer", "description": "A plugin token: what Argo CD sends."},
        "adminToken": {"type": "http", "scheme": "bearer", "description": "The admin token; not needed on the socket."},
    },
}


def _json(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_EXAMPLES: dict[str, Any] = {
    "all": {"summary": "Every tenant", "value": {"applicationSetName": "prod-eu", "input": {"parameters": {}}}},
    "some": {
        "summary": "Tenants with one of two states",
        "value": {"applicationSetName": "prod-eu", "input": {"parameters": {"status": ["active", "trial"]}}},
    },
}

_EXECUTE: dict[str, Any] = {
    "operationId": "getparams_execute",
    "summary": "The parameter sets for an ApplicationSet",
    "description": "Asked by Argo CD. A 200 is complete and checked; all else has a message.",
    "security": [{"token": []}],
    "requestBody": {
        "description": "Without a body every tenant is asked for; Argo CD always sends one.",
        "required": False,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/PluginRequest"}, "examples": _EXAMPLES}
        },
    },
    "responses": {
        "200": _json({"$ref": "#/components/schemas/PluginAnswer"}, "The tenants that the ApplicationSet asked for."),
        "400": _json(_MESSAGE, "The body is not a plugin request, or asks for a field that there is not."),
        "401": _json(_MESSAGE, "No token, an unknown one, or an unresolved Secret reference."),
        "403": _json(_MESSAGE, "An admin token, which the plugin's path does not take."),
        "405": _json(_MESSAGE, "Not a POST."),
        "408": _json(_MESSAGE, "The body did not arrive in time."),
        "409": _json(_MESSAGE, "The input is new, and by it the ApplicationSet would lose tenants."),
        "413": _json(_MESSAGE, "The body is too large."),
        "500": _json(_MESSAGE, "The answer failed its own check and was not sent."),
        "503": _json(_MESSAGE, "No snapshot of the tenants that could be answered from."),
    },
}


def _probe(name: str, description: str, responses: dict[str, Any]) -> dict[str, Any]:
    refused = {"405": _json(_MESSAGE, "Not a GET.")}
    return {"get": {"operationId": name, "summary": description, "responses": {**responses, **refused}}}


_STATUS = {"$ref": "#/components/schemas/Status"}

PATHS: dict[str, Any] = {
    PATH: {"post": _EXECUTE},
    "/healthz": _probe("healthz", "The process works", {"200": _json(_STATUS, "It does.")}),
    "/readyz": _probe(
        "readyz",
        "Argo CD would be answered",
        {
            "200": _json(_STATUS, "It would."),
            "503": _json({"$ref": "#/components/schemas/NotReady"}, "It would not, and these are the reasons."),
        },
    ),
    "/metrics": _probe(
        "metrics",
        "Metrics for Prometheus",
        {"200": {"description": "The text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    ),
}
