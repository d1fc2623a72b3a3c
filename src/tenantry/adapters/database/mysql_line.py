"""One connection to MySQL or MariaDB: how a URL says to log in, and what the driver leaves to its user.

asyncmy 0.2.18 reads from a socket whether rows are wanted or not, bounds only the first part of a connect, logs what
the server warns of, and gives any server the password in clear text that asks for it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from asyncmy.connection import Connection
from asyncmy.constants.CLIENT import MULTI_STATEMENTS
from asyncmy.converters import conversions
from asyncmy.errors import OperationalError
from sqlalchemy.engine import URL

from tenantry.core.errors import ConfigurationError, SourceLoginFailed, listed, nearest, quoted

_PORT = 3306
_OPTIONS = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_mode", "unix_socket")
_MODES = ("disabled", "required", "verify_ca", "verify_identity")
_KEEPALIVE = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10_000))
"""A server that vanished without a word is noticed in seconds, as libpq does it for PostgreSQL."""

_RECEIVED = 1 << 16
"""Bytes that the kernel keeps for us: uvloop reads until they are gone, whatever it is told meanwhile."""

_IDENTITY = "SELECT @@server_id, @@hostname, @@port"


class Line(Connection):
    """A connection that reads from its socket only while rows are waited for.

    The driver's own takes whatever comes into one buffer, and gives all rows in there at once: with a table of
    100,000 rows that is the whole result in memory, and a loop that stands still while it is decoded.
    """

    _transport: asyncio.Transport | None
    _client_flag: int

    def __init__(self, **how: Any) -> None:  # noqa: ANN401 -- what the driver takes
        """Prepare a connection on which a text is one statement: a second one could leave the transaction."""
        super().__init__(**how)  # type: ignore[no-untyped-call]
        self._client_flag &= ~MULTI_STATEMENTS

    async def _fill_buffer(self, need: int) -> None:
        if self._transport is not None:
            self._transport.resume_reading()
        try:
            await super()._fill_buffer(need)  # type: ignore[misc] # asyncmy's stubs leave it out
        except BaseException:
            self._forget_result()
            raise
        finally:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()

    async def show_warnings(self) -> None:
        """Ask for none: the driver would log them, and they quote rows."""

    async def server(self) -> tuple[object, ...]:
        """Tell which server this is, as far as everybody may know: a load balancer may give another one next time."""
        async with self.cursor() as cursor:
            await cursor.execute(_IDENTITY)
            return tuple(await cursor.fetchone())

    def described(self) -> list[tuple[str, int, int, int]]:
        """Return name, type, length and character set of each column of the last result."""
        result: Any = self._result
        fields = result.fields if result is not None else ()
        return [(field.name, field.type_code, field.length, field.charsetnr) for field in fields]

    def _forget_result(self) -> None:
        """Let the end of a cursor not wait for rows that will not come."""
        self._result = None

    def settle(self) -> None:
        """Let the kernel notice a server that vanished, and hold back what is not read yet."""
        if self._transport is not None:
            with suppress(OSError, AttributeError):  # of a system, or of a kind of socket, that knows it not
                raw = self._transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
                for name, value in _KEEPALIVE:
                    raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def abort(self) -> None:
        """End the connection at once; TLS would wait for the other side to agree."""
        self._forget_result()
        if self._transport is not None:
            self._transport.abort()


class _InClear:
    """Refuses to send the password as it is over a line that everybody can read."""

    def __init__(self, line: Line) -> None:
        """Take what the driver gives."""

    def authenticate(self, _: object) -> None:
        """Refuse."""
        raise OperationalError(2059, "The server wants the password in clear text.")


@dataclass(frozen=True)
class Login:
    """What a URL says about a server and how to log in there."""

    address: dict[str, Any]
    tls: Callable[[], ssl.SSLContext] | None
    seconds: float
    """How long all of a connect may take."""

    @classmethod
    def of(cls, url: URL, seconds: float) -> Login:
        """Read a URL; raises ConfigurationError, without a word of it."""
        options = _options(url)
        if not 0 < (url.port or _PORT) < 1 << 16:
            raise ConfigurationError(["source.url has a host or port that cannot be used."])
        address = {
            "host": url.host,
            "port": url.port or _PORT,
            "user": url.username,
            # As bytes: the driver would write them in Latin-1, the server compares UTF-8.
            "password": str(url.password or "").encode(),
            "database": url.database or None,
            "unix_socket": options.get("unix_socket"),
        }
        return cls(address, _tls(options), seconds)

    def line(self) -> Line:
        """Return a connection that is not open yet."""
        context = self.tls() if self.tls else None
        return Line(
            **self.address,
            ssl=context,
            charset="utf8mb4",
            # No decoders: every value is the server's own text.
            conv={kind: write for kind, write in conversions.items() if not isinstance(kind, int)},
            # Before SQLAlchemy asks for the mode: it quotes names as that says. Another mode adds spaces to a CHAR.
            init_command="SET sql_mode = ''",
            connect_timeout=self.seconds,
            program_name="tenantry",
            auth_plugin_map={} if context else {"mysql_clear_password": _InClear, "dialog": _InClear},
        )

    async def open(self, line: Line) -> None:
        """Log in, in time."""
        async with asyncio.timeout(self.seconds):
            try:
                await line.connect()
            except RuntimeError as error:  # asyncmy has no `cryptography` to hide the password with
                raise SourceLoginFailed(
                    "The server wants TLS before it takes the password (caching_sha2_password).",
                    remedy="Add ?ssl_mode=required to source.url, or verify_identity and ssl_ca.",
                ) from error
        line.settle()

    async def kill(self, thread: int, server: tuple[object, ...]) -> None:
        """End the statement of a connection of ours, on a second one, if that reaches the same server."""
        other = self.line()
        try:
            await self.open(other)
            if await other.server() == server:
                async with other.cursor() as cursor:
                    await cursor.execute(f"KILL QUERY {thread:d}")
        finally:
            other.abort()


def _options(url: URL) -> dict[str, str]:
    """Return what stands behind the question mark, with the words of MySQL's own programs."""
    found: dict[str, str] = {}
    for written, value in url.query.items():
        name = written.lower().replace("-", "_")
        if name not in _OPTIONS:
            known = f"Known: {listed(_OPTIONS)}.{nearest(name, _OPTIONS)}"
            raise ConfigurationError([f"source.url: option {quoted(written)} is not known for MySQL. {known}"])
        if not isinstance(value, str) or not value:
            raise ConfigurationError([f"source.url: option {name} needs one value."])
        found[name] = value
    mode = found.get("ssl_mode", "verify_identity" if "ssl_ca" in found else "disabled").lower()
    if mode not in _MODES:
        raise ConfigurationError([f"source.url: ssl_mode is not known. Known: {listed(_MODES)}."])
    if mode == "disabled" and any(name in found for name in ("ssl_ca", "ssl_cert", "ssl_key")):
        raise ConfigurationError(["source.url: ssl_ca, ssl_cert and ssl_key need an ssl_mode other than disabled."])
    return {**found, "ssl_mode": mode}


def _tls(options: dict[str, str]) -> Callable[[], ssl.SSLContext] | None:
    """Return how to make the context: anew for each connection, so that certificates rotate."""
    mode = options["ssl_mode"]
    if mode == "disabled":
        return None

    def context() -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=options.get("ssl_ca"))
        made.check_hostname = mode == "verify_identity"
        made.verify_mode = ssl.CERT_NONE if mode == "required" else ssl.CERT_REQUIRED
        if "ssl_cert" in options:
            made.load_cert_chain(options["ssl_cert"], options.get("ssl_key"))
        return made

    return context
