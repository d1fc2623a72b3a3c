from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenantry.config.quantities import parse_duration, parse_size, show_duration, show_size
from tenantry.config.settings import Settings, SourceSettings
from tenantry.config.structure import STRUCTURES
from tenantry.config.table import SETTINGS, Setting, settings_of
from tenantry.core.secret import Secret

BY_KEY = {setting.key: setting for setting in SETTINGS}


def read(key: str, *given_texts: str) -> object:
    return BY_KEY[key].kind.read(given_texts)


def refusal(key: str, *given_texts: str) -> str:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        read(key, *given_texts)
    return str(refused.value)


# --- the table ---


def test_each_field_of_the_settings_is_in_the_table_once() -> None:
    fields = {
        f"{section.name}.{each.name}"
        for section in dataclasses.fields(Settings)
        if section.name not in STRUCTURES
        for each in dataclasses.fields(getattr(Settings(), section.name))
    }

    assert [setting.key for setting in SETTINGS] == list(BY_KEY)
    assert set(BY_KEY) == fields


@pytest.mark.parametrize("setting", [pytest.param(setting, id=setting.key) for setting in SETTINGS])
def test_a_setting_is_told_to_people(setting: Setting) -> None:
    assert setting.help.endswith(".")
    assert setting.label
    assert setting.shown_default
    assert "****" not in setting.shown_default


def test_names_of_variables_and_flags_follow_from_the_key() -> None:
    setting = BY_KEY["source.statement_timeout"]

    assert (setting.section, setting.name) == ("source", "statement_timeout")
    assert setting.env == "TENANTRY_SOURCE_STATEMENT_TIMEOUT"
    assert setting.flag == "--source-statement-timeout"


def test_the_token_has_the_variable_of_the_tutorial_and_no_flag() -> None:
    setting = BY_KEY["tokens.value"]

    assert (setting.env, setting.flag, setting.secret) == ("AUTH_TOKEN", None, True)


def test_no_two_settings_share_a_variable_or_a_flag() -> None:
    assert len({setting.env for setting in SETTINGS}) == len(SETTINGS)
    flags = [setting.flag for setting in SETTINGS if setting.flag]
    assert len(set(flags)) == len(flags)


def test_exactly_the_settings_that_may_hold_a_secret_are_secret() -> None:
    assert {setting.key for setting in SETTINGS if setting.secret} == {
        "source.url",
        "source.feed_url",
        "state.url",
        "notify.url",
        "notify.secret",
        "tokens.value",
        "admin.token",
    }


@pytest.mark.parametrize(
    "setting",
    [pytest.param(setting, id=setting.key) for setting in SETTINGS if not setting.kind.many and setting.default],
)
def test_a_default_as_shown_reads_back_as_itself(setting: Setting) -> None:
    assert setting.kind.read([setting.shown_default]) == setting.default


@pytest.mark.parametrize("setting", [pytest.param(setting, id=setting.key) for setting in SETTINGS if setting.example])
def test_an_example_can_be_read(setting: Setting) -> None:
    given_texts = setting.example.split(", ") if setting.kind.many else [setting.example]

    assert setting.kind.read(given_texts)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        pytest.param("source.url", "not set", id="an address"),
        pytest.param("source.parameters", "every column", id="parameters"),
        pytest.param("source.serve", "every state", id="served states"),
        pytest.param("source.retire", "none", id="retired states"),
        pytest.param("snapshot.max_stale", "1h", id="a duration"),
        pytest.param("server.max_body", "1MiB", id="a size"),
        pytest.param("server.keep_alive", "2m", id="a duration of seconds that make whole minutes"),
        pytest.param("source.max_text", "32768", id="a number"),
    ],
)
def test_a_default_is_shown_in_words_for_people(key: str, shown: str) -> None:
    assert BY_KEY[key].shown_default == shown


def test_a_secret_value_is_shown_masked() -> None:
    assert BY_KEY["source.url"].shown(Secret("postgresql://u:p@h/d")) == "****"


