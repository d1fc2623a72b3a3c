"""The one table of settings: name, type, bounds, default, help, and whether it is a secret.

The fields below are the only place where a setting is written down. The reader of file, environment and flags,
the options of the command line and the reference page are all derived from `SETTINGS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from tenantry.core.columns import OVERWRITTEN
from tenantry.core.errors import listed, nearest, quoted
from tenantry.core.secret import Secret

# --- kinds of values: between the text that people write and the value that the code uses ----------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: how its text is read, and how it is shown to people."""

    label: str
    read: Callable[[Sequence[str]], object]
    """From what was written, one text or the items of a list; raises ValueError with the rest of a sentence."""

    show: Callable[[Any], str] = str
    allowed: str = ""
    many: bool = False
    literal: bool = False
    """In a file it must be text: YAML's numbers, dates and booleans lose how they were written."""
    secret: bool = False


S = timedelta(seconds=1)
_UNITS = {"d": 86400 * S, "h": 3600 * S, "m": 60 * S, "s": S, "ms": S / 1000}
_SIZES = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}
_DURATION = re.compile(r"([0-9]{1,9}|[0-9]{10,12}(?=ms))(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,12})(KiB|MiB|GiB|)")
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?):([0-9]{1,5})")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg", "sqlite", "sqlite+aiosqlite")


def parse_duration(text: str) -> timedelta:
    """Read `250ms`, `2s`, `5m`, `1h` or `7d`."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{_told(text)} is no duration: write a number and its unit (ms, s, m, h, d), such as 250ms.")
    return int(found[1]) * _UNITS[found[2]]


def show_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit that keeps it whole."""
    unit = next((name for name, size in _UNITS.items() if duration and not duration % size), "s")
    return f"{duration // _UNITS[unit]}{unit}"


def parse_size(text: str) -> int:
    """Read `1048576`, `512KiB` or `1MiB` as bytes."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"{_told(text)} is no size: write bytes such as 1048576, or 512KiB, or 1MiB.")
    return int(found[1]) * _SIZES.get(found[2], 1)


def show_size(size: int) -> str:
    """Write a number of bytes in the largest unit that keeps it whole."""
    return next((f"{size // unit}{name}" for name, unit in _SIZES.items() if size and not size % unit), str(size))


def _told(text: str) -> str:
    """Quote a value that is wrong, but none that may be an address with a password, put in the wrong place."""
    return "This" if "://" in text or "@" in text else quoted(text)


def _bounded(label: str, read: Callable[[str], Any], show: Callable[[Any], str], least: str, most: str) -> Kind:
    def within(given: Sequence[str]) -> object:
        value = read(given[0])
        if not read(least) <= value <= read(most):
            raise ValueError(f"{quoted(given[0])} is out of bounds: allowed is {least} to {most}.")
        return value

    return Kind(label, within, show, allowed=f"{least} to {most}")


def duration(least: str, most: str) -> Kind:
    """A duration within bounds, both allowed."""
    return _bounded("duration", parse_duration, show_duration, least, most)


def number(least: str, most: str) -> Kind:
    """A whole number within bounds, both allowed."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text):
            raise ValueError(f"{_told(text)} is no whole number: allowed is {least} to {most}.")
        return int(text)

    return _bounded("number", read, str, least, most)


def choice(*allowed: str) -> Kind:
    """One of a few words."""

    def read(given: Sequence[str]) -> str:
        if given[0] not in allowed:
            raise ValueError(f"{_told(given[0])} is not allowed: {', '.join(allowed)}.{nearest(given[0], allowed)}")
        return given[0]

    return Kind("choice", read, allowed=", ".join(allowed))


def _text(given: Sequence[str]) -> str:
    if not given[0].strip():
        raise ValueError("It must not be empty.")
    return given[0]


def _names(given: Sequence[str]) -> tuple[str, ...]:
    if not all(name.strip() for name in given):
        raise ValueError("A name in the list is empty.")
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(map(_told, twice))} is listed twice.")
    return tuple(given)


def _states(given: Sequence[str]) -> tuple[str, ...]:
    if "*" in given:
        raise ValueError("'*' is for source.retire only: leave source.serve out to deploy every state.")
    return _some_names(given)


def _parameters(given: Sequence[str]) -> tuple[str, ...]:
    overwritten = [quoted(name) for name in given if name in OVERWRITTEN]
    if overwritten:
        raise ValueError(f"Argo CD overwrites a parameter called {' or '.join(overwritten)}: serve another column.")
    return _some_names(given)


