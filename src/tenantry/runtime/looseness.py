"""What is set so that the guard does less than it could: told at start, by `check`, and as a gauge."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from tenantry.adapters.database.urls import server_url
from tenantry.adapters.volumes import passing_volume
from tenantry.config.contradictions import OFF
from tenantry.config.settings import Settings
from tenantry.core.errors import ConfigurationError

EVERY_LOOSENESS = ("mode", "volume", "database")
"""What can be loose, as labels of a gauge."""

_IN_THE_TENANTS = (
    "The state is in the database of the tenants: a backup of it that is restored takes the guard back, too."
)
LOOSENESS_REMEDY = "See 'What is set loosely' in the explanation of the guard."


def looseness(settings: Settings) -> dict[str, str]:
    """Return by label what is loose, a sentence each."""
    found: dict[str, str] = {}
    if settings.guard.mode == OFF:
        return {"mode": "guard.mode is off: every removal reaches Argo CD at once, whatever caused it."}
    if settings.guard.mode == "observe":
        found["mode"] = "guard.mode is observe: removals beyond the limits are told of, and reach Argo CD all the same."
    url = settings.state_url.reveal()
    if url.startswith("sqlite"):
        path = _file_of(url)
        source = settings.source.url.reveal() if settings.source.url is not None else ""
        if source.startswith("sqlite") and _file_of(source) == path:
            found["database"] = _IN_THE_TENANTS
        if kind := passing_volume(_existing(path)):
            found["volume"] = (
                f"The state database is on a file system of type {kind}, which goes with its container or machine: "
                "after that nobody knows whom an answer would remove."
            )
    elif settings.source.url is not None and _place(url) == _place(settings.source.url.reveal()):
        found["database"] = _IN_THE_TENANTS
    return found


def _file_of(url: str) -> Path:
    return Path(unquote(url.partition("://")[2].removeprefix("/")).replace("\0", "")).resolve()


def _existing(path: Path) -> Path:
    """Return a path, or the closest folder above it that there is."""
    return next((place for place in (path, *path.parents) if _is_there(place)), path)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _place(url: str) -> tuple[str | None, int | None, str | None] | None:
    try:
        found = server_url(url, "state.url")
    except ConfigurationError:
        return None
    return found.host, found.port or 5432, found.database
