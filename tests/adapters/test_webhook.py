"""Telling the outside of holds, to a real HTTP server."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from time import monotonic

import pytest

from tenantry.adapters.prometheus import PrometheusObserver
from tenantry.adapters.webhook import MOST_WAITING, Webhook, secret_from, signature, waits
from tenantry.core.secret import Secret
from tenantry.service.snapshots import SnapshotHolder
from tests.fakes import FakeClock
from tests.support.processes import free_port
from tests.support.service import RunningService

pytestmark = pytest.mark.anyio

FIELDS: dict[str, object] = {
    "consumer": "argocd",
    "application_set": "prod-eu",
    "decision": 7,
    "rule": "limit",
    "tenants": 40,
    "because": "40 of 40 tenants would leave.",
}


@dataclass
class Receiver:
    """A server that answers with some statuses, and then with 204; 0 hangs up."""

    statuses: list[int] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    port: int = 0
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.under_way.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                self.headers.append({**headers, ":path": head[0].split()[1]})
                self.bodies.append(body)
                status = self.statuses.pop(0) if self.statuses else 204
                if not status:
                    break
                location = "location: /elsewhere\r\n" if 300 <= status < 400 else ""
                writer.write(f"HTTP/1.1 {status} X\r\n{location}content-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    @property
    def numbers(self) -> list[int]:
        return [json.loads(body)["decision"] for body in self.bodies]


@dataclass
class Reports:
    """What was reported, and when."""

    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    some: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: str, fields: dict[str, object]) -> None:
        self.told.append((event, fields))
        self.some.set()

    async def until(self, events: Sequence[str]) -> None:
        async with asyncio.timeout(20):
            while [event for event, _ in self.told if event != "notification_waits"] != list(events):
                self.some.clear()
                await self.some.wait()


@asynccontextmanager
async def receiving(*statuses: int, port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(list(statuses))
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()
    for task in receiver.under_way:
        task.cancel()
    await asyncio.gather(*receiver.under_way, return_exceptions=True)


@asynccontextmanager
async def saying(answer: bytes, then: bytes = b"") -> AsyncIterator[int]:
    """Serve one `answer` to all, and then go on with `then` until hung up on; gives the port."""
    under_way: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            while then:
                writer.write(then)
                await writer.drain()
                await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)


def a_day_each() -> Callable[[], float]:
    """Return a clock which every look at puts forward by more than a day, so that one try is all there is."""
    return count(0, 90_000).__next__


def hook(
    port: int,
    reports: Reports,
    secret: bytes | None = None,
    timeout: float = 5.0,
    now: Callable[[], float] = monotonic,
) -> Webhook:
    url = Secret(f"http://user:t0ken@127.0.0.1:{port}/hook")
    return Webhook(url, lambda: secret, timeout, reports, first_wait=0.01, now=now)


@asynccontextmanager
async def running(webhook: Webhook) -> AsyncIterator[None]:
    task = asyncio.create_task(webhook.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_a_hold_is_told_with_its_numbers_and_a_sentence_and_nobody_is_named() -> None:
    reports = Reports()
    async with receiving() as receiver:
        webhook = hook(receiver.port, reports)
        async with running(webhook):
            webhook.told("hold_began", FIELDS)
            await reports.until(["notification_delivered"])

    document = json.loads(receiver.bodies[0])
    assert {name: document[name] for name in FIELDS} == FIELDS
    assert document["event"] == "hold_began"
    assert document["text"] == (
        "tenantry holds 40 tenants of ApplicationSet prod-eu (decision 7). 40 of 40 tenants would leave. "
        "Look: tenantry guard show --consumer=argocd -- prod-eu"
    )
    assert receiver.headers[0]["x-tenantry-event"] == "hold_began"
    assert receiver.headers[0]["x-tenantry-delivery"] == document["id"]
    assert "x-tenantry-signature" not in receiver.headers[0]


async def test_what_is_signed_can_be_verified() -> None:
    reports = Reports()
    async with receiving() as receiver:
        webhook = hook(receiver.port, reports, b"s3cret")
        async with running(webhook):
            webhook.told("hold_ended", {**FIELDS, "how": "returned"})
            await reports.until(["notification_delivered"])

    moment, _, digest = receiver.headers[0]["x-tenantry-signature"].removeprefix("t=").partition(",v1=")
    assert digest == signature(b"s3cret", int(moment), receiver.bodies[0])
    assert digest != signature(b"another", int(moment), receiver.bodies[0])


@pytest.mark.parametrize("status", [500, 503, 429, 408, 0])
async def test_what_is_not_taken_is_tried_again_with_the_same_id_and_nothing_overtakes_it(status: int) -> None:
    reports = Reports()
    async with receiving(status, status) as receiver:
        webhook = hook(receiver.port, reports)
        async with running(webhook):
            for number in (1, 2):
                webhook.told("hold_began", {**FIELDS, "decision": number})
            await reports.until(["notification_delivered"] * 2)

    assert receiver.numbers == [1, 1, 1, 2]
    assert len({headers["x-tenantry-delivery"] for headers in receiver.headers}) == 2


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
async def test_what_is_refused_for_good_is_said_and_not_tried_again(status: int) -> None:
    reports = Reports()
    async with receiving(status) as receiver:
        webhook = hook(receiver.port, reports)
        async with running(webhook):
            for number in (1, 2):
                webhook.told("hold_began", {**FIELDS, "decision": number})
            await reports.until(["notification_failed", "notification_delivered"])

    assert receiver.numbers == [1, 2]
    assert {headers[":path"] for headers in receiver.headers} == {"/hook"}
    assert reports.told[0][1]["reason"] == f"it was answered with status {status}"


async def test_a_receiver_that_is_not_there_gets_it_when_it_is() -> None:
    reports, port = Reports(), free_port()
    webhook = hook(port, reports)
    async with running(webhook):
        webhook.told("hold_began", FIELDS)
        async with asyncio.timeout(20):
            while not reports.told:
                await reports.some.wait()
        async with receiving(port=port) as receiver:
            await reports.until(["notification_delivered"])
            assert receiver.numbers == [7]


@pytest.mark.parametrize(
    ("answer", "then"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nx: ", b"x", id="drips its headers"),
        pytest.param(b"", b"HTTP/1.1 102 Processing\r\n\r\n", id="says for ever that it is not done"),
    ],
)
async def test_a_try_ends_in_its_time_whatever_the_receiver_does(answer: bytes, then: bytes) -> None:
    reports = Reports()
    async with saying(answer, then) as port:
        webhook = hook(port, reports, timeout=0.05, now=a_day_each())
        async with running(webhook):
            webhook.told("hold_began", FIELDS)
            async with asyncio.timeout(2):
                await reports.until(["notification_failed"])

    assert reports.told[0][1]["reason"] == "it could not be sent (TimeoutError)"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n", id="is without end"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\n", id="is no gzip"),
    ],
)
async def test_it_is_taken_whatever_the_body_of_the_answer(answer: bytes) -> None:
    reports = Reports()
    async with saying(answer, b"x" * 65536) as port:
        webhook = hook(port, reports)
        async with running(webhook):
            webhook.told("hold_began", FIELDS)
            await reports.until(["notification_delivered"])

    assert [event for event, _ in reports.told] == ["notification_delivered"]


async def test_a_receiver_that_never_answers_is_tried_again_with_the_same_id() -> None:
    reports, port = Reports(), 0
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        webhook = hook(port, reports, timeout=0.05)
        task = asyncio.create_task(webhook.run())
        webhook.told("hold_began", FIELDS)
        async with asyncio.timeout(20):
            while not reports.told:
                await reports.some.wait()
        assert reports.told[0][1]["reason"] == "it could not be sent (TimeoutError)"
        assert webhook.waiting == 1
    async with receiving(port=port) as receiver:
        await reports.until(["notification_delivered"])
    task.cancel()
    await asyncio.wait([task])

    assert receiver.headers[0]["x-tenantry-delivery"] == reports.told[0][1]["notification"]


async def test_what_nobody_takes_is_given_up_in_the_end_and_that_is_said() -> None:
    reports = Reports()
    async with receiving(*[500] * 9) as receiver:
        webhook = hook(receiver.port, reports, now=lambda: 0.0 if len(receiver.bodies) < 3 else 24 * 3600.0 + 1)
        async with running(webhook):
            webhook.told("hold_began", FIELDS)
            await reports.until(["notification_failed"])

    assert len(receiver.bodies) == 3
    assert reports.told[-1][1]["reason"] == "it was answered with status 500"


def test_the_tries_are_a_second_apart_at_first_and_a_minute_at_last() -> None:
    given = list(islice(waits(1.0), 12))

    for wait, longest in zip(given, [1, 2, 4, 8, 16, 32, *[60] * 6], strict=True):
        assert 0.8 * longest <= wait <= longest


async def test_without_the_secret_that_was_configured_nothing_is_sent_unsigned(tmp_path: Path) -> None:
    reports, file = Reports(), tmp_path / "secret"
    file.write_text("\n")
    async with receiving() as receiver:
        url = Secret(f"http://127.0.0.1:{receiver.port}/")
        webhook = Webhook(url, secret_from(None, file), 5.0, reports, first_wait=0.01)
        async with running(webhook):
            webhook.told("hold_began", FIELDS)
            async with asyncio.timeout(20):
                while not reports.told:
                    await reports.some.wait()
            assert reports.told[0][1]["reason"] == "notify.secret_file cannot be used (ValueError)"
            assert not receiver.bodies

            file.write_text("s3cret")
            await reports.until(["notification_delivered"])

    moment, _, digest = receiver.headers[0]["x-tenantry-signature"].removeprefix("t=").partition(",v1=")
    assert digest == signature(b"s3cret", int(moment), receiver.bodies[0])


async def test_nothing_that_goes_wrong_reaches_the_service() -> None:
    reports = Reports()

    def broken() -> bytes:
        raise RuntimeError("t0ken")

    webhook = Webhook(Secret("http://127.0.0.1:1/t0ken"), broken, 5.0, reports, now=a_day_each())
    async with running(webhook):
        webhook.told("hold_began", {**FIELDS, "application_set": "\ud800", "because": "t0ken"})
        webhook.told("hold_began", FIELDS)
        await reports.until(["notification_failed"] * 2)

    assert "t0ken" not in f"{reports.told}"


async def test_only_holds_are_told() -> None:
    webhook = hook(1, Reports())

    webhook.told("listening", {"addresses": []})

    assert webhook.waiting == 0


async def test_of_too_many_the_oldest_are_dropped_and_that_is_said_once_between_two_tries() -> None:
    reports = Reports()
    webhook = hook(1, reports, now=a_day_each())

    for number in range(MOST_WAITING + 3):
        webhook.told("hold_began", {**FIELDS, "decision": number})

    assert webhook.waiting == MOST_WAITING
    assert [(event, fields["notifications"]) for event, fields in reports.told] == [("notification_dropped", 1)]

    async with running(webhook):
        async with asyncio.timeout(20):
            while len(reports.told) < 4:
                reports.some.clear()
                await reports.some.wait()

        for number in range(MOST_WAITING + 1):
            webhook.told("hold_began", {**FIELDS, "decision": number})

    dropped = [fields["notifications"] for event, fields in reports.told if event == "notification_dropped"]
    assert dropped[:3] == [1, 2, 1]


def test_every_outcome_is_counted_and_is_there_before_there_is_one() -> None:
    metrics = PrometheusObserver(SnapshotHolder(FakeClock(), 3600.0), 10)
    assert _notifications(metrics) == {"delivered": 0, "failed": 0, "dropped": 0}

    metrics.told("notification_delivered", {"notification": "1"})
    metrics.told("notification_failed", {"notification": "2"})
    metrics.told("notification_dropped", {"notifications": 3})
    metrics.told("notification_waits", {"notification": "4"})

    assert _notifications(metrics) == {"delivered": 1, "failed": 1, "dropped": 3}


def _notifications(metrics: PrometheusObserver) -> dict[str, float]:
    lines = [line.split() for line in metrics.text().decode().splitlines()]
    return {
        name.partition('outcome="')[2].rstrip('"}'): float(value)
        for name, value in (line for line in lines if line[0].startswith("tenantry_notifications_total{"))
    }


async def test_neither_url_nor_secret_is_ever_reported() -> None:
    reports = Reports()
    webhook = hook(free_port(), reports, b"s3cret")
    async with running(webhook):
        webhook.told("hold_began", FIELDS)
        async with asyncio.timeout(20):
            while not reports.told:
                await reports.some.wait()

    said = f"{reports.told} {webhook!r}"
    assert "t0ken" not in said
    assert "s3cret" not in said
    assert "127.0.0.1" not in said


async def test_a_running_service_tells_of_its_holds(serving: Callable[..., RunningService], tmp_path: Path) -> None:
    database = tmp_path / "tenants.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE organization (tenant TEXT PRIMARY KEY)")
        connection.executemany("INSERT INTO organization VALUES (?)", [(f"t{n}",) for n in range(9)])
    async with receiving() as receiver:
        service = await asyncio.to_thread(
            serving,
            {
                "TENANTRY_SOURCE_URL": f"sqlite:///{database}",
                "TENANTRY_GUARD_MODE": "hold",
                "TENANTRY_GUARD_SETTLE": "0s",
                "TENANTRY_NOTIFY_URL": f"http://127.0.0.1:{receiver.port}/t0ken",
                "TENANTRY_NOTIFY_SECRET": "s3cret",
            },
        )
        await asyncio.to_thread(service.ask)
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("DELETE FROM organization")
        async with asyncio.timeout(20):
            while not receiver.bodies:
                await asyncio.to_thread(service.ask)

    told = json.loads(receiver.bodies[0])
    assert (told["event"], told["application_set"], told["tenants"]) == ("hold_began", "test", 9)
    assert not [text for text in ("t0ken", "s3cret") if text in service.log.read_text()]


def test_a_secret_in_a_file_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old\n")
    read = secret_from(None, file)
    assert read() == b"old"

    file.write_text("new\n")

    assert read() == b"new"
    assert secret_from(Secret("given"), file)() == b"given"
    assert secret_from(None, None)() is None
