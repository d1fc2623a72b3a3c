"""The front door: every fault becomes a message, whatever raised."""

from __future__ import annotations

import asyncio

import pytest

from tenantry.core.snapshot import Snapshot
from tenantry.core.vocabulary import Vocabulary
from tenantry.web.app import FrontDoor
from tenantry.web.asgi import Message, Receive, Scope, Send
from tests.builders import snapshot_of
from tests.fakes import Recorder
from tests.web.harness import ask, door, scope_of

pytestmark = pytest.mark.anyio


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("SELECT secret FROM organization")


async def test_a_route_that_raises_is_a_message_without_its_reason() -> None:
    here = door(more={"/broken": broken})

    reply = await ask(here, path="/broken")

    assert reply.status == 500
    assert "The log has the reason." in reply.message
    assert "secret" not in reply.message
    assert [str(fault) for fault in here.seen.faults] == ["SELECT secret FROM organization"]


async def test_a_route_that_raises_in_the_middle_of_its_response_sends_nothing_more() -> None:
    sent: list[Message] = []

    async def halfway(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    await FrontDoor({"/": halfway}, Recorder())(scope_of("GET", "/", []), receive, send)

    assert [message["type"] for message in sent] == ["http.response.start"]


class BrokenSnapshot(Snapshot):
    """A snapshot whose tenants cannot be had: the answer fails while it is made."""

    @property
    def vocabulary(self) -> Vocabulary:
        raise RuntimeError("acme")


async def test_a_fault_while_an_answer_is_made_is_a_message_and_never_a_part_of_an_answer() -> None:
    good = snapshot_of([{"tenant": "acme", "status": "active"}])
    here = door(BrokenSnapshot(good.revision, good.tenants, good.mapping, good.tree, good.position, good.rows))

    reply = await ask(here)

    assert reply.status == 500
    assert reply.message
    assert b"acme" not in reply.body
    assert len(here.seen.faults) == 1
    assert [status for status, *_ in here.seen.refusals] == [500]


async def test_without_the_framework_other_paths_are_told_in_our_shape() -> None:
    app = FrontDoor({}, Recorder())

    for path in ("/", "/docs", "/openapi.json"):
        reply = await ask(app, path=path)
        assert reply.status == 404
        assert reply.message


async def test_the_framework_is_loaded_once_for_all_who_wait_for_it() -> None:
    here = door()

    replies = await asyncio.gather(*(ask(here, method="GET", path="/openapi.json") for _ in range(5)))

    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1


async def test_one_who_goes_away_while_the_framework_loads_takes_it_from_nobody() -> None:
    here = door()
    first = asyncio.create_task(ask(here, method="GET", path="/docs"))
    await asyncio.sleep(0)
    first.cancel()

    assert (await ask(here, method="GET", path="/docs")).status == 200


async def test_a_lifespan_is_acknowledged() -> None:
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return dict(incoming.pop(0))

    async def send(message: Message) -> None:
        sent.append(message)

    await door().app({"type": "lifespan"}, receive, send)

    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
