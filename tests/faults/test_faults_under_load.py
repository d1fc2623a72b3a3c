"""Faults under load: while a client asks every 50 ms, no fault of the database becomes a smaller answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.faults import mariadb
from tests.faults.load import Load, WrongAnswer, check
from tests.faults.scenarios import FAULTS, Bed, Fault, HasTable, environment_of
from tests.support.pgbouncer import PgBouncer
from tests.support.service import RIVAL, RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]
B = TypeVar("B", bound=HasTable)


def failed_reads(service: RunningService) -> float:
    metrics = service.ask(path="/metrics", method="GET", body=b"").body.decode()
    found = re.search(r'tenantry_reads_total\{outcome="failed"\} (\S+)', metrics)
    return float(found[1]) if found else 0.0


def some_more(load: Load) -> None:
    """Wait for another few answers."""
    until = len(load.replies) + 5
    eventually(lambda: len(load.replies) >= until, what="An answer")


def suffer(load: Load, bed: B, fault: Fault[B], noticed: Callable[[], bool]) -> None:
    """Make the fault, and keep it up for its time, and until it was noticed."""
    some_more(load)
    fault.make(bed)
    over = time.monotonic() + fault.lasts

    def has_passed() -> bool:
        fault.keep(bed)
        return time.monotonic() >= over and noticed()

    eventually(has_passed, within=fault.lasts + 30, what="That the fault was noticed")
    fault.mend(bed)


def survives(service: RunningService, bed: B, fault: Fault[B]) -> None:
    """Hold every answer against the promise, and see that the service recovers by itself."""
    tenants = service.ask().tenants()
    before = failed_reads(service)

    with Load(service) as load:
        suffer(load, bed, fault, lambda: not fault.fails_reads or failed_reads(service) > before)
        some_more(load)
        bed.execute("INSERT INTO organization (tenant, status) VALUES ('newcomer', 'active')")
        eventually(lambda: "newcomer" in service.ask().tenants(), within=20, what="Recovery")

    assert len(tenants) == 10
    check(load, tenants)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_fault_becomes_a_smaller_answer(fault: Fault[Bed], bed: Bed, serving: Serving) -> None:
    survives(serving(environment_of(bed, fault)), bed, fault)


@pytest.mark.parametrize("fault", mariadb.FAULTS, ids=lambda fault: fault.name)
def test_nor_does_any_of_mariadb(
    fault: Fault[mariadb.MariaBed], bed_of_mariadb: mariadb.MariaBed, serving: Serving
) -> None:
    survives(serving(mariadb.environment_of(bed_of_mariadb, fault)), bed_of_mariadb, fault)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_nor_does_it_behind_a_pooler(
    fault: Fault[Bed], bed: Bed, serving: Serving, pgbouncer: Callable[..., PgBouncer]
) -> None:
    pooler = pgbouncer(bed.database, {bed.reader: bed.password}, bed.proxy.port)

    survives(serving(environment_of(bed, fault, pooler.port)), bed, fault)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.fools_the_rival], ids=lambda fault: fault.name)
def test_the_rival_fails_the_same_check(fault: Fault[Bed], bed: Bed, serving: Serving) -> None:
    rival = serving(environment_of(bed, fault), command=RIVAL)
    tenants = rival.ask().tenants()

    with Load(rival) as load:
        some_more(load)
        check(load, tenants)
        suffer(load, bed, fault, lambda: breaks_the_promise(load, tenants))
    # It would wait for ever for what was swallowed.
    bed.proxy.cut()

    assert len(tenants) == 10
    with pytest.raises(WrongAnswer):
        check(load, tenants)


def breaks_the_promise(load: Load, tenants: list[str]) -> bool:
    try:
        check(load, tenants)
    except WrongAnswer:
        return True
    return False
