"""The lock files: exact versions by hash, of no host, and all that the project asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
ASKED = {
    "runtime.lock": PROJECT["project"]["dependencies"],
    "dev.lock": [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]],
    "build.lock": PROJECT["build-system"]["requires"],
    "postgres.lock": PROJECT["dependency-groups"]["postgres"],
}
PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ;]+)(?P<marker> ; [^\\]+?)?( --hash=sha256:[0-9a-f]{64})+")


def pins(lock: str) -> dict[str, str]:
    """Return the version of each name; nothing but pins is in a lock."""
    text = (ROOT / "requirements" / lock).read_text()
    found = {line: PINNED.fullmatch(line) for line in re.sub(r" *\\\n *", " ", text).splitlines()}
    assert [line for line, pin in found.items() if not pin] == []
    return {pin["name"]: pin["version"] for pin in found.values() if pin}


def test_every_lock_is_known_here() -> None:
    assert {path.name for path in (ROOT / "requirements").iterdir()} == set(ASKED)


@pytest.mark.parametrize("lock", ASKED)
def test_a_lock_holds_what_the_project_asks_for(lock: str) -> None:
    locked = pins(lock)
    asked = [Requirement(line) for line in ASKED[lock]]

    missing = [
        str(each) for each in asked if not each.specifier.contains(locked.get(canonicalize_name(each.name), "0"))
    ]
    assert missing == []


def test_the_tests_run_on_what_is_shipped() -> None:
    assert pins("runtime.lock").items() <= pins("dev.lock").items()


def test_the_image_installs_from_locks_that_it_has() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"requirements/\S+\.lock", "".join(re.findall(r"^COPY .*$", dockerfile, re.MULTILINE)))

    assert copied == ["requirements/build.lock", "requirements/runtime.lock"]
    assert re.findall(r"--requirement (\S+)", dockerfile) == copied
