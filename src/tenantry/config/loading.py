"""From file, environment and flags to settings: the later wins, and every problem is told at once.

What is not understood is refused with the known names: a setting that is ignored is one that fails at night. An
empty variable counts as not set. No problem quotes the value of a secret, or a text that may hold one.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tenantry.config.addresses import URL_EXAMPLE, has_password
from tenantry.config.quantities import show_duration
from tenantry.config.settings import Settings
from tenantry.config.table import SETTINGS, Setting, settings_of
from tenantry.config.wording import every, printable, told_name, unknown
from tenantry.core.errors import ConfigurationError, nearest, quoted
from tenantry.core.secret import Secret

CONFIG_VARIABLE = "TENANTRY_CONFIG"
TUTORIAL = {"DB_NAME": "organization", "DB_USER": "postgres", "DB_HOST": "localhost", "DB_PORT": "5432"}
"""The variables of the tutorial, with their defaults there; besides, DB_PASSWORD."""

TUTORIAL_PARAMETERS = ("tenant", "status")

_TUTORIAL_NAMES = frozenset({*TUTORIAL, "DB_PASSWORD"})
_BY_KEY = {setting.key: setting for setting in SETTINGS}
_BY_ENV = {setting.env: setting for setting in SETTINGS}
_VARIABLES = (*_BY_ENV, CONFIG_VARIABLE)
_SECTIONS = tuple(dict.fromkeys(setting.section for setting in SETTINGS))
_LARGEST_FILE = 1 << 20

# What Kubernetes injects for each Service of the namespace (`pkg/kubelet/envvars`): one called `tenantry` gives
# TENANTRY_PORT=tcp://…, one called `db` DB_PORT=tcp://…. A name that ends in _PORT alone is a link by its value only.
_LINK_NAME = re.compile(
    r"TENANTRY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)"
)
_LINK_VALUE = re.compile(r"\s*(tcp|udp|sctp)://\S*\s*")

_HOSTS = re.compile(r"[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


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
    reading = _Reading()
    variables = {name: value for name, value in environ.items() if not _is_left_out(name, value)}
    file = file or (Path(variables[CONFIG_VARIABLE]) if CONFIG_VARIABLE in variables else None)
    if file is not None:
        _take_file(reading, file)
    _take_environment(reading, variables)
    _take_flags(reading, flags)
    _take_tutorial(reading, {name: value for name, value in variables.items() if name in _TUTORIAL_NAMES})
    settings = settings_of(reading.values)
    _take_contradictions(reading, settings)
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


@dataclass(slots=True)
class _Reading:
    """What has been read so far, and what is wrong with it."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    """Keys that a problem was told of, so that nothing is concluded from them."""

    problems: list[str] = field(default_factory=list)

    def put(self, setting: Setting, given: Sequence[str], origin: str) -> None:
        """Take a value, or the problem with it."""
        try:
            value = setting.kind.read(_checked(given))
        except ValueError as wrong:
            self.refuse(setting, origin, str(wrong))
        else:
            self.values[setting.key] = value
            self.origins[setting.key] = origin

    def refuse(self, setting: Setting, origin: str, why: str) -> None:
        """Take a problem with a setting."""
        self.problems.append(f"{origin}: {setting.key}: {why}")
        self.wrong.add(setting.key)

    def has(self, key: str) -> bool:
        """Tell whether a setting was given, right or wrong."""
        return key in self.values or key in self.wrong


def _checked(given: Sequence[str]) -> Sequence[str]:
    """Refuse what no file system, header or database takes, and what is not UTF-8 in the environment."""
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for text in given for character in text):
        raise ValueError("It holds a character that is not text.")
    return given


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []


# --- the file --------------------------------------------------------------------------------------------------


def _take_file(reading: _Reading, path: Path) -> None:
    name = printable(str(path))
    try:
        document = _document(path)
    except ValueError as wrong:
        reading.problems.append(f"{name}{wrong}")
        reading.wrong |= _BY_KEY.keys()
        return
    for key, content in document.items():
        origin = f"{name} line {_line(document, key)}"
        if key not in _SECTIONS:
            reading.problems.append(f"{origin}: {unknown(str(key), 'section', _SECTIONS)}")
        elif content is not None and not isinstance(content, dict):
            reading.problems.append(f"{origin}: {key} is a section, with settings below it.")
        else:
            _take_section(reading, str(key), content or {}, name)


def _document(path: Path) -> dict[object, object]:
    """Parse a file; raises ValueError with the rest of a sentence that begins with its name."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # A warning of the parser quotes the file, which may hold a secret.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            text = file.read(_LARGEST_FILE + 1).decode("utf-8-sig")
            document = YAML(typ="rt", pure=True).load(text)
    except OSError as error:
        raise ValueError(f": cannot be read ({error.strerror}). Check --config and {CONFIG_VARIABLE}.") from None
    except UnicodeDecodeError:
        raise ValueError(": is not text in UTF-8.") from None
    except YAMLError as error:
        raise ValueError(_yaml_problem(error)) from None
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, RuntimeError):
        # The parser's own slips, such as a date with a month 13; what they say may quote a secret.
        raise ValueError(": is not YAML that can be read.") from None
    if len(text) > _LARGEST_FILE:
        raise ValueError(": is larger than 1MiB, which is no configuration file.")
    if not isinstance(document, dict):
        raise ValueError(
            f": is {'empty' if document is None else 'not a mapping'}. Known sections: {every(_SECTIONS)}."
        )
    return document


