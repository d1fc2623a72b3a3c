"""Two real replicas that remove at the same moment: `python -m tests.replicas.races` has them do it 1,000 times."""

from __future__ import annotations

import subprocess
import sys


def test_of_two_replicas_that_remove_at_once_no_more_leave_than_the_limits_let() -> None:
    command = [sys.executable, "-m", "tests.replicas.races", "--times", "40"]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("40 races, seed 1: never more than the limits.")
