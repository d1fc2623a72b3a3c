"""What users write as `source.url` and what SQLAlchemy and the drivers want to read."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tenantry.core.errors import ConfigurationError

_HOSTS = re.compile(r"^(?P<scheme>[\w+]+://)(?P<login>[^/?#]*@)?(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>[/?#].*)?$")


def database_url(text: str) -> URL:
    """Read a database URL; raises ConfigurationError, without the text, which may hold a password.

    After `sqlite:///` all is the path of the file, percent-encoded where it must be.
    """
    scheme, _, rest = text.partition("://")
    if scheme.partition("+")[0] == "sqlite":
        return _read_only_file(unquote(rest.removeprefix("/")))
    return server_url(text, "source.url")


def server_url(text: str, setting: str) -> URL:
    """Read the URL of a server, which `setting` gives; raises ConfigurationError without the text."""
    try:
        url = make_url(_several_hosts_as_query(text))
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            [f"{setting} is not a database URL such as postgresql://user@host/database."]
        ) from None
    name = url.get_backend_name()
    if name in ("mysql", "mariadb"):
        if not isinstance(url.host, str) and "host" in url.query:
            raise ConfigurationError([f"{setting}: MySQL takes one host; name the server, or what stands before it."])
        return url.set(drivername="mysql+asyncmy")
    if name not in ("postgresql", "postgres"):
        raise ConfigurationError([f"{setting}: {name} is not supported; known: mariadb, mysql, postgresql, sqlite."])
    return url.set(drivername="postgresql+psycopg")


def _several_hosts_as_query(text: str) -> str:
    """Move `h1:5432,h2:5433` from where libpq reads it to `?host=h1:5432&host=h2:5433`, where SQLAlchemy does."""
    found = _HOSTS.match(text)
    if not found:
        return text
    path, _, query = (found["rest"] or "/").partition("?")
    hosts = "&".join(f"host={quote(host, safe=':[]')}" for host in found["hosts"].split(","))
    return f"{found['scheme']}{found['login'] or ''}{path}?{hosts}{'&' + query if query else ''}"


def _read_only_file(database: str) -> URL:
    """Open the file itself read-only: a name with a slip of the pen must not make an empty database."""
    if not database or database == ":memory:":
        raise ConfigurationError(["source.url: sqlite needs a file, such as sqlite:///tenants.db."])
    path = quote(str(Path(database).absolute()))
    return URL.create("sqlite+aiosqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"})
