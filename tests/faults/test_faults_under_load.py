"""Faults under load: while a client asks every 50 ms, no fault of the database becomes a smaller answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.faults.load import Load, WrongAnswer, check
from tests.faults.scenarios import FAULTS, READER, THROUGH_A_POOLER, Bed, Fault
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PostgresServer
from tests.support.proxy import FaultProxy
from tests.support.service import RIVAL, RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]
DURING = 40
"""Questions asked while a fault lasts, two seconds of them at least."""


@pytest.fixture
def bed(own_postgres: PostgresServer) -> Iterator[Bed]:
    """Run a server of its own behind the proxy, with a role that may only read."""
    database = own_postgres.create_database()
    database.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{READER}'")
    database.execute(f"GRANT SELECT ON organization TO {READER}")
    proxy = FaultProxy(own_postgres.port).start()
    made = Bed(own_postgres, database, proxy)
    yield made
    made.release()
    proxy.stop()


def environment(bed: Bed, fault: Fault, port: int | None = None) -> dict[str, str]:
    tutorial = bed.database.tutorial_environment(port or bed.proxy.port, READER, READER)
    return {**tutorial, "TENANTRY_SOURCE_CONNECT_TIMEOUT": "2s", **fault.environment}


def failed_reads(service: RunningService) -> float:
    metrics = service.ask(path="/metrics", method="GET", body=b"").body.decode()
    found = re.search(r'tenantry_reads_total\{outcome="failed"\} (\S+)', metrics)
    return float(found[1]) if found else 0.0


def suffer(service: RunningService, bed: Bed, fault: Fault, during: Callable[[Load], None]) -> Load:
    """Ask all the time while the fault comes, lasts and goes."""
    with Load(service) as load:
        eventually(lambda: load.asked() >= 5)
        fault.make(bed)
        until = load.asked() + DURING
        eventually(lambda: load.asked() >= until, within=60)
        during(load)
        fault.mend(bed)
        until = load.asked() + 5
        eventually(lambda: load.asked() >= until, within=60)
    return load


def show(service: RunningService, bed: Bed, fault: Fault) -> None:
    """Let the service suffer, hold every answer against the promise, and see that it recovers by itself."""
    tenants = set(service.ask().tenants())
    before = failed_reads(service)

    def noticed(_: Load) -> None:
        if fault.notices:
            eventually(lambda: failed_reads(service) > before, within=30, what="A failed read")

    check(suffer(service, bed, fault, noticed), tenants)
    bed.execute("INSERT INTO organization (tenant, status) VALUES ('newcomer', 'active')")
    eventually(lambda: "newcomer" in service.ask().tenants(), within=20, what="Recovery")
    assert len(tenants) == 10


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_fault_becomes_a_smaller_answer(fault: Fault, bed: Bed, serving: Serving) -> None:
    show(serving(environment(bed, fault)), bed, fault)


@pytest.mark.parametrize("fault", THROUGH_A_POOLER, ids=lambda fault: fault.name)
def test_nor_does_it_through_a_pooler(
    fault: Fault, bed: Bed, serving: Serving, pgbouncer: Callable[..., PgBouncer]
) -> None:
    pooler = pgbouncer(bed.database, {READER: READER})

    show(serving(environment(bed, fault, pooler.port)), bed, fault)


@pytest.mark.parametrize(
    "fault",
    [
        fault
        for fault in FAULTS
        if fault.name in {"the server is stopped", "the table is renamed", "the table is locked"}
    ],
    ids=lambda fault: fault.name,
)
def test_the_rival_fails_the_same_check(fault: Fault, bed: Bed, serving: Serving) -> None:
    rival = serving(environment(bed, fault), command=RIVAL)
    tenants = set(rival.ask().tenants())

    load = suffer(rival, bed, fault, lambda _: None) if "locked" not in fault.name else locked(rival, bed)

    with pytest.raises(WrongAnswer):
        check(load, tenants)


def locked(rival: RunningService, bed: Bed) -> Load:
    """Lock the table for as long as an answer may take at most, and a little longer."""
    fault = next(fault for fault in FAULTS if "locked" in fault.name)
    with Load(rival) as load:
        eventually(lambda: load.asked() >= 5)
        fault.make(bed)
        eventually(lambda: waiting(bed), within=10, what="The rival, waiting for the lock")
        began = load.asked()
        lasting = bed.server.connect()
        lasting.execute("SELECT pg_sleep(2.5)")
        lasting.close()
        fault.mend(bed)
        eventually(lambda: load.asked() > began, within=20)
    return load


def waiting(bed: Bed) -> bool:
    return bool(bed.server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
