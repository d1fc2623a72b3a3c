"""A service that is killed at any step of a release forgets none: `python -m tests.guard.killed` does it 200 times."""

from __future__ import annotations

import subprocess
import sys


def test_a_release_is_remembered_wherever_the_service_is_killed() -> None:
    # It forks, which a process with threads should not.
    command = [sys.executable, "-m", "tests.guard.killed", "--times", "24"]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("24 times killed (6 before the write, 6 after the write, 6 before sending, 6 in the")
