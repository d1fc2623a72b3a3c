"""What stands between Argo CD and several replicas: each request goes to another one, and what came back is kept."""

from __future__ import annotations

import gzip
import http.client
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PASSED = ("content-type", "content-encoding", "vary")


@dataclass(frozen=True)
class Passed:
    """What a replica answered to a request."""

    port: int
    status: int
    body: bytes


class Balancer:
    """Hands one request after another to one port after another, also those of a connection that is kept.

    A Service of Kubernetes does so with connections alone: by requests every order of replicas comes about.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        """Know to whom; nothing listens yet."""
        self.ports = tuple(ports)
        """In their turn; may be changed at any time, and with nobody there requests are refused."""

        self.passed: list[Passed] = []
        self._turn = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def start(self) -> Balancer:
        """Begin to listen."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()

    def _next(self) -> int | None:
        with self._lock:
            self._turn += 1
            return self.ports[self._turn % len(self.ports)] if self.ports else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        balancer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                port = balancer._next()
                if port is None:
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                try:
                    connection.request("POST", self.path, body, dict(self.headers))
                    response = connection.getresponse()
                    answer = response.read()
                except OSError:
                    self.close_connection = True
                    return
                finally:
                    connection.close()
                packed = response.getheader("content-encoding") == "gzip"
                balancer.passed.append(Passed(port, response.status, gzip.decompress(answer) if packed else answer))
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() in _PASSED:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
