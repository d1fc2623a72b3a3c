from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from tenantry.config.loading import load, load_with_origins, require_source, require_tokens
from tenantry.config.settings import Settings
from tenantry.config.table import SETTINGS
from tenantry.core.errors import ConfigurationError
from tenantry.core.secret import Secret

URL = "postgresql://tenantry@db/organization"
SECTIONS = (
    "admin, data, defaults, fields, guard, kubernetes, log, metrics, naming, notify, server, snapshot, source, state, "
    "tokens, views"
)
KNOWN_VARIABLES = [setting.env for setting in SETTINGS]
TOKENS_AND_PASSWORDS = ("DB_PASSWORD", "AUTH_TOKEN", "TENANTRY_ADMIN_TOKEN")
KNOWN_VARIABLES += ["TENANTRY_CONFIG", "DB_NAME", "DB_USER", "DB_HOST", "DB_PORT", "DB_PASSWORD"]
ANY_TEXT = st.text(st.characters())
UNHURRIED = hypothesis_settings(deadline=None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tenantry.yaml"


def loaded(text: str, file: Path) -> Settings:
    file.write_text(text)
    return load(file, {}, {})


def problems(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str | Sequence[str]] | None = None,
) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refused:
        load(file, environ or {}, flags or {})
    return refused.value.problems


