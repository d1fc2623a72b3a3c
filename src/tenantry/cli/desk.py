"""Reaching the guard: through the running service, or at its state database while the service is down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

import click
import msgspec

from tenantry.cli.reaching import AdminApi, ServiceUnreachable, reaching_options
from tenantry.config.addresses import STATE_URL, has_password
from tenantry.core.errors import StateInUse, StateUnreachable, StateUnwritable, shortened
from tenantry.service.approving import Subject, speaker_of
from tenantry.service.desk import GuardDesk, HistoryQuery, subject_of_freeze

T = TypeVar("T")

_PATIENCE = timedelta(seconds=10)


class Desk(Protocol):
    """Where the guard is asked and told."""

    def get(self, path: str, query: Mapping[str, str | int]) -> bytes:
        """Return the body of an answer."""
        ...

    def post(self, path: str, document: object) -> bytes:
        """Send a document and return the body of the answer."""
        ...

    @property
    def besides(self) -> str:
        """What a command has to say besides, to reach the same."""
        ...


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    """What is said, as the admin API takes it."""

    by: str
    why: str
    application_set: str | None = None
    consumer: str | None = None
    tenants: list[str] = []
    decision: int | None = None
    digest: str | None = None
    input: str | None = None
    seconds: float | None = None


class StateDesk:
    """The same at the state database itself, which no service may use meanwhile if it is a file."""

    def __init__(self, url: str) -> None:
        """Name the database; nothing is opened yet."""
        self._url = url

    def __str__(self) -> str:
        return "the state database"

    @property
    def besides(self) -> str:
        """That it goes to the state, whose URL may hold a password."""
        return " --state '…'"

    def get(self, path: str, query: Mapping[str, str | int]) -> bytes:
        """Return what the admin API would; raises TenantryError."""
        given = {name: value for name, value in query.items() if name not in _MOMENTS}
        moments = {name: _seconds(str(query[name])) for name in _MOMENTS if name in query}

        async def look(desk: GuardDesk) -> object:
            if path == "guard":
                return await desk.facts()
            if path == "guard/history":
                return await desk.history(HistoryQuery(**given, **moments))  # type: ignore[arg-type]
            name = unquote(path.removeprefix("guard/application-sets/"))
            consumer = query.get("consumer")
            return await desk.application_set(name, None if consumer is None else str(consumer))

        return self._at(look)

    def post(self, path: str, document: object) -> bytes:
        """Say what the admin API would be told; raises TenantryError."""
        said = msgspec.convert(document, _Document)
        name = said.application_set
        subject = (
            None
            if name is None
            else Subject(name, said.consumer, tuple(said.tenants), said.decision, said.digest, said.input)
        )
        speaker, verb = speaker_of(said.by, said.why), path.removeprefix("guard/")

        async def speak(desk: GuardDesk) -> object:
            if verb in ("freeze", "unfreeze"):
                whose = subject_of_freeze(name, said.consumer)
                return await (desk.say.freeze if verb == "freeze" else desk.say.unfreeze)(whose, speaker)
            assert subject is not None  # noqa: S101 -- the command line asks for it
            if verb == "approve":
                return await desk.say.approve(subject, speaker, said.seconds)
            words = {"withdraw": desk.say.withdraw, "pin": desk.say.pin, "unpin": desk.say.unpin}
            return await words[verb](subject, speaker)

        return self._at(speak)

    def _at(self, work: Callable[[GuardDesk], Awaitable[object]]) -> bytes:
        from tenantry.runtime import desk_at

        async def at() -> bytes:
            async with desk_at(self._url, _PATIENCE) as desk:
                return msgspec.json.encode(await work(desk))

        try:
            return asyncio.run(at())
        except StateInUse as error:
            raise StateInUse(
                error.what, remedy="If that is the service, leave --state out: it is asked then."
            ) from None
        except (StateUnreachable, StateUnwritable) as error:
            raise type(error)(f"{error.what}{_cause(error)}", remedy="Nothing was changed.") from error


def _cause(error: BaseException) -> str:
    """Quote the driver for the person at the terminal."""
    cause = error.__cause__
    lines = str(getattr(cause, "orig", None) or cause or "").strip().splitlines()
    return f" ({shortened(lines[0], 300)})" if lines else ""


_MOMENTS = ("since", "until", "at")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def desk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the ways to say which guard is meant; the command gets it as `desk`."""

    @wraps(command)
    def with_desk(*, api: AdminApi | StateDesk, **values: Any) -> Any:  # noqa: ANN401 -- click's
        try:
            return command(desk=api, **values)
        except (LookupError, TypeError, AttributeError, msgspec.DecodeError) as error:
            if isinstance(api, StateDesk):
                raise
            raise ServiceUnreachable(f"What answers at {api} is not tenantry, or another version of it.") from error

    return reaching_options(
        with_desk,
        click.option(
            "--state",
            "besides",
            metavar="URL",
            callback=_state_desk,
            help="Use this state database itself, while the service is down.",
        ),
    )


def _state_desk(_: click.Context, __: click.Parameter, given: str | None) -> StateDesk | None:
    if given is None:
        return None
    try:
        read: Any = STATE_URL.read([given])
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None
    url = str(read.reveal())
    if has_password(url):
        raise click.BadParameter(
            "a password here stands in the list of processes: give it as PGPASSWORD or in ~/.pgpass"
        )
    return StateDesk(url)
