"""`tenantry check`: find out before Argo CD does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import click

from tenantry.cli.options import SettingsSource, settings_options
from tenantry.cli.output import output_option, plain, print_document
from tenantry.config.loading import require_source, require_tokens
from tenantry.config.settings import Settings
from tenantry.core.errors import ConfigurationError, SourceError
from tenantry.core.snapshot import Snapshot
from tenantry.service.checking import Finding, check_cluster, check_source

_SETTINGS_REMEDY = "Correct the setting: `tenantry serve --help` lists all of them, with what each allows."


@click.command()
@settings_options
@output_option
def check(source: SettingsSource, form: str) -> None:
    """Probe configuration, tokens, database and rows; tell what to correct.

    Ends with 0, or with 1 when there is a finding. Names tenants, unlike log and answers: run it where the
    output is yours to read.

    \b
    Example:
      tenantry check --config tenantry.yaml
    """
    found = _found(source)
    if form == "table":
        _print(found)
    else:
        print_document(_document(found), form)
    if any(not finding.note for finding in found.findings):
        raise SystemExit(1)


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found out."""

    findings: Sequence[Finding]
    snapshot: Snapshot | None = None
    changes: str | None = None
    """How changes are heard of."""


def _found(source: SettingsSource) -> _Found:
    try:
        settings = source.load()
    except ConfigurationError as error:
        return _Found(_problems(error))
    findings = [*_required(settings), *_unresolved(settings), *_of_admin(settings), *_of_guard(settings)]
    if settings.source.url is None:
        return _Found(findings)
    probed = asyncio.run(_probed(settings))
    return replace(probed, findings=[*findings, *probed.findings])


