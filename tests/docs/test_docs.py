"""The docs tell the truth: every command runs and prints what stands there, every link leads somewhere."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tenantry.adapters.webhook import Webhook, signature
from tenantry.config.loading import load
from tenantry.config.settings import Settings
from tenantry.core.answer import parameter_sets
from tenantry.core.application import TENANT_LABEL
from tenantry.core.secret import Secret
from tenantry.web.wire import read_request
from tests.docs.pages import ROOT, Block, Page, pages
from tests.docs.session import Terminal, printed_as
from tests.support.mariadb import SAMPLE, MariaDatabase, MariaServer
from tests.support.postgres import TEMPLATE, Database, PostgresServer
from tests.support.processes import free_port
from tests.support.service import RIVAL, RunningService

PAGES = pages()
TOKEN = "token-of-the-docs"

NOT_RUN = {
    "README.md": 2,
    "docs/how-to/choose-shards.md": 1,
    "docs/how-to/come-from-the-tutorial.md": 2,
    "docs/how-to/find-out-about-a-tenant.md": 1,
    "docs/how-to/hear-of-changes.md": 2,
    "docs/how-to/hold-removals.md": 3,
    "docs/how-to/mysql.md": 1,
    "docs/how-to/raise-argo-cd.md": 2,
    "docs/how-to/rotate-tokens.md": 3,
    "docs/how-to/tell-argo-cd-at-once.md": 2,
    "docs/quickstart.md": 2,
    "docs/reference/benchmark.md": 2,
}
"""Blocks that cannot run in a test, by page: a new one must be counted here, where a reviewer sees it."""

NOT_OF_THE_WORKING_COPY = {".git", ".venv", "tenantry-data", "tokens"}
PREPARED = ("dev", "runtime")
"""The files by which the Makefile knows that `.venv` is complete."""

OF_MARIADB = "docs/how-to/mysql.md"

RUNNABLE = [
    pytest.param(page, id=page.name)
    for page in PAGES
    if page.name != OF_MARIADB
    and any(block.language == "console" and block.reason_not_to_run is None for block in page.blocks())
]


@pytest.fixture
def working_copy(tmp_path: Path) -> Path:
    """Return a folder that looks like the root of the repository, prepared, without what earlier runs left there."""
    folder = tmp_path / "tenantry"
    link_entries(ROOT, folder, NOT_OF_THE_WORKING_COPY)
    link_entries(Path(sys.executable).parents[1], folder / ".venv", set(PREPARED))
    for name in PREPARED:
        (folder / ".venv" / name).touch()
    return folder


def link_entries(original: Path, folder: Path, left_out: set[str]) -> None:
    folder.mkdir()
    for entry in original.iterdir():
        if entry.name not in left_out:
            (folder / entry.name).symlink_to(entry)


@pytest.fixture
def organization(own_postgres: PostgresServer) -> Database:
    """Return the tutorial's database under its own name, on a server of its own."""
    own_postgres.execute(f'CREATE DATABASE organization TEMPLATE "{TEMPLATE}"')
    return Database(own_postgres, "organization")


@pytest.fixture
def organization_of_mariadb(mariadb: MariaServer) -> Iterator[MariaDatabase]:
    """Return that database on MariaDB."""
    mariadb.execute("CREATE DATABASE organization")
    mariadb.execute(SAMPLE.read_text(), "organization")
    yield MariaDatabase(mariadb, "organization")
    mariadb.execute("DROP DATABASE organization; DROP USER IF EXISTS tenantry")