def _yaml_problem(error: Exception) -> str:
    """Say what the parser did not like, unless it quotes the file: that may be a secret."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f" line {mark.line + 1}" if mark else ""
    problem = str(getattr(error, "problem", "") or "")
    if problem.startswith("found duplicate key"):
        key = problem.partition('"')[2].partition('" with value')[0]
        return f"{line}: the key {told_name(key)} stands twice in one mapping."
    return f"{line}: is not YAML." if not problem or re.search("['\"]", problem) else f"{line}: is not YAML: {problem}."


def _take_section(reading: _Reading, section: str, content: Mapping[object, object], file: str) -> None:
    by_name = {setting.name: setting for setting in SETTINGS if setting.section == section}
    for name, value in content.items():
        origin = f"{file} line {_line(content, name)}"
        setting = by_name.get(str(name))
        if setting is None:
            reading.problems.append(f"{origin}: {unknown(str(name), f'setting in {section}', by_name)}")
        elif setting.flag is None:
            reading.refuse(setting, origin, _BY_ENVIRONMENT_ONLY.format(env=setting.env))
        elif value is not None or setting.default is not None:
            try:
                reading.put(setting, _given(setting, value), origin)
            except ValueError as wrong:
                reading.refuse(setting, origin, str(wrong))


def _given(setting: Setting, value: object) -> list[str]:
    """Return a value of the file as text; raises ValueError where that would not be what was written."""
    if isinstance(value, list):
        if not setting.kind.many:
            raise ValueError("It takes one value, not a list.")
        return [_scalar(item, literal=True) for item in value]
    text = _scalar(value, literal=setting.kind.literal)
    return _split(text) if setting.kind.many else [text]


def _scalar(value: object, *, literal: bool) -> str:
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, dict | list):
        raise ValueError("It has no value." if value is None else "It takes plain text here.")
    if literal:
        raise ValueError("It must be text: write it in quotes.")
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _line(mapping: Mapping[object, object], key: object) -> int:
    """Return where a key stands; one that was merged in (`<<`) has no place of its own."""
    try:
        return int(mapping.lc.key(key)[0]) + 1  # type: ignore[attr-defined]
    except (AttributeError, LookupError, TypeError):
        return 1


# --- environment and flags -------------------------------------------------------------------------------------
_BY_ENVIRONMENT_ONLY = (
    "It is given as the variable {env} only, since files are shown around and flags stand in the list of processes; "
    "for a token in a file there are tokens.file and tokens.directory."
)


def _is_left_out(name: str, value: str) -> bool:
    """Tell whether a variable is empty or a service link; a password or token is never taken for one."""
    if name in ("DB_PASSWORD", "AUTH_TOKEN"):
        return not value
    return not value.strip() or bool(_LINK_NAME.fullmatch(name) or _LINK_VALUE.fullmatch(value))


def _take_environment(reading: _Reading, variables: Mapping[str, str]) -> None:
    for name, value in sorted(variables.items()):
        setting = _BY_ENV.get(name)
        if setting is None:
            if name.startswith("TENANTRY_") and name != CONFIG_VARIABLE:
                reading.problems.append(f"environment {printable(name)}: {_unknown_variable(name)}")
        elif value.strip():
            given = _split(value) if setting.kind.many else [value.strip()]
            reading.put(setting, given, f"environment {name}")


def _unknown_variable(name: str) -> str:
    if name == "TENANTRY_TOKENS_VALUE":
        return "the token's variable is AUTH_TOKEN."
    return f"is not a setting. Known: {every(_VARIABLES)}.{nearest(name, _VARIABLES)}"


def _take_flags(reading: _Reading, flags: Mapping[str, str | Sequence[str]]) -> None:
    for key, value in flags.items():
        origin = f"flag --{printable(re.sub('[._]', '-', key))}"
        setting = _BY_KEY.get(key)
        given = [value] if isinstance(value, str) else list(value)
        if setting is None:
            reading.problems.append(f"{origin}: {unknown(key, 'setting', _BY_KEY)}")
        elif setting.flag is None:
            reading.refuse(setting, origin, _BY_ENVIRONMENT_ONLY.format(env=setting.env))
        elif setting.kind.many:
            reading.put(setting, [part for text in given for part in _split(text)], origin)
        elif len(given) != 1:
            reading.refuse(setting, origin, "It takes one value.")
        elif setting.secret and has_password(given[0]):
            why = f"A password in a flag stands in the list of processes: give it as {setting.env} or in the file."
            reading.refuse(setting, origin, why)
        else:
            reading.put(setting, given, origin)


def _take_tutorial(reading: _Reading, given: Mapping[str, str]) -> None:
    """Make the source of DB_*, where no other one is given, and serve the tutorial's two columns."""
    if reading.has("source.url") or not given:
        return
    origin = f"environment {', '.join(sorted(given))}"
    if wrong := list(_tutorial_problems(given)):
        reading.problems += wrong
        return
    values = TUTORIAL | {name: value if name == "DB_PASSWORD" else value.strip() for name, value in given.items()}
    reading.values["source.url"], reading.origins["source.url"] = Secret(_tutorial_url(values)), origin
    if not reading.has("source.table") and not reading.has("source.parameters"):
        reading.values["source.parameters"], reading.origins["source.parameters"] = TUTORIAL_PARAMETERS, origin