def _some_names(given: Sequence[str]) -> tuple[str, ...]:
    if not given:
        raise ValueError("The list is empty: name at least one, or leave the setting out.")
    return _names(given)


def _database_url(given: Sequence[str]) -> Secret:
    """Check the scheme; nothing of the text is ever told, since it may hold a password anywhere."""
    found = _URL.fullmatch(given[0].strip())
    if not found:
        raise ValueError(f"It is no database URL such as {URL_EXAMPLE} or sqlite:///tenants.db.")
    scheme = found[1].lower()
    if scheme.partition("+")[0] in {"mysql", "mariadb"}:
        raise ValueError(f"MySQL and MariaDB come with a later version. Known schemes: {listed(_SCHEMES)}.")
    if scheme not in _SCHEMES:
        raise ValueError(f"Its scheme is not known. Known: {listed(_SCHEMES)}.{nearest(scheme, _SCHEMES)}")
    if scheme.startswith("sqlite") and (len(found[2]) < 2 or found[2][0] != "/" or found[2] == "/:memory:"):
        raise ValueError("SQLite needs a file: sqlite:///tenants.db, or sqlite:////data/tenants.db from the root.")
    return Secret(f"{scheme}://{found[2]}")


def _token(given: Sequence[str]) -> Secret:
    text = given[0].strip()
    if not text or not text.isprintable():
        raise ValueError("It must be one line of text, which a header can carry.")
    return Secret(text)


def _address(given: Sequence[str]) -> str:
    found = _ADDRESS.fullmatch(given[0])
    if not found or int(found[1]) > 65535:
        raise ValueError(f"{_told(given[0])} is no host:port such as 0.0.0.0:4355 or [::]:4355.")
    return given[0]


URL_EXAMPLE = "postgresql://tenantry@db/organization"
TEXT = Kind("text", _text, literal=True)
NAMES = Kind("list of texts", _names, ", ".join, many=True, literal=True)
STATES = Kind("list of texts", _states, ", ".join, many=True, literal=True)
PARAMETERS = Kind("list of texts", _parameters, ", ".join, many=True, literal=True)
DATABASE_URL = Kind("database URL", _database_url, allowed=", ".join(_SCHEMES), literal=True, secret=True)
TOKEN = Kind("text", _token, literal=True, secret=True)
ADDRESS = Kind("host:port", _address, literal=True)
PATH = Kind("path", lambda given: Path(_text(given)), literal=True)
SIZE = _bounded("size", parse_size, show_size, "1KiB", "64MiB")
TIMEOUT, WAIT = duration("1ms", "1h"), duration("100ms", "1h")


