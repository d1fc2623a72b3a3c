"""Facts of Argo CD that tenantry relies on, each asked of Argo CD's own packages with answers of a real service.

The facts are Go tests, in tests/e2e/controller/facts; each is a test here too, under its own name.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.build import SOURCES, built
from tests.support.postgres import PostgresServer
from tests.support.processes import free_port
from tests.support.service import TOKEN, RunningService

FACTS = sorted(
    name
    for path in (SOURCES / "facts").glob("*_test.go")
    for name in re.findall(r"^func (Test\w+)\(t \*testing\.T\)", path.read_text(), re.MULTILINE)
)
MISSPELT = b'{"applicationSetName": "facts", "input": {"parameters": {"statsu": "active"}}}'
TABLE = """
    DROP TABLE organization;
    CREATE TABLE organization (
        tenant text PRIMARY KEY, status text, members bigint, serial bigint, price numeric(9, 2), paid boolean,
        nothing text, note text, settings jsonb
    );
    INSERT INTO organization VALUES
        ('acme', 'active', 1000000, 9007199254740993, 1.50, true, NULL, '',
         '{"region": "eu", "limits": {"requests": 1234567}, "tags": ["a", "b"], "none": []}'),
        ('beta', 'active', 5, 1, 2.00, false, NULL,
         E'{{ .tenant }} {{tenant}} "quoted": <b>&\\nproject: admin',
         '{"region": "us", "tags": ["x", "y"], "only": "beta''s"}');
    INSERT INTO organization (tenant, status)
        SELECT 'bulk-' || to_char(number, 'FM000'), 'bulk' FROM generate_series(1, 300) AS number
"""


@pytest.fixture(scope="module")
def surroundings(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Run a service on a table with everything that is hard to render, and one that never finds its table."""
    database = postgres.create_database()
    database.execute(TABLE)
    folder = tmp_path_factory.mktemp("facts")
    config = folder / "tenantry.yaml"
    config.write_text("fields: {note: {type: text}}")
    environment = {"TENANTRY_SOURCE_URL": database.url(), "TENANTRY_CONFIG": str(config)}
    nowhere = {**database.tutorial_environment(), "DB_PORT": str(free_port())}
    with ExitStack() as running:
        service = running.enter_context(RunningService(folder, environment))
        waiting = RunningService(folder, nowhere)
        running.callback(waiting.stop)
        waiting.start(ready=False)
        replies = {
            "400": service.ask(body=MISSPELT),
            "401": service.ask(token="wrong"),
            "401_without": service.ask(headers={"Authorization": ""}),
            "404": service.ask(path="/elsewhere/api/v1/getparams.execute"),
            "503": waiting.ask(),
        }
        assert [f"{reply.status}" for reply in replies.values()] == [name[:3] for name in replies]
        yield {
            "TENANTRY_URL": f"http://127.0.0.1:{service.port}",
            "TENANTRY_WAITING_URL": f"http://127.0.0.1:{waiting.port}",
            "TENANTRY_TOKEN": TOKEN,
            **{f"TENANTRY_SAYS_{name}": json.loads(reply.body)["message"] for name, reply in replies.items()},
        }


@pytest.mark.parametrize("fact", FACTS)
def test_argo_cd_still_does_this(fact: str, surroundings: Mapping[str, str], tmp_path: Path) -> None:
    command = [str(built().facts), f"-test.run=^{fact}$", "-test.v", "-test.timeout=60s"]

    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **surroundings},
    )

    if run.returncode != 0 or f"--- PASS: {fact}" not in run.stdout:
        pytest.fail(f"{run.stdout}{run.stderr}", pytrace=False)
