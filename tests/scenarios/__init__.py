"""What is asked and what is answered, as data: tests here, and the reference of the request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML

FOLDER = Path(__file__).parent


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What an ApplicationSet asks, and one of: who it gets, the whole answer, the refusal."""

    parameters: dict[str, Any]
    why: str = ""
    tenants: list[str] | None = None
    answer: list[dict[str, Any]] | None = None
    refused: str | None = None


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """Rows, a configuration, and requests."""

    title: str
    about: str
    columns: dict[str, str]
    rows: list[dict[str, str | None]]
    requests: list[Request]
    configuration: dict[str, Any] = {}


def scenarios() -> dict[str, Scenario]:
    """Return all scenarios, by the name of their file."""
    found = {path.stem: YAML(typ="safe", pure=True).load(path) for path in sorted(FOLDER.glob("*.yaml"))}
    return {name: msgspec.convert(document, Scenario) for name, document in found.items()}
