"""Reaching the admin API of a running service: by its Unix socket, or over TCP with the admin token."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tenantry.cli.asking import is_base_url
from tenantry.cli.options import config_option
from tenantry.cli.output import plain
from tenantry.config.loading import load
from tenantry.config.settings import Settings
from tenantry.core.errors import NoSuchPath, TenantryError, quoted

if TYPE_CHECKING:
    import httpx2

_BESIDES = re.compile(r"[?#@]")

_PATIENCE = 30.0
"""Seconds for an answer: the first one waits until the service has loaded its API."""


class ServiceUnreachable(TenantryError):
    """The service could not be asked."""

    remedy = "Check that it runs, and that it is the one you mean."


class AdminRefused(TenantryError):
    """The service refused to answer."""

    remedy = ""


class _Message(msgspec.Struct):
    message: str


@dataclass(frozen=True, slots=True)
class AdminApi:
    """Where the admin API is, and what opens it."""

    socket: Path | None = None
    url: str = ""
    token: str = ""

    def get(self, path: str, query: Mapping[str, str | int]) -> bytes:
        """Return the body of an answer; raises ServiceUnreachable or AdminRefused."""
        return self._asked("GET", path, query, None)

    def post(self, path: str, document: object) -> bytes:
        """Send a document and return the body of the answer; raises ServiceUnreachable or AdminRefused."""
        return self._asked("POST", path, {}, msgspec.json.encode(document))

    def _asked(self, method: str, path: str, query: Mapping[str, str | int], body: bytes | None) -> bytes:
        import httpx2

        self._try_socket()
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        base = self.url.rstrip("/") or "http://tenantry"
        try:
            with self._client() as client:
                answer = client.request(
                    method, f"{base}/api/admin/v1/{path}", params=dict(query), headers=headers, content=body
                )
        except httpx2.InvalidURL as error:
            raise AdminRefused("That is too long to be asked for.") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise ServiceUnreachable(f"The service could not be asked at {self}: {_told(error)}.") from error
        if not answer.is_success:
            raise self._refusal(answer)
        return answer.content

    @property
    def besides(self) -> str:
        """Nothing: who has reached it so does so again."""
        return ""

    def __str__(self) -> str:
        return f"'{plain(self.url or str(self.socket))}'"

    def _client(self) -> httpx2.Client:
        import httpx2

        transport = httpx2.HTTPTransport(uds=str(self.socket)) if self.socket else None
        # OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR by itself: for a CA of one's own.
        verify = ssl.create_default_context() if self.url.startswith("https:") else True
        return httpx2.Client(transport=transport, timeout=_PATIENCE, trust_env=False, verify=verify)

    def _try_socket(self) -> None:
        """Find out whether somebody listens at the socket, and say why not as the system tells it."""
        if self.socket is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PATIENCE)
            try:
                probe.connect(os.fspath(self.socket))
            except FileNotFoundError:
                why, remedy = "There is no socket", _NOT_HERE
            except ConnectionRefusedError:
                why, remedy = "Nobody listens any more at the socket", "Its service has ended: start it again."
                if not self.socket.is_socket():
                    why, remedy = "There is something else than a socket at", _NOT_HERE
            except PermissionError:
                why, remedy = "You may not open the socket", "Be the user that the service runs as, or give --url."
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                why, remedy = f"Nobody can be asked ({reason}) by the socket", _NOT_HERE
            else:
                return
        raise ServiceUnreachable(f"{why} {self}.", remedy=remedy)

    def _refusal(self, answer: httpx2.Response) -> TenantryError:
        try:
            message = msgspec.json.decode(answer.content, type=_Message).message
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ServiceUnreachable(f"What answers at {self}, with status {answer.status_code}, is not tenantry.")
        if self.url and message == NoSuchPath().message:
            off = "Over TCP it is off until the service has TENANTRY_ADMIN_TOKEN or admin.token_file."
            return AdminRefused(f"There is no admin API at {self}. {off}")
        return AdminRefused(plain(message))


def _told(error: Exception) -> str:
    return plain(f"{type(error).__name__}, {error}".rstrip(" ,."))


_NOT_HERE = (
    "The service does not run here, or has another data.directory: give what it has as --config, its socket as "
    "--socket or its address as --url."
)


def reaching_options(
    command: Callable[..., Any], other: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
) -> Callable[..., Any]:
    """Add the ways to say which service is meant; the command gets it as `api`.

    An `other` way is an option whose value, called `besides`, is what the command gets in its place: then no
    configuration is read, which may be why the service does not run.
    """

    @wraps(command)
    def with_api(
        *,
        config: Path | None,
        at: Path | None,
        url: str | None,
        besides: object = None,
        **values: Any,  # noqa: ANN401 -- click's
    ) -> Any:  # noqa: ANN401
        if besides is not None and (at, url) != (None, None):
            raise click.UsageError("Give --state, or --socket or --url: one of them.")
        return command(api=_api(config, at, url) if besides is None else besides, **values)

    wrapped: Callable[..., Any] = with_api if other is None else other(with_api)
    wrapped = click.option(
        "--url",
        metavar="URL",
        callback=_base_url,
        help="Ask over TCP, with TENANTRY_ADMIN_TOKEN; such as http://127.0.0.1:4355.",
    )(wrapped)
    wrapped = click.option(
        "--socket",
        "at",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Ask by this Unix socket; the default is that of the configuration, admin.sock in data.directory.",
    )(wrapped)
    return config_option(wrapped)


def _api(config: Path | None, at: Path | None, url: str | None) -> AdminApi:
    if at is not None and url is not None:
        raise click.UsageError("Give --socket or --url, not both.")
    if at is not None:
        return AdminApi(socket=at)
    settings = load(config, os.environ, {})
    return AdminApi(socket=settings.admin_socket) if url is None else AdminApi(url=url, token=_token(settings))


def _token(settings: Settings) -> str:
    if settings.admin.token is not None:
        return settings.admin.token.reveal()
    if settings.admin.token_file is None:
        raise click.UsageError("--url needs the admin token: give it as TENANTRY_ADMIN_TOKEN or admin.token_file.")
    try:
        return settings.admin.token_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise click.UsageError(f"admin.token_file cannot be read ({why}).") from None


def _base_url(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    if given is not None and not is_base_url(given):
        raise click.BadParameter(f"{quoted(given)} is not the base URL of a service, such as http://127.0.0.1:4355")
    if given is not None and _BESIDES.search(given):
        raise click.BadParameter("give the base URL alone, without a user, a query or a fragment")
    return given
