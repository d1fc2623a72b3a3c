"""The HTTP server, embedded: uvicorn with a protocol of our own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tenantry.config.settings import ServerSettings
from tenantry.core.errors import ConfigurationError
from tenantry.web.app import FrontDoor
from tenantry.web.asgi import App
from tenantry.web.protocol import protocol


class EmbeddedServer(uvicorn.Server):
    """uvicorn without its own handling of signals, which would end the process with the signal instead of 0."""

    def __init__(self, app: App, address: str, settings: ServerSettings) -> None:
        """Serve `app` on `host:port`."""
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        config = uvicorn.Config(
            app,
            http=protocol(
                header_timeout=settings.header_timeout.total_seconds(),
                write_timeout=settings.write_timeout.total_seconds(),
                at_once=app.at_once if isinstance(app, FrontDoor) else None,
            ),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
        )
        # uvicorn declares whole seconds, and takes any.
        config.timeout_keep_alive = settings.keep_alive.total_seconds()  # type: ignore[assignment]
        config.timeout_graceful_shutdown = settings.shutdown_timeout.total_seconds()  # type: ignore[assignment]
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the composition root."""
        yield

    def bound(self) -> socket.socket:
        """Bind the socket; raises ConfigurationError if the address cannot be had."""
        host = self._host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, self._port))
        except OSError as error:
            listening.close()
            raise ConfigurationError(
                [f"Cannot listen on {self._host}:{self._port} ({error.strerror}). Choose another server.address."]
            ) from None
        listening.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        return listening


def address_of(listening: socket.socket) -> str:
    """Return where a socket listens, as `host:port`."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