def _tutorial_problems(given: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(given.items()):
        try:
            _checked(value)
        except ValueError as wrong:
            yield f"environment {name}: {wrong}"
    port = given.get("DB_PORT", "5432").strip()
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        yield f"environment DB_PORT: {quoted(port)} is no port: allowed is 1 to 65535."
    host = given.get("DB_HOST", "localhost").strip()
    if not host.startswith("/") and not _HOSTS.fullmatch(host):
        yield "environment DB_HOST: It is no host name, no address, and no directory of a socket."


def _tutorial_url(values: Mapping[str, str]) -> str:
    user, password, name = (quote(values.get(key, ""), safe="") for key in ("DB_USER", "DB_PASSWORD", "DB_NAME"))
    host, port = values["DB_HOST"], values["DB_PORT"]
    login = f"{user}:{password}" if password else user
    if host.startswith("/"):
        return f"postgresql://{login}@/{name}?host={quote(host, safe='')}&port={port}"
    hosts = [f"[{host}]"] if ":" in host else host.split(",")
    return f"postgresql://{login}@{','.join(f'{each}:{port}' for each in hosts)}/{name}"


def _take_contradictions(reading: _Reading, settings: Settings) -> None:
    """Tell where settings contradict each other, unless one of them has a problem already."""
    for keys, why in _contradictions(settings):
        if reading.wrong.isdisjoint(keys):
            origin = next((reading.origins[key] for key in keys if key in reading.origins), "default")
            reading.problems.append(f"{origin}: {why}")


def _contradictions(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the keys that are involved, the likely culprit first, and what is wrong."""
    source, server = settings.source, settings.server
    if source.state is None and (source.serve is not None or source.retire):
        why = "source.serve and source.retire need source.state, the column that holds the state."
        yield ("source.serve", "source.retire", "source.state"), why
    if source.serve is None and source.retire:
        yield ("source.retire", "source.serve"), "source.retire needs source.serve: without it all are deployed."
    if both := sorted(set(source.serve or ()).intersection(source.retire)):
        why = (
            f"source.retire lists {', '.join(map(quoted, both))}, and so does source.serve: a state is deployed or not."
        )
        yield ("source.retire", "source.serve"), why
    if server.ops_address == server.address:
        yield ("server.ops_address", "server.address"), "server.ops_address is the same as server.address."
    yield from _too_long(settings)


def _too_long(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    source, snapshot = settings.source, settings.snapshot
    for shorter, less, longer, more in (
        ("source.lock_timeout", source.lock_timeout, "source.statement_timeout", source.statement_timeout),
        ("source.statement_timeout", source.statement_timeout, "source.read_timeout", source.read_timeout),
        ("snapshot.refresh", snapshot.refresh, "snapshot.max_stale", snapshot.max_stale),
    ):
        if less > more or (less == more and longer == "snapshot.max_stale"):
            why = f"{shorter} ({show_duration(less)}) is too long for {longer} ({show_duration(more)})."
            yield (shorter, longer), why
