"""`tenantry demo`: the main job on sample data, in one command."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click
import msgspec

from tenantry.cli.output import output_option, print_document, print_table
from tenantry.core.errors import ConfigurationError, NoSnapshot, quoted

if TYPE_CHECKING:
    import httpx2

TENANTS = (
    ("acme-corp", "active"),
    ("beta-solutions", "de-provisioned"),
    ("gamma-industries", "trial"),
    ("delta-technologies", "inactive"),
    ("echo-innovations", "active"),
    ("foxtrot-consulting", "de-provisioned"),
    ("global-tech", "trial"),
    ("horizon-enterprises", "inactive"),
    ("innova-systems", "active"),
    ("jupiter-networks", "trial"),
)
"""The sample tenants and their states."""

_TABLE = """
CREATE TABLE IF NOT EXISTS organization (
    id INTEGER PRIMARY KEY,
    tenant VARCHAR(255) NOT NULL UNIQUE,
    status VARCHAR(50) NOT NULL
)
"""


@click.command()
@click.option("--once", is_flag=True, help="Print the answer and end.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("tenantry-data"), show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=4355, show_default=True, help="0 takes any free port.")
@output_option
def demo(*, once: bool, data_dir: Path, port: int, form: str) -> None:
    """Serve ten sample tenants from an embedded database, and print the answer that Argo CD would get.

    Keeps serving on loopback until interrupted, so that you can change the data and ask again.

    \b
    Example:
      tenantry demo
      tenantry demo --once -o json
    """
    from tenantry.config.loading import load
    from tenantry.runtime import Service, run

    try:
        database, token = prepare(data_dir)
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = (
            f"The demo cannot keep its data in {quoted(str(data_dir))} ({reason}): give another folder as --data-dir."
        )
        raise ConfigurationError([problem]) from error
    environment = {
        "AUTH_TOKEN": token,
        "TENANTRY_SOURCE_URL": f"sqlite:///{quote(str(database))}",
        "TENANTRY_SERVER_ADDRESS": f"127.0.0.1:{port}",
        "TENANTRY_SERVER_DRAIN": "0s",
        "TENANTRY_SOURCE_STATE": "status",
        "TENANTRY_SOURCE_PARAMETERS": "tenant,status",
        "TENANTRY_LOG_LEVEL": "warning",
    }
    service = Service(load(None, environment, {"data.directory": str(data_dir)}), is_sample=True)

    async def show(bound: int) -> None:
        answer = await ask(bound, token)
        if form == "table":
            print_table(("tenant", "status"), answer)
        else:
            print_document({"output": {"parameters": answer}}, form)
        if once:
            service.stop()
        else:
            click.echo(_next_steps(bound, token, database), err=True)

    run(service.run(when_listening=show))


def prepare(data_dir: Path) -> tuple[Path, str]:
    """Make the database and the token of the demo, or take those of the last time."""
    data_dir.mkdir(parents=True, exist_ok=True)
    database, token_file = (data_dir / "demo.db").absolute(), data_dir / "demo-token"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(_TABLE)
        if not connection.execute("SELECT count(*) FROM organization").fetchone()[0]:
            connection.executemany("INSERT INTO organization (tenant, status) VALUES (?, ?)", TENANTS)
    if not token_file.exists():
        token_file.touch(mode=0o600)
        token_file.write_text(f"{secrets.token_urlsafe(24)}\n")
    return database, token_file.read_text().strip()


async def ask(port: int, token: str) -> list[dict[str, str]]:
    """Ask the running service over HTTP, as Argo CD does, once it is ready."""
    import httpx2

    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
        await _until_ready(client)
        answer = await client.post(
            "/api/v1/getparams.execute",
            headers={"Authorization": f"Bearer {token}"},
            content=msgspec.json.encode({"applicationSetName": "demo", "input": {"parameters": {}}}),
        )
        answer.raise_for_status()
        items: list[dict[str, str]] = answer.json()["output"]["parameters"]
        return items


async def _until_ready(client: httpx2.AsyncClient) -> None:
    """Wait for the first snapshot; raises NoSnapshot after half a minute."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 -- over HTTP there is no event
                await asyncio.sleep(0.02)
            return
    raise NoSnapshot


def _next_steps(port: int, token: str, database: Path) -> str:
    body = '{"applicationSetName": "active", "input": {"parameters": {"status": "active"}}}'
    return f"""
tenantry serves these tenants until you press Ctrl-C. Ask it yourself:

  curl http://127.0.0.1:{port}/api/v1/getparams.execute -H 'Authorization: Bearer {token}' -d '{body}'

Their table is in {database}; a change is served within two seconds.
The API is described at http://127.0.0.1:{port}/docs."""