def test_settings_are_built_from_values_by_key() -> None:
    settings = settings_of({"source.table": "customers", "server.drain": timedelta(0)})

    assert settings.source.table == "customers"
    assert settings.server.drain == timedelta(0)
    assert settings.source.id == "tenant"


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SourceSettings().table = "other"  # type: ignore[misc]


# --- durations and sizes ---


@hypothesis_settings(deadline=None)
@given(st.integers(min_value=0, max_value=400 * 86_400_000))
def test_a_duration_that_is_shown_reads_back_as_itself(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)

    assert parse_duration(show_duration(duration)) == duration


@hypothesis_settings(deadline=None)
@given(st.integers(min_value=0, max_value=(1 << 30) * 900))
def test_a_size_that_is_shown_reads_back_as_itself(size: int) -> None:
    assert parse_size(show_size(size)) == size


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        pytest.param("250ms", timedelta(milliseconds=250), id="milliseconds"),
        pytest.param("2s", timedelta(seconds=2), id="seconds"),
        pytest.param("5m", timedelta(minutes=5), id="minutes"),
        pytest.param("1h", timedelta(hours=1), id="hours"),
        pytest.param("7d", timedelta(days=7), id="days"),
    ],
)
def test_a_duration_is_a_number_and_its_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert show_duration(duration) == text


@pytest.mark.parametrize("text", ["", "2", "s", "-2s", "2 s", "1.5s", "2S", "1h30m", "٢s", "2s\n", "9999999999d"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="such as 250ms"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param("1048576", 1 << 20, id="bytes"),
        pytest.param("512KiB", 512 << 10, id="kibibytes"),
        pytest.param("1MiB", 1 << 20, id="mebibytes"),
        pytest.param("2GiB", 2 << 30, id="gibibytes"),
    ],
)
def test_a_size_is_in_bytes_or_binary_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1MB", "1 MiB", "-1", "1.5MiB", "MiB", "1mib", "٢"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="or 1MiB"):
        parse_size(text)


# --- bounds and words ---


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        pytest.param("server.keep_alive", "90s", "91s to 1d", id="keep-alive as long as Argo CD's own"),
        pytest.param("snapshot.refresh", "0s", "50ms to 1h", id="reading without a pause"),
        pytest.param("source.statement_timeout", "0s", "1ms to 1h", id="no time for a statement"),
        pytest.param("source.max_text", "0", "64 to 16777216", id="no text at all"),
        pytest.param("server.max_body", "1GiB", "1KiB to 64MiB", id="a body that fills the memory"),
        pytest.param("metrics.max_sets", "100001", "0 to 100000", id="metrics without bound"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_the_bounds(key: str, text: str, allowed: str) -> None:
    assert refusal(key, text) == f"'{text}' is out of bounds: allowed is {allowed}."


def test_no_drain_at_all_is_allowed() -> None:
    assert read("server.drain", "0s") == timedelta(0)


@pytest.mark.parametrize("text", ["", "many", "-1", "1.0", "0x10", "1e3", "٢"])
def test_a_number_is_whole_and_in_digits(text: str) -> None:
    assert "no whole number" in refusal("metrics.max_sets", text)


def test_a_wrong_word_is_refused_with_the_right_ones_and_the_nearest() -> None:
    assert refusal("log.level", "warn") == (
        "'warn' is not allowed: debug, info, warning, error. Did you mean 'warning'?"
    )


def test_a_value_that_looks_like_an_address_with_a_password_is_not_quoted() -> None:
    for key in ("log.level", "server.drain", "server.max_body", "metrics.max_sets", "server.address"):
        assert "hunter2" not in refusal(key, "postgresql://u:hunter2@h/d")


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0:4355", "[::]:4355", "localhost:0", "tenantry.prod.svc:65535", "[fe80::1]:80"],
)
def test_an_address_is_a_host_and_a_port(text: str) -> None:
    assert read("server.address", text) == text


