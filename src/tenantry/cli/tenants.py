"""`tenantry tenants`: which tenants the running service knows, and why each is served or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from tenantry.cli.output import number_in_digits, output_option, plain, print_document, print_table
from tenantry.cli.reaching import AdminApi, ServiceUnreachable, reaching_options
from tenantry.core.sharding import MOST_SHARDS
from tenantry.service.overview import MOST_OF_A_PAGE

Model = TypeVar("Model")

_COLUMNS = ("id", "state", "served", "name", "quarantined")
_NULL = "(NULL)"


class _Page(msgspec.Struct):
    """A page of tenants, each as the bytes that came: no digit of a number is lost."""

    snapshot: dict[str, Any]
    tenants: list[msgspec.Raw]
    next: str | None


class _Row(msgspec.Struct):
    """A row that cannot be used."""

    row: int
    column: str | None
    reason: str
    tenant: str | None


class _Rows(msgspec.Struct):
    rows: list[_Row]
    next: int | None


class _Application(msgspec.Struct):
    application_set: str
    namespace: str
    name: str
    sync: str
    health: str
    being_deleted: bool


class _Found(msgspec.Struct):
    snapshot: dict[str, Any]
    tenant: _Tenant
    applications: list[_Application] | None


class _Quarantine(msgspec.Struct):
    reason: str
    column: str | None
    since: str


class _Shard(msgspec.Struct):
    index: int
    count: int


class _Tenant(msgspec.Struct):
    """What of a tenant stands in a table."""

    id: str
    state: str | None
    served: bool
    why: str
    name: str | None
    label: str | None
    views: list[str]
    shards: list[_Shard]
    parameters: dict[str, msgspec.Raw] | None
    source_row: dict[str, str | None] | None
    quarantined: _Quarantine | None
    in_doubt: bool


_shards_option = click.option(
    "--shards",
    type=click.IntRange(1, MOST_SHARDS),
    metavar="N",
    help="Tell the part of each tenant of so many, besides the counts that ApplicationSets ask for.",
)


@click.group()
def tenants() -> None:
    """Look at the tenants of the running service, by its Unix socket or over TCP.

    \b
    Example:
      tenantry tenants list
      tenantry tenants show acme-corp
    """


@tenants.command("list")
@click.option("--state", metavar="STATE", help="Only those in this state.")
@click.option("--quarantined", is_flag=True, help="Only those whose row cannot be used.")
@_shards_option
@reaching_options
@output_option
def list_tenants(*, state: str | None, quarantined: bool, shards: int | None, api: AdminApi, form: str) -> None:
    """List the tenants that the running service knows, served or not, in order of id.

    With --quarantined, the table ends with the rows that are no known tenant's, since they have no usable id.

    \b
    Example:
      tenantry tenants list --state trial
      tenantry tenants list --quarantined -o json
    """
    page = _all(api, _only(state=state, quarantined="true" if quarantined else None, shards=shards))
    if form == "table":
        print_table(_COLUMNS, [_line(_read(api, one, _Tenant)) for one in page.tenants])
        if quarantined:
            _print_nameless(api)
    else:
        _print_as_it_came(msgspec.json.encode(page), form)
    _print_facts(page.snapshot, len(page.tenants))


@tenants.command("show")
@click.argument("tenant", metavar="ID")
@_shards_option
@reaching_options
@output_option
def show_tenant(*, tenant: str, shards: int | None, api: AdminApi, form: str) -> None:
    """Show one tenant: whether it is served and why, its names, views and shards, its parameters and their row.

    With access to the cluster also its Applications, and how they are. Ends with 1 where there is no such tenant, and
    names the nearest.

    \b
    Example:
      tenantry tenants show acme-corp
      tenantry tenants show acme-corp --shards 16
    """
    body = api.get(f"tenants/{_encoded(tenant)}", _only(shards=shards))
    answer = _read(api, body, _Found)
    if form == "table":
        _print_tenant(answer.tenant, answer.applications)
    else:
        _print_as_it_came(body, form)
    _warn_of(answer.snapshot)


def _encoded(tenant: str) -> str:
    try:
        return quote(tenant, safe="").replace(".", "%2E")
    except UnicodeEncodeError:
        raise click.UsageError("ID is not UTF-8 text, so no tenant has it.") from None


def _print_tenant(found: _Tenant, applications: Sequence[_Application] | None) -> None:
    print_table(_COLUMNS, [_line(found)])
    click.echo(plain(found.why))
    if found.quarantined:
        click.echo(f"Quarantined since {plain(found.quarantined.since)}.")
    _print_parts(found)
    for one in applications or ():
        states = [one.sync, one.health, "being deleted" if one.being_deleted else ""]
        told = ", ".join(state for state in states if state) or "new"
        click.echo(plain(f"Application {one.namespace}/{one.name} of {one.application_set}: {told}."))
    if found.parameters is not None:
        click.echo()
        print_table(
            ("field", "value"), [{"field": name, "value": _text(raw)} for name, raw in found.parameters.items()]
        )
    if found.source_row is not None:
        click.echo()
        rows = [{"column": name, "value": _NULL if text is None else text} for name, text in found.source_row.items()]
        print_table(("column", "value"), rows)


def _only(**query: str | int | None) -> dict[str, str | int]:
    """Return what is given of a query."""
    return {name: value for name, value in query.items() if value is not None}


def _all(api: AdminApi, query: Mapping[str, str | int]) -> _Page:
    """Return all pages as one."""
    page = _page(api, {**query, "limit": MOST_OF_A_PAGE})
    revision, found = page.snapshot["revision"], page.tenants
    while page.next is not None:
        page = _page(api, {**query, "limit": MOST_OF_A_PAGE, "after": page.next})
        found += page.tenants
    if page.snapshot["revision"] != revision:
        click.echo("warning: The tenants changed while they were listed.", err=True)
    return _Page(page.snapshot, found, None)


def _print_nameless(api: AdminApi) -> None:
    """Print the rows that cannot be used and whose nobody knows."""
    after: int | None = 0
    while after is not None:
        page = _read(api, api.get("quarantine", {"limit": MOST_OF_A_PAGE, "after": after}), _Rows)
        for row in page.rows:
            if row.tenant is None:
                click.echo(plain(f"Row {row.row}{f', column {row.column!r},' if row.column else ''} {row.reason}."))
        after = page.next


def _page(api: AdminApi, query: Mapping[str, str | int]) -> _Page:
    return _read(api, api.get("tenants", query), _Page)


def _read(api: AdminApi, body: bytes | msgspec.Raw, kind: type[Model]) -> Model:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ServiceUnreachable(f"What answers at {api} is not tenantry, or another version of it.") from error


def _print_as_it_came(body: bytes, form: str) -> None:
    print_document(msgspec.Raw(body) if form == "json" else number_in_digits(body), form)


def _line(tenant: _Tenant) -> dict[str, object]:
    unusable = tenant.quarantined
    where = f"{unusable.column} " if unusable and unusable.column else ""
    return {
        "id": tenant.id,
        "state": tenant.state or "",
        "served": "yes" if tenant.served else "no",
        "name": tenant.name or "",
        "quarantined": f"{where}{unusable.reason}" if unusable else "in doubt" if tenant.in_doubt else "",
    }


def _print_parts(tenant: _Tenant) -> None:
    """Print what a tenant is called and belongs to, a line for each thing that there is."""
    told = {
        "Label": tenant.label,
        "Views": ", ".join(tenant.views),
        "Shards": ", ".join(f"{shard.index} of {shard.count}" for shard in tenant.shards),
    }
    for what, text in told.items():
        if text:
            click.echo(f"{what}: {plain(text)}")


def _text(raw: msgspec.Raw) -> object:
    """Return a text as it is, and all else as JSON."""
    return msgspec.json.decode(raw) if bytes(raw).startswith(b'"') else raw


def _print_facts(facts: Mapping[str, Any], shown: int) -> None:
    rows = facts["quarantined"]
    kinds = f"{facts['tenants']} served, {facts['retired']} retired, {rows} row{'' if rows == 1 else 's'} in quarantine"
    kinds += f", {facts['in_doubt']} in doubt" if facts["in_doubt"] else ""
    click.echo(f"{shown} shown. {kinds}; read {facts['age_seconds']:.0f} s ago.", err=True)
    _warn_of(facts)


def _warn_of(facts: Mapping[str, Any]) -> None:
    if facts["problem"]:
        click.echo(f"warning: ApplicationSets are not answered now. {plain(facts['problem'])}", err=True)
