"""`tenantry serve`."""

from __future__ import annotations

import click

from tenantry.cli.options import SettingsSource, settings_options


@click.command()
@settings_options
def serve(source: SettingsSource) -> None:
    """Answer Argo CD's ApplicationSet controller until SIGTERM.

    Settings come from a file, the environment and flags, the later over the former. The tutorial's environment
    (AUTH_TOKEN and DB_*) is enough.

    \b
    Example:
      AUTH_TOKEN=… DB_HOST=db DB_PASSWORD=… tenantry serve
      tenantry serve --config tenantry.yaml
    """
    from tenantry.runtime import Service, run

    run(Service(source.load()).run())
