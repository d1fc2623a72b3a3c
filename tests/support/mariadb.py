"""A real MariaDB: one server for a run of tests, a fresh database for each."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import threading
import uuid
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import asyncmy

from tests.support.processes import end, free_port, server_user, start
from tests.support.waiting import eventually

T = TypeVar("T")

SAMPLE = Path(__file__).parents[2] / "examples" / "tutorial" / "tenants.sql"
PASSWORD = "pass word/with:odd@characters%ä€"
PATIENCE = 30.0
"""Seconds after which a statement of a test has failed."""


def program(name: str, former: str) -> str:
    """Return the path of one of MariaDB's programs, by its name or its former one."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = shutil.which(name, path=path) or shutil.which(former, path=path)
    if found is None:
        raise RuntimeError("MariaDB is not installed: `make test` installs it.")
    return found


class Loop:
    """An event loop in a thread of its own, for a driver that knows no other way."""

    def __init__(self) -> None:
        """Start it."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a piece of work."""
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, PATIENCE), self._loop).result()

    def stop(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Session:
    """A connection of a test, which may hold locks."""

    def __init__(self, loop: Loop, **login: Any) -> None:  # noqa: ANN401 -- what the driver takes
        """Connect, with autocommit."""
        self._loop = loop
        self._connection = loop.run(_connected(**login))

    def execute(self, statements: str) -> list[tuple[object, ...]]:
        """Run one statement or several, and return the rows of the last."""
        return self._loop.run(self._executed(statements))

    async def _executed(self, statements: str) -> list[tuple[object, ...]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(statements)
            rows = await cursor.fetchall() if cursor.description else ()
            while await cursor.nextset():
                rows = await cursor.fetchall() if cursor.description else ()
        return [tuple(row) for row in rows]

    def close(self) -> None:
        """Hang up."""
        self._loop.run(self._connection.ensure_closed())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _connected(**login: Any) -> asyncmy.Connection:  # noqa: ANN401 -- what the driver takes
    return await asyncmy.connect(autocommit=True, connect_timeout=5, **login)


class MariaServer:
    """A server of our own on a loopback port, with passwords, that can be stopped, killed and started again."""

    def __init__(self, folder: Path, *, tls: bool = False, options: Mapping[str, object] | None = None) -> None:
        """Make a data directory in `folder`, and a certificate for it; the server is not started yet."""
        self.port = free_port()
        self.folder = folder
        self._user = server_user()
        self._data = folder / "data"
        self._log = folder / "mariadb.log"
        self._options = {
            "port": self.port,
            "bind-address": "127.0.0.1",
            "socket": folder / "socket",
            "pid-file": folder / "pid",
            # A server that starts removes temporary tables, also those of another one with the same folder.
            "tmpdir": folder / "temporary",
            "max-connections": 100,
            "innodb-buffer-pool-size": "32M",
            "innodb-fast-shutdown": 2,
            **(options or {}),
        }
        self.certificate = folder / "certificate.pem"
        self._process: subprocess.Popen[bytes] | None = None
        self._loop: Loop | None = None
        for made in (folder, folder / "temporary"):
            made.mkdir(parents=True, exist_ok=True)
            if self._user:
                shutil.chown(made, self._user)
        if tls:
            self._certify()
        self._install()

    def _certify(self) -> None:
        """Make a certificate of its own for 127.0.0.1."""
        key = self.folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests"]
        files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(self.certificate)]
        subprocess.run([*command, *files], check=True, capture_output=True)
        if self._user:
            shutil.chown(key, self._user)
        self._options |= {"ssl-cert": self.certificate, "ssl-key": key}

    def _install(self) -> None:
        command = [program("mariadb-install-db", "mysql_install_db"), "--no-defaults", f"--datadir={self._data}"]
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        options.append(f"--tmpdir={self._options['tmpdir']}")
        made = start([*command, *options, "--innodb-log-file-size=8M"], self._log, user=self._user)
        if made.wait(120):
            raise RuntimeError(f"mariadb-install-db failed: {self._log.read_text()}")
        # The server reads this file in a character set of its own choice.
        stored = hashlib.sha1(hashlib.sha1(PASSWORD.encode()).digest()).hexdigest().upper()
        first = self.folder / "first.sql"
        first.write_text(
            f"CREATE USER admin@'127.0.0.1' IDENTIFIED BY PASSWORD '*{stored}';\n"
            "GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        if self._user:
            shutil.chown(first, self._user)
        self._first = first

    def start(self) -> None:
        """Start and wait until it takes connections."""
        options = [f"--{name}={value}" for name, value in self._options.items()]
        if self._first.exists():
            options.append(f"--init-file={self._first}")
        command = [program("mariadbd", "mysqld"), "--no-defaults", f"--datadir={self._data}", "--skip-name-resolve"]
        self._process = start([*command, *options], self._log, user=self._user)
        if self._loop is None:
            self._loop = Loop()
        eventually(lambda: self.execute("SELECT 1"), within=60, what=f"MariaDB ({self._log})")
        self._first.unlink(missing_ok=True)

    @property
    def running(self) -> bool:
        """Tell whether it was started and neither stopped nor killed."""
        return self._process is not None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it; SIGKILL is without a word."""
        if self._process is not None:
            end(self._process, how)
            self._process = None

    def close(self) -> None:
        """Stop it for good."""
        self.stop()
        if self._loop is not None:
            self._loop.stop()
            self._loop = None

    def connect(self, database: str | None = None, user: str = "admin", password: str = PASSWORD) -> Session:
        """Connect, with autocommit."""
        assert self._loop is not None
        secret = password.encode()
        return Session(self._loop, host="127.0.0.1", port=self.port, user=user, password=secret, database=database)

    def execute(self, statements: str, database: str | None = None) -> list[tuple[object, ...]]:
        """Run statements as superuser and return the rows of the last."""
        with self.connect(database) as session:
            return session.execute(statements)

    def create_database(self) -> MariaDatabase:
        """Return a fresh database with the tutorial's table."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        self.execute(SAMPLE.read_text(), name)
        return MariaDatabase(self, name)


class MariaDatabase:
    """A database of one test."""

    def __init__(self, server: MariaServer, name: str) -> None:
        """Wrap a database that exists."""
        self.server = server
        self.name = name

    def execute(self, statements: str) -> list[tuple[object, ...]]:
        """Run statements as superuser and return the rows of the last."""
        return self.server.execute(statements, self.name)

    def connect(self) -> Session:
        """Connect as superuser, to hold something."""
        return self.server.connect(self.name)

    def url(self, user: str = "admin", password: str = PASSWORD, port: int | None = None, scheme: str = "mysql") -> str:
        """Return the URL for a user, directly or through what listens on `port`."""
        secret = f"{quote(user)}:{quote(password, safe='')}"
        return f"{scheme}://{secret}@127.0.0.1:{port or self.server.port}/{self.name}"

    def create_reader(self) -> tuple[str, str]:
        """Create a user that may only read the table, and return its name and password."""
        user, password = f"reader_{uuid.uuid4().hex[:8]}", "reader's secret"
        self.execute(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'reader''s secret'")
        self.execute(f"GRANT SELECT ON {self.name}.organization TO {user}@'127.0.0.1'")
        return user, password
