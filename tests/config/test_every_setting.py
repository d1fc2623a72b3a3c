"""What holds for every setting of the table, whichever way it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenantry.config.kinds import Kind
from tenantry.config.loading import Loaded, load_with_origins
from tenantry.config.quantities import parse_duration, parse_size
from tenantry.config.table import BY_KEY, SETTINGS, Setting
from tenantry.core.columns import OVERWRITTEN
from tenantry.core.errors import ConfigurationError
from tenantry.core.secret import Secret

UNHURRIED = hypothesis_settings(deadline=None, max_examples=25)
EVERY_SETTING = pytest.mark.parametrize("setting", [pytest.param(setting, id=setting.key) for setting in SETTINGS])
PRINTED_BACK = ("duration", "size", "number", "choice", "host:port")

WAYS = ("file", "environment", "flag")
"""The later wins."""

COMPANIONS = {
    "source.serve": {"source.state": "state"},
    "source.retire": {"source.state": "state", "source.serve": "(of the companion)"},
    "source.lock_timeout": {"source.statement_timeout": "1h", "source.read_timeout": "1h"},
    "source.statement_timeout": {"source.lock_timeout": "1ms", "source.read_timeout": "1h"},
    "source.read_timeout": {"source.lock_timeout": "1ms", "source.statement_timeout": "1ms"},
    "snapshot.refresh": {"snapshot.max_stale": "365d"},
    "snapshot.max_stale": {"snapshot.refresh": "50ms"},
    "server.ops_address": {"server.address": "127.0.0.2:1"},
}
"""What must be given beside a setting so that no value of it contradicts another one."""


class Configuration(NamedTuple):
    """The three ways, as `load` takes them."""

    file: Path | None
    environ: Mapping[str, str]
    flags: Mapping[str, str]

    def load(self) -> Loaded:
        return load_with_origins(*self)

    def problems(self) -> tuple[str, ...]:
        try:
            self.load()
        except ConfigurationError as refused:
            return refused.problems
        return ()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("every-setting") / "tenantry.yaml"


def ways_of(setting: Setting) -> tuple[str, ...]:
    return WAYS if setting.flag else ("environment",)


def configured(path: Path, setting: Setting, texts: Mapping[str, str]) -> Configuration:
    """Give a setting the text of each way, and beside it what it needs."""
    if "file" in texts:
        path.write_text(f"{setting.section}:\n  {setting.name}: {yaml_quoted(texts['file'])}\n")
    environ = {BY_KEY[key].env: text for key, text in COMPANIONS.get(setting.key, {}).items()}
    if "environment" in texts:
        environ[setting.env] = texts["environment"]
    flags = {setting.key: texts["flag"]} if "flag" in texts else {}
    return Configuration(path if "file" in texts else None, environ, flags)


def yaml_quoted(text: str) -> str:
    """Quote any text at all, by its code points."""
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


def value_of(loaded: Loaded, setting: Setting) -> object:
    return getattr(getattr(loaded.settings, setting.section), setting.name)


def read(setting: Setting, text: str) -> object:
    return setting.kind.read(text.split(",") if setting.kind.many else [text])


# --- texts that a setting takes ---

NAMES = st.from_regex(r"[a-z][a-z0-9 ._é-]{0,8}[a-z0-9]", fullmatch=True).filter(lambda name: name not in OVERWRITTEN)
FIELDS = NAMES.filter(lambda name: "." not in name)
HOSTS = st.sampled_from(["127.0.0.1", "localhost", "tenantry.prod.svc", "[::]", "[fe80::1]"])
MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
BYTES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def milliseconds(text: str) -> int:
    return parse_duration(text) // timedelta(milliseconds=1)


def whole(units: Mapping[str, int], least: int, most: int) -> st.SearchStrategy[str]:
    """Return every quantity within bounds, in each unit that keeps it whole."""
    within = {unit: (-(-least // size), most // size) for unit, size in units.items()}
    return st.one_of(
        [st.integers(low, high).map(f"{{}}{unit}".format) for unit, (low, high) in within.items() if low <= high]
    )


LIMIT = st.builds(
    "{}:{}:{}".format, whole(MILLISECONDS, 60_000, 7_776_000_000), st.integers(0, 100), st.integers(0, 1_000_000)
)
OTHERS = {
    "list of limits": st.lists(LIMIT, min_size=1, max_size=3).map(",".join),
    "URL": FIELDS.map(lambda name: f"https://hooks.example.com/{name.replace(' ', '')}"),
    "path": NAMES,
    "text": NAMES,
    "field name": FIELDS,
}


def texts_of(setting: Setting) -> st.SearchStrategy[str]:
    """Return texts that a setting takes, whichever way it is given."""
    # Two fields cannot have one name, and the admin token is nobody else's.
    prefix = {"naming.label": "label", "admin.token": "admin", "admin.token_file": "admin"}.get(setting.key, "")
    return texts_of_kind(setting.kind).map(f"{prefix}{{}}".format) if prefix else texts_of_kind(setting.kind)


def texts_of_kind(kind: Kind) -> st.SearchStrategy[str]:
    least, _, most = kind.allowed.partition(" to ")
    match kind.label:
        case "duration":
            return whole(MILLISECONDS, milliseconds(least), milliseconds(most))
        case "size":
            return whole(BYTES, parse_size(least), parse_size(most))
        case "number":
            return whole({"": 1}, int(least), int(most))
        case "choice":
            return st.sampled_from(kind.allowed.split(", "))
        case "host:port":
            return st.builds("{}:{}".format, HOSTS, st.integers(0, 65535))
        case "database URL":
            return NAMES.map("postgresql://tenantry@db/{}".format) | NAMES.map("sqlite:///{}".format)
        case "list of texts":
            return st.lists(NAMES, min_size=1, max_size=4, unique=True).map(",".join)
    if kind.label in OTHERS:
        return OTHERS[kind.label]
    raise NotImplementedError(f"Say here which texts are a {kind.label}.")


# --- precedence ---


@EVERY_SETTING
@UNHURRIED
@given(data=st.data())
def test_the_latest_way_wins_and_every_other_setting_keeps_its_default(
    setting: Setting, path: Path, data: st.DataObject
) -> None:
    ways = data.draw(st.sets(st.sampled_from(ways_of(setting))))
    texts = {way: data.draw(texts_of(setting), label=way) for way in sorted(ways)}

    loaded = configured(path, setting, texts).load()

    latest = max(ways, key=WAYS.index, default="default")
    where = {"file": f"{path} line 2", "environment": f"environment {setting.env}", "flag": f"flag {setting.flag}"}
    assert value_of(loaded, setting) == (read(setting, texts[latest]) if ways else setting.default)
    assert loaded.origins.get(setting.key) == where.get(latest)
    others = {this for this in SETTINGS if this.key not in {setting.key, *COMPANIONS.get(setting.key, ())}}
    assert [this.key for this in others if value_of(loaded, this) != this.default] == []


@UNHURRIED
@given(data=st.data())
def test_each_setting_has_its_own_latest_way_when_all_are_given_at_once(path: Path, data: st.DataObject) -> None:
    instead = ("source.query", "notify.secret_file")
    together = [setting for setting in SETTINGS if setting.key not in (*COMPANIONS, *instead)]
    texts = {
        setting.key: data.draw(st.dictionaries(st.sampled_from(ways_of(setting)), texts_of(setting), min_size=1))
        for setting in together
    }
    document: dict[str, dict[str, str]] = {}
    for setting in together:
        if "file" in texts[setting.key]:
            document.setdefault(setting.section, {})[setting.name] = texts[setting.key]["file"]
    path.write_text(json.dumps(document))
    environ = {setting.env: texts[setting.key].get("environment", "") for setting in together}
    flags = {key: given_texts["flag"] for key, given_texts in texts.items() if "flag" in given_texts}

    loaded = Configuration(path, environ, flags).load()

    latest = {setting.key: texts[setting.key][max(texts[setting.key], key=WAYS.index)] for setting in together}
    assert {setting.key: value_of(loaded, setting) for setting in together} == {
        setting.key: read(setting, latest[setting.key]) for setting in together
    }


# --- any text ---

ANY_TEXT = st.text(st.characters())
LIKELY = st.from_regex(r"[0-9]{1,14}(ms|s|m|h|d|KiB|MiB|GiB)?|(postgresql|sqlite|mysql)://[ -~]*", fullmatch=True)


def any_text(setting: Setting) -> st.SearchStrategy[str]:
    """Return any text, and more of what is nearly right: it gets further."""
    right = texts_of(setting)
    nearly = st.builds("{}{}".format, right, ANY_TEXT) | st.builds("{}{}".format, ANY_TEXT, right)
    return ANY_TEXT | nearly | LIKELY


@EVERY_SETTING
@UNHURRIED
@given(data=st.data())
def test_any_text_is_a_value_or_an_error_that_names_the_setting(
    setting: Setting, path: Path, data: st.DataObject
) -> None:
    text = data.draw(any_text(setting))

    for way in WAYS:
        for problem in configured(path, setting, {way: text}).problems():
            assert setting.key in problem
            assert problem.isprintable()


HIDDEN = "hunter2ß"


@EVERY_SETTING
@UNHURRIED
@given(data=st.data())
def test_an_address_with_a_password_is_told_in_the_place_of_no_setting(
    setting: Setting, path: Path, data: st.DataObject
) -> None:
    around = st.text(max_size=8)
    text = f"{data.draw(around)}postgresql://u:{HIDDEN}{data.draw(around)}@h/{data.draw(around)}"

    for way in WAYS:
        assert not [problem for problem in configured(path, setting, {way: text}).problems() if HIDDEN in problem]


@pytest.mark.parametrize("setting", [pytest.param(each, id=each.key) for each in SETTINGS if each.secret])
@UNHURRIED
@given(data=st.data())
def test_a_secret_is_neither_told_nor_shown(setting: Setting, path: Path, data: st.DataObject) -> None:
    text = data.draw(any_text(setting))
    place = data.draw(st.integers(0, len(text)))

    for way in WAYS:
        configuration = configured(path, setting, {way: f"{text[:place]}{HIDDEN}{text[place:]}"})
        assert not [problem for problem in configuration.problems() if HIDDEN in problem]
        with suppress(ConfigurationError):
            loaded = configuration.load()
            value = value_of(loaded, setting)
            assert isinstance(value, Secret)
            assert HIDDEN in value.reveal()
            assert HIDDEN not in f"{loaded} {loaded!r} {loaded.shown()}"


# --- printing back ---


@pytest.mark.parametrize(
    "setting", [pytest.param(each, id=each.key) for each in SETTINGS if each.label in PRINTED_BACK]
)
@UNHURRIED
@given(data=st.data())
def test_a_value_as_shown_reads_back_as_itself(setting: Setting, data: st.DataObject) -> None:
    value = read(setting, data.draw(texts_of(setting)))

    assert read(setting, setting.shown(value)) == value


@pytest.mark.parametrize("setting", [pytest.param(each, id=each.key) for each in SETTINGS if each.label == "duration"])
@UNHURRIED
@given(data=st.data())
def test_a_duration_keeps_every_thousandth_of_a_second(setting: Setting, data: st.DataObject) -> None:
    least, most = map(milliseconds, setting.allowed.split(" to "))
    whole_milliseconds = data.draw(st.integers(least, most))

    duration = read(setting, f"{whole_milliseconds}ms")

    assert isinstance(duration, timedelta)
    assert duration.total_seconds() == whole_milliseconds / 1000
