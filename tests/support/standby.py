"""A streaming standby of a real PostgreSQL, as far behind as is wanted."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.support.postgres import PASSWORD, Database, PostgresServer, binaries
from tests.support.processes import end, free_port, server_user, start
from tests.support.waiting import eventually


class Standby:
    """A hot standby that applies what its primary did so many seconds later."""

    def __init__(self, folder: Path, primary: PostgresServer, delay: float) -> None:
        """Copy `primary`, which runs."""
        self.port = free_port()
        self._primary = primary
        self._data, self._log = folder / "data", folder / "postgres.log"
        self._delay = delay
        self._user = server_user()
        folder.mkdir(parents=True, exist_ok=True)
        if self._user:
            shutil.chown(folder, self._user)
        url = f"host=127.0.0.1 port={primary.port} user=postgres password='{PASSWORD}'"
        command = [str(binaries() / "pg_basebackup"), "-D", str(self._data), "-R", "-X", "stream", "-c", "fast"]
        made = start([*command, "-d", url], self._log, user=self._user)
        if made.wait(120):
            raise RuntimeError(f"pg_basebackup failed: {self._log.read_text()}")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "hot_standby": "on",
            "recovery_min_apply_delay": f"{round(self._delay * 1000)}ms",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._process = start(
            [str(binaries() / "postgres"), "-D", str(self._data), *arguments], self._log, user=self._user
        )
        eventually(lambda: self._primary.execute("SELECT 1 FROM pg_stat_replication"), within=60, what="The standby")

    def url(self, database: Database) -> str:
        """Return the URL of a database of the primary, at the standby."""
        return database.url(port=self.port)

    @contextlib.contextmanager
    def held_still(self, database: Database) -> Iterator[None]:
        """Apply nothing while this lasts: it is behind for as long as somebody takes to look."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
            try:
                yield
            finally:
                connection.execute("SELECT pg_wal_replay_resume()")

    def stop(self) -> None:
        """Stop."""
        if self._process is not None:
            end(self._process, signal.SIGINT)
            self._process = None
