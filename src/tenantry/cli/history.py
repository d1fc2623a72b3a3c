"""`tenantry guard history`: who was answered what, who left when, and by whose word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from tenantry.cli.desk import Desk, desk_options
from tenantry.cli.output import output_option, plain, print_document, print_table
from tenantry.config.quantities import parse_duration
from tenantry.service.regarding import MOST_EVENTS

_MOST_NAMED = 5


@click.command()
@click.argument("application_set", metavar="[APPLICATIONSET]", required=False)
@click.option("--consumer", metavar="NAME", help="Whose ApplicationSet, where several have one of that name.")
@click.option("--tenant", metavar="ID", help="Only what is about this tenant.")
@click.option("--since", metavar="TIME", help="From this moment on: 2026-11-23T12:00:00Z, or 2h for two hours ago.")
@click.option("--until", metavar="TIME", help="Until this moment.")
@click.option("--at", "moment", metavar="TIME", help="Tell who was in the answers of the ApplicationSet then.")
@click.option("--limit", type=click.IntRange(1, MOST_EVENTS), default=100, show_default=True, help="The latest.")
@desk_options
@output_option
def history(
    *,
    application_set: str | None,
    consumer: str | None,
    tenant: str | None,
    since: str | None,
    until: str | None,
    moment: str | None,
    limit: int,
    desk: Desk,
    form: str,
) -> None:
    """Tell what happened: releases, holds and words, the latest last.

    \b
    Example:
      tenantry guard history prod-eu --tenant acme-corp
      tenantry guard history prod-eu --at 2h
    """
    texts = {"application_set": application_set, "consumer": consumer, "tenant": tenant}
    moments = {"since": since, "until": until, "at": moment}
    query: dict[str, str | int] = {
        "limit": limit,
        **{name: text for name, text in texts.items() if text is not None},
        **{name: _moment(name, text) for name, text in moments.items() if text is not None},
    }
    found = msgspec.json.decode(desk.get("guard/history", query))
    if form != "table":
        print_document(found, form)
    elif found["members"] is not None:
        _print_members(found)
    else:
        print_table(("at", "applicationset", "what", "told"), [_line(event, tenant) for event in found["events"]])


def _moment(name: str, text: str) -> str:
    """Read a moment, or a duration before now."""
    with suppress(ValueError):
        try:
            return (datetime.now(UTC) - parse_duration(text)).isoformat()
        except OverflowError:
            raise click.UsageError(f"--{name}: '{plain(text)}' is before all time.") from None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"--{name}: '{plain(text)}' is no moment such as 2026-11-23T12:00:00Z, and no duration such as 2h."
        ) from None
    # Without a zone it is UTC, as everywhere here.
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def _print_members(found: Mapping[str, Any]) -> None:
    for one in found["members"]:
        click.echo(f"Input {plain(one['input'])}: {len(one['tenants'])} tenants.")
        for tenant in one["tenants"]:
            click.echo(f"  {plain(tenant)}")
    if not found["members"]:
        click.echo("It had not been answered by then.")


def _line(event: Mapping[str, Any], tenant: str | None) -> dict[str, object]:
    return {
        "at": datetime.fromisoformat(event["at"]).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "applicationset": event["application_set"],
        "what": event["kind"],
        "told": " ".join(filter(None, _told(event, tenant))),
    }


def _told(event: Mapping[str, Any], tenant: str | None) -> list[str]:
    parts = [_named(what, event[what], tenant) for what in ("came", "left")]
    if event["changed"]:
        parts.append(f"{event['changed']} changed.")
    words = event["words"]
    if words and (tenant is None or tenant in words):
        parts.append(f"By the word of {', '.join(sorted(set(words.values())))}.")
    if event["tenants"]:
        parts.append(_named("about", event["tenants"], tenant))
    parts += [event["because"], f"{event['by']}: {event['why']}" if event["by"] else event["why"]]
    return parts


def _named(what: str, tenants: Sequence[str], asked: str | None) -> str:
    if not tenants:
        return ""
    shown = [asked] if asked in tenants else list(tenants[:_MOST_NAMED])
    more = f" and {len(tenants) - len(shown)} more" if len(tenants) > len(shown) else ""
    return f"{what}: {', '.join(filter(None, shown))}{more}."
