"""The plugin's path: what is answered, what is refused, and what is prepared only once."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from tenantry.core.errors import TenantryError
from tenantry.web.asgi import Message
from tenantry.web.failures import STATUSES
from tenantry.web.plugin import PATH
from tests.builders import snapshot_of, tenants
from tests.web.harness import ALL, LONG_ENOUGH, ask, bearer, door, scope_of, whole

pytestmark = pytest.mark.anyio

TWO = [{"tenant": "acme", "status": "active", "plan": "gold"}, {"tenant": "beta", "status": "trial", "plan": "free"}]


def asking(parameters: object) -> bytes:
    return json.dumps({"applicationSetName": "prod-eu", "input": {"parameters": parameters}}).encode()


async def test_every_tenant_is_answered_in_order_with_all_fields() -> None:
    reply = await ask(door(snapshot_of(list(reversed(TWO)))))

    assert reply.status == 200
    assert reply.json == {"output": {"parameters": TWO}}
    assert reply.header("content-type") == "application/json"
    assert reply.header("content-length") == str(len(reply.body))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        pytest.param({"plan": "gold"}, ["acme"], id="a value"),
        pytest.param({"plan": ["gold", "free"]}, ["acme", "beta"], id="one of several"),
        pytest.param({"plan": "gold", "status": "trial"}, [], id="all conditions at once"),
        pytest.param({"plan": "platinum"}, [], id="a value that nobody has"),
    ],
)
async def test_input_parameters_select(parameters: object, expected: list[str]) -> None:
    assert (await ask(door(snapshot_of(TWO)), asking(parameters))).tenants == expected


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(b"\xff\xfe", "not valid JSON", id="bytes that are not text"),
        pytest.param(b'{"applicationSetName":', "not valid JSON", id="a part of JSON"),
        pytest.param(ALL + b"x", "not valid JSON", id="more than one value"),
        pytest.param(b"[" * 100_000, "not valid JSON", id="deeper than can be read"),
        pytest.param(b'{"applicationSetName":"a","input":{"parameters":{"n":%s}}}' % (b"9" * 5000), "not valid JSON",
                     id="more digits than can be read"),
        pytest.param(b'{"applicationSetName":"\\ud800","input":{}}', "not valid JSON", id="half a surrogate pair"),
        pytest.param(b'\xef\xbb\xbf' + ALL, "not valid JSON", id="a byte order mark"),
        pytest.param(b'{"applicationSetName":"a","input":{"parameters":{"n":NaN}}}', "NaN", id="NaN"),
        pytest.param(b"null", "not an object", id="null"),
        pytest.param(b"[]", "not an object", id="a list"),
        pytest.param(b"{}", "no `applicationSetName`", id="no name"),
        pytest.param(b'{"applicationSetName":"  "}', "no `applicationSetName`", id="a blank name"),
        pytest.param(b'{"applicationSetName":7}', "no `applicationSetName`", id="a name that is not text"),
        pytest.param(b'{"applicationSetName":"%s"}' % (b"a" * 254), "longer than 253", id="a name too long"),
        pytest.param(b'{"applicationSetName":"a","applicationSetName":"b"}', "key twice", id="a key twice"),
        pytest.param(b'{"applicationSetName":"a","inputs":{}}', "Did you mean 'input'", id="a misspelt key"),
        pytest.param(b'{"applicationSetName":"a","input":null}', "not an object", id="an input of null"),
        pytest.param(b'{"applicationSetName":"a","input":{"parametres":{}}}', "'parameters'", id="misspelt inside"),
        pytest.param(b'{"applicationSetName":"a","input":{"parameters":[]}}', "not an object", id="a list inside"),
        pytest.param(b'{"applicationSetName":"a","input":{"parameters":null}}', "not an object", id="null inside"),
        pytest.param(asking({"plam": "gold"}), "Did you mean 'plan'?", id="a misspelt field"),
        pytest.param(asking({"plan": []}), "match no tenant", id="an empty list of values"),
        pytest.param(asking({"plan": None}), "is null", id="a value of null"),
        pytest.param(asking({"plan": {"a": "b"}}), "is an object", id="an object as a value"),
        pytest.param(asking({"plan": [["gold"]]}), "a list in a list", id="a list in a list"),
        pytest.param(asking({"selector": "pla=gold"}), "Did you mean 'plan'?", id="an unknown name in a selector"),
        pytest.param(asking({"selector": "plan=gold)"}), "selector", id="no selector"),
        pytest.param(asking({"view": "paying"}), "The configuration has no views.", id="an unknown view"),
        pytest.param(asking({"view": []}), "'view' is an empty list", id="no view"),
        pytest.param(asking({"shard": "0/2"}), "'shard' is no object", id="a shard that is no object"),
        pytest.param(asking({"shard": {"index": 2, "count": 2}}), "index 2 of 2", id="a shard beyond the last"),
        pytest.param(asking({"shard": {"index": "one", "count": 2}}), "no whole number as its index", id="a shard without a number"),  # noqa: E501 -- as the others
        pytest.param(asking({"allowEmpty": "yes"}), "neither true nor false", id="no boolean"),
    ],
)  # fmt: skip
async def test_what_is_not_understood_is_refused_and_says_what(body: bytes, told: str) -> None:
    reply = await ask(door(snapshot_of(TWO)), body)

    assert reply.status == 400
    assert told in reply.message
    assert b"acme" not in reply.body


async def test_no_body_at_all_asks_for_every_tenant_under_no_name() -> None:
    here = door(snapshot_of(TWO))

    assert (await ask(here, b"")).tenants == ["acme", "beta"]
    assert here.seen.answers == [("(no body)", "argocd", 2)]


async def test_control_characters_of_a_request_never_come_back() -> None:
    reply = await ask(door(), asking({"pl\nam\x1b[31m": "gold"}))

    assert reply.status == 400
    assert "\x1b" not in reply.message


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused_without_a_look_at_the_token(method: str) -> None:
    reply = await ask(door(), method=method, token=None)

    assert reply.status == 405
    assert reply.header("allow") == "POST"
    assert "redirect" in reply.message


async def test_a_body_in_pieces_is_one_body() -> None:
    assert (await ask(door(), parts=[ALL[:5], b"", ALL[5:]])).status == 200


@pytest.mark.parametrize(
    ("body", "status"), [pytest.param(ALL, 200, id="as large"), pytest.param(ALL + b" ", 413, id="a byte larger")]
)
@pytest.mark.parametrize("declared", [pytest.param(True, id="declared"), pytest.param(False, id="not declared")])
async def test_the_limit_of_a_body_is_its_last_allowed_byte(body: bytes, status: int, declared: bool) -> None:
    headers = [(b"content-length", str(len(body)).encode())] if declared else []

    reply = await ask(door(max_body=len(ALL)), body, headers=headers)

    assert reply.status == status
    if status == 413:
        assert "server.max_body" in reply.message
        assert reply.header("connection") == "close"


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(LONG_ENOUGH):
        await door(body_timeout=0.01).app(scope_of("POST", PATH, bearer("letmein")), receive, send)

    assert whole(sent).status == 408
    assert whole(sent).message


async def test_a_client_that_went_away_gets_nothing_and_is_counted_nowhere() -> None:
    here, sent = door(), list[Message]()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await here.app(scope_of("POST", PATH, bearer("letmein")), receive, send)

    assert (sent, here.seen.answers, here.seen.refusals) == ([], [], [])


@pytest.mark.parametrize(
    ("accepts", "packed"),
    [
        pytest.param(b"gzip", True, id="as Go asks"),
        pytest.param(b"deflate, GZIP;q=0.5", True, id="among others"),
        pytest.param(b"*", True, id="anything"),
        pytest.param(b"gzip;q=0", False, id="not that"),
        pytest.param(b"gzip; q=0.000", False, id="not that, at length"),
        pytest.param(b"*;q=0, gzip", True, id="that alone"),
        pytest.param(b"*, gzip;q=0", False, id="anything but that"),
        pytest.param(b"identity", False, id="as it is"),
        pytest.param(b"", False, id="nothing said"),
    ],
)
async def test_a_large_answer_is_packed_for_those_who_take_it(accepts: bytes, packed: bool) -> None:
    here = door(snapshot_of(tenants(100)))

    plain = await ask(here)
    reply = await ask(here, headers=[(b"accept-encoding", accepts)])

    assert (reply.header("content-encoding") == "gzip") is packed
    assert reply.header("content-length") == str(len(reply.body))
    assert reply.header("vary") == "accept-encoding"
    assert (gzip.decompress(reply.body) if packed else reply.body) == plain.body


async def test_a_small_answer_is_never_packed() -> None:
    reply = await ask(door(snapshot_of(TWO)), headers=[(b"accept-encoding", b"gzip")])

    assert reply.header("content-encoding") is None
    assert len(reply.tenants) == 2


async def test_the_same_bytes_are_answered_from_the_snapshot_in_use_and_no_other() -> None:
    here = door(snapshot_of(TWO))
    assert (await ask(here)).tenants == ["acme", "beta"]

    here.publish(snapshot_of(TWO[:1]))

    assert (await ask(here)).tenants == ["acme"]


async def test_what_was_prepared_is_not_answered_once_the_snapshot_is_too_old() -> None:
    here = door(snapshot_of(TWO), max_stale=60)
    assert (await ask(here)).status == 200

    here.clock.pass_by(seconds=61)

    assert (await ask(here)).status == 503


async def test_more_requests_than_are_remembered_are_all_answered() -> None:
    here = door(snapshot_of(TWO))

    for n in range(1100):
        body = json.dumps({"applicationSetName": f"set-{n}", "input": {"parameters": {"plan": f"{n}"}}}).encode()
        assert (await ask(here, body)).status == 200

    assert len(here.endpoint._prepared) <= 1024


async def test_callers_at_once_get_one_answer_that_is_counted_once_in_memory() -> None:
    here = door(snapshot_of(tenants(5000)))

    replies = await asyncio.gather(*(ask(here) for _ in range(10)))

    assert len({reply.body for reply in replies}) == 1
    assert here.endpoint._bytes == sum(prepared.size for prepared in here.endpoint._prepared.values())


async def test_an_answer_and_a_fault_are_told_to_those_who_watch() -> None:
    here = door(snapshot_of(TWO))

    await ask(here, asking({"plan": "gold"}))
    await ask(here, asking({"plam": "gold"}))

    assert here.seen.answers == [("prod-eu", "argocd", 1)]
    assert [status for status, *_ in here.seen.refusals] == [400]
    assert here.seen.faults == []


@pytest.mark.parametrize("error", STATUSES, ids=lambda error: error.__name__)
async def test_every_error_has_a_sentence_and_a_remedy(error: type[TenantryError]) -> None:
    assert error().what.endswith(".")
    assert error().advice.endswith(".")


async def test_a_request_of_argo_cd_without_a_body_is_not_taken_for_the_wish_to_see_everything() -> None:
    here = door(snapshot_of(TWO))

    assert (await ask(here, b"", headers=[(b"user-agent", b"argocd-applicationset")])).status == 400
    assert (await ask(here, b"", headers=[(b"user-agent", b"curl/7.88.1")])).status == 200
