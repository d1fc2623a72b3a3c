"""A TCP proxy that breaks connections on request: refused, cut, cut after some bytes, slow, or silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FaultProxy:
    """Passes bytes between clients and a server, until told otherwise; runs in a thread of its own."""

    target: int
    port: int = 0
    refuse: bool = False
    black_hole: bool = False
    delay: float = 0.0
    cut_at: bytes = b""
    """Bytes from the server in the middle of which the connection is cut."""

    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def start(self) -> FaultProxy:
        """Begin to listen."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._call(self._listen())
        return self

    def stop(self) -> None:
        """End every connection and the thread."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self) -> None:
        """Cut every connection that there is."""
        self._call(self._cut())

    def heal(self) -> None:
        """Pass everything again; connections that were swallowed stay dead."""
        self.refuse = self.black_hole = False
        self.delay = 0.0
        self.cut_at = b""

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _run(self) -> None:
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        await self._cut()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            _reset(writer)
            return
        try:
            other_reader, other_writer = await self._connected()
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, other_writer}
        # What is under way when the proxy ends is no fault to be told of.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pass(reader, other_writer, from_server=False), self._pass(other_reader, writer, from_server=True)
            )

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the server; raises OSError."""
        return await asyncio.open_connection("127.0.0.1", self.target)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool) -> None:
        try:
            while data := await reader.read(65536):
                if self.black_hole:
                    continue
                if self.delay:
                    await asyncio.sleep(self.delay)
                if from_server and self.cut_at and self.cut_at in data:
                    writer.write(data[: data.index(self.cut_at) + len(self.cut_at) // 2])
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset, as a firewall or a crash does, not by an orderly end."""
    with contextlib.suppress(OSError):  # it may have ended by itself
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
