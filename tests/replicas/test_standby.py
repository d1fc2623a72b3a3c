"""A real standby with a lag behind one of two replicas: no answer ever goes back."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString, Self

import psycopg
import pytest

from tenantry.adapters.database.postgresql import _REACHED
from tenantry.adapters.database.state import open_state
from tenantry.core.errors import StateUnreachable, StateUnwritable
from tests.contract.cases import case
from tests.support.postgres import Database, PostgresServer
from tests.support.service import RunningService
from tests.support.standby import Standby
from tests.support.waiting import eventually

LAG = 5.0
PATIENCE = timedelta(seconds=5)
TENANTS = 20
CHANGES = 60
Serving = Callable[..., RunningService]
Parameters = Mapping[str, Mapping[str, str]]


@pytest.fixture
def standby(own_postgres: PostgresServer, readable_folder: Path, request: pytest.FixtureRequest) -> Iterator[Standby]:
    """Run a standby of the test's own server, so many seconds behind."""
    folder = readable_folder / f"standby-{abs(hash(request.node.nodeid))}"
    behind = Standby(folder, own_postgres, getattr(request, "param", LAG))
    behind.start()
    yield behind
    behind.stop()


@pytest.fixture
def tenants(own_postgres: PostgresServer) -> Database:
    """Return a database of tenants, each with a number that only grows."""
    database = own_postgres.create_database()
    database.execute("DELETE FROM organization")
    for number in range(TENANTS):
        database.execute(f"INSERT INTO organization (tenant, status) VALUES ('t{number:02}', '0')")
    return database


@pytest.fixture
def state(postgres: PostgresServer) -> Database:
    """Return an empty database, on a server that writes no log for the tenants' one."""
    return postgres.create_database("template1")


def is_replayed(url: str) -> bool:
    """Tell whether a standby has a state."""
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT writes FROM tenantry.ledger").fetchall() == [(0,)]
    except psycopg.Error:
        return False


@pytest.mark.parametrize("standby", [0.0], indirect=True)
@pytest.mark.anyio
async def test_the_standby_of_a_state_tells_nobody_what_the_state_is(
    own_postgres: PostgresServer, standby: Standby
) -> None:
    """It would be read long after others wrote to the primary, by which nothing is decided here any more."""
    state = own_postgres.create_database("template1")
    hosts = f"{state.url()}?host=127.0.0.1:{own_postgres.port}&host=127.0.0.1:{standby.port}"
    stores = [open_state(f"{hosts}{more}", PATIENCE, PATIENCE, time.time) for more in ("", "&target_session_attrs=any")]
    for store in stores:
        await store.load()
    eventually(lambda: is_replayed(standby.url(state)))
    own_postgres.stop()

    with pytest.raises(StateUnreachable):
        await stores[0].counts()
    with pytest.raises(StateUnwritable, match="standby"):
        await stores[1].counts()

    for store in stores:
        await store.close()


def replica(serving: Serving, url: str, state: Database) -> RunningService:
    """Start a replica that reads its tenants there."""
    return serving(
        {
            "TENANTRY_SOURCE_URL": url,
            "TENANTRY_SOURCE_TABLE": "organization",
            "TENANTRY_SOURCE_PARAMETERS": "tenant,status",
            "TENANTRY_STATE_URL": state.url(),
            "TENANTRY_GUARD_MODE": "hold",
            "TENANTRY_GUARD_SETTLE": "0s",
            "TENANTRY_GUARD_LIMITS": "1h:100:50",
        }
    )


def answered(service: RunningService) -> Parameters | None:
    """Return the parameter sets by tenant; None where there is no answer."""
    reply = service.ask()
    if reply.status == 503:
        assert "Another replica answered from a later state" in reply.json()["message"]
        return None
    assert reply.status == 200, reply.body
    return {one["tenant"]: one for one in reply.json()["output"]["parameters"]}


class Changing:
    """Changes at random: numbers that grow, tenants that come and go, and never come again."""

    def __init__(self, database: Database, seed: int) -> None:
        self._database = database
        self._chance = random.Random(seed)
        self.there = {f"t{number:02}": 0 for number in range(TENANTS)}
        self.gone: set[str] = set()
        self._made = TENANTS
        self.is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self._thread.join()

    def _run(self) -> None:
        for _ in range(CHANGES):
            self._change()
            if self.is_over.wait(self._chance.uniform(0.05, 0.4)):
                return
        self.is_over.set()

    def _change(self) -> None:
        tenant, what = self._chance.choice(sorted(self.there)), self._chance.random()
        if what < 0.15 and len(self.there) > TENANTS // 2:
            self._database.execute(f"DELETE FROM organization WHERE tenant = '{tenant}'")
            del self.there[tenant]
            self.gone.add(tenant)
        elif what < 0.3:
            self._made += 1
            tenant = f"t{self._made:02}"
            self._database.execute(f"INSERT INTO organization (tenant, status) VALUES ('{tenant}', '0')")
            self.there[tenant] = 0
        else:
            self.there[tenant] += 1
            self._database.execute(f"UPDATE organization SET status = '{self.there[tenant]}' WHERE tenant = '{tenant}'")


