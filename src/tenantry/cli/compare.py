"""`tenantry compare`: the proof before a cut-over."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TextIO

import click

from tenantry.cli.asking import INPUT_HELP, is_base_url, question, wire_body
from tenantry.cli.options import SettingsSource, settings_options
from tenantry.cli.output import output_option, print_document, print_table
from tenantry.cli.reading import snapshot_now
from tenantry.config.settings import Settings
from tenantry.core.answer import make_answer, parameter_sets
from tenantry.core.comparison import Comparison
from tenantry.core.comparison import compare as differences_between
from tenantry.core.errors import InvalidAnswer, TenantryError, quoted
from tenantry.core.index import SnapshotIndex
from tenantry.core.mapping import RowMapping
from tenantry.core.selection import parse_selection
from tenantry.core.steps import at_once
from tenantry.service.answering import PluginRequest


class PluginUnreachable(TenantryError):
    """The other plugin could not be asked."""

    remedy = "Check the URL, the token and that it runs."


def _base_url(_: click.Context, __: click.Parameter, given: str) -> str:
    if not is_base_url(given):
        raise click.BadParameter(f"{quoted(given)} is not the base URL of a plugin, such as http://plugin.argocd:8080")
    return given


def _token(_: click.Context, __: click.Parameter, file: TextIO | None) -> str | None:
    if file is None:
        return None
    try:
        with file:
            return file.read().strip()
    except UnicodeDecodeError:
        raise click.BadParameter("what the file holds is not text") from None


@click.command()
@click.option(
    "--against",
    required=True,
    metavar="URL",
    callback=_base_url,
    help="Base URL of the other plugin, as in its ConfigMap.",
)
@click.option("--application-set", default="compare", show_default=True, help="The name to ask under.")
@click.option("--input", "given", metavar="JSON", help=INPUT_HELP)
@click.option(
    "--token-file", type=click.File(), callback=_token, help="The other plugin's token; the default is AUTH_TOKEN."
)
@click.argument("pairs", nargs=-1, metavar="[FIELD=VALUE]...")
@settings_options
@output_option
def compare(
    against: str,
    application_set: str,
    given: str | None,
    token_file: str | None,
    pairs: tuple[str, ...],
    source: SettingsSource,
    form: str,
) -> None:
    """Ask another plugin what an ApplicationSet would ask, and show where tenantry would answer differently.

    Our side is a read of its own. Ends with 0 when nothing differs, with 1 and the differences when something does.
    Fields that only tenantry has are listed, not counted. Values are told as Argo CD renders them: what is no text,
    such as a number, differs from text and is shown with its type.

    \b
    Example:
      AUTH_TOKEN=… DB_HOST=db tenantry compare --against http://plugin.argocd:8080
    """
    request = question(application_set, pairs, given)
    settings = source.load()
    token = token_file if token_file is not None else settings.tokens.value and settings.tokens.value.reveal()
    found = asyncio.run(_compared(settings, request, against, token or ""))
    _print(found, form, against)
    if found.differences:
        raise SystemExit(1)


async def _compared(settings: Settings, request: PluginRequest, against: str, token: str) -> Comparison:
    snapshot = await snapshot_now(settings)
    selection = parse_selection(request.parameters, snapshot.vocabulary, request.application_set)
    ours = parameter_sets(at_once(make_answer(SnapshotIndex(snapshot), selection)).body)
    theirs = await _their_answer(against, token, wire_body(request))
    return differences_between(ours, theirs, _id_field(snapshot.mapping))


def _id_field(mapping: RowMapping) -> str:
    """Return the field that holds the id, whatever it is called."""
    served = [this.name for this in mapping.fields if this.column.name == mapping.shape.id]
    if not served:
        raise click.UsageError(
            f"'{mapping.shape.id}' (source.id) is not among source.parameters: nothing to match tenants by."
        )
    return served[0]


async def _their_answer(url: str, token: str, body: bytes) -> list[dict[str, object]]:
    import httpx2

    address = f"{url}{'' if url.endswith('/') else '/'}api/v1/getparams.execute"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:
            answer = await client.post(address, headers=headers, content=body)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise PluginUnreachable(f"The other plugin could not be asked ({type(error).__name__}).") from error
    if not answer.is_success:
        raise PluginUnreachable(f"The other plugin answered with status {answer.status_code}.")
    try:
        return parameter_sets(answer.content)
    except InvalidAnswer as error:
        raise PluginUnreachable(f"The other plugin's answer cannot be read: {error.what}") from error


def _print(found: Comparison, form: str, against: str) -> None:
    if form != "table":
        print_document({"against": against, **_document(found)}, form)
        return
    if found.differences:
        print_table(("tenant", "field", "ours", "theirs"), [asdict(difference) for difference in found.differences])
    if found.only_ours:
        click.echo(f"Only tenantry has: {', '.join(found.only_ours)} (not counted).")
    number = len(found.differences)
    click.echo(f"{found.tenants} tenants on both sides, {number or 'no'} difference{'' if number == 1 else 's'}.")


def _document(found: Comparison) -> dict[str, object]:
    return {
        "tenants": found.tenants,
        "differences": [asdict(difference) for difference in found.differences],
        "only_ours": list(found.only_ours),
    }