@contextmanager
def port_for(page: Page) -> Iterator[int]:
    """Give a page its port: `make demo` has the one that stands there, one page at a time; others get a free one."""
    if "make demo" not in page.text:
        yield free_port()
        return
    with (Path(tempfile.gettempdir()) / "tenantry-port-4355.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield 4355


def environment_of(home: Path, database: Database | None, port: int) -> dict[str, str]:
    return {
        "AUTH_TOKEN": TOKEN,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TENANTRY_SERVER_ADDRESS": f"127.0.0.1:{port}",
        "TENANTRY_SERVER_DRAIN": "0s",
        **(database.tutorial_environment() if database else {}),
    }


def play(block: Block, terminal: Terminal, database: Database | MariaDatabase, ports: Mapping[str, str]) -> None:
    """Do what a block says, on ports that are free; only SQL and console blocks do anything."""
    if block.language == "sql":
        database.execute(block.text)
    if block.language != "console" or block.reason_not_to_run is not None:
        return
    for command in block.commands():
        line = command.line
        for written, ours in ports.items():
            line = line.replace(written, ours)
        if block.note == "background":
            terminal.start(line, command.output)
            continue
        code, printed = terminal.run(line)
        assert code == 0, f"line {block.line}: `{line}` ended with {code} and printed:\n{printed}"
        if command.output:
            wanted = printed_as(command.output)
            assert wanted.fullmatch(printed), f"line {block.line}: `{line}` printed:\n{printed}"


# --- what runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", RUNNABLE)
def test_every_command_of_a_page_runs_and_prints_what_stands_there(
    page: Page,
    working_copy: Path,
    tmp_path: Path,
    organization: Database,
    serving: Callable[..., RunningService],
) -> None:
    rival = serving(organization.tutorial_environment() | {"AUTH_TOKEN": TOKEN}, command=RIVAL, ready=False)

    with (
        port_for(page) as port,
        Terminal(working_copy, environment_of(tmp_path, organization, port), port) as terminal,
    ):
        ports = {"127.0.0.1:4355": f"127.0.0.1:{port}", "127.0.0.1:8000": f"127.0.0.1:{rival.port}"}
        for block in page.blocks():
            play(block, terminal, organization, ports)


def test_blocks_that_are_not_run_are_counted_and_say_why() -> None:
    not_run = [
        (page.name, block.reason_not_to_run)
        for page in PAGES
        for block in page.blocks()
        if block.reason_not_to_run is not None
    ]

    assert Counter(name for name, _ in not_run) == NOT_RUN
    assert all(reason for _, reason in not_run)


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    kinds = {
        (block.language, "not-run" if block.reason_not_to_run is not None else block.note)
        for page in PAGES
        for block in page.blocks()
    }

    assert kinds <= {
        ("console", ""),
        ("console", "background"),
        ("console", "not-run"),
        ("json", ""),
        ("python", ""),
        ("sql", ""),
        ("text", ""),
        ("yaml", ""),
    }


def test_sql_stands_only_on_pages_that_are_played() -> None:
    with_sql = {page.name for page in PAGES for block in page.blocks() if block.language == "sql"}

    assert with_sql <= {OF_MARIADB, *(parameter.id for parameter in RUNNABLE)}


def test_every_configuration_file_of_the_docs_is_accepted(tmp_path: Path) -> None:
    examples = [block.text for page in PAGES for block in page.blocks() if block.language == "yaml"]
    assert examples

    for example in examples:
        file = tmp_path / "tenantry.yaml"
        file.write_text(example)
        settings = load(file, {}, {})
        assert settings != Settings()
        assert settings.source.url is not None or "source:" not in example


def test_every_json_of_the_docs_is_a_request_or_an_answer() -> None:
    examples = [block.text for page in PAGES for block in page.blocks() if block.language == "json"]
    assert examples

    for example in examples:
        if '"output"' in example:
            assert parameter_sets(example.encode())
        elif '"event"' in example:
            assert json.loads(example).keys() == sent_by_the_webhook(json.loads(example)).keys()
        else:
            assert read_request(example.encode()).parameters


def sent_by_the_webhook(shown: dict[str, object]) -> dict[str, object]:
    """Return what is sent about the hold that an example shows."""
    webhook = Webhook(Secret("http://nowhere"), lambda: None, 1.0, lambda *_: None)
    fields = ("consumer", "application_set", "decision", "rule", "tenants", "because")
    webhook.told("hold_began", {name: shown[name] for name in fields})
    sent: dict[str, object] = json.loads(webhook._waiting[0].body)
    return sent


def test_every_python_of_the_docs_verifies_what_the_webhook_signs() -> None:
    examples = [block.text for page in PAGES for block in page.blocks() if block.language == "python"]
    assert examples

    for example in examples:
        names: dict[str, Any] = {}
        exec(example, names)
        now, body = int(time.time()), b'{"event":"hold_began"}'
        header = f"t={now},v1={signature(b'secret', now, body)}"
        assert names["verified"](b"secret", header, body)
        assert not names["verified"](b"another", header, body)
        assert not names["verified"](b"secret", f"t={now - 900},v1={signature(b'secret', now - 900, body)}", body)


@pytest.mark.parametrize(
    ("output", "printed", "same"),
    [
        pytest.param(["10"], "10\n", True, id="the same line"),
        pytest.param(["10"], "100\n", False, id="a line that goes on"),
        pytest.param(["a…z"], "a to z\n", True, id="a gap within a line"),
        pytest.param(["a", "…"], "a\nb\nc\n", True, id="any lines after"),
        pytest.param(["a", "…", "c"], "a\nb\n", False, id="a last line that is missing"),
    ],
)
def test_documented_output_matches_what_it_says_and_no_more(output: list[str], printed: str, *, same: bool) -> None:
    assert bool(printed_as(output).fullmatch(printed)) is same


def test_contributing_lists_every_chore_of_the_makefile() -> None:
    chores = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    listed = set(re.findall(r"^\| `make ([a-z-]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))

    assert listed == chores


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES if page.name == OF_MARIADB])
def test_every_command_of_its_page_runs_on_mariadb(
    page: Page, working_copy: Path, tmp_path: Path, organization_of_mariadb: MariaDatabase
) -> None:
    port = free_port()
    with Terminal(working_copy, environment_of(tmp_path, None, port), port) as terminal:
        ports = {"db.example.com:3306": f"127.0.0.1:{organization_of_mariadb.server.port}"}
        for block in page.blocks():
            play(block, terminal, organization_of_mariadb, ports)


# --- what is generated -------------------------------------------------------------------------------------------


def test_generated_pages_are_those_of_the_code() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, f"Run `make docs`. {checked.stdout}{checked.stderr}"


def test_the_glossary_knows_the_label_of_applications() -> None:
    assert f"`{TENANT_LABEL}`" in Page(ROOT / "docs" / "glossary.md").text


# --- what leads somewhere ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Page) -> None:
    lost = []
    for link in page.links():
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.path.parent / parts.path).resolve() if parts.path else page.path
        known = Page(target).anchors() if target.suffix == ".md" and target.exists() else set()
        if not target.exists() or (parts.fragment and parts.fragment not in known):
            lost.append(link)

    assert lost == []


def test_every_page_of_the_docs_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".md" or not path.exists():
            continue
        seen.add(path)
        page = Page(path)
        waiting += [(path.parent / urlsplit(link).path).resolve() for link in page.links() if not urlsplit(link).scheme]

    assert {page.path for page in PAGES} - seen == set()
