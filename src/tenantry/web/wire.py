"""The plugin protocol's request, read strictly: what is not understood must not widen the answer.

A misspelt `inputs` or `parametres` that was ignored would give an ApplicationSet every tenant, so any key that
is not of the protocol is refused, and so is a key that stands twice.
"""

from __future__ import annotations

import json
from decimal import Decimal

from tenantry.core.errors import InvalidBody, listed, nearest, quoted
from tenantry.service.answering import PluginRequest

WITHOUT_BODY = "(no body)"
"""In log and metrics: who asks without a body has no name."""

_LONGEST_NAME = 253
"""Characters that Kubernetes allows in the name of an ApplicationSet."""


def read_request(body: bytes) -> PluginRequest:
    """Read the body of a request; raises InvalidBody.

    No body at all asks for every tenant, as the tutorial's first call with curl does.
    """
    if not body:
        return PluginRequest(WITHOUT_BODY, {})
    document = _object(_parsed(body), "The body", {"applicationSetName", "input"})
    name = document.get("applicationSetName")
    if not isinstance(name, str) or not name.strip():
        raise InvalidBody("The body has no `applicationSetName`.")
    if len(name) > _LONGEST_NAME:
        raise InvalidBody(f"`applicationSetName` is longer than {_LONGEST_NAME} characters.")
    given = _object(document.get("input", {}), "`input`", {"parameters"})
    parameters = given.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidBody("`input.parameters` is not an object.")
    return PluginRequest(name, parameters)


def _parsed(body: bytes) -> object:
    try:
        document: object = json.loads(
            body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique
        )
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except InvalidBody:
        raise
    except (ValueError, RecursionError, ArithmeticError):
        raise InvalidBody("The body is not valid JSON.") from None
    return document


def _refuse_constant(_: str) -> None:
    raise InvalidBody("The body holds NaN or Infinity, which JSON does not know.")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidBody("The body has a key twice in one object.")
    return found


def _object(value: object, what: str, known: set[str]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidBody(f"{what} is not an object.")
    for key in value:
        if key not in known:
            raise InvalidBody(f"{what} has the unknown key {quoted(key)}. Known: {listed(known)}.{nearest(key, known)}")
    return value
