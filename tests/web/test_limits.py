"""Whose time runs when: the protocol on a loop whose timers fire when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from tenantry.web.protocol import LimitedProtocol, protocol
from tests.builders import snapshot_of, tenants
from tests.web.harness import Door, door, eventually, request

pytestmark = pytest.mark.anyio

HEADERS, WRITE, IDLE = 3, 5, 7


class Timer:
    """A call that waits to be made."""

    def __init__(self, delay: float, due: float, call: Callable[[], None]) -> None:
        self.delay, self.due, self.call = delay, due, call
        self.waiting = True

    def cancel(self) -> None:
        self.waiting = False


class Loop:
    """The running loop, but for its timers."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []
        self.now = 100.0
        self.create_task = asyncio.get_running_loop().create_task

    def call_later(self, delay: float, call: Callable[[], None], *_: object) -> Timer:
        self.timers.append(Timer(delay, self.now + delay, call))
        return self.timers[-1]

    def time(self) -> float:
        return self.now

    @property
    def running(self) -> set[float]:
        """The limits that run now."""
        return {timer.delay for timer in self.timers if timer.waiting}

    def fire(self, delay: float) -> None:
        for timer in self.timers:
            if timer.waiting and timer.delay == delay:
                timer.waiting = False
                timer.call()

    def let_pass(self, seconds: float) -> None:
        """Let time pass, and make the calls that are due on the way."""
        end = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer.waiting and timer.due <= end), key=_due):
            self.now, due[0].waiting = due[0].due, False
            due[0].call()
        self.now = end


def _due(timer: Timer) -> float:
    return timer.due


class Transport:
    """A connection whose peer reads, or does not."""

    def __init__(self) -> None:
        self.protocol: LimitedProtocol | None = None
        self.peer_reads = True
        self.unread = 0
        self.most, self.paused = 64 << 10, False
        self.closing = self.aborted = self.lost = False

    def write(self, data: bytes) -> None:
        self.unread += 0 if self.peer_reads else len(data)
        if self.unread > self.most and not self.paused and self.protocol:
            self.paused = True
            self.protocol.pause_writing()

    def read_on(self) -> None:
        self.peer_reads, self.unread = True, 0
        if self.paused and self.protocol:
            self.paused = False
            self.protocol.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.most = 64 << 10 if high is None else high

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None:
        """Nothing is read unasked."""

    def resume_reading(self) -> None:
        """Nothing is read unasked."""

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        if not self.unread:
            self.lose()

    def abort(self) -> None:
        self.closing = self.aborted = True
        self.lose()

    def lose(self) -> None:
        if not self.lost and self.protocol:
            self.lost = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class Connection:
    """A connection that was made."""

    def __init__(self, here: Door) -> None:
        kind = protocol(header_timeout=HEADERS, write_timeout=WRITE)
        self.here, self.loop, self.transport = here, Loop(), Transport()
        config: Any = Config(here.app, timeout_keep_alive=IDLE, lifespan="off", ws="none", log_config=None)
        self.protocol = self.transport.protocol = kind(config, ServerState(), {}, self.loop)
        self.protocol.connection_made(self.transport)  # type: ignore[arg-type]

    async def ask(self, extra: str = "") -> None:
        """Ask, and wait until all that the peer reads was handed to the transport."""
        before = len(self.here.seen.answers)
        self.protocol.data_received(request(extra=extra))
        await eventually(lambda: len(self.here.seen.answers) > before)
        await eventually(lambda: self.protocol.cycle.response_complete or self.transport.paused)

    async def leave_unread(self, extra: str = "") -> None:
        self.transport.peer_reads = False
        await self.ask(extra)

    async def read_on(self) -> None:
        self.transport.read_on()
        await eventually(lambda: self.protocol.cycle.response_complete)


@pytest.fixture(params=[pytest.param(50, id="a small answer"), pytest.param(1000, id="a large answer")])
async def connection(request: pytest.FixtureRequest) -> Connection:
    return Connection(door(snapshot_of(tenants(request.param, note="a" * 500))))


async def test_a_new_connection_has_the_limit_for_headers_alone(connection: Connection) -> None:
    assert connection.loop.running == {HEADERS}


async def test_an_idle_connection_has_the_limit_for_idleness_alone(connection: Connection) -> None:
    await connection.leave_unread()
    await connection.read_on()

    connection.loop.fire(WRITE)

    assert connection.loop.running == {IDLE}
    assert not connection.transport.closing


@pytest.mark.parametrize("extra", [pytest.param("", id="kept"), pytest.param("Connection: close\r\n", id="the last")])
async def test_an_answer_that_is_left_unread_is_cut_off(connection: Connection, extra: str) -> None:
    await connection.leave_unread(extra)

    connection.loop.fire(WRITE)

    assert connection.transport.aborted


async def test_an_answer_is_not_cut_off_by_the_limit_of_the_one_before(connection: Connection) -> None:
    await connection.leave_unread()
    before = list(connection.loop.timers)
    await connection.read_on()
    await connection.leave_unread()

    for timer in before:
        if timer.waiting and timer.delay == WRITE:
            timer.call()

    assert not connection.transport.closing
    connection.loop.fire(WRITE)
    assert connection.transport.aborted


@pytest.mark.parametrize("sent", [b"\r\n", b"P", b"\r\nP"])
async def test_some_limit_runs_whatever_came_last(connection: Connection, sent: bytes) -> None:
    await connection.ask()

    connection.protocol.data_received(sent)
    connection.loop.let_pass(IDLE)

    assert connection.transport.closing


async def test_some_limit_runs_while_the_rest_of_a_refused_body_arrives(connection: Connection) -> None:
    head, _, body = request(b"a" * 10, token="wrong").partition(b"\r\n\r\n")
    connection.protocol.data_received(head + b"\r\n\r\n")
    await eventually(lambda: connection.protocol.cycle.response_complete)

    connection.protocol.data_received(body[:3])
    connection.loop.let_pass(IDLE)

    assert connection.transport.closing


async def test_no_limit_runs_once_the_connection_is_lost(connection: Connection) -> None:
    await connection.leave_unread()

    connection.transport.abort()

    await eventually(lambda: not connection.loop.running)


async def test_a_connection_is_closed_once_it_was_idle_for_too_long(connection: Connection) -> None:
    await connection.ask()
    connection.loop.let_pass(IDLE - 1)
    await connection.ask()

    connection.loop.let_pass(IDLE - 1)
    assert not connection.transport.closing

    connection.loop.let_pass(1)
    assert connection.transport.closing


async def test_a_request_is_not_cut_off_by_the_idleness_before_it(connection: Connection) -> None:
    await connection.ask()
    connection.loop.let_pass(IDLE - 1)
    connection.protocol.data_received(request()[:-1])

    connection.loop.let_pass(IDLE)

    assert not connection.transport.closing


async def test_the_limit_for_headers_begins_with_their_first_byte(connection: Connection) -> None:
    await connection.ask()
    connection.loop.let_pass(IDLE - 1)
    connection.protocol.data_received(b"POST")

    connection.loop.let_pass(HEADERS - 1)
    assert not connection.transport.closing

    connection.protocol.data_received(b" /")
    connection.loop.let_pass(1)
    assert connection.transport.closing


async def test_headers_that_come_at_once_need_no_timer(connection: Connection) -> None:
    await connection.ask()
    before = len(connection.loop.timers)

    await connection.ask()

    assert len(connection.loop.timers) == before