def problems_if_any(
    file: Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    try:
        load(file, environ or {}, flags or {})
    except ConfigurationError as refused:
        return refused.problems
    return ()


def problems_of(text: str, file: Path) -> tuple[str, ...]:
    """Return the problems of a file, each without its path."""
    file.write_text(text)
    return tuple(problem.removeprefix(str(file)) for problem in problems(file))


# --- precedence ---


def test_without_anything_every_setting_has_its_default() -> None:
    assert load(None, {"PATH": "/bin", "HOME": "/root"}, {}) == Settings()


def test_a_flag_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text("source: {table: of-file, id: of-file, state: of-file}")
    environ = {"TENANTRY_SOURCE_TABLE": "of-environment", "TENANTRY_SOURCE_ID": "of-environment"}

    source = load(file, environ, {"source.table": "of-flag"}).source

    assert (source.table, source.id, source.state) == ("of-flag", "of-environment", "of-file")


def test_a_value_that_is_overridden_is_checked_all_the_same(file: Path) -> None:
    file.write_text("log: {level: loud}")

    (problem,) = problems(file, {"TENANTRY_LOG_LEVEL": "info"})

    assert problem.startswith(f"{file} line 1: log.level: 'loud' is not allowed")


def test_the_file_may_be_named_by_the_environment_and_a_given_one_wins(file: Path, tmp_path: Path) -> None:
    file.write_text("source: {table: one}")
    other = tmp_path / "other.yaml"
    other.write_text("source: {table: two}")

    assert load(None, {"TENANTRY_CONFIG": str(file)}, {}).source.table == "one"
    assert load(other, {"TENANTRY_CONFIG": str(file)}, {}).source.table == "two"


def test_each_value_tells_where_it_was_set(file: Path) -> None:
    file.write_text("source:\n  id: tenant\n")

    shown = load_with_origins(
        file, {"TENANTRY_SNAPSHOT_REFRESH": "5s", "AUTH_TOKEN": "hunter2"}, {"log.format": "json"}
    ).shown()

    assert [row[0] for row in shown] == [setting.key for setting in SETTINGS]
    told = {row[0]: row[1:] for row in shown}
    assert told["source.id"] == ("tenant", f"{file} line 2")
    assert told["snapshot.refresh"] == ("5s", "environment TENANTRY_SNAPSHOT_REFRESH")
    assert told["log.format"] == ("json", "flag --log-format")
    assert told["source.parameters"] == ("every column", "default")
    assert told["tokens.value"] == ("****", "environment AUTH_TOKEN")


# --- the file ---


def test_the_file_of_the_design_is_read(file: Path) -> None:
    settings = loaded(
        """
source:
  url: postgresql://tenantry@db/organization   # or sqlite:///tenants.db
  table: organization
  id: tenant
  state: status
  parameters: [tenant, status, plan, region, settings]
  serve: [active, trial]
  retire: [inactive, de-provisioned]
  statement_timeout: 20s
snapshot: {max_stale: 30m}
server:
  max_body: 512KiB
metrics: {max_sets: 7}
tokens: {directory: /var/run/secrets/tenantry}
""",
        file,
    )

    assert settings.source.url == Secret(URL)
    assert settings.source.parameters == ("tenant", "status", "plan", "region", "settings")
    assert settings.source.serve == ("active", "trial")
    assert settings.source.retire == ("inactive", "de-provisioned")
    assert settings.source.statement_timeout == timedelta(seconds=20)
    assert settings.snapshot.max_stale == timedelta(minutes=30)
    assert settings.server.max_body == 512 << 10
    assert settings.metrics.max_sets == 7
    assert settings.tokens.directory == Path("/var/run/secrets/tenantry")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", f": is empty. Known sections: {SECTIONS}.", id="an empty file"),
        pytest.param("# source:\n", f": is empty. Known sections: {SECTIONS}.", id="only comments"),
        pytest.param("- source\n", f": is not a mapping. Known sections: {SECTIONS}.", id="a list"),
        pytest.param("source", f": is not a mapping. Known sections: {SECTIONS}.", id="a word"),
        pytest.param("source: [\n", " line 2: is not YAML.", id="no YAML"),
        pytest.param("a:\n\tb: 1\n", " line 2: is not YAML", id="a tab"),
        pytest.param("source: {}\n---\nlog: {}\n", " line 2: is not YAML: but found another document.", id="two"),
        pytest.param("\0", ": is not YAML.", id="a control character"),
        pytest.param("source: {id: 2024-99-99}", ": is not YAML that can be read.", id="a date that is none"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(text: str, why: str, file: Path) -> None:
    (problem,) = problems_of(text, file)

    assert problem.startswith(why)


def test_a_missing_file_is_an_error(file: Path) -> None:
    assert problems(file) == (
        f"{file}: cannot be read (No such file or directory). Check --config and TENANTRY_CONFIG.",
    )
    assert problems(environ={"TENANTRY_CONFIG": str(file)}) == problems(file)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path)

    assert problem.startswith(f"{tmp_path}: cannot be read (Is a directory).")


def test_a_file_that_is_not_utf_8_is_an_error(file: Path) -> None:
    file.write_bytes(b"source: {id: \xff}")

    assert problems(file) == (f"{file}: is not text in UTF-8.",)


def test_a_file_of_more_than_a_mebibyte_is_an_error(file: Path) -> None:
    (problem,) = problems_of("# " + "x" * (1 << 20), file)

    assert problem == ": is larger than 1MiB, which is no configuration file."


def test_an_unknown_section_is_an_error_with_the_known_and_the_nearest(file: Path) -> None:
    assert problems_of("\nsnapshots: {refresh: 1s}\n", file) == (
        f" line 2: there is no section called 'snapshots'. Known: {SECTIONS}. Did you mean 'snapshot'?",
    )


def test_an_unknown_key_is_an_error_with_the_known_and_the_nearest(file: Path) -> None:
    assert problems_of("snapshot:\n  refesh: 1s\n", file) == (
        " line 2: there is no setting in snapshot called 'refesh'. Known: max_stale, refresh. Did you mean 'refresh'?",
    )


def test_a_key_that_stands_twice_is_an_error_that_does_not_quote_its_values(file: Path) -> None:
    (problem,) = problems_of(f"source:\n  url: {URL}\n  url: postgresql://u:hunter2@h/d\n", file)

    assert problem == " line 3: the key 'url' stands twice in one mapping."


def test_a_section_without_settings_is_as_if_it_were_not_there(file: Path) -> None:
    assert loaded("source:\nlog: {}\n", file) == Settings()


def test_a_section_that_is_no_mapping_is_an_error(file: Path) -> None:
    assert problems_of("source: postgresql://u:hunter2@h/d", file) == (
        " line 1: source is a section, with settings below it.",
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("source: {id: 5}", "source.id: It must be text: write it in quotes.", id="a number as a name"),
        pytest.param("source: {serve: [yes, true]}", "source.serve: It must be text", id="a boolean as a state"),
        pytest.param("source: {table: 2024-01-01}", "source.table: It must be text", id="a date as a name"),
        pytest.param("source: {table: [a]}", "source.table: It takes one value, not a list.", id="a list as a name"),
        pytest.param("source: {table: {a: b}}", "source.table: It takes plain text here.", id="a mapping as a name"),
        pytest.param("source: {parameters: [[a]]}", "source.parameters: It takes plain text", id="a list in a list"),
        pytest.param("source: {parameters: []}", "source.parameters: The list is empty", id="no parameters"),
        pytest.param("source: {table: }", "source.table: It has no value.", id="no value where there must be one"),
        pytest.param("snapshot: {refresh: 2}", "snapshot.refresh: '2' is no duration", id="a duration without unit"),
        pytest.param("metrics: {max_sets: 1.5}", "metrics.max_sets: '1.5' is no whole number", id="a fraction"),
        pytest.param("metrics: {max_sets: true}", "metrics.max_sets: 'True' is no whole number", id="a boolean"),
    ],
)
def test_a_value_of_another_kind_is_an_error(line: str, why: str, file: Path) -> None:
    (problem,) = problems_of(line, file)

    assert problem.startswith(f" line 1: {why}")


