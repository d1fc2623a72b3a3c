"""The entry point: commands, and what their ends mean.

Exit codes: 0 done, 1 a finding or a refusal, 2 wrong use, 3 not reachable.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import click

import tenantry
from tenantry.cli.check import check
from tenantry.cli.compare import PluginUnreachable, compare
from tenantry.cli.demo import demo
from tenantry.cli.guard import guard
from tenantry.cli.manifests import manifests
from tenantry.cli.query import query
from tenantry.cli.reaching import ServiceUnreachable
from tenantry.cli.serve import serve
from tenantry.cli.status import status
from tenantry.cli.tenants import tenants
from tenantry.core.errors import ConfigurationError, SourceError, StateError, TenantryError

_EPILOG = "Exit codes: 0 done, 1 a finding or a refusal, 2 wrong use, 3 not reachable."


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(tenantry.__version__, prog_name="tenantry")
def commands() -> None:
    """Turn the tenants in your database into Argo CD Applications.

    tenantry answers the ApplicationSet plugin generator. Begin with `tenantry demo`; then `tenantry check` and
    `tenantry query` on your own database, `tenantry compare` against what you run today, and `tenantry serve`.
    `tenantry manifests` prints what Argo CD needs, `tenantry status` shows how the running service stands, `tenantry
    tenants` asks it about a tenant, `tenantry guard` looks at the removals that it holds and approves them.
    """


for command in (serve, demo, check, query, compare, manifests, status, tenants, guard):
    commands.add_command(command)


def main() -> None:
    """Run the command line and end with its code."""
    for number, word in enumerate(sys.argv[1:], 1):
        if not word.isascii() and not _is_text(word):
            sys.stderr.write(f"Error: Word {number} of the command is not UTF-8.\n")
            sys.exit(2)
    try:
        commands()
    except TenantryError as error:
        _end(error)
    except BaseExceptionGroup as group:
        ours, others = group.split(TenantryError)
        if ours is None or others is not None:
            raise
        _end(_first(ours))


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first(group: BaseExceptionGroup[TenantryError]) -> TenantryError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _end(error: TenantryError) -> NoReturn:
    click.echo(error.message, err=True)
    sys.exit(exit_code(error))


def exit_code(error: TenantryError) -> int:
    """Return the code that an error ends with."""
    match error:
        case ConfigurationError():
            return 2
        case SourceError() | StateError() | PluginUnreachable() | ServiceUnreachable():
            return 3
    return 1
