"""A real PgBouncer in transaction mode."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg

from tests.support.postgres import PASSWORD, Database
from tests.support.processes import end, free_port, server_user, start
from tests.support.waiting import eventually


class PgBouncer:
    """A pooler in front of one database, or of a proxy on `port` before it."""

    def __init__(
        self, folder: Path, database: Database, logins: Mapping[str, str] | None = None, port: int = 0
    ) -> None:
        """Write its configuration."""
        self.port = free_port()
        self._database = database
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        users = folder / "users.txt"
        known = {"postgres": PASSWORD, **(logins or {})}
        users.write_text("".join(f'"{user}" "{password}"\n' for user, password in known.items()))
        self._config = folder / "pgbouncer.ini"
        self._config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={port or database.server.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = md5\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = 3\n"
            "server_login_retry = 0.2\nserver_connect_timeout = 2\nquery_wait_timeout = 2\n"
        )
        user = server_user()
        if user:
            for path in (folder, users, self._config):
                shutil.chown(path, user)

    def start(self) -> None:
        """Start and wait until a query passes."""
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        log = self._folder / "pgbouncer.log"
        self._process = start([program, str(self._config)], log, user=server_user())
        eventually(self._passes, what="PgBouncer")

    def _passes(self) -> bool:
        url = self._database.url(port=self.port)
        with psycopg.connect(url, connect_timeout=5, prepare_threshold=None) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            end(self._process)
            self._process = None