def test_no_value_for_what_may_be_unset_leaves_it_unset(file: Path) -> None:
    assert loaded("source: {url: , state: ~, parameters: null}", file) == Settings()


def test_quoted_numbers_are_text_and_yaml_is_1_2(file: Path) -> None:
    source = loaded("source: {state: 'on', serve: [no, '01', on], parameters: 'a, b'}", file).source

    assert source.serve == ("no", "01", "on")
    assert source.parameters == ("a", "b")


def test_an_item_of_a_list_in_the_file_may_hold_a_comma(file: Path) -> None:
    assert loaded("source: {parameters: ['a, b', c]}", file).source.parameters == ("a, b", "c")


def test_anchors_and_merges_are_understood(file: Path) -> None:
    settings = loaded("server: &s {drain: 1s}\nlog: {level: &l info}\n", file)
    assert settings.server.drain == timedelta(seconds=1)

    (problem,) = problems_of("server: &s {drain: 1x}\nsource:\n  <<: *s\n", file)[-1:]
    assert "there is no setting in source called 'drain'" in problem


def test_the_token_does_not_belong_into_the_file(file: Path) -> None:
    (problem,) = problems_of("tokens: {value: hunter2}", file)

    assert problem.startswith(" line 1: tokens.value: It is given as the variable AUTH_TOKEN only")
    assert "tokens.file and tokens.directory" in problem


# --- the environment ---


def test_a_list_in_the_environment_is_separated_by_commas() -> None:
    environ = {"TENANTRY_SOURCE_PARAMETERS": "tenant, status ,plan"}

    assert load(None, environ, {}).source.parameters == ("tenant", "status", "plan")


def test_an_unknown_variable_of_ours_is_an_error_with_the_known_and_the_nearest() -> None:
    (problem,) = problems(environ={"TENANTRY_SOURCE_TABEL": "x"})

    assert problem.startswith("environment TENANTRY_SOURCE_TABEL: is not a setting. Known: AUTH_TOKEN, TENANTRY_ADMIN")
    assert problem.endswith("Did you mean 'TENANTRY_SOURCE_TABLE'?")
    assert all(setting.env in problem for setting in SETTINGS)


def test_an_admin_token_in_the_file_is_refused_and_told_where_it_goes(file: Path) -> None:
    (problem,) = problems_of("admin: {token: hunter2}", file)

    assert problem.startswith(" line 1: admin.token: It is given as the variable TENANTRY_ADMIN_TOKEN only")
    assert "there is admin.token_file." in problem
    assert "hunter2" not in problem


SAME_TOKEN = [
    pytest.param({"AUTH_TOKEN": "abc", "TENANTRY_ADMIN_TOKEN": " abc"}, "is the same as tokens.value", id="one text"),
    pytest.param(
        {"TENANTRY_TOKENS_FILE": "/run/token", "TENANTRY_ADMIN_TOKEN_FILE": "/run/./token"}, "same file", id="one file"
    ),
    pytest.param(
        {"TENANTRY_TOKENS_DIRECTORY": "/run/tokens", "TENANTRY_ADMIN_TOKEN_FILE": "/run/tokens/admin"},
        "every file holds a plugin token",
        id="a file among the plugin's",
    ),
]


@pytest.mark.parametrize(("environ", "why"), SAME_TOKEN)
def test_an_admin_token_that_is_a_plugin_token_is_refused(environ: dict[str, str], why: str) -> None:
    (problem,) = problems(environ=environ)

    assert problem.startswith("environment TENANTRY_ADMIN_TOKEN")
    assert why in problem
    assert "abc" not in problem