class Watcher:
    """Holds each answer against all before it."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.left: set[str] = set()
        self.before: set[str] = set()

    def see(self, answer: Parameters) -> None:
        now = set(answer)
        assert not now & self.left, f"Those who had left are back: {sorted(now & self.left)}"
        self.left |= self.before - now
        self.before = now
        for tenant, parameters in answer.items():
            number = int(parameters["status"])
            assert number >= self.numbers.get(tenant, 0), f"{tenant} went back to {number}"
            self.numbers[tenant] = number


def test_no_answer_ever_goes_back_though_one_replica_reads_from_a_standby_five_seconds_behind(
    serving: Serving, tenants: Database, state: Database, standby: Standby
) -> None:
    eventually(lambda: _rows_at(standby, tenants) == TENANTS, within=30, what="The standby's rows")
    fast, slow = replica(serving, tenants.url(), state), replica(serving, standby.url(tenants), state)
    changing, watcher, outcomes = Changing(tenants, seed=1), Watcher(), Counter[tuple[str, bool]]()
    for service in (fast, slow):
        eventually(lambda service=service: answered(service) is not None)  # type: ignore[misc]

    with changing:
        while not changing.is_over.is_set():
            for name, service in (*[("fast", fast)] * 10, ("slow", slow)):
                answer = answered(service)
                outcomes[name, answer is not None] += 1
                if answer is not None:
                    watcher.see(answer)

    for service in (fast, slow, fast, slow):
        last = eventually(lambda service=service: _is_all(answered(service), changing), within=30)  # type: ignore[misc]
        watcher.see(last or {})
    assert outcomes["fast", True] > TENANTS
    assert not outcomes["fast", False]
    assert outcomes["slow", False], "The slower one was never behind: nothing was tried."
    assert watcher.left == changing.gone


@case(18)
@pytest.mark.parametrize("standby", [0.0], indirect=True)
def test_who_reads_a_standby_that_is_behind_says_503_until_it_has_caught_up_and_then_answers_the_same(
    serving: Serving, tenants: Database, state: Database, standby: Standby
) -> None:
    eventually(lambda: _rows_at(standby, tenants) == TENANTS, within=30, what="The standby's rows")
    ahead, behind = replica(serving, tenants.url(), state), replica(serving, standby.url(tenants), state)
    assert ahead.ask().body == behind.ask().body

    with standby.held_still(tenants):
        after = _changed(ahead, tenants, to="while-both-run")
        assert answered(behind) is None
    assert _once_caught_up(behind) == after

    with standby.held_still(tenants):
        behind.stop()
        after = _changed(ahead, tenants, to="while-one-is-down")
        behind.start()
        assert answered(behind) is None
    assert _once_caught_up(behind) == after


def _changed(ahead: RunningService, tenants: Database, *, to: str) -> bytes:
    """Change everybody, let one go and another come; return what is answered by that."""
    tenants.execute(
        f"BEGIN; UPDATE organization SET status = '{to}'; "
        "DELETE FROM organization WHERE tenant = (SELECT min(tenant) FROM organization); "
        f"INSERT INTO organization (tenant, status) VALUES ('{to}', '{to}'); COMMIT"
    )
    expected = {str(tenant) for (tenant,) in tenants.execute("SELECT tenant FROM organization")}
    eventually(lambda: set(answered(ahead) or {}) == expected, what="The change")
    return ahead.ask().body


def _once_caught_up(behind: RunningService) -> bytes:
    """Return the first answer that is not refused because of others' later ones."""
    eventually(lambda: answered(behind) is not None, within=30, what="An answer")
    return behind.ask().body


def _is_all(answer: Parameters | None, changing: Changing) -> Parameters | None:
    now = {tenant: str(number) for tenant, number in changing.there.items()}
    return answer if answer and {one: found["status"] for one, found in answer.items()} == now else None


def _rows_at(standby: Standby, database: Database) -> int:
    return int(_shown(standby, database, "SELECT count(*) FROM organization"))


def _shown(standby: Standby, database: Database, query: LiteralString) -> Any:  # noqa: ANN401 -- whatever it is
    """Return what a query for one value finds on the standby."""
    with psycopg.connect(standby.url(database)) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


@pytest.mark.parametrize("standby", [0.5], indirect=True)
def test_a_standby_that_is_a_moment_behind_costs_no_answer(
    serving: Serving, tenants: Database, state: Database, standby: Standby
) -> None:
    eventually(lambda: _rows_at(standby, tenants) == TENANTS, within=30, what="The standby's rows")
    fast, slow = replica(serving, tenants.url(), state), replica(serving, standby.url(tenants), state)
    for number in range(1, 6):
        tenants.execute(f"UPDATE organization SET status = '{number}'")
        eventually(lambda number=number: {one["status"] for one in (answered(fast) or {}).values()} == {str(number)})  # type: ignore[misc]

        began = time.monotonic()
        answer = answered(slow)

        assert answer is not None, f"It was refused after {time.monotonic() - began:.3f} s"
        assert {one["status"] for one in answer.values()} == {str(number)}


@pytest.mark.parametrize("standby", [0.0], indirect=True)
def test_what_is_read_lies_between_the_two_places_in_the_log(
    tenants: Database, standby: Standby, own_postgres: PostgresServer
) -> None:
    """A standby that has come as far as a read of its primary shows all that the read did."""
    for number in range(30):
        tenants.execute(f"UPDATE organization SET status = 'n{number}'")
        with psycopg.connect(tenants.url()) as connection:
            row: Any = connection.execute(_REACHED).fetchone()
        with psycopg.connect(standby.url(tenants), autocommit=True) as replayed:
            eventually(
                lambda row=row, replayed=replayed: (
                    replayed.execute(  # type: ignore[misc]
                        "SELECT pg_last_wal_replay_lsn() - '0/0' >= %s", row
                    ).fetchone()
                    == (True,)
                ),
                within=10,
                what=f"The place {row[0]}",
            )
            assert replayed.execute("SELECT DISTINCT status FROM organization").fetchall() == [(f"n{number}",)]
