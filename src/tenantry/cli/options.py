"""Flags for every setting, derived from the table of settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from tenantry.config.loading import load
from tenantry.config.settings import Settings
from tenantry.config.table import SETTINGS, Setting

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True)
class SettingsSource:
    """Where the settings of this call come from; read when the command asks for them."""

    file: Path | None = None
    flags: dict[str, str | Sequence[str]] = field(default_factory=dict)

    def load(self) -> Settings:
        """Return the settings; raises ConfigurationError."""
        return load(self.file, os.environ, self.flags)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config` and a flag for every setting; the command gets them as one `source`."""

    @wraps(command)
    def with_source(*, config: Path | None, **values: Any) -> Any:  # noqa: ANN401 -- what click hands in
        source = SettingsSource(config)
        for setting in SETTINGS:
            given = values.pop(_parameter(setting), None)
            if given is not None:
                source.flags[setting.key] = given
        return command(source=source, **values)

    wrapped: Callable[..., Any] = with_source
    for setting in reversed([setting for setting in SETTINGS if setting.flag]):
        wrapped = click.option(setting.flag or "", _parameter(setting), metavar=_metavar(setting), help=_help(setting))(
            wrapped
        )
    return config_option(wrapped)


def config_option(command: Command) -> Command:
    """Add `--config` to a command."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration file (YAML); also TENANTRY_CONFIG.",
    )(command)


def _parameter(setting: Setting) -> str:
    return f"{setting.section}_{setting.name}"


def _metavar(setting: Setting) -> str:
    return setting.name.upper()


def _help(setting: Setting) -> str:
    default = f" [default: {setting.shown_default}]"
    return f"{setting.help}{default}"
