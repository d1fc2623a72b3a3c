"""The proxy breaks connections as it is told to, and only then."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.support.proxy import FaultProxy


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        made = FaultProxy(server.server_address[1]).start()
        yield made
        made.stop()
        server.shutdown()


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def echoed(client: socket.socket, data: bytes) -> bytes:
    """Send bytes and return what comes back: as many of them, or what came before the end of the connection."""
    client.sendall(data)
    received = b""
    while len(received) < len(data) and (more := client.recv(65536)):
        received += more
    return received


def is_silent(client: socket.socket) -> bool:
    client.settimeout(0.2)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    return False


def test_it_passes_everything_until_told_otherwise(proxy: FaultProxy) -> None:
    data = bytes(range(256)) * 64

    with connect(proxy) as one, connect(proxy) as other:
        assert echoed(one, data) == data
        assert echoed(other, b"hello") == b"hello"


def test_it_cuts_the_connections_that_there_are_and_no_others(proxy: FaultProxy) -> None:
    with connect(proxy) as old:
        assert echoed(old, b"a") == b"a"

        proxy.cut()

        with pytest.raises(ConnectionResetError):
            old.recv(1)
    with connect(proxy) as new:
        assert echoed(new, b"a") == b"a"


def test_it_refuses_new_connections(proxy: FaultProxy) -> None:
    proxy.refuse = True

    with pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(1)


def test_it_cuts_in_the_middle_of_given_bytes(proxy: FaultProxy) -> None:
    proxy.cut_at = b"foxtrot"

    with connect(proxy) as client:
        assert echoed(client, b"echo-innovations") == b"echo-innovations"
        assert echoed(client, b"delta, foxtrot, golf") == b"delta, fox"


def test_it_swallows_what_comes_on_old_and_new_connections(proxy: FaultProxy) -> None:
    with connect(proxy) as old:
        assert echoed(old, b"a") == b"a"

        proxy.black_hole = True

        with connect(proxy) as new:
            old.sendall(b"b")
            new.sendall(b"b")
            assert is_silent(old)
            assert is_silent(new)


def test_it_delays_what_comes(proxy: FaultProxy) -> None:
    proxy.delay = 0.5

    with connect(proxy) as client:
        client.sendall(b"a")
        assert is_silent(client)
        client.settimeout(5)
        assert client.recv(1) == b"a"


def test_it_passes_everything_again_once_healed(proxy: FaultProxy) -> None:
    proxy.refuse = proxy.black_hole = True
    proxy.delay, proxy.cut_at = 60.0, b"a"

    proxy.heal()

    with connect(proxy) as client:
        assert echoed(client, b"a") == b"a"
