"""A Unix socket that only the service's own user can open, from its first moment on.

Who holds the lock beside it owns it: the lock ends with its process, so what a dead one left behind is replaced, and
what a living one uses never is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

_NO_SOCKET = "something that is no socket has its name"


class SocketUnavailable(Exception):
    """The socket cannot be made; its text says why, after a path."""


class PrivateSocket:
    """A listening Unix socket of mode 0600, and the lock by which it is ours."""

    def __init__(self, path: Path) -> None:
        """Make it, and its directory where there is none; raises SocketUnavailable."""
        self.path = path
        self._lock = -1
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(path.with_name(f"{path.name}.lock"))
            _remove_dead(path)
            self.listening = _bound(path)
        except (OSError, ValueError) as error:
            self._unlock()
            raise SocketUnavailable(getattr(error, "strerror", None) or str(error)) from error
        except SocketUnavailable:
            self._unlock()
            raise
        self._made = _identity(path)

    def is_there(self) -> bool:
        """Tell whether what has its name is still this socket."""
        with suppress(OSError):
            return _identity(self.path) == self._made
        return False

    def close(self) -> None:
        """Remove it, unless something else is in its place, and give it free."""
        self.listening.close()
        with suppress(OSError):
            if _identity(self.path) == self._made:
                self.path.unlink()
        self._unlock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _locked(path: Path) -> int:
    """Lock a file of our own; nobody removes it, for two could then hold two locks of one name."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno == errno.EWOULDBLOCK:
            raise SocketUnavailable("another process uses it") from None
        raise
    return descriptor


def _remove_dead(path: Path) -> None:
    """Remove a socket at which nobody listens any more; nothing else is ever removed."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise SocketUnavailable(_NO_SOCKET)
    if not is_dead(path):
        raise SocketUnavailable("another process listens at it")
    path.unlink()


def obstacle_to(path: Path) -> str:
    """Say why a socket could not be made here, as far as that shows without making anything; empty if it could."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return _NO_SOCKET
    except FileNotFoundError:
        pass
    except OSError as error:
        return error.strerror or "unreadable"
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not nearest.is_dir():
        return os.strerror(errno.ENOTDIR)
    return "" if os.access(nearest, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def is_dead(path: Path) -> bool:
    """Tell whether nobody listens at a socket; raises OSError where that cannot be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            return False
        return False


def _bound(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The kernel makes the file under this mask: there is no moment in which others could open it.
    mask = os.umask(0o177)
    try:
        listening.bind(os.fspath(path))
    except BaseException:
        listening.close()
        raise
    finally:
        os.umask(mask)
    listening.setblocking(False)  # noqa: FBT003 -- the standard library's signature
    return listening


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
