"""The environment of Argo CD's tutorial for plugin generators: `DB_*` make a source where no other one is given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from tenantry.config.reading import Reading, checked
from tenantry.core.errors import quoted
from tenantry.core.secret import Secret

TUTORIAL = {"DB_NAME": "organization", "DB_USER": "postgres", "DB_HOST": "localhost", "DB_PORT": "5432"}
"""The variables of the tutorial, with their defaults there; besides, DB_PASSWORD."""

TUTORIAL_PARAMETERS = ("tenant", "status")

_NAMES = frozenset({*TUTORIAL, "DB_PASSWORD"})
_HOSTS = re.compile(r"[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def take_tutorial(reading: Reading, variables: Mapping[str, str]) -> None:
    """Make the source of DB_*, where no other one is given, and serve the tutorial's two columns."""
    given = {name: value for name, value in variables.items() if name in _NAMES}
    if reading.has("source.url") or not given:
        return
    origin = f"environment {', '.join(sorted(given))}"
    if wrong := list(_problems(given)):
        reading.problems += wrong
        return
    values = TUTORIAL | {name: value if name == "DB_PASSWORD" else value.strip() for name, value in given.items()}
    reading.values["source.url"], reading.origins["source.url"] = Secret(_url(values)), origin
    if not reading.has("source.table") and not reading.has("source.parameters"):
        reading.values["source.parameters"], reading.origins["source.parameters"] = TUTORIAL_PARAMETERS, origin


def _problems(given: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(given.items()):
        try:
            checked(value)
        except ValueError as wrong:
            yield f"environment {name}: {wrong}"
    port = given.get("DB_PORT", "5432").strip()
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        yield f"environment DB_PORT: {quoted(port)} is no port: allowed is 1 to 65535."
    host = given.get("DB_HOST", "localhost").strip()
    if not host.startswith("/") and not _HOSTS.fullmatch(host):
        yield "environment DB_HOST: It is no host name, no address, and no directory of a socket."


def _url(values: Mapping[str, str]) -> str:
    user, password, name = (quote(values.get(key, ""), safe="") for key in ("DB_USER", "DB_PASSWORD", "DB_NAME"))
    host, port = values["DB_HOST"], values["DB_PORT"]
    login = f"{user}:{password}" if password else user
    if host.startswith("/"):
        return f"postgresql://{login}@/{name}?host={quote(host, safe='')}&port={port}"
    hosts = [f"[{host}]"] if ":" in host else host.split(",")
    return f"postgresql://{login}@{','.join(f'{each}:{port}' for each in hosts)}/{name}"
