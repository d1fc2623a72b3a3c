"""`tenantry guard`: which removals are held and why, and the words that let them go or keep them."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click
import msgspec

from tenantry.cli.desk import Desk, desk_options
from tenantry.cli.history import history
from tenantry.cli.output import output_option, plain, print_document, print_table
from tenantry.cli.reaching import ServiceUnreachable
from tenantry.config.quantities import parse_duration

_NEVER = ""


@click.group()
def guard() -> None:
    """Look at the removals that are held, and approve, freeze or pin.

    Asks the running service by its Unix socket or over TCP, or with --state the state database itself. Ends with 1
    where what is named is not known, and then nothing was changed.

    \b
    Example:
      tenantry guard holds
      tenantry guard show prod-eu
      tenantry guard approve prod-eu acme-corp --why 'left us, ticket 4711'
    """


def _word_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--by", metavar="NAME", default=None, help="Who says so; the default is who you are here.")(
        command
    )
    return click.option("--why", metavar="TEXT", required=True, help="Why; it is written down.")(command)


_consumer_option = click.option(
    "--consumer", metavar="NAME", help="Whose ApplicationSet, where several have one of that name."
)


@guard.command()
@desk_options
@output_option
def holds(*, desk: Desk, form: str) -> None:
    """List what is held, and how to approve it.

    \b
    Example:
      tenantry guard holds
    """
    found = _read(desk, desk.get("guard", {}))
    if form != "table":
        print_document(found["holds"], form)
        return
    print_table(
        ("consumer", "applicationset", "decision", "rule", "tenants", "since"),
        [
            {
                "consumer": hold["consumer"],
                "applicationset": hold["application_set"],
                "decision": str(hold["decision"]),
                "rule": hold["rule"],
                "tenants": str(hold["number"]),
                "since": _shown(hold["since"]),
            }
            for hold in found["holds"]
        ],
    )
    for hold in found["holds"]:
        _print_why(hold, desk)
    click.echo(_held(found["held"]), err=True)
    _print_freeze(found["frozen"], "all ApplicationSets")
    if found["problem"]:
        click.echo(f"warning: {plain(found['problem'])}", err=True)


@guard.command()
@click.argument("application_set", metavar="[APPLICATIONSET]", required=False)
@_consumer_option
@desk_options
@output_option
def show(*, application_set: str | None, consumer: str | None, desk: Desk, form: str) -> None:
    """Show an ApplicationSet: whom the guard holds, why and by which change, and how near its limits are.

    Without a name, list all that are known.

    \b
    Example:
      tenantry guard show prod-eu
      tenantry guard show prod-eu -o json
    """
    if application_set is None:
        _show_all(desk, form)
        return
    if not application_set:
        raise click.UsageError("The name of an ApplicationSet is not empty.")
    query = {} if consumer is None else {"consumer": consumer}
    # A name of dots alone would be taken for a step up.
    name = quote(application_set, safe="").replace(".", "%2E")
    found = _read(desk, desk.get(f"guard/application-sets/{name}", query))
    if form != "table":
        print_document(found, form)
        return
    _print_set(found, desk)


def _show_all(desk: Desk, form: str) -> None:
    found = _read(desk, desk.get("guard", {}))
    if form != "table":
        print_document(found, form)
        return
    columns = ("consumer", "applicationset", "inputs", "tenants", "held", "frozen", "last")
    print_table(
        columns,
        [
            {
                "consumer": one["consumer"],
                "applicationset": one["application_set"],
                "inputs": str(one["inputs"]),
                "tenants": str(one["tenants"]),
                "held": str(one["held"]),
                "frozen": "yes" if one["frozen"] else "no",
                "last": _shown(one["last"]),
            }
            for one in found["application_sets"]
        ],
    )
    _print_limits(found["limits"])
    click.echo(f"Mode: {found['mode'] or 'not known here'}. {_held(found['held'])}", err=True)
    _print_freeze(found["frozen"], "all ApplicationSets")


@guard.command()
@click.argument("application_set", metavar="APPLICATIONSET")
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@click.option("--decision", type=click.IntRange(0), metavar="N", help="All that this decision holds.")
@click.option("--digest", metavar="TEXT", help="The digest that `show` gave: what was shown is what is approved.")
@click.option("--input", "given", metavar="NAME", help="A new input, by the name in its refusal.")
@click.option("--for", "time", metavar="TIME", help="For how long it stands, such as 2h; 1d where nothing is said.")
@_consumer_option
@_word_options
@desk_options
@output_option
def approve(
    *,
    application_set: str,
    tenants: Sequence[str],
    decision: int | None,
    digest: str | None,
    given: str | None,
    time: str | None,
    consumer: str | None,
    why: str,
    by: str | None,
    desk: Desk,
    form: str,
) -> None:
    """Let tenants leave an ApplicationSet by name: those who are held, or ahead of time, with --for.

    Those who only wait, for they may replace others, come. Each approval is for one tenant, and lapses when it returns.

    \b
    Example:
      tenantry guard approve prod-eu acme-corp --why 'left us, ticket 4711'
      tenantry guard approve prod-eu acme-corp --for 2h --why 'offboarding tonight'
    """
    document = _about(application_set, consumer, tenants, why, by)
    seconds = None if time is None else _duration(time)
    more = {"decision": decision, "digest": digest, "input": given, "seconds": seconds}
    _say(desk, "approve", {**document, **more}, form)


@guard.command()
@click.argument("application_set", metavar="APPLICATIONSET")
@click.argument("tenants", nargs=-1, metavar="[TENANT]...")
@_consumer_option
@_word_options
@desk_options
@output_option
def withdraw(
    *,
    application_set: str,
    tenants: Sequence[str],
    consumer: str | None,
    why: str,
    by: str | None,
    desk: Desk,
    form: str,
) -> None:
    """Take back approvals that were not used: of these tenants, or all of the ApplicationSet.

    \b
    Example:
      tenantry guard withdraw prod-eu acme-corp --why 'they stay'
    """
    _say(desk, "withdraw", _about(application_set, consumer, tenants, why, by), form)


@guard.command()
@click.argument("application_set", metavar="[APPLICATIONSET]", required=False)
@_consumer_option
@_word_options
@desk_options
@output_option
def freeze(
    *, application_set: str | None, consumer: str | None, why: str, by: str | None, desk: Desk, form: str
) -> None:
    """Hold every removal, of one ApplicationSet or of all, approved or not.

    \b
    Example:
      tenantry guard freeze --why 'moving the database'
    """
    _say(desk, "freeze", _about(application_set, consumer, None, why, by), form)


@guard.command()
@click.argument("application_set", metavar="[APPLICATIONSET]", required=False)
@_consumer_option
@_word_options
@desk_options
@output_option
def unfreeze(
    *, application_set: str | None, consumer: str | None, why: str, by: str | None, desk: Desk, form: str
) -> None:
    """End a freeze; whom it held waits for an approval.

    \b
    Example:
      tenantry guard unfreeze --why 'the database has moved'
    """
    _say(desk, "unfreeze", _about(application_set, consumer, None, why, by), form)


@guard.command()
@click.argument("application_set", metavar="APPLICATIONSET")
@click.argument("tenants", nargs=-1, required=True, metavar="TENANT...")
@_consumer_option
@_word_options
@desk_options
@output_option
def pin(
    *,
    application_set: str,
    tenants: Sequence[str],
    consumer: str | None,
    why: str,
    by: str | None,
    desk: Desk,
    form: str,
) -> None:
    """Hold tenants as they are, parameters and all, whatever their rows say.

    \b
    Example:
      tenantry guard pin prod-eu acme-corp --why 'audit until Friday'
    """
    _say(desk, "pin", _about(application_set, consumer, tenants, why, by), form)


@guard.command()
@click.argument("application_set", metavar="APPLICATIONSET")
@click.argument("tenants", nargs=-1, required=True, metavar="TENANT...")
@_consumer_option
@_word_options
@desk_options
@output_option
def unpin(
    *,
    application_set: str,
    tenants: Sequence[str],
    consumer: str | None,
    why: str,
    by: str | None,
    desk: Desk,
    form: str,
) -> None:
    """End pins.

    \b
    Example:
      tenantry guard unpin prod-eu acme-corp --why 'the audit is over'
    """
    _say(desk, "unpin", _about(application_set, consumer, tenants, why, by), form)


def _about(
    application_set: str | None, consumer: str | None, tenants: Sequence[str] | None, why: str, by: str | None
) -> dict[str, object]:
    document: dict[str, object] = {"by": by or _whoever(), "why": why}
    if application_set is not None:
        document["application_set"] = application_set
    if consumer is not None:
        document["consumer"] = consumer
    return document if tenants is None else {**document, "tenants": list(tenants)}


def _whoever() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise click.UsageError("Nobody knows who you are here: say so with --by.") from None


def _say(desk: Desk, verb: str, document: dict[str, object], form: str) -> None:
    said = {name: value for name, value in document.items() if value is not None}
    found = _read(desk, desk.post(f"guard/{verb}", said))
    if form == "table":
        click.echo(plain(found["done"]))
    else:
        print_document(found, form)


def _duration(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as wrong:
        raise click.UsageError(f"--for: {wrong}") from None


def _read(desk: Desk, body: bytes) -> Any:  # noqa: ANN401 -- JSON
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ServiceUnreachable(f"What answers at {desk} is not tenantry, or another version of it.") from error


def _print_set(found: dict[str, Any], desk: Desk) -> None:
    click.echo(f"{plain(found['application_set'])} of {plain(found['consumer'])}: {found['tenants']} tenants.")
    print_table(
        ("input", "name", "tenants", "first", "last", "live"),
        [
            {
                "input": one["input"],
                "name": one["digest"],
                "tenants": str(one["tenants"]),
                "first": _shown(one["first"]),
                "last": _shown(one["last"]),
                "live": "yes" if one["live"] else "no",
            }
            for one in found["inputs"]
        ],
    )
    _print_limits(found["limits"])
    for hold in found["holds"]:
        click.echo()
        _print_why(hold, desk)
        for tenant in hold["tenants"]:
            click.echo(f"  {plain(tenant)}")
    for what, words in (("Approved", "approvals"), ("Approved input", "admitted"), ("Pinned", "pins")):
        for word in found[words]:
            until = f" until {_shown(word['until'])}" if word["until"] else ""
            used = ", used" if word["used"] else ""
            click.echo(f"{what}: {plain(word['about'])}{until}{used}, by {plain(word['by'])}: {plain(word['why'])}")
    _print_freeze(found["frozen"], "this ApplicationSet")
    click.echo(_held(found["held"]), err=True)


def _print_why(hold: dict[str, Any], desk: Desk) -> None:
    waits = hold["rule"] == "replacement"
    verb = "wait" if waits else "stay"
    click.echo(f"Decision {hold['decision']}: {hold['number']} {verb} since {_shown(hold['since'])}, {hold['rule']}.")
    for sentence in (hold["because"], hold["cause"]):
        if sentence:
            click.echo(f"  {plain(sentence)}")
    click.echo(f"  {plain(hold['approve'])}{desk.besides}")


def _print_limits(limits: Sequence[dict[str, Any]]) -> None:
    for one in limits:
        hours = one["window_seconds"] / 3600
        click.echo(f"Left within {hours:g} h: {one['lost']} of {one['of']}, where {one['allowed']} may.")
        if one.get("standing"):
            click.echo(
                f"  {one['standing']} of them left before, and Argo CD has yet to delete their Applications: see "
                "whether its controller works."
            )


def _print_freeze(word: dict[str, Any] | None, whose: str) -> None:
    if word is not None:
        said = f"{_shown(word['at'])}, by {plain(word['by'])}: {plain(word['why'])}"
        click.echo(f"Removals of {whose} are frozen since {said}", err=True)


def _held(number: int) -> str:
    return f"{number} removal{'' if number == 1 else 's'} held."


def _shown(moment: str | None) -> str:
    """Show a moment to the second."""
    if moment is None:
        return _NEVER
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


guard.add_command(history)
