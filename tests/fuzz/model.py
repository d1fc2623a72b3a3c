"""What a request should get, in the plainest way: lists, dictionaries and the standard library."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from tenantry.core.columns import Kind
from tests.builders import columns_of, snapshot_of
from tests.web.harness import Door, Reply, door

TENANTS: list[dict[str, Any]] = [
    {
        "tenant": f"tenant-{n:02}",
        "status": ("active", "trial", "true")[n % 3],
        "plan": ("gold", "free", "")[n % 3],
        "seats": ("5", "1.50", "-7")[n % 3],
        "settings": {"tier": ("a", "b")[n % 2], "regions": ["eu", "us"][: 1 + n % 2]},
    }
    for n in range(12)
]
"""The parameter sets that all tenants have."""

FIELDS = ("plan", "seats", "settings", "status", "tenant")
RESERVED = ("selector", "view", "shard", "allowEmpty")


def model_door() -> Door:
    """Return an application that serves `TENANTS`."""
    columns = columns_of(plan=Kind.TEXT, seats=Kind.NUMBER, settings=Kind.JSON, status=Kind.TEXT, tenant=Kind.TEXT)
    rows = [{**tenant, "settings": json.dumps(tenant["settings"])} for tenant in TENANTS]
    return door(snapshot_of(rows, columns))


class Refused(Exception):
    """The request should be refused."""


def expected(body: bytes) -> list[dict[str, Any]] | None:
    """Return the parameter sets that a body should get; None if it should be refused."""
    try:
        parameters = parameters_of(body)
        wanted = {name: texts(value) for name, value in parameters.items()}
        return [tenant for tenant in TENANTS if all(texts_at(tenant, name) & wanted[name] for name in wanted)]
    except (Refused, ValueError, RecursionError, ArithmeticError):
        return None


def parameters_of(body: bytes) -> dict[str, object]:
    if not body:
        return {}
    document = json.loads(body.decode(), parse_float=Decimal, parse_constant=refuse, object_pairs_hook=once)
    json.dumps(document, default=str, ensure_ascii=False).encode()
    require(isinstance(document, dict) and set(document) <= {"applicationSetName", "input"})
    name = document.get("applicationSetName")
    require(isinstance(name, str) and 0 < len(name) <= 253 and not name.isspace())
    given = document.get("input", {})
    require(isinstance(given, dict) and set(given) <= {"parameters"})
    parameters = given.get("parameters", {})
    require(isinstance(parameters, dict))
    for known in parameters:
        leaf = known.startswith("settings.") and known != "settings."
        require(known not in RESERVED and (known in FIELDS or leaf))
    found: dict[str, object] = parameters
    return found


def texts(value: object) -> set[str]:
    values = value if isinstance(value, list) else [value]
    require(bool(values))
    return {text(one) for one in values}


def text(value: object) -> str:
    require(isinstance(value, str | bool | int | Decimal))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        require(value.is_finite() and abs(value.adjusted()) <= 400)
        return format(value or abs(value), "f")
    return str(value)


def texts_at(tenant: dict[str, Any], name: str) -> set[str]:
    """Return the texts of a field, or of the leaves that flatten to its name."""
    return {leaf for path, leaf in flattened(tenant, "") if path == name}


def flattened(value: object, path: str) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(path, value)]
    assert isinstance(value, dict | list)
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    return [leaf for key, below in steps for leaf in flattened(below, f"{path}.{key}" if path else str(key))]


def require(held: bool) -> None:
    if not held:
        raise Refused


def refuse(_: str) -> None:
    raise Refused


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    require(len({name for name, _ in pairs}) == len(pairs))
    return dict(pairs)


def violation(body: bytes, reply: Reply) -> str:
    """Say what is wrong with a reply to a POST with a valid token; empty if nothing is."""
    wanted = expected(body)
    if wanted is None:
        return "" if reply.status == 400 and reply.message else f"{reply.status} where 400 is due"
    if reply.status != 200:
        return f"{reply.status} where an answer is due"
    return "" if reply.json == {"output": {"parameters": wanted}} else "the answer is not the model's"