def test_two_tokens_that_differ_are_taken() -> None:
    settings = load(None, {"AUTH_TOKEN": "abc", "TENANTRY_ADMIN_TOKEN": "abd"}, {})

    assert (settings.tokens.value, settings.admin.token) == (Secret("abc"), Secret("abd"))


def test_the_socket_is_in_the_data_directory_unless_it_has_a_path_of_its_own() -> None:
    assert Settings().admin_socket == Path("tenantry-data/admin.sock")
    assert load(None, {"TENANTRY_DATA_DIRECTORY": "/data"}, {}).admin_socket == Path("/data/admin.sock")
    assert load(None, {"TENANTRY_ADMIN_SOCKET": "/run/t.sock"}, {}).admin_socket == Path("/run/t.sock")


def test_a_path_that_is_too_long_for_a_socket_is_told_with_the_way_out() -> None:
    just_right = "/a" + "é" * 47

    assert load(None, {"TENANTRY_DATA_DIRECTORY": just_right}, {}).data.directory == Path(just_right)
    (problem,) = problems(environ={"TENANTRY_DATA_DIRECTORY": f"{just_right}x"})
    assert problem == (
        "environment TENANTRY_DATA_DIRECTORY: The path of the admin API's socket has 108 bytes; a Unix socket takes "
        "107. Give a shorter one as admin.socket."
    )
    settings = load(None, {"TENANTRY_DATA_DIRECTORY": f"{just_right}x", "TENANTRY_ADMIN_SOCKET": "a"}, {})
    assert settings.admin_socket == Path("a")


def test_a_token_under_the_usual_name_is_told_its_own() -> None:
    assert problems(environ={"TENANTRY_TOKENS_VALUE": "hunter2"}) == (
        "environment TENANTRY_TOKENS_VALUE: the token's variable is AUTH_TOKEN.",
    )


@pytest.mark.parametrize("name", KNOWN_VARIABLES)
def test_a_variable_that_is_empty_is_not_set(name: str) -> None:
    assert load(None, {name: ""}, {}) == Settings()


@pytest.mark.parametrize("name", [name for name in KNOWN_VARIABLES if name not in TOKENS_AND_PASSWORDS])
def test_a_variable_that_holds_a_service_link_is_not_set(name: str) -> None:
    assert load(None, {name: "tcp://10.0.0.1:5432"}, {}) == Settings()


def test_a_password_or_token_is_never_taken_for_a_service_link() -> None:
    settings = load(None, dict.fromkeys(("DB_PASSWORD", "AUTH_TOKEN"), "tcp://h:1"), {})

    assert settings.tokens.value == Secret("tcp://h:1")
    assert load(None, {"TENANTRY_ADMIN_TOKEN": "tcp://h:1"}, {}).admin.token == Secret("tcp://h:1")
    assert settings.source.url == Secret("postgresql://postgres:tcp%3A%2F%2Fh%3A1@localhost:5432/organization")


def test_a_token_of_white_space_is_not_set() -> None:
    assert load(None, {"AUTH_TOKEN": " \n"}, {}).tokens.value is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TENANTRY_SERVICE_HOST", "10.0.0.1"),
        ("TENANTRY_SERVICE_PORT", "8080"),
        ("TENANTRY_SERVICE_PORT_HTTP", "8080"),
        ("TENANTRY_PORT", "tcp://10.0.0.1:4355"),
        ("TENANTRY_PORT_4355_TCP", "tcp://10.0.0.1:4355"),
        ("TENANTRY_PORT_4355_TCP_ADDR", "10.0.0.1"),
        ("TENANTRY_PORT_4355_TCP_PORT", "4355"),
        ("TENANTRY_PORT_4355_TCP_PROTO", "tcp"),
        ("TENANTRY_PORT_53_UDP", "udp://10.0.0.1:53"),
        ("TENANTRY_PORT_53_SCTP_ADDR", "10.0.0.1"),
        ("TENANTRY_FOO_SERVICE_HOST", "10.0.0.1"),
        ("TENANTRY_FOO_SERVICE_PORT", "8080"),
        ("TENANTRY_FOO_BAR_PORT", "tcp://[fd00::1]:8080"),
        ("TENANTRY_FOO_PORT_80_TCP", "tcp://10.0.0.1:80"),
    ],
)
def test_service_links_of_kubernetes_are_harmless(name: str, value: str) -> None:
    assert load(None, {name: value}, {}) == Settings()