@dataclass(frozen=True, slots=True)
class Told:
    """What is said about a setting beside its type and default.

    `unset` is how the default None is shown. A setting with an `env` of its own is neither in the file nor a flag.
    """

    kind: Kind
    help: str
    example: str = ""
    unset: str = "not set"
    env: str = ""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where tenants come from."""

    url: Annotated[
        Secret | None,
        Told(
            DATABASE_URL,
            "The database. What libpq takes, such as several hosts or TLS options, passes through. With a password it "
            "is given by file or environment, not as a flag. Without it, the tutorial's DB_* variables are used.",
            URL_EXAMPLE,
        ),
    ] = None
    table: Annotated[str, Told(TEXT, "The table or view of tenants, one row each.", "organization")] = "organization"
    id: Annotated[str, Told(TEXT, "The column that identifies a tenant, for ever.", "tenant")] = "tenant"
    state: Annotated[str | None, Told(TEXT, "The column that holds the lifecycle state.", "status")] = None
    parameters: Annotated[
        tuple[str, ...] | None,
        Told(PARAMETERS, "The columns that templates may see.", "tenant, status, plan", unset="every column"),
    ] = None
    serve: Annotated[
        tuple[str, ...] | None,
        Told(STATES, "The states that are deployed; needs source.state.", "active, trial", unset="every state"),
    ] = None
    retire: Annotated[
        tuple[str, ...],
        Told(
            NAMES,
            "With source.serve, the states that are not deployed; `*` for every one that source.serve does not list. A "
            "row whose state is in neither list is quarantined.",
            "inactive, de-provisioned",
        ),
    ] = ()
    statement_timeout: Annotated[timedelta, Told(TIMEOUT, "How long the database may work on a statement.")] = 10 * S
    lock_timeout: Annotated[timedelta, Told(TIMEOUT, "How long a statement may wait for a lock.")] = 2 * S
    connect_timeout: Annotated[timedelta, Told(WAIT, "How long connecting may take.")] = 5 * S
    read_timeout: Annotated[timedelta, Told(TIMEOUT, "How long a whole read may take, connecting included.")] = 30 * S
    max_text: Annotated[
        int, Told(number("64", "16777216"), "Characters that one value may have; a longer one quarantines its row.")
    ] = 32768


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """How fresh the tenants in memory are."""

    refresh: Annotated[timedelta, Told(duration("50ms", "1h"), "How often the tenants are read.")] = 2 * S
    max_stale: Annotated[
        timedelta,
        Told(duration("1s", "365d"), "How old the last good read may be before requests are refused with 503."),
    ] = 3600 * S


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How HTTP is served."""

    address: Annotated[str, Told(ADDRESS, "Where to listen.", "[::]:4355")] = "0.0.0.0:4355"
    ops_address: Annotated[
        str | None,
        Told(ADDRESS, "Where /healthz, /readyz and /metrics are instead.", "0.0.0.0:9090", unset="server.address"),
    ] = None
    max_body: Annotated[int, Told(SIZE, "The largest request body.", "512KiB")] = 1 << 20
    header_timeout: Annotated[timedelta, Told(WAIT, "How long the headers of a request may take to arrive.")] = 10 * S
    body_timeout: Annotated[timedelta, Told(WAIT, "How long the body of a request may take to arrive.")] = 10 * S
    keep_alive: Annotated[
        timedelta, Told(duration("91s", "1d"), "How long to keep an idle connection: Argo CD re-uses one for 90s.")
    ] = 120 * S
    write_timeout: Annotated[timedelta, Told(WAIT, "How long a client may leave an answer unread.")] = 60 * S
    drain: Annotated[
        timedelta, Told(duration("0s", "10m"), "How long after SIGTERM to be not ready but still answering.")
    ] = 2 * S
    shutdown_timeout: Annotated[timedelta, Told(WAIT, "How long requests in flight may take after that.")] = 10 * S


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Which bearer tokens are valid; all sources together."""

    directory: Annotated[
        Path | None,
        Told(
            PATH,
            "A directory with one token a file, such as a mounted Secret; re-read on change. A file's name, without "
            "a trailing .<n>, is its consumer.",
            "/var/run/secrets/tenantry",
        ),
    ] = None
    file: Annotated[
        Path | None, Told(PATH, "A file with one token, of the consumer `default`; re-read on change.", "/run/token")
    ] = None
    value: Annotated[
        Secret | None, Told(TOKEN, "One token, of the consumer `default`; by environment only.", env="AUTH_TOKEN")
    ] = None
    recheck: Annotated[timedelta, Told(WAIT, "How often token files are read again, beside on change.")] = 30 * S


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    format: Annotated[
        str, Told(choice("auto", "json", "console"), "`auto` is readable on a terminal and JSON elsewhere.")
    ] = "auto"
    level: Annotated[str, Told(choice("debug", "info", "warning", "error"), "The least severe line written.")] = "info"


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What is measured."""

    max_sets: Annotated[
        int, Told(number("0", "100000"), "How many ApplicationSets have metrics of their own by name.")
    ] = 200


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured."""

    source: SourceSettings = field(default_factory=SourceSettings)
    snapshot: SnapshotSettings = field(default_factory=SnapshotSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    tokens: TokenSettings = field(default_factory=TokenSettings)
    log: LogSettings = field(default_factory=LogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)


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
    for section, kind in _SECTIONS.items():
        hints = get_type_hints(kind, include_extras=True)
        for this in fields(kind):
            (told,) = hints[this.name].__metadata__
            yield _setting(section, this.name, told, this.default)


def settings_of(values: Mapping[str, object]) -> Settings:
    """Build the settings from values by key; what is not there has its default."""
    given: dict[str, dict[str, object]] = {section: {} for section in _SECTIONS}
    for key, value in values.items():
        section, _, name = key.partition(".")
        given[section][name] = value
    return Settings(**{section: kind(**given[section]) for section, kind in _SECTIONS.items()})


_SECTIONS: dict[str, Any] = get_type_hints(Settings)
SETTINGS: tuple[Setting, ...] = tuple(_table())
"""Every setting, in the order of the reference."""
