"""The private socket: nobody else's for a moment, and never taken from a living process."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tenantry.adapters.unix import PrivateSocket, SocketUnavailable, obstacle_to
from tests.support.processes import end, start
from tests.support.service import ROOT
from tests.support.waiting import eventually

HOLDS_IT = """
import signal, sys
from pathlib import Path
from tenantry.adapters.unix import PrivateSocket
held = PrivateSocket(Path(sys.argv[1]))
held.listening.listen()
print("held", flush=True)
signal.pause()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "admin.sock"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def holder(path: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start another process that has the socket."""
    process = start([sys.executable, "-c", HOLDS_IT, str(path)], log, environment={"PYTHONPATH": str(ROOT / "src")})
    eventually(lambda: b"held" in log.read_bytes(), what=f"The holder ({log})")
    return process


def test_only_its_own_user_can_open_it_and_look_into_its_directory(path: Path) -> None:
    before = os.umask(0)
    try:
        with PrivateSocket(path):
            assert (mode(path.parent), mode(path)) == (0o700, 0o600)
            assert mode(path.with_name("admin.sock.lock")) == 0o600
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_the_kernel_itself_makes_it_private(path: Path) -> None:
    """Had it wider rights for a moment, a change of mode would have followed; there is none to be seen."""
    path.parent.mkdir()
    before = os.umask(0)
    script = (
        "import os, sys; from pathlib import Path; from tenantry.adapters.unix import PrivateSocket\n"
        "def refuse(event, arguments):\n"
        "    if event == 'os.chmod': sys.exit('the mode was changed afterwards')\n"
        "sys.addaudithook(refuse); PrivateSocket(Path(sys.argv[1])); print(oct(os.stat(sys.argv[1]).st_mode & 0o777))"
    )
    try:
        ended = subprocess.run(
            [sys.executable, "-c", script, str(path)],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(ROOT / "src")},
        )
    finally:
        os.umask(before)

    assert (ended.stdout.strip(), ended.stderr) == ("0o600", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_cannot_open_it_in_a_directory_that_everybody_can_look_into(readable_folder: Path) -> None:
    path = readable_folder / "admin.sock"
    script = "import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\nos.setuid(65534)\ns.connect(sys.argv[1])"

    with PrivateSocket(path) as ours:
        ours.listening.listen()
        ended = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)

    assert "PermissionError" in ended.stderr


def test_it_is_gone_after_its_end_and_can_be_made_again(path: Path) -> None:
    for _ in range(2):
        with PrivateSocket(path):
            assert path.is_socket()
        assert not path.exists()


def test_what_a_dead_process_left_behind_is_replaced(path: Path, tmp_path: Path) -> None:
    dead = holder(path, tmp_path / "log")
    end(dead, signal.SIGKILL)
    assert path.is_socket()

    with PrivateSocket(path) as ours:
        ours.listening.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_what_a_living_process_uses_is_never_taken_over(path: Path, tmp_path: Path) -> None:
    living = holder(path, tmp_path / "log")
    try:
        before = path.lstat().st_ino

        with pytest.raises(SocketUnavailable, match="another process uses it"):
            PrivateSocket(path)

        assert path.lstat().st_ino == before
    finally:
        end(living)


def test_a_listener_that_holds_no_lock_is_never_taken_over_either(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()

        with pytest.raises(SocketUnavailable, match="another process listens at it"):
            PrivateSocket(path)

        assert path.is_socket()


def test_a_listener_with_more_callers_than_it_takes_is_alive(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as waiting:
        other.bind(str(path))
        other.listen(0)
        waiting.connect(str(path))

        with pytest.raises(SocketUnavailable, match="another process listens at it"):
            PrivateSocket(path)


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")

    with pytest.raises(SocketUnavailable, match="no socket has its name"):
        PrivateSocket(path)

    assert path.read_text() == "precious"


def test_a_refusal_gives_the_lock_free(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(SocketUnavailable):
        PrivateSocket(path)
    path.unlink()

    with PrivateSocket(path):
        assert path.is_socket()


def test_what_has_its_place_at_the_end_is_left_alone(path: Path) -> None:
    with PrivateSocket(path):
        path.unlink()
        path.write_text("somebody else's")

    assert path.read_text() == "somebody else's"


def test_a_lock_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.with_name("admin.sock.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SocketUnavailable):
        PrivateSocket(path)

    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("place", ["a-file/admin.sock", "/proc/nowhere/admin.sock", "a-socket-of-a-name-" + "x" * 200])
def test_a_place_that_cannot_be_had_is_an_error_with_a_reason(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("")

    with pytest.raises(SocketUnavailable, match=r"\w"):
        PrivateSocket(tmp_path / place)


def test_an_obstacle_is_told_without_making_anything(tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("")

    assert obstacle_to(tmp_path / "new" / "data" / "admin.sock") == ""
    assert "no socket" in obstacle_to(tmp_path / "a-file")
    assert "ot a directory" in obstacle_to(tmp_path / "a-file" / "admin.sock")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a-file"]


def test_a_socket_that_is_in_use_is_no_obstacle_to_its_own_service(path: Path) -> None:
    with PrivateSocket(path):
        assert obstacle_to(path) == ""