def test_a_name_that_ends_like_a_link_but_has_no_link_is_an_error() -> None:
    (problem,) = problems(environ={"TENANTRY_SERVER_PORT": "8080"})

    assert problem.startswith("environment TENANTRY_SERVER_PORT: is not a setting.")


def test_white_space_around_the_token_is_trimmed() -> None:
    assert load(None, {"AUTH_TOKEN": " abc\n"}, {}).tokens.value == Secret("abc")


# --- flags ---


def test_a_list_as_a_flag_is_separated_by_commas_or_given_several_times() -> None:
    assert load(None, {}, {"source.parameters": "a,b"}).source.parameters == ("a", "b")
    assert load(None, {}, {"source.parameters": ["a", "b,c"]}).source.parameters == ("a", "b", "c")


def test_a_flag_takes_one_value() -> None:
    assert load(None, {}, {"source.table": ["a"]}).source.table == "a"
    assert problems(flags={"source.table": ["a", "b"]}) == ("flag --source-table: source.table: It takes one value.",)


def test_an_unknown_flag_is_an_error_with_the_nearest() -> None:
    (problem,) = problems(flags={"source.tabel": "x"})

    assert problem.startswith("flag --source-tabel: there is no setting called 'source.tabel'. Known: admin.socket")
    assert problem.endswith("Did you mean 'source.table'?")


def test_an_address_without_a_password_may_be_a_flag() -> None:
    assert load(None, {}, {"source.url": URL}).source.url == Secret(URL)
    assert load(None, {}, {"source.url": "postgresql://h1:5432,h2:5433/d"}).source.url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h/d",
        "postgresql://:hunter2@h/d",
        "postgresql://u:hunter2/with?odd#signs@h/d",
        "postgresql://h/d?password=hunter2",
        "postgresql://h/d?sslmode=require&p%61ssword=hunter2",
        "postgresql://h/d?sslpassword=hunter2",
        " postgresql://u:hunter2@h/d",
    ],
)
def test_a_password_in_a_flag_is_refused_with_a_remedy(url: str) -> None:
    (problem,) = problems(flags={"source.url": url})

    assert problem == (
        "flag --source-url: source.url: A password in a flag stands in the list of processes: "
        "give it as TENANTRY_SOURCE_URL or in the file."
    )


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://h:port/hunter2", id="a port that is no number"),
        pytest.param("https://h:0/hunter2", id="port 0"),
        pytest.param("https://[hunter2]/", id="an address in brackets that is none"),
        pytest.param("https://[hunter2", id="a bracket that stays open"),
        pytest.param("https://u:hunter2\u2100@h/", id="a password with a sign that normalises to a slash"),
        pytest.param("ftp://u:hunter2@h/", id="another scheme"),
        pytest.param("https:///hunter2", id="no host"),
        pytest.param("https://h/hunter2 x", id="a space"),
    ],
)
def test_where_to_tell_of_holds_is_checked_and_never_quoted(url: str) -> None:
    assert problems(environ={"TENANTRY_NOTIFY_URL": url}) == (
        "environment TENANTRY_NOTIFY_URL: notify.url: It is no URL such as https://hooks.example.com/tenantry.",
    )


@pytest.mark.parametrize("url", ["https://u:hunter2@h/", "https://hunter2@h/x", " HTTP://hunter2@h"])
def test_where_to_tell_of_holds_is_no_flag_with_somebodys_credentials(url: str) -> None:
    (problem,) = problems(flags={"notify.url": url})

    assert problem == (
        "flag --notify-url: notify.url: A password in a flag stands in the list of processes: "
        "give it as TENANTRY_NOTIFY_URL or in the file."
    )
    assert load(None, {"TENANTRY_NOTIFY_URL": url}, {}).notify.url == Secret(url.strip())
    assert load(None, {}, {"notify.url": "https://h/x@y"}).notify.url == Secret("https://h/x@y")


def test_one_secret_signs_what_is_told_of_holds() -> None:
    environ = {"TENANTRY_NOTIFY_SECRET": "hunter2", "TENANTRY_NOTIFY_SECRET_FILE": "/run/notify"}

    (problem,) = problems(environ=environ)

    assert problem == (
        "environment TENANTRY_NOTIFY_SECRET_FILE: notify.secret and notify.secret_file are both given, and one secret "
        "signs: give one of them."
    )


