"""The command line, in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenantry.cli.main import main
from tests.contract.bed import SQLiteFile

OURS = ("TENANTRY_", "DB_", "AUTH_TOKEN")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def tenantry(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a way to run a command with no environment but what it is given."""

    def run(*arguments: object, **environment: str) -> Ended:
        with monkeypatch.context() as patched:
            for name in os.environ:
                if name.startswith(OURS):
                    patched.delenv(name)
            for name, value in environment.items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["tenantry", *map(str, arguments)])
            patched.setenv("COLUMNS", "100")
            with pytest.raises(SystemExit) as end:
                main()
        printed = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Ended(end.value.code, printed.out, printed.err)

    return run


def in_a_process(*arguments: object, cwd: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    ended = subprocess.run(
        [sys.executable, "-m", "tenantry", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**clean, **(environment or {})},
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def file(tmp_path: Path) -> SQLiteFile:
    """Return a table of three tenants."""
    made = SQLiteFile(tmp_path / "tenants.db")
    made.execute(
        "CREATE TABLE organization (tenant TEXT, status TEXT, settings JSON);"
        """INSERT INTO organization VALUES ('acme', 'active', '{"tier":"gold"}');"""
        """INSERT INTO organization VALUES ('beta', 'trial', '{"tier":"free"}'), ('gamma', 'active', NULL)"""
    )
    return made
