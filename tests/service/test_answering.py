"""Answers: one per snapshot and selection, from exactly one snapshot."""

from __future__ import annotations

import asyncio

import pytest

from tenantry.core.errors import NoSnapshot, UnknownParameter
from tenantry.service import answering
from tenantry.service.answering import Answering, PluginRequest
from tenantry.service.snapshots import SnapshotHolder
from tests.builders import sets_of, snapshot_of, tenants
from tests.fakes import FakeClock

pytestmark = pytest.mark.anyio


def bed(rows: list[dict[str, object]]) -> tuple[Answering, SnapshotHolder]:
    holder = SnapshotHolder(FakeClock(), 3600)
    holder.publish(snapshot_of(rows), 1000.0)
    return Answering(holder), holder


def asks(**parameters: object) -> PluginRequest:
    return PluginRequest("a", parameters)


async def test_the_same_question_is_encoded_once() -> None:
    service, _ = bed(tenants(3))

    assert await service.answer(asks(status="active")) is await service.answer(asks(status=["active"]))


async def test_the_order_of_fields_and_values_makes_no_other_question() -> None:
    service, _ = bed(tenants(3))
    states = ["active", "trial", "x", "y", "z"]

    first = await service.answer(asks(status=states, tenant="tenant-0001"))

    assert await service.answer(asks(tenant="tenant-0001", status=states[::-1])) is first


async def test_a_hundred_who_ask_at_once_get_one_answer() -> None:
    service, _ = bed(tenants(3000))

    answers = await asyncio.gather(*(service.answer(asks()) for _ in range(100)))

    assert len({id(answer) for answer in answers}) == 1


async def test_one_who_goes_away_takes_nothing_from_the_others() -> None:
    service, _ = bed(tenants(5000))
    first = asyncio.create_task(service.answer(asks()))
    second = asyncio.create_task(service.answer(asks()))
    await asyncio.sleep(0)

    first.cancel()

    assert (await second).tenants == 5000


async def test_a_new_snapshot_is_answered_from_at_once() -> None:
    service, holder = bed(tenants(3))
    before = await service.answer(asks())

    holder.publish(snapshot_of(tenants(4), previous=holder.latest), 1000.0)

    assert (before.tenants, (await service.answer(asks())).tenants) == (3, 4)


async def test_a_snapshot_that_comes_in_between_does_not_mix_into_an_answer() -> None:
    service, holder = bed(tenants(3000))
    under_way = asyncio.create_task(service.answer(asks()))
    await asyncio.sleep(0)

    holder.publish(snapshot_of(tenants(1), previous=holder.latest), 1000.0)

    assert len(sets_of(await under_way)) == 3000
    assert len(sets_of(await service.answer(asks()))) == 1


async def test_who_asks_after_a_new_snapshot_does_not_get_what_is_under_way() -> None:
    service, holder = bed(tenants(3000))
    under_way = asyncio.create_task(service.answer(asks()))
    await asyncio.sleep(0)

    holder.publish(snapshot_of(tenants(1), previous=holder.latest), 1000.0)

    assert (await service.answer(asks())).tenants == 1
    assert (await under_way).tenants == 3000


async def test_what_was_under_way_is_not_kept_for_the_snapshot_after() -> None:
    service, holder = bed(tenants(3000))
    under_way = asyncio.create_task(service.answer(asks()))
    await asyncio.sleep(0)
    holder.publish(snapshot_of(tenants(1), previous=holder.latest), 1000.0)
    await service.answer(asks(status="trial"))

    assert (await under_way).tenants == 3000
    assert (await service.answer(asks())).tenants == 1


async def test_an_unknown_field_is_refused() -> None:
    service, _ = bed(tenants(1))

    with pytest.raises(UnknownParameter):
        await service.answer(asks(nothing="x"))


async def test_without_a_snapshot_there_is_no_answer() -> None:
    with pytest.raises(NoSnapshot):
        await Answering(SnapshotHolder(FakeClock(), 3600)).answer(asks())


async def test_answers_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MOST_ANSWERS", 3)
    service, _ = bed(tenants(3))
    first = await service.answer(asks(status="0"))

    for n in range(1, 5):
        await service.answer(asks(status=str(n)))

    assert await service.answer(asks(status="0")) is not first


async def test_the_answer_asked_for_longest_ago_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MOST_ANSWERS", 2)
    service, _ = bed(tenants(3))
    first, second = [await service.answer(asks(status=str(n))) for n in range(2)]

    assert await service.answer(asks(status="0")) is first
    third = await service.answer(asks(status="2"))

    assert await service.answer(asks(status="0")) is first
    assert await service.answer(asks(status="2")) is third
    assert await service.answer(asks(status="1")) is not second


async def test_answers_kept_are_bounded_in_bytes_too_and_those_of_each_snapshot_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service, holder = bed(tenants(3))
    for _ in range(2):
        first = await service.answer(asks(status="0"))
        monkeypatch.setattr(answering, "MOST_BYTES", 2 * first.size)
        second = await service.answer(asks(status="1"))
        assert await service.answer(asks(status="0")) is first
        assert await service.answer(asks(status="1")) is second

        third = await service.answer(asks(status="2"))

        assert await service.answer(asks(status="1")) is second
        assert await service.answer(asks(status="2")) is third
        assert await service.answer(asks(status="0")) is not first
        holder.publish(snapshot_of(tenants(4), previous=holder.latest), 1000.0)


async def test_an_answer_larger_than_all_that_is_kept_is_made_once_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answering, "MOST_BYTES", 1)
    service, _ = bed(tenants(3))

    assert await service.answer(asks()) is await service.answer(asks())


async def test_the_counts_of_shards_that_are_asked_for_are_known() -> None:
    service, holder = bed(tenants(3))
    assert list(service.counts) == []

    await service.answer(asks(shard={"index": 0, "count": 4}))
    holder.publish(snapshot_of(tenants(4), previous=holder.latest), 1000.0)
    await service.answer(asks())

    assert list(service.counts) == [4]