def test_the_token_is_no_flag() -> None:
    (problem,) = problems(flags={"tokens.value": "hunter2"})

    assert problem.startswith("flag --tokens-value: tokens.value: It is given as the variable AUTH_TOKEN only")
    assert "hunter2" not in problem


# --- the tutorial's variables ---


def test_the_tutorials_environment_is_enough() -> None:
    settings = load(None, {"AUTH_TOKEN": "abc", "DB_HOST": "postgres", "DB_PASSWORD": "hunter2"}, {})

    assert settings.source.url == Secret("postgresql://postgres:hunter2@postgres:5432/organization")
    assert (settings.source.table, settings.source.id) == ("organization", "tenant")
    assert settings.source.parameters == ("tenant", "status")
    assert settings.tokens.value == Secret("abc")


def test_one_variable_of_the_tutorial_is_enough_and_the_others_have_its_defaults() -> None:
    url = load(None, {"DB_PORT": "6432"}, {}).source.url

    assert url == Secret("postgresql://postgres@localhost:6432/organization")


def test_a_lost_environment_leaves_no_source() -> None:
    assert load(None, {"DB_PORT": "tcp://10.0.0.1:5432", "DB_SERVICE_HOST": "10.0.0.1"}, {}).source.url is None


def test_a_service_link_in_the_place_of_the_port_leaves_the_default() -> None:
    url = load(None, {"DB_HOST": "db", "DB_PORT": "tcp://10.0.0.1:5432"}, {}).source.url

    assert url == Secret("postgresql://postgres@db:5432/organization")


@pytest.mark.parametrize("way", ["file", "environment", "flag"])
def test_the_tutorials_variables_are_ignored_where_a_source_is_set(way: str, file: Path) -> None:
    file.write_text(f"source: {{url: '{URL}'}}")
    environ = {"DB_HOST": "not a host", "DB_PORT": "none"}

    settings = load(
        file if way == "file" else None,
        {**environ, **({"TENANTRY_SOURCE_URL": URL} if way == "environment" else {})},
        {"source.url": URL} if way == "flag" else {},
    )

    assert settings.source.url == Secret(URL)
    assert settings.source.parameters is None


@pytest.mark.parametrize(
    ("name", "value", "parameters"),
    [
        pytest.param("TENANTRY_SOURCE_TABLE", "customers", None, id="another table: every column"),
        pytest.param("TENANTRY_SOURCE_PARAMETERS", "tenant", ("tenant",), id="parameters as configured"),
        pytest.param("TENANTRY_SOURCE_ID", "id", ("tenant", "status"), id="anything else: as in the tutorial"),
    ],
)
def test_the_tutorials_parameters_give_way_to_configured_ones(
    name: str, value: str, parameters: tuple[str, ...] | None
) -> None:
    assert load(None, {"DB_HOST": "db", name: value}, {}).source.parameters == parameters


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        pytest.param({"DB_PORT": "0"}, "environment DB_PORT: '0' is no port: allowed is 1 to 65535.", id="port 0"),
        pytest.param({"DB_PORT": "x"}, "environment DB_PORT: 'x' is no port: allowed is 1 to 65535.", id="no number"),
        pytest.param(
            {"DB_HOST": "u:hunter2@h"},
            "environment DB_HOST: It is no host name, no address, and no directory of a socket.",
            id="a login in the host",
        ),
        pytest.param(
            {"DB_PASSWORD": "a\0b"}, "environment DB_PASSWORD: It holds a character that is not text.", id="NUL"
        ),
        pytest.param(
            {"DB_USER": "a\udcff"}, "environment DB_USER: It holds a character that is not text.", id="not UTF-8"
        ),
    ],
)
def test_what_makes_no_address_is_an_error(environ: dict[str, str], problem: str) -> None:
    assert problems(environ=environ) == (problem,)


TEXT_OF_DATABASES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@UNHURRIED
@given(TEXT_OF_DATABASES, TEXT_OF_DATABASES, TEXT_OF_DATABASES)
@example(password="p@ss:w/o?r#d%20[]", user="u@h:1/", name="a/b?c")
@example(password=" ", user="%41", name="%")
def test_any_password_user_and_database_survive_in_the_address(password: str, user: str, name: str) -> None:
    environ = {"DB_PASSWORD": password, "DB_USER": f"u{user}u", "DB_NAME": f"d{name}d"}

    source = load(None, environ, {}).source

    assert source.url is not None
    url = make_url(source.url.reveal())
    assert (url.password, url.username, url.database) == (password, f"u{user}u", f"d{name}d")
    assert (url.host, url.port, url.query) == ("localhost", 5432, {})


