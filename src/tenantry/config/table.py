"""The table of settings: one line for each field of `Settings`, with all its names and what people are told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_type_hints

from tenantry.config.kinds import Kind
from tenantry.config.settings import Settings, Told
from tenantry.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table."""

    section: str
    name: str
    key: str
    env: str
    flag: str | None
    """None where it is given by environment only; then it is not in the file either."""

    kind: Kind
    label: str
    allowed: str
    secret: bool
    default: object
    shown_default: str
    help: str
    example: str

    def shown(self, value: object) -> str:
        """Show a value to people, a secret one masked."""
        if value is None:
            return self.shown_default
        return str(value) if isinstance(value, Secret) else self.kind.show(value) or "none"


def _setting(section: str, name: str, told: Told, default: object) -> Setting:
    return Setting(
        section,
        name,
        key=f"{section}.{name}",
        env=told.env or f"TENANTRY_{section}_{name}".upper(),
        flag=None if told.env else f"--{section}-{name}".replace("_", "-"),
        kind=told.kind,
        label=told.kind.label,
        allowed=told.kind.allowed,
        secret=told.kind.secret,
        default=default,
        shown_default=told.unset if default is None else told.kind.show(default) or "none",
        help=told.help,
        example=told.example,
    )


def _table() -> Iterator[Setting]:
    for section, kind in _CLASSES.items():
        hints = get_type_hints(kind, include_extras=True)
        for this in fields(kind):
            (told,) = hints[this.name].__metadata__
            yield _setting(section, this.name, told, this.default)


def settings_of(values: Mapping[str, object]) -> Settings:
    """Build the settings from values by key; what is not there has its default."""
    given: dict[str, dict[str, object]] = {section: {} for section in _CLASSES}
    structured: dict[str, Any] = {}
    for key, value in values.items():
        section, dot, name = key.partition(".")
        if dot:
            given[section][name] = value
        else:
            structured[section] = value
    sections: dict[str, Any] = {section: kind(**given[section]) for section, kind in _CLASSES.items()}
    return Settings(**sections, **structured)


_CLASSES: dict[str, Any] = {name: kind for name, kind in get_type_hints(Settings).items() if is_dataclass(kind)}
"""The sections of flat settings."""

SETTINGS: tuple[Setting, ...] = tuple(_table())
"""Every setting, in the order of the reference."""

BY_KEY = {setting.key: setting for setting in SETTINGS}
SECTIONS = tuple(_CLASSES)
