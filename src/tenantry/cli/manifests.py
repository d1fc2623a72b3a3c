"""`tenantry manifests`: what Argo CD needs, printed and ready to apply."""

from __future__ import annotations

from typing import Any

import click

from tenantry.cli.asking import question
from tenantry.cli.options import SettingsSource, settings_options
from tenantry.cli.output import MANIFEST_FORMATS, print_manifests
from tenantry.config.settings import Settings
from tenantry.core.manifests import PODINFO, Known, Origin, Wanted, application_sets
from tenantry.core.rights import rights
from tenantry.core.sharding import MOST_SHARDS
from tenantry.core.trigger import trigger_sql

_DEFAULT = Wanted()
_MOST_SECONDS = 86400


manifests_output = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(MANIFEST_FORMATS),
    default="yaml",
    show_default=True,
    help="How to print.",
)


@click.group()
def manifests() -> None:
    """Print manifests for Argo CD; changes nothing.

    \b
    Example:
      tenantry manifests applicationset status=active | kubectl apply -f -
    """


@manifests.command("applicationset")
@click.argument("pairs", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--name", default=_DEFAULT.name, show_default=True, help="The ApplicationSet's name.")
@click.option("--namespace", default=_DEFAULT.namespace, show_default=True, help="Where it is.")
@click.option(
    "--plugin-configmap", default=_DEFAULT.plugin_configmap, show_default=True, help="Where Argo CD finds tenantry."
)
@click.option(
    "--shards",
    type=click.IntRange(1, MOST_SHARDS),
    help="Print so many ApplicationSets that share the tenants: NAME-0, NAME-1 and so on.",
)
@click.option("--selector", metavar="TEXT", help="Only tenants that this label selector selects.")
@click.option(
    "--view", "views", metavar="NAME", multiple=True, help="Only tenants of this view; several must all hold."
)
@click.option(
    "--go-template/--no-go-template",
    default=True,
    show_default=True,
    help="Without, a pass of Argo CD takes an eighth of the time, and templates have no functions.",
)
@click.option("--prefix", default="", help="What each Application's name begins with.")
@click.option("--repo-url", metavar="URL", help=f"The repository to deploy from.  [default: {PODINFO.repo_url}]")
@click.option("--chart", metavar="NAME", help=f"A Helm repository's chart.  [default: {PODINFO.chart}]")
@click.option("--path", metavar="FOLDER", help="In the place of --chart: a Git repository's folder.")
@click.option(
    "--target-revision",
    metavar="REVISION",
    help=f"The chart's version, or Git's revision.  [default: {PODINFO.target_revision}, or HEAD of Git]",
)
@click.option("--project", default=_DEFAULT.project, show_default=True, help="Argo CD's project.")
@click.option("--dest-server", metavar="URL", default=_DEFAULT.dest_server, show_default=True, help="The cluster.")
@click.option("--dest-namespace", metavar="NAME", help="One namespace for all.  [default: one per Application]")
@click.option(
    "--requeue-after",
    metavar="SECONDS",
    type=click.IntRange(1, _MOST_SECONDS),
    default=_DEFAULT.requeue_after,
    show_default=True,
    help="How often Argo CD asks by itself.",
)
@click.option(
    "--preserve-resources-on-deletion",
    "preserve_resources",
    is_flag=True,
    help="An Application that is deleted leaves what it deployed.",
)
@click.option(
    "--confirm-deletion",
    is_flag=True,
    help="What an Application deployed is deleted once somebody confirmed it in Argo CD.",
)
@settings_options
@manifests_output
def applicationset(
    pairs: tuple[str, ...],
    source: SettingsSource,
    form: str,
    repo_url: str | None,
    chart: str | None,
    path: str | None,
    target_revision: str | None,
    **options: Any,  # noqa: ANN401 -- the other fields of Wanted, as click hands them in
) -> None:
    """Print an ApplicationSet with an Application for each tenant.

    An Application is named by the field tenantName (the setting naming.name), and its label tenantry.io/tenant is
    tenantLabel (naming.label). FIELD=VALUE and the options below say which tenants it has; without, all of them.

    \b
    Example:
      tenantry manifests applicationset status=active status=trial
      tenantry manifests applicationset --shards 16 --no-go-template --name prod
      tenantry manifests applicationset --repo-url https://git.example.com/apps.git --path tenant
    """
    wanted = Wanted(input=_input(pairs), origin=_origin(repo_url, chart, path, target_revision), **options)
    print_manifests(application_sets(wanted, _known(source.load())), form)


@manifests.command("trigger")
@click.option(
    "--table", metavar="NAME", help="The table; of a view or query, one that it reads.  [default: source.table]"
)
@settings_options
def trigger(source: SettingsSource, table: str | None) -> None:
    """Print SQL that makes PostgreSQL tell of each change of a table, at once and without saying what changed.

    Who owns the table runs it; `tenantry check` says whether it is heard.

    \b
    Example:
      tenantry manifests trigger | psql "$DATABASE_URL"
    """
    settings = source.load()
    url = settings.source.url.reveal() if settings.source.url is not None else "postgresql:"
    if not url.startswith("postgres"):
        raise click.UsageError("The trigger is for PostgreSQL, and source.url is of another database.")
    if table is None and settings.source.query is not None:
        raise click.UsageError("Name a table that source.query reads: --table.")
    click.echo(trigger_sql(table or settings.source.table, settings.source.channel), nl=False)


@manifests.command("rbac")
@click.option("--name", default="tenantry", show_default=True, help="The ServiceAccount of tenantry's pods.")
@click.option("--namespace", default="tenantry", show_default=True, help="Where it is.")
@settings_options
@manifests_output
def rbac(source: SettingsSource, name: str, namespace: str, form: str) -> None:
    """Print what lets tenantry tell Argo CD of changes: to see ApplicationSets, and to set one annotation of theirs.

    A Role for each of kubernetes.namespaces, and an admission policy, without which whoever may set an annotation may
    change the rest, too. Needs Kubernetes 1.30.

    \b
    Example:
      tenantry manifests rbac --namespace tenantry | kubectl apply -f -
    """
    print_manifests(rights(name, namespace, source.load().kubernetes.namespaces), form)


def _input(pairs: tuple[str, ...]) -> dict[str, object]:
    """Return the input parameters; what only looks like a boolean is one where that is meant."""
    booleans = {"true": True, "false": False}
    given = question("", pairs, None).parameters
    return {name: booleans.get(str(value), value) if name == "allowEmpty" else value for name, value in given.items()}


def _origin(repo_url: str | None, chart: str | None, path: str | None, revision: str | None) -> Origin:
    """Return what to deploy; raises UsageError where a part of it is missing or does not fit."""
    if repo_url is None:
        if chart is None and path is None and revision is None:
            return PODINFO
        raise click.UsageError("--chart, --path and --target-revision need --repo-url.")
    if (chart is None) == (path is None):
        raise click.UsageError("With --repo-url, give --chart or --path, one of them.")
    if chart is not None and revision is None:
        raise click.UsageError("With --chart, give its version as --target-revision.")
    return Origin(repo_url, revision if revision is not None else "HEAD", chart=chart or "", path=path or "")


def _known(settings: Settings) -> Known:
    from tenantry.runtime import naming_of

    naming, parameters = naming_of(settings.naming), settings.source.parameters
    fields = None if parameters is None else (*parameters, *naming.fields)
    return Known(naming, [name for name, _ in settings.views], fields)
