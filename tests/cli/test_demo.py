"""`tenantry demo` in a process of its own."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tenantry.cli.demo import TENANTS, prepare
from tests.cli.conftest import in_a_process


def test_once_prints_ten_tenants_and_ends_by_itself(tmp_path: Path) -> None:
    ended = in_a_process("demo", "--once", "--port", 0, cwd=tmp_path)

    assert ended.code == 0, ended
    lines = ended.out.splitlines()
    assert lines[0].split() == ["TENANT", "STATUS"]
    assert [tuple(line.split()) for line in lines[1:]] == sorted(TENANTS)


def test_once_as_json_is_the_answer_itself_and_nothing_else(tmp_path: Path) -> None:
    ended = in_a_process("demo", "--once", "--port", 0, "-o", "json", "--data-dir", "here", cwd=tmp_path)

    assert (ended.code, ended.err) == (0, "")
    items = json.loads(ended.out)["output"]["parameters"]
    assert [(item["tenant"], item["status"]) for item in items] == sorted(TENANTS)
    assert (tmp_path / "here" / "demo.db").exists()


def test_a_port_that_is_taken_ends_with_2_and_says_so(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        ended = in_a_process("demo", "--once", "--port", other.getsockname()[1], cwd=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    assert "Cannot listen on 127.0.0.1:" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "data_dir",
    ["a-file", "a-file/below", "/proc/nowhere", "a-folder-for-database", "no-database", "a-folder-for-token"],
)
def test_a_data_dir_that_cannot_be_used_ends_with_2_and_one_sentence(tmp_path: Path, data_dir: str) -> None:
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-folder-for-database" / "demo.db").mkdir(parents=True)
    (tmp_path / "a-folder-for-token" / "demo-token").mkdir(parents=True)
    (tmp_path / "no-database").mkdir()
    (tmp_path / "no-database" / "demo.db").write_text("something else, long enough to be looked at")

    ended = in_a_process("demo", "--once", "--port", 0, "--data-dir", data_dir, cwd=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"The demo cannot keep its data in '{data_dir}' (")
    assert ended.err.endswith("): give another folder as --data-dir.\n")


@pytest.mark.parametrize("times", [1, 3])
def test_the_data_and_the_token_stay_as_they_are(tmp_path: Path, times: int) -> None:
    made = {prepare(tmp_path / "data") for _ in range(times)}

    assert len(made) == 1
    assert ((tmp_path / "data" / "demo-token").stat().st_mode & 0o777) == 0o600


def test_a_folder_whose_name_is_not_plain_works_too(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c#d%20é"
    folder.mkdir()

    ended = in_a_process("demo", "--once", "--port", 0, cwd=folder)

    assert ended.code == 0, ended
