"""From file, environment and flags to settings: the later wins, and every problem is told at once.

What is not understood is refused with the known names: a setting that is ignored is one that fails at night. An
empty variable counts as not set. No problem quotes the value of a secret, or a text that may hold one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tenantry.config.addresses import URL_EXAMPLE
from tenantry.config.contradictions import take_contradictions
from tenantry.config.environment import take_environment, variables_of
from tenantry.config.file import CONFIG_VARIABLE, take_file
from tenantry.config.flags import take_flags
from tenantry.config.reading import Reading
from tenantry.config.settings import Settings
from tenantry.config.table import SETTINGS, settings_of
from tenantry.config.tutorial import take_tutorial
from tenantry.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where each was set."""

    settings: Settings
    origins: Mapping[str, str]

    def shown(self) -> tuple[tuple[str, str, str], ...]:
        """Return key, value for people and origin of every setting; secrets are masked."""
        sections = {this.section: getattr(self.settings, this.section) for this in SETTINGS}
        values = ((this, getattr(sections[this.section], this.name)) for this in SETTINGS)
        return tuple((this.key, this.shown(value), self.origins.get(this.key, "default")) for this, value in values)


def load(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str | Sequence[str]]) -> Settings:
    """Return the settings; raises ConfigurationError with every problem. `flags` are by key, such as `source.table`."""
    return load_with_origins(file, environ, flags).settings


def load_with_origins(
    file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str | Sequence[str]]
) -> Loaded:
    """Do as `load`, and tell where each setting was set."""
    reading = Reading()
    variables = variables_of(environ)
    file = file or (Path(variables[CONFIG_VARIABLE]) if CONFIG_VARIABLE in variables else None)
    if file is not None:
        take_file(reading, file)
    take_environment(reading, variables)
    take_flags(reading, flags)
    take_tutorial(reading, variables)
    settings = settings_of(reading.values)
    take_contradictions(reading, settings)
    if reading.problems:
        raise ConfigurationError(reading.problems)
    return Loaded(settings, reading.origins)


def require_source(settings: Settings) -> None:
    """Refuse to go on without a source: a lost environment block must not replace production by samples."""
    if settings.source.url is None:
        ways = (
            f"There is no source of tenants. Give one as source.url in the configuration file, such as {URL_EXAMPLE}, "
            "as TENANTRY_SOURCE_URL or --source-url, or with the tutorial's DB_HOST, DB_PORT, DB_NAME, DB_USER and "
            "DB_PASSWORD. `tenantry demo` has sample data of its own."
        )
        raise ConfigurationError([ways])


def require_tokens(settings: Settings) -> None:
    """Refuse to go on without a token: nobody could ask."""
    if not (settings.tokens.value or settings.tokens.file or settings.tokens.directory):
        ways = (
            "There is no token. Give one as AUTH_TOKEN, as a file (tokens.file, TENANTRY_TOKENS_FILE) or as a "
            "directory of files such as a mounted Secret (tokens.directory, TENANTRY_TOKENS_DIRECTORY); Argo CD must "
            "send the same."
        )
        raise ConfigurationError([ways])
