"""The question of an ApplicationSet, as given on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import click
import msgspec

from tenantry.service.answering import PluginRequest
from tenantry.web.wire import read_request

INPUT_HELP = "The input of the generator as JSON: its `parameters`."


def question(application_set: str, pairs: Sequence[str], given: str | None) -> PluginRequest:
    """Make a request from FIELD=VALUE pairs or from JSON; a field given twice takes either value."""
    if given is not None and pairs:
        raise click.UsageError("Give FIELD=VALUE or --input, not both.")
    if given is not None:
        document = f'{{"applicationSetName": {_json(application_set)}, "input": {{"parameters": {given}}}}}'
        return read_request(document.encode())
    parameters: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"'{pair}' is not FIELD=VALUE.")
        known = parameters.get(name)
        parameters[name] = value if known is None else [*(known if isinstance(known, list) else [known]), value]
    return PluginRequest(application_set, parameters)


def wire_body(request: PluginRequest) -> bytes:
    """Return the body that Argo CD would send."""
    return msgspec.json.encode(
        {"applicationSetName": request.application_set, "input": {"parameters": dict(request.parameters)}}
    )


def is_base_url(given: str) -> bool:
    """Tell whether a text is an address over HTTP that a path can be added to."""
    try:
        url = urlsplit(given)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and given.isprintable()
    except ValueError:
        return False


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
