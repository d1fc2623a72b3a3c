"""What a replica knew before another one answered: nobody goes by it."""

from __future__ import annotations

import pytest

from tenantry.core.columns import Kind
from tenantry.service.approving import Subject
from tests.builders import columns_of
from tests.fakes import FakeStore
from tests.guard.here import Here, policy
from tests.guard.test_attacks import ME, Rows
from tests.guard.test_attacks import rows as rows_of_a_table

pytestmark = pytest.mark.anyio

COLUMNS = columns_of(tenant=Kind.TEXT, status=Kind.TEXT, region=Kind.TEXT, subdomain=Kind.TEXT)


def rows(number: int, **last: object) -> Rows:
    """Return so many rows; what is told of the last one is only so of that."""
    all_of_them = rows_of_a_table(number, subdomain="first")
    return [*all_of_them[:-1], {**all_of_them[-1], **last}]


async def two() -> tuple[Here, Here]:
    """Return two processes that answered the same an hour ago, and read when that is asked for."""
    one = await Here(policy(identity=("subdomain",)), store=FakeStore(is_shared=True)).start()
    other = await one.restarted(name="other")
    for here in (one, other):
        here.reads_when_asked().read(rows(100), COLUMNS)
        await here.ask_twice()
    one.clock.pass_by(hours=1)
    return one, other


def read(now: Rows, *processes: Here) -> None:
    """Have them read, one after the other."""
    for here in processes:
        here.clock.pass_by(seconds=1)
        here.read(now, COLUMNS)
    processes[0].clock.pass_by(seconds=1)


async def test_who_was_answered_under_another_name_by_another_one_is_not_missing_since_before() -> None:
    one, other = await two()
    read(rows(100, subdomain="second"), one, other)
    await one.ask()
    one.clock.pass_by(seconds=61)
    await other.say.approve(Subject("prod", tenants=["t099"]), ME)
    await other.ask()
    read(rows(100, subdomain="second"), other)
    assert (await other.ask())["t099"]["subdomain"] == "second"

    read(rows(99), one)
    await one.ask()
    read(rows(99), one)

    assert len(await one.ask()) == 100
    one.clock.pass_by(seconds=61)
    read(rows(99), one)
    assert len(await one.ask()) == 99


async def test_who_left_and_came_back_by_another_one_is_not_missing_since_before() -> None:
    one, other = await two()
    read(rows(99), one, other)
    for here in (one, other):
        await here.ask()
    one.clock.pass_by(seconds=61)
    read(rows(99), other)
    assert len(await other.ask()) == 99
    await one.ledger.confirm()
    read(rows(100), other)
    assert len(await other.ask()) == 100

    read(rows(99), one)
    await one.ask()
    read(rows(99), one)

    assert len(await one.ask()) == 100
    one.clock.pass_by(seconds=61)
    read(rows(99), one)
    assert len(await one.ask()) == 99
