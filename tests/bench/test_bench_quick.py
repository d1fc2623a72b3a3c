"""The command that measures speed: here only that it can, since a figure of a busy machine proves nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MISSING = [program for program in ("wrk", "nginx") if shutil.which(program) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian's wrk and nginx-light)")
def test_the_quick_run_measures_every_row_of_the_table() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "-o", "json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    told = " / ".join(figure["what"] for figure in report["figures"])
    for what in (
        "of rival",
        "of nginx",
        "p99 of p50",
        "start to ready",
        "peak memory",
        "p99 of a small answer",
        "calls of one pass",
        "first call",
        "with a shared ledger",
    ):
        assert what in told
    assert all(figure["value"] > 0 for figure in report["figures"])
    assert all(figure["samples"] and figure["measurement"] for figure in report["figures"])
    assert all(profile["stages"] for profile in report["profiles"])
    assert report["machine"]["cores"]
