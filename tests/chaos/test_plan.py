"""What a seed draws: the same faults and changes again, each mended in time."""

from __future__ import annotations

import itertools

import pytest

from tests.chaos.customers import Customers
from tests.chaos.people import Busy, Operator
from tests.chaos.plan import LINKS, PARTS, faults
from tests.support.postgres import Database, PostgresServer


def test_a_seed_draws_the_same_faults_again_and_another_one_others() -> None:
    assert faults(1, 60) == faults(1, 60)
    assert faults(1, 60) != faults(2, 60)


@pytest.mark.parametrize("seed", range(5))
def test_every_fault_is_mended_before_the_end_and_nothing_has_two_at_once(seed: int) -> None:
    drawn = faults(seed, 300)

    assert all(one.at >= 0 and one.at + one.lasts <= 300 for one in drawn)
    for one, other in itertools.combinations(drawn, 2):
        assert one.on != other.on or abs(one.at - other.at) > min(one.lasts, other.lasts)
    assert sum(one.at < other.at < one.at + one.lasts for one in drawn for other in drawn) > 20, "some last at once"


def test_everything_that_there_is_breaks_sooner_or_later() -> None:
    assert {one.on for one in faults(1, 3600)} == {*PARTS, *LINKS}


def test_a_seed_draws_the_same_changes_again(postgres: PostgresServer) -> None:
    def made(seed: int) -> tuple[list[str], Customers]:
        customers = Customers(postgres.create_database())
        busy = Busy(customers, Operator(), seed)
        customers.begin(busy.chance)
        return [busy.change() for _ in range(60)], customers

    (first, one), (again, another), (others, _) = made(1), made(1), made(2)

    assert first == again
    assert one.rows == another.rows
    assert first != others


def test_the_history_of_a_tenant_tells_when_it_was_away(database: Database) -> None:
    customers = Customers(database, clock=itertools.count().__next__)
    busy = Busy(customers, Operator(), 1)
    customers.begin(busy.chance)
    tenant, row = "t000", customers.rows["t000"]

    customers.write({tenant: None})
    [(began, ended)] = customers.absences(tenant, lambda _: True)
    assert ended is None
    customers.write({tenant: row})
    [(still, back)] = customers.absences(tenant, lambda _: True)
    assert still == began
    assert back is not None
    assert back > began
    customers.write({tenant: row._replace(status="inactive")})

    assert customers.absences(tenant, lambda _: True) == [(began, back)]
    assert len(customers.absences(tenant, lambda found: found.status == "active")) == 2