@pytest.mark.parametrize(
    ("host", "address"),
    [
        pytest.param("::1", "postgresql://u@[::1]:5432/d", id="IPv6"),
        pytest.param("h1,h2", "postgresql://u@h1:5432,h2:5432/d", id="several"),
        pytest.param("/run/postgresql", "postgresql://u@/d?host=%2Frun%2Fpostgresql&port=5432", id="a socket"),
    ],
)
def test_the_host_may_be_an_address_several_names_or_a_directory_of_a_socket(host: str, address: str) -> None:
    url = load(None, {"DB_HOST": host, "DB_USER": "u", "DB_NAME": "d"}, {}).source.url

    assert url == Secret(address)


def test_the_directory_of_a_socket_is_read_back_by_the_driver() -> None:
    url = load(None, {"DB_HOST": "/run/my sockets"}, {}).source.url

    assert url is not None
    assert make_url(url.reveal()).query == {"host": "/run/my sockets", "port": "5432"}


# --- contradictions ---


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        pytest.param({"SOURCE_SERVE": "a"}, "need source.state", id="serve without state"),
        pytest.param({"SOURCE_STATE": "s", "SOURCE_RETIRE": "a"}, "source.retire needs source.serve", id="only retire"),
        pytest.param(
            {"SOURCE_STATE": "s", "SOURCE_SERVE": "a,b", "SOURCE_RETIRE": "b,c"},
            "source.retire lists 'b', and so does source.serve",
            id="a state in both",
        ),
        pytest.param(
            {"SOURCE_STATEMENT_TIMEOUT": "1s"},
            "source.lock_timeout (2s) is too long for source.statement_timeout (1s)",
            id="locks longer than statements",
        ),
        pytest.param(
            {"SOURCE_STATEMENT_TIMEOUT": "31s"},
            "source.statement_timeout (31s) is too long for source.read_timeout (30s)",
            id="statements longer than reads",
        ),
        pytest.param(
            {"SNAPSHOT_REFRESH": "1h"},
            "snapshot.refresh (1h) is too long for snapshot.max_stale (1h)",
            id="stale before the next read",
        ),
        pytest.param({"SERVER_OPS_ADDRESS": "0.0.0.0:4355"}, "is the same as server.address", id="one port for two"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], said: str) -> None:
    (problem,) = problems(environ={f"TENANTRY_{name}": value for name, value in environ.items()})

    assert problem.startswith("environment TENANTRY_")
    assert said in problem


def test_time_limits_may_be_equal() -> None:
    environ = {f"TENANTRY_SOURCE_{name}_TIMEOUT": "5s" for name in ("LOCK", "STATEMENT", "READ")}

    assert load(None, {**environ, "TENANTRY_SNAPSHOT_MAX_STALE": "5s"}, {}).source.read_timeout == timedelta(seconds=5)


def test_every_other_state_may_be_retired() -> None:
    environ = {"TENANTRY_SOURCE_STATE": "s", "TENANTRY_SOURCE_SERVE": "a", "TENANTRY_SOURCE_RETIRE": "*"}

    assert load(None, environ, {}).source.retire == ("*",)


def test_nothing_is_concluded_from_a_setting_that_is_wrong_itself(file: Path) -> None:
    assert len(problems(environ={"TENANTRY_SOURCE_STATEMENT_TIMEOUT": "1"})) == 1
    assert len(problems(file, {"TENANTRY_SOURCE_SERVE": "a"})) == 1


# --- all problems at once ---


def test_all_problems_of_file_environment_and_flags_are_told_at_once(file: Path) -> None:
    file.write_text("source:\n  tabel: x\n  serve: [a]\nlog:\n  level: loud\n")

    told = problems(file, {"TENANTRY_SNAPSHOT_REFRESH": "2", "TENANTRY_SERVER_DRIAN": "2s"}, {"log.format": "xml"})

    assert [problem.split(": ")[0] for problem in told] == [
        f"{file} line 2",
        f"{file} line 5",
        "environment TENANTRY_SERVER_DRIAN",
        "environment TENANTRY_SNAPSHOT_REFRESH",
        "flag --log-format",
        f"{file} line 3",
    ]


# --- what must be there ---


