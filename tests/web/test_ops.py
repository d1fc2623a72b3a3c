"""The probes and the metrics."""

from __future__ import annotations

import re

import pytest

from tenantry.adapters.prometheus import OTHERS
from tenantry.core.errors import SourceUnreachable
from tests.builders import snapshot_of, tenants
from tests.fakes import FakeTokens
from tests.web.harness import Door, ask, door

pytestmark = pytest.mark.anyio


async def probe(here: Door, path: str) -> tuple[int, list[str]]:
    reply = await ask(here, b"", method="GET", path=path, token=None)
    if reply.status == 200:
        assert reply.header("content-length") == str(len(reply.body))
        return 200, []
    assert reply.message == reply.json["reasons"][0]
    return reply.status, reply.json["reasons"]


async def test_a_process_that_works_says_so_whatever_else_is_wrong() -> None:
    assert await probe(door(empty=True, tokens=FakeTokens()), "/healthz") == (200, [])


async def test_with_a_snapshot_and_a_token_argo_cd_would_be_answered() -> None:
    assert await probe(door(), "/readyz") == (200, [])


async def test_before_the_first_read_nothing_would_be_answered() -> None:
    status, (reason,) = await probe(door(empty=True), "/readyz")

    assert status == 503
    assert "not been read yet" in reason


async def test_the_reason_of_a_failed_read_is_told() -> None:
    here = door(empty=True)
    here.snapshots.read_failed(SourceUnreachable())

    status, (reason,) = await probe(here, "/readyz")

    assert status == 503
    assert "The database is not reachable." in reason


async def test_a_snapshot_too_old_is_a_reason() -> None:
    here = door(max_stale=60)
    here.clock.pass_by(seconds=60)
    assert await probe(here, "/readyz") == (200, [])

    here.clock.pass_by(seconds=1)

    status, (reason,) = await probe(here, "/readyz")
    assert status == 503
    assert "snapshot.max_stale" in reason


async def test_a_row_that_was_never_good_is_a_reason_that_names_its_number_and_no_tenant() -> None:
    here = door(snapshot_of([{"tenant": "acme", "status": b"\xff"}, {"tenant": "beta", "status": "active"}]))

    status, (reason,) = await probe(here, "/readyz")

    assert status == 503
    assert "Row 1, column 'status'," in reason
    assert "acme" not in reason


async def test_without_a_token_nobody_could_ask() -> None:
    status, (reason,) = await probe(door(tokens=FakeTokens()), "/readyz")

    assert status == 503
    assert "No token is valid." in reason


async def test_shutting_down_is_a_reason_but_requests_are_answered() -> None:
    here = door()
    here.readiness.shutting_down = True

    assert (await probe(here, "/readyz"))[0] == 503
    assert (await ask(here)).status == 200


async def test_every_reason_is_told_at_once() -> None:
    here = door(empty=True, tokens=FakeTokens())
    here.readiness.shutting_down = True

    assert len((await probe(here, "/readyz"))[1]) == 3


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_probes_take_nothing_but_get(path: str, method: str) -> None:
    reply = await ask(door(), b"", method=method, path=path, token=None)

    assert reply.status == 405
    assert reply.header("allow") == "GET, HEAD"
    assert "GET" in reply.message


async def test_head_has_the_headers_of_get() -> None:
    here = door()

    replies = [await ask(here, b"", method=method, path="/healthz", token=None) for method in ("GET", "HEAD")]

    assert replies[0].headers == replies[1].headers


async def metrics(here: Door) -> str:
    reply = await ask(here, b"", method="GET", path="/metrics", token=None)
    assert reply.status == 200
    assert reply.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    return reply.body.decode()


def named(text: str, metric: str) -> dict[str, float]:
    return {
        labels: float(value) for labels, value in re.findall(rf"^{metric}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    }


async def test_requests_are_counted_by_status_and_outcome() -> None:
    here = door()
    await ask(here)
    await ask(here, b"{")
    await ask(here, token="wrong")

    text = await metrics(here)

    assert named(text, "tenantry_requests_total") == {'status="200"': 1, 'status="400"': 1, 'status="401"': 1}
    assert named(text, "tenantry_answers_total") == {
        'outcome="released"': 1,
        'outcome="held"': 0,
        'outcome="refused"': 2,
    }
    assert named(text, "tenantry_request_seconds_count") == {"": 3}


async def test_gauges_tell_of_the_snapshot_in_use() -> None:
    here = door()
    here.clock.pass_by(seconds=30)

    text = await metrics(here)

    assert named(text, "tenantry_tenants") == {"": 10}
    assert named(text, "tenantry_quarantined_tenants") == {"": 0}
    assert named(text, "tenantry_snapshot_age_seconds") == {"": 30}


async def test_before_the_first_read_gauges_have_no_value_rather_than_zero() -> None:
    text = await metrics(door(empty=True))

    assert named(text, "tenantry_tenants") == {}
    assert named(text, "tenantry_snapshot_age_seconds") == {}


async def test_no_metric_holds_a_tenant() -> None:
    here = door(snapshot_of(tenants(20)))
    await ask(here, b'{"applicationSetName":"prod","input":{"parameters":{"tenant":"tenant-0003"}}}')
    await ask(here, b'{"applicationSetName":"prod","input":{"parameters":{"tenant-0004":"x"}}}')

    assert "tenant-0" not in await metrics(here)


async def test_an_applicationset_is_named_once_its_token_was_accepted() -> None:
    here = door()
    await ask(here, b'{"applicationSetName":"prod","input":{}}')
    await ask(here, b'{"applicationSetName":"intruder","input":{}}', token="wrong")

    text = await metrics(here)

    assert named(text, "tenantry_answer_tenants") == {'application_set="prod"': 10}
    assert set(named(text, "tenantry_answer_checksum")) == {'application_set="prod"'}
    assert "intruder" not in text


@pytest.mark.parametrize("most", [0, 1, 3])
async def test_only_so_many_applicationsets_have_a_name(most: int) -> None:
    here = door(max_sets=most)
    for n in range(10):
        await ask(here, b'{"applicationSetName":"set-%d","input":{}}' % n)

    sets = named(await metrics(here), "tenantry_answer_tenants")

    assert set(sets) == {*(f'application_set="set-{n}"' for n in range(most)), f'application_set="{OTHERS}"'}


async def test_no_name_of_an_applicationset_breaks_the_format() -> None:
    here = door()
    await ask(here, b'{"applicationSetName":"a\\"} 1\\nfake_metric 1\\\\","input":{}}')

    assert named(await metrics(here), "fake_metric") == {}


async def test_every_metric_has_help_and_a_name_of_ours() -> None:
    here = door()
    await ask(here)

    samples = [line for line in (await metrics(here)).splitlines() if not line.startswith("#")]
    helped = re.findall(r"^# HELP (\S+) \S", await metrics(here), re.MULTILINE)

    assert all(line.startswith("tenantry_") for line in samples)
    assert all(any(line.startswith(name.removesuffix("_total")) for name in helped) for line in samples)
