"""How tenantry logs in to MySQL and MariaDB: TLS, options of the URL, and servers that mean no good."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tenantry.adapters.database.source import Limits, open_source
from tenantry.core.errors import ConfigurationError, SourceError, SourceLoginFailed, SourceUnreachable
from tenantry.core.mapping import TableShape
from tenantry.service.refreshing import read_snapshot
from tests.support.mariadb import MariaDatabase, MariaServer

pytestmark = pytest.mark.anyio

SECRET = "never-in-clear"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read(url: str, connect: float = 5) -> int:
    source = open_source(url, "organization", "tenant", Limits(connect=timedelta(seconds=connect)))
    try:
        return len((await read_snapshot(source, TableShape(), None, 30)).tenants)
    finally:
        await source.close()


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """Run a server of our own and give its URL."""
    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield f"mysql://somebody:{SECRET}@127.0.0.1:{server.sockets[0].getsockname()[1]}/d"


def packet(number: int, payload: bytes) -> bytes:
    """Frame a packet of the protocol."""
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def greeting(capabilities: int, plugin: bytes) -> bytes:
    """Return the first packet of a server."""
    low, high = capabilities & 0xFFFF, capabilities >> 16
    head = b"\x0a8.4.0\0" + struct.pack("<I", 7) + b"12345678\0"
    return packet(
        0, head + struct.pack("<HBHHB", low, 45, 2, high, 21) + b"\0" * 10 + b"123456789012\0" + plugin + b"\0"
    )


WITHOUT_TLS = 0x000FA20D
"""Protocol 4.1, passwords by plugins and databases by name, but no TLS."""


# --- TLS -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("ssl_mode=required", id="encrypted"),
        pytest.param("ssl-mode=VERIFY_CA&ssl-ca={ca}", id="verified, in the words of MySQL's own programs"),
        pytest.param("ssl_mode=verify_identity&ssl_ca={ca}", id="verified with the name"),
        pytest.param("ssl_ca={ca}", id="verified with the name unless told otherwise"),
    ],
)
async def test_a_user_that_needs_tls_is_let_in_with_it(maria: MariaDatabase, options: str) -> None:
    user, password = maria.create_reader()
    maria.execute(f"ALTER USER {user}@'127.0.0.1' REQUIRE SSL")
    options = options.format(ca=maria.server.certificate)

    with pytest.raises(SourceLoginFailed):
        await read(maria.url(user, password))
    assert await read(f"{maria.url(user, password)}?{options}") == 10


@pytest.mark.parametrize(
    ("host", "options"),
    [
        pytest.param("127.0.0.1", "ssl_mode=verify_ca", id="of an authority that is not known"),
        pytest.param("localhost", "ssl_ca={ca}", id="with another name"),
        pytest.param("127.0.0.1", "ssl_ca={ca}.gone", id="a file that is not there"),
    ],
)
async def test_a_certificate_that_cannot_be_trusted_ends_the_login(
    maria: MariaDatabase, host: str, options: str
) -> None:
    url = maria.url().replace("127.0.0.1", host)

    with pytest.raises(SourceUnreachable):
        await read(f"{url}?{options.format(ca=maria.server.certificate)}")


async def test_a_file_that_holds_no_certificate_ends_the_login(maria: MariaDatabase, tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("nonsense")

    with pytest.raises(SourceUnreachable):
        await read(f"{maria.url()}?ssl_ca={nonsense}")


async def test_a_server_without_tls_gets_nothing_of_a_login_that_requires_it() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting(WITHOUT_TLS, b"mysql_native_password"))
        while data := await reader.read(1000):
            heard.append(data)
            writer.write(packet(2, b"\xff\x13\x04#08S01Bad handshake"))
        writer.close()

    async with listening(serve) as url:
        with pytest.raises(SourceError):
            await read(f"{url}?ssl_mode=required", connect=2)

    assert heard
    assert b"somebody" not in b"".join(heard)


# --- servers that mean no good ---------------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", [b"mysql_clear_password", b"dialog"])
async def test_a_server_that_wants_the_password_in_clear_text_does_not_get_it(plugin: bytes) -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting(WITHOUT_TLS, b"mysql_native_password"))
        heard.append(await reader.read(1000))
        writer.write(packet(2, b"\xfe" + plugin + b"\0" + b"\x05Password: "))
        heard.append(await reader.read(1000))
        writer.close()

    async with listening(serve) as url:
        with pytest.raises(SourceLoginFailed):
            await read(url)

    assert b"somebody" in heard[0]
    assert SECRET.encode() not in b"".join(heard)


async def test_a_login_that_needs_tls_says_so() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting(WITHOUT_TLS, b"caching_sha2_password"))
        await reader.read(1000)
        writer.write(packet(2, b"\x01\x04"))
        await reader.read(1000)
        writer.write(packet(4, b"\x01-----BEGIN PUBLIC KEY-----"))
        await reader.read(1000)
        writer.close()

    async with listening(serve) as url:
        with pytest.raises(SourceLoginFailed, match="ssl_mode=required"):
            await read(url)


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.close()

    began = time.monotonic()
    async with listening(serve) as url:
        with pytest.raises(SourceUnreachable):
            await read(url, connect=0.2)

    assert time.monotonic() - began < 4


# --- the URL ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        pytest.param("h/d?ssl_moed=required", "Did you mean 'ssl_mode'?", id="a slip of the pen"),
        pytest.param("h/d?local_infile=1", "'local_infile' is not known", id="what would let a server read our files"),
        pytest.param("h/d?init_command=x", "'init_command' is not known", id="what would run on each connection"),
        pytest.param(
            "h/d?ssl_mode=preferred", "Known: disabled, required, verify_ca", id="a mode that may not encrypt"
        ),
        pytest.param("h/d?ssl_ca=x&ssl_mode=disabled", "need an ssl_mode other than disabled", id="a contradiction"),
        pytest.param("h/d?ssl_mode=required&ssl_mode=disabled", "needs one value", id="twice"),
        pytest.param("h1,h2/d", "takes one host", id="two hosts"),
        pytest.param("h:99999/d", "host or port that cannot be used", id="a port beyond all"),
        pytest.param("h:port/d", "is not a database URL", id="no port"),
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(rest: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await read(f"mysql://u:{SECRET}@{rest}")

    assert said in refused.value.message
    assert SECRET not in refused.value.message


async def test_a_socket_in_a_folder_is_a_server_too(maria: MariaDatabase, mariadb: MariaServer) -> None:
    user, _ = maria.create_reader()
    maria.execute(f"RENAME USER {user}@'127.0.0.1' TO {user}@localhost")

    assert await read(f"{maria.url(user, 'reader' + chr(39) + 's secret')}?unix_socket={mariadb.folder}/socket") == 10