@pytest.mark.parametrize(
    "text", [":4355", "4355", "host", "host:", "host:65536", "::1:4355", "[::1]", "a b:1", "h:1\n"]
)
def test_anything_else_is_no_address(text: str) -> None:
    assert "such as 0.0.0.0:4355 or [::]:4355" in refusal("server.address", text)


def test_a_path_is_a_path() -> None:
    assert read("tokens.file", "/run/token") == Path("/run/token")


@pytest.mark.parametrize("key", ["source.table", "source.id", "source.state", "tokens.file", "tokens.directory"])
@pytest.mark.parametrize("text", ["", "  "])
def test_a_name_is_not_empty(key: str, text: str) -> None:
    assert refusal(key, text) == "It must not be empty."


# --- lists ---


@pytest.mark.parametrize("key", ["source.parameters", "source.serve", "source.retire"])
def test_a_list_has_no_empty_name_and_none_twice(key: str) -> None:
    assert read(key, "a", "b") == ("a", "b")
    assert refusal(key, "a", " ") == "A name in the list is empty."
    assert refusal(key, "a.b", "c", "a.b") == "'a.b' is listed twice."


@pytest.mark.parametrize("key", ["source.parameters", "source.serve"])
def test_an_empty_list_would_empty_the_answer_and_is_refused(key: str) -> None:
    assert "name at least one" in refusal(key)


@pytest.mark.parametrize("name", ["generator", "values"])
def test_parameters_that_argo_cd_overwrites_are_refused(name: str) -> None:
    assert refusal("source.parameters", "tenant", name) == (
        f"Argo CD overwrites a parameter called '{name}': serve another column."
    )


def test_every_other_state_can_be_retired_but_not_served() -> None:
    assert read("source.retire", "*") == ("*",)
    assert "leave source.serve out" in refusal("source.serve", "active", "*")


# --- secrets ---


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tenantry@db/organization",
        "postgres://tenantry@db/organization",
        "postgresql+psycopg://u:p@h1:5432,h2:5433/d?target_session_attrs=read-write&sslmode=verify-full",
        "postgresql:///organization?host=/run/postgresql",
        "sqlite:///tenants.db",
        "sqlite+aiosqlite:////data/tenants.db",
        "mysql://u:p@h:3306/d?ssl_mode=verify_identity&ssl_ca=/etc/ca.pem",
        "mariadb+asyncmy://u@h/d",
    ],
)
def test_an_address_of_a_supported_database_is_kept_as_it_is(url: str) -> None:
    assert read("source.url", url) == Secret(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("mysql+pymysql://u:hunter2@h/d", "Did you mean 'mysql+asyncmy'?", id="MySQL by another driver"),
        pytest.param("postgre://u:hunter2@h/d", "Did you mean 'postgres'?", id="a scheme with a slip of the pen"),
        pytest.param(
            "hunter2://h/d", "Known: mariadb, mariadb+asyncmy, mysql, mysql+asyncmy, postgres, ", id="another scheme"
        ),
        pytest.param("host=h password=hunter2", "no database URL such as postgresql://", id="libpq's other form"),
        pytest.param("u:hunter2@h/d", "no database URL such as postgresql://", id="no scheme"),
        pytest.param("sqlite://", "SQLite needs a file", id="SQLite without a file"),
        pytest.param("sqlite:///", "SQLite needs a file", id="SQLite with an empty file"),
        pytest.param("sqlite:///:memory:", "SQLite needs a file", id="SQLite in memory"),
    ],
)
def test_another_address_is_refused_without_a_word_of_it(url: str, said: str) -> None:
    refused = refusal("source.url", url)

    assert said in refused
    assert "hunter2" not in refused


def test_white_space_around_a_token_is_trimmed() -> None:
    assert read("tokens.value", " \tabc\r\n") == Secret("abc")


@pytest.mark.parametrize("text", ["one\ntwo", "", " \n", "a\x00b"])
def test_a_token_is_one_line(text: str) -> None:
    assert refusal("tokens.value", text) == "It must be one line of text, which a header can carry."