def _required(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    for requirement in (require_source, require_tokens):
        try:
            requirement(settings)
        except ConfigurationError as error:
            findings += _problems(error)
    return findings


def _unresolved(settings: Settings) -> Iterator[Finding]:
    """Find tokens that are a reference to a Secret, which Kubernetes and Argo CD leave as it is if it leads nowhere."""
    for where, text in (
        ("AUTH_TOKEN (tokens.value)", settings.tokens.value.reveal() if settings.tokens.value else ""),
        ("The token in tokens.file", _text_of(settings.tokens.file)),
        ("TENANTRY_ADMIN_TOKEN", settings.admin.token.reveal() if settings.admin.token else ""),
        ("The token in admin.token_file", _text_of(settings.admin.token_file)),
    ):
        if text.strip().startswith("$"):
            yield Finding(
                f"{where} begins with '$': it is a Secret reference that nobody resolved.",
                "Give tenantry the token that the reference leads to; a plugin's must be the one that Argo CD sends.",
            )


def _of_admin(settings: Settings) -> Iterator[Finding]:
    """Find what would keep an operator out, which is a note, and what would let others in."""
    from tenantry.adapters.unix import obstacle_to
    from tenantry.runtime import tokens_of

    try:
        tokens_of(settings, lambda *_: None)
    except ConfigurationError as error:
        yield from (
            Finding(problem, "Make a new admin token, such as by `openssl rand -hex 32`.") for problem in error.problems
        )
    file = settings.admin.token_file
    if file is not None and not _text_of(file).strip():
        yield Finding(
            f"There is no admin token in '{plain(str(file))}' (admin.token_file).",
            "Put one there, such as by `openssl rand -hex 32`; until then there is no admin API over TCP.",
        )
    if why := obstacle_to(settings.admin_socket):
        yield Finding(
            f"The admin API's socket '{plain(str(settings.admin_socket))}' cannot be made ({why}).",
            "Tenants are served all the same; for `tenantry tenants`, give another directory as data.directory.",
            note=True,
        )


def _of_guard(settings: Settings) -> Iterator[Finding]:
    """Note what is set so that the guard does less than it could."""
    from tenantry.runtime.looseness import LOOSENESS_REMEDY, looseness

    for sentence in looseness(settings).values():
        yield Finding(sentence, LOOSENESS_REMEDY, note=True)


def _text_of(path: Path | None) -> str:
    """Return how a file begins; empty where it is none that could be read: the service tells that."""
    try:
        if path is None or not path.is_file():
            return ""
        with path.open(errors="replace") as file:
            return file.read(1000)
    except OSError:
        return ""


def _problems(error: ConfigurationError) -> list[Finding]:
    return [Finding(problem, _SETTINGS_REMEDY) for problem in error.problems]


async def _probed(settings: Settings) -> _Found:
    from tenantry.runtime import shape_of, source_of

    try:
        source = source_of(settings.source)
    except ConfigurationError as error:
        return _Found(_problems(error))
    notes = [Finding(note, "", note=True) for note in source.notes]
    try:
        snapshot, findings = await check_source(
            source, shape_of(settings), settings.source.read_timeout.total_seconds()
        )
        changes, more = (None, []) if snapshot is None else await _of_feed(settings)
        more += await _of_cluster(settings, snapshot)
        return _Found([*notes, *more, *findings], snapshot, changes)
    finally:
        await source.close()


async def _of_feed(settings: Settings) -> tuple[str | None, list[Finding]]:
    """Return how soon changes are heard of, and a note where that could be sooner."""
    from tenantry.adapters.database.feed import heard_by
    from tenantry.runtime import feed_of

    try:
        heard = await heard_by(feed_of(settings), settings.snapshot.refresh.total_seconds())
    except ConfigurationError as error:
        return None, _problems(error)
    except SourceError as error:
        return None, [Finding(f"Nobody can be asked for changes: {error.what}", "Correct source.feed_url.")]
    return heard.what, [Finding(heard.what, heard.remedy, note=True)] if heard.remedy else []


async def _of_cluster(settings: Settings, snapshot: Snapshot | None) -> list[Finding]:
    """Look at the ApplicationSets in the cluster, where there is access to one."""
    from tenantry.runtime import cluster_of

    try:
        cluster = cluster_of(settings)
    except ConfigurationError as error:
        return _problems(error)
    if cluster is None:
        return []
    kubernetes = settings.kubernetes
    try:
        findings = await check_cluster(
            cluster,
            kubernetes.namespaces,
            kubernetes.plugin_configmaps,
            snapshot,
        )
    finally:
        await cluster.close()
    return [*findings, *_whose(settings)]


def _whose(settings: Settings) -> Iterator[Finding]:
    """Find out whether it is known whose the ApplicationSets of the cluster are."""
    from tenantry.runtime import tokens_of

    if settings.kubernetes.consumers is not None:
        return
    with suppress(ConfigurationError):  # Told already.
        tokens, _ = tokens_of(settings, lambda *_: None)
        if len(tokens.consumers) > 1:
            yield Finding(
                f"There are {len(tokens.consumers)} consumers, and the ApplicationSets there may be anybody's: "
                "the guard does not look at them.",
                "Name the consumers of that cluster's Argo CD in kubernetes.consumers.",
            )


def _print(found: _Found) -> None:
    snapshot = found.snapshot
    for finding in found.findings:
        click.echo(f"{'note' if finding.note else 'finding'}: {finding.what}")
        if finding.remedy:
            click.echo(f"  remedy: {finding.remedy}")
    if snapshot is not None:
        fields = ", ".join(snapshot.mapping.names)
        click.echo(f"{len(snapshot.tenants)} tenants of {snapshot.rows} rows would be served, with {fields}.")
    if found.changes and all(finding.what != found.changes for finding in found.findings):
        click.echo(found.changes)
    serious = sum(not finding.note for finding in found.findings)
    click.echo("No findings." if not serious else f"{serious} finding{'s' if serious > 1 else ''}.")


def _document(found: _Found) -> dict[str, object]:
    snapshot = found.snapshot
    return {
        "findings": [
            {"level": "note" if finding.note else "finding", "what": finding.what, "remedy": finding.remedy}
            for finding in found.findings
        ],
        "changes": found.changes,
        "tenants": len(snapshot.tenants) if snapshot else None,
        "rows": snapshot.rows if snapshot else None,
        "fields": list(snapshot.mapping.names) if snapshot else [],
    }
