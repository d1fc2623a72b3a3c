"""Where to listen, which database to read, and the token: what reaches the network, and what may hold a secret."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

from tenantry.config.kinds import Kind
from tenantry.config.wording import told
from tenantry.core.errors import listed, nearest
from tenantry.core.secret import Secret

URL_EXAMPLE = "postgresql://tenantry@db/organization"

_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?):([0-9]{1,5})")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SCHEMES = (
    *("postgresql", "postgres", "postgresql+psycopg", "sqlite", "sqlite+aiosqlite"),
    *("mysql", "mysql+asyncmy", "mariadb", "mariadb+asyncmy"),
)
_SCHEMES_OF_STATE = _SCHEMES[:5]
_PASSWORD_IN_URL = re.compile(r"[^:/]*://[^:/]*:[^@]+@")
_USER_IN_WEB_URL = re.compile(r"\s*https?://[^/?#]*@", re.IGNORECASE)
_SECRET_OPTIONS = frozenset({"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"})


def _database_url(given: Sequence[str], schemes: Sequence[str] = _SCHEMES) -> Secret:
    """Check the scheme; nothing of the text is ever told, since it may hold a password anywhere."""
    found = _URL.fullmatch(given[0].strip())
    if not found:
        raise ValueError(f"It is no database URL such as {URL_EXAMPLE} or sqlite:///tenants.db.")
    scheme = found[1].lower()
    if scheme not in schemes:
        raise ValueError(f"Its scheme is not known. Known: {listed(schemes)}.{nearest(scheme, schemes)}")
    if scheme.startswith("sqlite") and (len(found[2]) < 2 or found[2][0] != "/" or found[2] == "/:memory:"):
        raise ValueError("SQLite needs a file: sqlite:///tenants.db, or sqlite:////data/tenants.db from the root.")
    return Secret(f"{scheme}://{found[2]}")


def _state_url(given: Sequence[str]) -> Secret:
    """Do the same; MySQL has no place for the state, for its tables cannot be made in a transaction."""
    return _database_url(given, _SCHEMES_OF_STATE)


def _webhook_url(given: Sequence[str]) -> Secret:
    """Check that HTTP could be sent there; nothing of the text is ever told, since it may hold a token anywhere."""
    text = given[0].strip()
    if not _is_web_url(text):
        raise ValueError("It is no URL such as https://hooks.example.com/tenantry.")
    return Secret(text)


def _is_web_url(text: str) -> bool:
    try:
        found = urlsplit(text)
        return (
            text.isprintable()
            and " " not in text
            and found.scheme in ("http", "https")
            and bool(found.hostname)
            and found.port != 0
        )
    except ValueError:
        # It quotes the host, and who is before it.
        return False


def _token(given: Sequence[str]) -> Secret:
    text = given[0].strip()
    if not text or not text.isprintable():
        raise ValueError("It must be one line of text, which a header can carry.")
    return Secret(text)


def _address(given: Sequence[str]) -> str:
    found = _ADDRESS.fullmatch(given[0])
    if not found or int(found[1]) > 65535:
        raise ValueError(f"{told(given[0])} is no host:port such as 0.0.0.0:4355 or [::]:4355.")
    return given[0]


ADDRESS = Kind("host:port", _address, literal=True)
DATABASE_URL = Kind("database URL", _database_url, allowed=", ".join(_SCHEMES), literal=True, secret=True)
STATE_URL = Kind("database URL", _state_url, allowed=", ".join(_SCHEMES_OF_STATE), literal=True, secret=True)
WEBHOOK_URL = Kind("URL", _webhook_url, allowed="http, https", literal=True, secret=True)
TOKEN = Kind("text", _token, literal=True, secret=True)


def has_password(url: str) -> bool:
    """Tell whether a URL holds a password, read as SQLAlchemy reads it; of the web, a user may be a token."""
    options = {name.lower() for name, _ in parse_qsl(url.partition("?")[2])}
    found = _PASSWORD_IN_URL.match(url) or _USER_IN_WEB_URL.match(url)
    return bool(found) or not options.isdisjoint(_SECRET_OPTIONS)