def test_no_source_is_refused_with_all_the_ways_to_give_one() -> None:
    with pytest.raises(ConfigurationError) as refused:
        require_source(Settings())

    for way in ("source.url", "TENANTRY_SOURCE_URL", "--source-url", "DB_HOST", "DB_PASSWORD", "tenantry demo"):
        assert way in refused.value.message


def test_no_token_is_refused_with_all_the_ways_to_give_one() -> None:
    with pytest.raises(ConfigurationError) as refused:
        require_tokens(Settings())

    for way in ("AUTH_TOKEN", "tokens.file", "tokens.directory", "TENANTRY_TOKENS_DIRECTORY"):
        assert way in refused.value.message


@pytest.mark.parametrize("name", ["AUTH_TOKEN", "TENANTRY_TOKENS_FILE", "TENANTRY_TOKENS_DIRECTORY"])
def test_any_one_way_to_give_a_token_will_do(name: str) -> None:
    require_tokens(load(None, {name: "/run/token"}, {}))


def test_a_source_will_do() -> None:
    require_source(load(None, {"DB_HOST": "db"}, {}))


# --- whatever comes ---


@UNHURRIED
@given(st.dictionaries(st.sampled_from(KNOWN_VARIABLES), ANY_TEXT))
@example({"TENANTRY_CONFIG": "\0"})
@example({"TENANTRY_SOURCE_URL": "postgresql://\ud800"})
@example({"DB_PASSWORD": "\ud800"})
def test_any_text_in_any_variable_is_read_or_refused(environ: dict[str, str]) -> None:
    assert all(problem.isprintable() for problem in problems_if_any(environ=environ))


@UNHURRIED
@given(st.text(st.sampled_from("ab:{}[]&*!|>'\"%@#-?,~<=\t\n 0129.") | st.characters(codec="utf-8")))
def test_any_text_in_the_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, encoding="utf-8")

    assert all(problem.isprintable() for problem in problems_if_any(file))


@UNHURRIED
@given(st.text(), ANY_TEXT)
def test_any_flag_is_read_or_refused(key: str, text: str) -> None:
    for flag in (key, *(setting.key for setting in SETTINGS)):
        assert all(problem.isprintable() for problem in problems_if_any(flags={flag: text}))


SECRETS = st.from_regex(r"[A-Za-z0-9]{4}ß[A-Za-z0-9:/?#@%'\"*&!{}\[\] ]{0,12}", fullmatch=True)


@UNHURRIED
@given(SECRETS)
def test_no_problem_shows_a_secret_of_the_environment(secret: str) -> None:
    for value in (secret, f"oracle://u:{secret}@h/d", f"{secret}://h/d", f"postgresql://u:{secret}@h/d\0"):
        environ = {"AUTH_TOKEN": f"{secret}\n{secret}", "DB_PASSWORD": secret, "DB_PORT": "none"}
        told = problems(environ={**environ, "TENANTRY_SOURCE_URL": value, "TENANTRY_TOKENS_VALUE": secret})
        told += problems(environ=environ)
        told += problems(flags={"source.url": value, "tokens.value": secret})

        assert not [problem for problem in told if secret in problem or secret[:5] in problem]


@UNHURRIED
@given(SECRETS)
def test_no_problem_shows_a_secret_of_the_file(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    file = tmp_path_factory.getbasetemp() / "secret.yaml"
    for text in (
        f"source: {{url: oracle://u:{secret}@h/d, tabel: x}}",
        f"source:\n  url: oracle://u:{secret}@h/d",
        f"source: {{'url oracle://u:{secret[:5]}@h/d'}}",
        f"'postgresql://u:{secret[:5]}@h/d': {{}}",
        f"'oracle://u:{secret[:5]}@h/d': 1\n'mysql://u:{secret[:5]}@h/d': 2",
        f"source: postgresql://u:{secret}@h/d",
        f"source:\n  url: x\n  url: postgresql://u:{secret}@h/d",
        f"source:\n  table: postgresql://u:{secret}@h/d\n  id: 5",
        f"postgresql://u:{secret}@h/d",
        f"tokens:\n  value: {secret}",
        f"source:\n  url: [{secret}]",
        f"source:\n  url: &a {secret}\n  table: &a {secret}",
        f"log:\n  level: postgresql://u:{secret}@h/d",
    ):
        file.write_text(text, encoding="utf-8")

        assert not [problem for problem in problems(file) if secret[:5] in problem], text
