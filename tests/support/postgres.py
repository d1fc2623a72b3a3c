"""A real PostgreSQL: one server for a run of tests, a fresh database for each."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.support.processes import Program, free_port, server_user, start
from tests.support.waiting import eventually

SAMPLE = Path(__file__).parents[2] / "examples" / "tutorial" / "tenants.sql"
PASSWORD = "pass word/with:odd@characters%"
TEMPLATE = "tutorial"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs; TENANTRY_TEST_POSTGRES_BIN chooses another."""
    chosen = os.environ.get("TENANTRY_TEST_POSTGRES_BIN")
    if chosen:
        return Path(chosen)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    if found is None:
        raise RuntimeError("PostgreSQL is not installed: `make test` installs it.")
    return Path(found).parent


class PostgresServer:
    """A server of our own on a loopback port, with passwords, that can be stopped, killed and started again."""

    def __init__(self, folder: Path, *, max_connections: int = 100) -> None:
        """Make a cluster in `folder`; it is not started yet."""
        self.port = free_port()
        self._user = server_user()
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._bin = binaries()
        folder.mkdir(parents=True, exist_ok=True)
        self._initdb(folder)
        self.program = Program(self._command(max_connections), self._log, user=self._user)

    def _initdb(self, folder: Path) -> None:
        password = folder / "password"
        password.write_text(PASSWORD)
        if self._user:
            for path in (folder, password):
                shutil.chown(path, self._user)
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres", "-A", "scram-sha-256"]
        made = start([*command, f"--pwfile={password}", "-E", "UTF8", "--locale=C", "-N"], self._log, user=self._user)
        if made.wait(120):
            raise RuntimeError(f"initdb failed: {self._log.read_text()}")

    def _command(self, max_connections: int) -> list[str]:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": max_connections,
            "superuser_reserved_connections": 2,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._data), *arguments]

    def start(self) -> None:
        """Start and wait until it takes connections."""
        self.program.begin()
        eventually(lambda: self.execute("SELECT true"), within=60, what="PostgreSQL")

    @property
    def running(self) -> bool:
        """Tell whether it was started and neither stopped nor killed."""
        return self.program.is_begun

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT is a fast shutdown, SIGQUIT an immediate one."""
        self.program.end(how)

    def kill(self) -> None:
        """Kill it without a word, and its back ends with it."""
        self.program.kill()

    def connect(
        self, database: str = "postgres", user: str = "postgres", password: str = PASSWORD
    ) -> psycopg.Connection:
        """Connect, with autocommit."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database,
            user=user,
            password=password,
            autocommit=True,
            connect_timeout=5,
        )

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as superuser and return its rows."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self, template: str = TEMPLATE) -> Database:
        """Return a fresh database made from a template, by default the tutorial's."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return Database(self, name)

    def make_template(self) -> None:
        """Load the tutorial's table and rows once."""
        self.execute(f'CREATE DATABASE "{TEMPLATE}"')
        self.execute(SAMPLE.read_text(), TEMPLATE)


class Database:
    """A database of one test."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        """Wrap a database that exists."""
        self.server = server
        self.name = name

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as superuser and return its rows."""
        return self.server.execute(statement, self.name)

    def url(self, user: str = "postgres", password: str = PASSWORD, port: int | None = None) -> str:
        """Return the URL for a user, directly or through what listens on `port`."""
        secret = f"{quote(user)}:{quote(password, safe='')}"
        return f"postgresql://{secret}@127.0.0.1:{port or self.server.port}/{self.name}"

    def tutorial_environment(
        self, port: int | None = None, user: str = "postgres", password: str = PASSWORD
    ) -> dict[str, str]:
        """Return the variables of the tutorial for this database."""
        return {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(port or self.server.port),
            "DB_NAME": self.name,
            "DB_USER": user,
            "DB_PASSWORD": password,
        }

    def create_reader(self) -> tuple[str, str]:
        """Create a role that may only read the table, and return its name and password."""
        role, password = f"reader_{uuid.uuid4().hex[:8]}", "reader's secret"
        self.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'reader''s secret'")
        self.execute(f"GRANT SELECT ON organization TO {role}")
        return role, password
