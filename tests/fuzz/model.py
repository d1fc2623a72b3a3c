"""What a request should get, in the plainest way: lists, dictionaries and the standard library."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from tenantry.core.columns import Kind
from tenantry.core.sharding import shard_of
from tests.builders import columns_of, snapshot_of
from tests.fakes import FakeTokens
from tests.web.harness import ADMIN_TOKEN, Door, Reply, door

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
VIEWS: dict[str, dict[str, object]] = {
    "gold": {"plan": "gold"},
    "first-half": {"selector": "settings.tier=a,status!=trial", "shard": {"index": "0", "count": "2"}},
}
OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": ">", "Lt": "<"}


def model_door() -> Door:
    """Return an application that serves `TENANTS`."""
    columns = columns_of(plan=Kind.TEXT, seats=Kind.NUMBER, settings=Kind.JSON, status=Kind.TEXT, tenant=Kind.TEXT)
    rows = [{**tenant, "settings": json.dumps(tenant["settings"])} for tenant in TENANTS]
    snapshot = snapshot_of(rows, columns, state="status", views=tuple(VIEWS.items()))
    return door(snapshot, admin_tokens=FakeTokens(admin=ADMIN_TOKEN))


class Refused(Exception):
    """The request should be refused."""


def expected(body: bytes) -> list[dict[str, Any]] | None:
    """Return the parameter sets that a body should get; None if it should be refused."""
    try:
        tests = list(tests_of(parameters_of(body)))
        return [tenant for tenant in TENANTS if all(test(tenant) for test in tests)]
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
    found: dict[str, object] = parameters
    return found


Test = Callable[[dict[str, Any]], bool]


def tests_of(parameters: dict[str, object]) -> Iterator[Test]:
    """Yield what a tenant must pass."""
    for name, value in parameters.items():
        match name:
            case "selector":
                requirements = list(requirements_of(value))
                require(bool(requirements))
                yield from map(test_of, requirements)
            case "view":
                names = value if isinstance(value, list) else [value]
                require(bool(names) and all(isinstance(one, str) and one in VIEWS for one in names))
                for one in names:
                    yield from tests_of(VIEWS[str(one)])
            case "shard":
                yield shard_test(value)
            case "allowEmpty":
                require(isinstance(value, bool) or value in ("true", "false"))
            case _:
                yield field_test(name, texts(value))


def field_test(name: str, wanted: set[str]) -> Test:
    require_name(name)
    return lambda tenant: bool(texts_at(tenant, name) & wanted)


def shard_test(value: object) -> Test:
    require(isinstance(value, dict) and set(value) == {"index", "count"})
    assert isinstance(value, dict)
    require(all(type(one) in (str, int, Decimal) and re.fullmatch("[0-9]{1,9}", str(one)) for one in value.values()))
    index, count = int(value["index"]), int(value["count"])
    require(index < count <= 1024)
    return lambda tenant: shard_of(tenant["tenant"], count) == index


def require_name(name: str) -> None:
    require(name in FIELDS or (name.startswith("settings.") and name != "settings."))


def requirements_of(value: object) -> Iterator[tuple[str, str, set[str]]]:
    """Yield key, operator and values of each requirement."""
    if isinstance(value, str):
        require("\0" not in value)
        for part in re.split(r",(?![^()]*\))", value) if value.strip(" \t\r\n") else []:
            yield requirement_of(part.strip(" \t\r\n"))
        return
    require(isinstance(value, dict) and set(value) <= {"matchLabels", "matchExpressions"})
    assert isinstance(value, dict)
    labels, expressions = value.get("matchLabels", {}), value.get("matchExpressions", [])
    require(isinstance(labels, dict) and isinstance(expressions, list))
    for key, one in labels.items():
        require(not isinstance(one, list))
        yield key, "in", texts(one)
    for expression in expressions:
        require(isinstance(expression, dict) and set(expression) <= {"key", "operator", "values"})
        require(isinstance(expression.get("key"), str) and str(expression.get("operator")) in OPERATORS)
        operator, values = OPERATORS[expression["operator"]], expression.get("values", [])
        require(isinstance(values, list) and bool(values) != (operator in ("exists", "!")))
        require(operator not in "<>" or len(values) == 1)
        found = texts(values) if values else set()
        require(operator not in "<>" or int64(*found) is not None)
        yield expression["key"], operator, found


BLANK = "[ \\t\\r\\n]*"
REQUIREMENT = re.compile(
    rf"(?P<not>!)?{BLANK}(?P<key>[^ \t\r\n=!(),<>]+){BLANK}"
    rf"(?:(?P<operator>==|=|!=|<|>){BLANK}(?P<value>[^ \t\r\n=!(),<>]*)"
    rf"|(?P<set>in|notin){BLANK}\((?P<values>[^()]*)\))?"
)


def requirement_of(part: str) -> tuple[str, str, set[str]]:
    found = REQUIREMENT.fullmatch(part)
    if found is None:
        raise Refused
    key, operator, values = found["key"], found["operator"] or found["set"] or "exists", set[str]()
    # What follows a key at once must be told from it by more than its letters.
    require(not found["set"] or part[found.end("key")] in " \t\r\n")
    if found["not"]:
        require(operator == "exists")
        return key, "!", values
    if found["set"]:
        values = {one.strip(" \t\r\n") for one in found["values"].split(",")}
        require(operator == "notin" or bool(found["values"].strip(" \t\r\n")))
    elif operator != "exists":
        values = {found["value"]}
    require(all(re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", one) for one in values))
    require(operator not in "<>" or int64(*values) is not None)
    return key, operator, values


def int64(text: str) -> int | None:
    return int(text) if re.fullmatch("[+-]?[0-9]+", text) and -(2**63) <= int(text) < 2**63 else None


def test_of(requirement: tuple[str, str, set[str]]) -> Test:
    key, operator, values = requirement
    require_name(key)
    require(bool(re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", key)))

    def holds(tenant: dict[str, Any]) -> bool:
        there = texts_at(tenant, key)
        if operator in ("=", "==", "in"):
            return bool(there & values)
        if operator in ("!=", "notin"):
            return not there & values
        if operator in ("exists", "!"):
            return bool(there) == (operator == "exists")
        numbers = [number for one in there if (number := int64(one)) is not None]
        limit = int64(*values) or 0
        return any(number > limit if operator == ">" else number < limit for number in numbers)

    return holds


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
