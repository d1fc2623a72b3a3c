"""The contract of a ledger store: on the fake, on a file, on PostgreSQL, and through a pooler in transaction mode."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
from sqlalchemy import Connection, Engine, create_engine, inspect

from tenantry.adapters.database.state import open_state
from tenantry.adapters.database.state_migrations import migrate
from tenantry.adapters.database.state_tables import HEAD, SCHEMA
from tenantry.core.errors import (
    ConfigurationError,
    StateDamaged,
    StateError,
    StateInUse,
    StateMissing,
    StateMoved,
    StateTooNew,
    StateUnreachable,
)
from tenantry.core.history import Event, EventKind
from tenantry.core.ledger import Baseline, Hold, Loss, Rule, SetLedger, SetName, Size, Word
from tenantry.core.live import LiveName
from tenantry.core.position import ReleasedFrom
from tenantry.service.state import (
    Changes,
    EventQuery,
    LedgerStore,
    Origin,
    Remembered,
    Replica,
    SetChange,
    Whole,
)
from tests.fakes import FakeStore, spec_with
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Database, PostgresServer
from tests.support.processes import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

PATIENCE = timedelta(seconds=5)
SET = SetName("argocd", "prod-eu")
OTHER = SetName("staging", "prod-eu")
RELEASED = {"acme": b'{"tenant":"acme"}', "Über/1": '{"tenant":"Über/1"}'.encode()}
FULL = SetLedger(
    baselines={
        "{}": Baseline(RELEASED, "a.b.c", "layout", 10.5, 20.5, polled=True),
        '{"region":"eu"}': Baseline({}, "a.b.d", "layout", 11.0, 12.0, edited=True),
    },
    losses=(Loss("gone", "{}", 15.25, "app-gone"),),
    sizes=(Size(10.5, 3), Size(15.25, 2)),
    holds={("{}", "acme"): Hold("{}", "acme", Rule.LIMIT, 18.0, 7, "Too many.", "A read.")},
    approvals={"acme": Word("me", "left us", 19.0, 99.0, used=True)},
    admitted={"0123456789": Word("me", "new input", 19.0, 99.0)},
    pins={"Über/1": Word("me", "audit", 19.0)},
    freeze=Word("me", "night", 19.5),
    additions=4,
    strays=("app-older",),
    unrecognised="0123456789",
    spec=spec_with({"plugin": {}, "selector": {"matchLabels": {"status": "active"}}}),
)


@dataclass
class Place:
    """Where a store keeps its state, so that another one can open it."""

    open: Callable[[], LedgerStore]
    stores: list[LedgerStore]

    def store(self) -> LedgerStore:
        store = self.open()
        self.stores.append(store)
        return store

    def beside(self, store: LedgerStore) -> LedgerStore:
        """Return another store of the same state; the same one where only one process may have it."""
        return self.store() if store.is_shared else store


def now() -> float:
    return 1000.0


@pytest.fixture(params=["fake", "file", "postgresql", "pgbouncer"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    match request.param:
        case "fake":
            fake = FakeStore(now=now())
            here = Place(lambda: fake, [])
        case "file":
            here = Place(lambda: open_state(f"sqlite:///{tmp_path}/deep/state.db", PATIENCE, PATIENCE, now), [])
        case "postgresql":
            database: Database = request.getfixturevalue("database")
            here = Place(lambda: open_state(database.url(), PATIENCE, PATIENCE, now), [])
        case _:
            database = request.getfixturevalue("database")
            pooler: PgBouncer = request.getfixturevalue("pgbouncer")(database)
            here = Place(lambda: open_state(database.url(port=pooler.port), PATIENCE, PATIENCE, now), [])
    yield here
    for store in here.stores:
        await store.close()


async def again(place: Place, store: LedgerStore) -> LedgerStore:
    """Close a store and open it anew, as a process that starts again does."""
    await store.close()
    place.stores.remove(store)
    return place.store()


async def test_a_store_says_that_it_is_new_until_it_was_written_to(place: Place) -> None:
    store = place.store()

    found = await store.load()

    assert (found.is_new, found.writes, found.sets) == (True, 0, {})
    store = await again(place, store)
    assert (await store.load()).is_new
    await store.write(Changes(2000.0, []), 0)
    store = await again(place, store)
    assert not (await store.load()).is_new


async def test_where_several_share_a_state_the_time_is_that_of_its_server(database: Database) -> None:
    """The clock of one machine may be a week ahead, by which every limit would begin anew."""
    store = open_state(database.url(), PATIENCE, PATIENCE, lambda: 4_000_000_000.0)
    for _ in range(2):
        found = await store.load()

        assert found.now == pytest.approx(time.time(), abs=60)
        assert found.clock == found.whole.made == pytest.approx(time.time(), abs=60)
    await store.close()


async def test_everything_that_is_known_of_an_application_set_is_read_as_it_was_written(place: Place) -> None:
    store = place.store()
    await store.load()
    whole = Whole(5.0, Word("me", "moving", 6.0), (Size(5.0, 3),), {"a/b": Origin(1, 2, standby=True, turns=3)})
    put = {given: one.released for given, one in FULL.baselines.items()}

    await store.write(Changes(2000.5, [SetChange(SET, FULL, put), SetChange(OTHER, SetLedger())], whole), 0)

    store = await again(place, store)
    found = await store.load()
    assert found.sets == {SET: FULL, OTHER: SetLedger()}
    assert (found.writes, found.clock, found.whole) == (1, 2000.5, whole)


async def test_parameter_sets_are_put_and_dropped_one_by_one(place: Place) -> None:
    store = place.store()
    await store.load()
    first = SetLedger(baselines={"{}": Baseline({"a": b"1", "b": b"2", "c": b"3"}, "", "", 0, 0)})
    await store.write(Changes(1, [SetChange(SET, first, {"{}": first.baselines["{}"].released})]), 0)
    then = SetLedger(baselines={"{}": Baseline({"a": b"1", "b": b"4", "d": b"5"}, "", "", 0, 0)})

    await store.write(Changes(2, [SetChange(SET, then, {"{}": {"b": b"4", "d": b"5"}}, {"{}": ["c"]})]), 1)

    store = await again(place, store)
    assert (await store.load()).sets[SET].baselines["{}"].released == {"a": b"1", "b": b"4", "d": b"5"}


async def test_an_input_that_is_dropped_with_all_its_tenants_is_gone(place: Place) -> None:
    store = place.store()
    await store.load()
    two = {given: Baseline(RELEASED, "", "", 0, 0) for given in ("{}", "preview")}
    put = dict.fromkeys(two, RELEASED)
    await store.write(Changes(1, [SetChange(SET, SetLedger(baselines=two), put)]), 0)
    one = SetLedger(baselines={"{}": two["{}"]})

    await store.write(Changes(2, [SetChange(SET, one, dropped={"preview": list(RELEASED)})]), 1)
    await store.write(Changes(3, [SetChange(SET, SetLedger(baselines=two), {"preview": RELEASED})]), 2)

    store = await again(place, store)
    assert (await store.load()).sets == {SET: SetLedger(baselines=two)}


async def test_who_counts_other_writes_than_there_were_writes_nothing(place: Place) -> None:
    store = place.store()
    await store.load()
    await store.write(Changes(1, [SetChange(SET, FULL)]), 0)

    with pytest.raises(StateMoved):
        await store.write(Changes(2, [SetChange(OTHER, FULL)], names={"acme": "acme"}), 0)

    assert (await store.counts()).writes == 1
    store = await again(place, store)
    assert set((await store.load()).sets) == {SET}


async def test_a_new_consumer_takes_over_what_is_known(place: Place) -> None:
    store = place.store()
    await store.load()
    await store.write(Changes(1, [SetChange(SET, FULL, {"{}": RELEASED})]), 0)

    await store.write(Changes(2, [SetChange(OTHER, FULL, formerly=SET)]), 1)

    store = await again(place, store)
    found = (await store.load()).sets
    assert set(found) == {OTHER}
    assert found[OTHER].baselines["{}"].released == RELEASED


async def test_the_first_name_of_a_tenant_is_kept(place: Place) -> None:
    store = place.store()
    await store.load()
    await store.write(Changes(1, names={"acme": "acme", "Beta": "beta-1"}), 0)

    await store.write(Changes(2, names={"acme": "another", "gamma": "gamma"}), 1)

    assert await store.names_besides(str.lower) == {"Beta": "beta-1"}
    assert await store.names_besides(lambda _: "") == {"acme": "acme", "Beta": "beta-1", "gamma": "gamma"}


async def test_the_history_is_told_in_its_order_and_by_what_it_is_about(place: Place) -> None:
    store = place.store()
    await store.load()
    events = [
        Event(1.0, EventKind.RELEASED, *SET, input="{}", came=("acme", "beta")),
        Event(2.0, EventKind.FROZEN, by="me", why="night"),
        Event(3.0, EventKind.RELEASED, *OTHER, input="{}", came=("acme",)),
        Event(4.0, EventKind.RELEASED, *SET, input="{}", left=("acme",), words={"acme": "me"}),
    ]
    await store.write(Changes(4, events=events), 0)

    async def told(asked: EventQuery) -> list[float]:
        return [event.at for event in await store.events(asked)]

    assert await told(EventQuery()) == [1, 2, 3, 4]
    assert await told(EventQuery(SET)) == [1, 2, 4]
    assert await told(EventQuery(SET, tenant="acme")) == [1, 4]
    assert await told(EventQuery(tenant="beta")) == [1]
    assert await told(EventQuery(since=2.0, until=3.0)) == [2, 3]
    assert await told(EventQuery(limit=2)) == [3, 4]
    assert [event.sequence for event in await store.events(EventQuery())] == [1, 2, 3, 4]


async def test_old_history_is_forgotten(place: Place) -> None:
    store = place.store()
    await store.load()
    await store.write(Changes(4, events=[Event(float(at), EventKind.FROZEN) for at in (1, 2, 3)]), 0)

    await store.forget(2.0)

    assert [event.at for event in await store.events(EventQuery())] == [2, 3]


async def test_ten_thousand_tenants_are_written_and_read(place: Place) -> None:
    store = place.store()
    await store.load()
    released = {f"tenant-{n}": b"{}" for n in range(10_000)}
    ledger = SetLedger(baselines={"{}": Baseline(released, "", "", 0, 0)})

    await store.write(Changes(1, [SetChange(SET, ledger, {"{}": released})], names={one: one for one in released}), 0)

    store = await again(place, store)
    assert (await store.load()).sets[SET].baselines["{}"].released == released


# --- what others wrote ---------------------------------------------------------------------------------------------


def of_inputs(**released: dict[str, bytes]) -> SetLedger:
    """Return an ApplicationSet that was answered with these, by input."""
    return SetLedger(baselines={given: Baseline(sets, "", "", 0, 0) for given, sets in released.items()})


async def test_of_what_another_wrote_only_what_changed_is_read(place: Place) -> None:
    one = place.store()
    other = place.beside(one)
    await one.load()
    before = of_inputs(a={"x": b"1"}, b={"y": b"2"})
    put = {given: sets.released for given, sets in before.baselines.items()}
    await one.write(Changes(1, [SetChange(SET, before, put), SetChange(OTHER, before, put)]), 0)
    known = (await one.load()).sets
    await other.load()
    origin = ReleasedFrom("db", 1, 2, 3, standby=True)
    after = of_inputs(a={"x": b"1"}, b={"y": b"4", "z": b"5"}, c={"new": b"6"})
    after.baselines["b"] = msgspec.structs.replace(after.baselines["b"], origin=origin)  # type: ignore[index]

    change = SetChange(SET, after, {"b": {"y": b"4", "z": b"5"}, "c": {"new": b"6"}})
    await other.write(Changes(2, [change], configuration="new"), 1)

    found = await one.catch_up(1, known)
    assert found.sets == {SET: after, OTHER: before}
    assert found.sets[OTHER] is known[OTHER] or other is one
    assert (found.writes, found.clock, found.configurations) == (2, 2, ("new",))
    await one.write(Changes(3, [SetChange(SET, before, {"b": {"y": b"2"}}, {"b": ["z"], "c": ["new"]})]), 2)
    assert (await other.load()).sets[SET].baselines["b"].released == {"y": b"2"}


async def test_an_application_set_that_another_consumer_took_over_is_known_under_its_new_name_alone(
    place: Place,
) -> None:
    one = place.store()
    other = place.beside(one)
    await one.load()
    before = of_inputs(a={"x": b"1"})
    await one.write(Changes(1, [SetChange(SET, before, {"a": {"x": b"1"}})]), 0)
    known = (await one.load()).sets
    await other.load()

    await other.write(Changes(2, [SetChange(OTHER, before, formerly=SET)]), 1)

    assert (await one.catch_up(1, known)).sets == {OTHER: before}
    await one.write(Changes(3, [SetChange(OTHER, of_inputs(a={}), dropped={"a": ["x"]})]), 2)
    assert (await other.catch_up(2, {OTHER: before})).sets == {OTHER: of_inputs(a={})}


async def test_an_input_that_another_dropped_and_one_that_it_made_again_are_read(place: Place) -> None:
    one = place.store()
    other = place.beside(one)
    await one.load()
    await one.write(Changes(1, [SetChange(SET, of_inputs(a={"x": b"1"}), {"a": {"x": b"1"}})]), 0)
    known = (await one.load()).sets
    await other.load()
    await other.write(Changes(2, [SetChange(SET, SetLedger(), dropped={"a": ["x"]})]), 1)

    assert (await one.catch_up(1, known)).sets == {SET: SetLedger()}
    await other.write(Changes(3, [SetChange(SET, of_inputs(a={"y": b"2"}), {"a": {"y": b"2"}})]), 2)

    assert (await one.catch_up(2, {SET: SetLedger()})).sets == {SET: of_inputs(a={"y": b"2"})}


@pytest.mark.parametrize("seed", range(3))
async def test_whoever_wrote_what_what_is_caught_up_with_is_what_is_there(place: Place, seed: int) -> None:
    chance = random.Random(seed)
    stores = [one := place.store(), place.beside(one)]
    judge = place.beside(one)
    known = [await store.load() for store in stores]
    for step in range(40):
        which = chance.randrange(2)
        store, mine = stores[which], known[which]
        if chance.random() < 0.7 or step == 39:
            mine = await store.catch_up(mine.writes, mine.sets)
            assert mine.sets == (await judge.load()).sets
        name = chance.choice((SET, OTHER))
        baselines = dict(mine.sets.get(name, SetLedger()).baselines)
        given = chance.choice("abc")
        before = baselines[given].released if given in baselines else {}
        after = {one: str(step).encode() for one in "xyz" if chance.random() < 0.6}
        baselines[given] = Baseline(after, "", "", 0, 0)
        change = SetChange(
            name, SetLedger(baselines=baselines, additions=step), {given: after}, {given: before.keys() - after.keys()}
        )
        try:
            await store.write(Changes(step, [change]), mine.writes)
        except StateMoved:
            pass
        else:
            mine = Remembered(mine.writes + 1, step, mine.whole, {**mine.sets, name: change.ledger})
        known[which] = mine


async def test_a_configuration_that_comes_again_is_the_newest(place: Place) -> None:
    store = place.store()
    await store.load()

    for number, configuration in enumerate(("a", "b", None, "a")):
        await store.write(Changes(1, configuration=configuration), number)

    assert (await store.load()).configurations == ("b", "a")


async def test_who_is_there_is_told_with_the_time_since_and_who_went_is_not(place: Place) -> None:
    store = place.store()
    found = await store.load()

    await store.seen(Replica("b", "old", "1.0"))
    both = await store.seen(Replica("a", "new", "1.1"))
    await store.seen(Replica("b", "new", "1.0"))
    await store.gone("a")
    left = await store.seen(Replica("b", "new", "1.0"))

    assert [(one.id, one.configuration, one.version) for one in both] == [("a", "new", "1.1"), ("b", "old", "1.0")]
    assert all(0 <= one.age < 60 for one in both)
    assert [(one.id, one.configuration) for one in left] == [("b", "new")]
    assert (await store.counts()).writes == found.writes


async def test_who_was_seen_by_a_clock_that_was_set_back_since_is_not_there(database: Database) -> None:
    store = open_state(database.url(), PATIENCE, PATIENCE, now)
    await store.load()
    for name, hours in (("a", 0), ("b", 1)):
        await store.seen(Replica(name, "", ""))
        database.execute(f"UPDATE tenantry.replica SET seen = seen + {hours} * 3600 WHERE id = '{name}'")
    database.execute("UPDATE tenantry.replica SET seen = seen + 120 WHERE id = 'a'")

    (found, this) = await store.seen(Replica("c", "", ""))

    assert (found.id, this.id) == ("a", "c")
    assert 100 < found.age < 140
    await store.close()


# --- a file --------------------------------------------------------------------------------------------------------


async def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    first = open_state(url, PATIENCE, PATIENCE, now)
    await first.load()
    code = (
        "from datetime import timedelta as t; from tenantry.adapters.database.state import migrate, open_state as o\n"
        f"o({url!r}, t(1), t(1), lambda: 0.0).claim()"
    )

    second = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)

    assert f"StateInUse: Another process (process {os.getpid()}) uses the state database state.db." in second.stderr
    await first.close()
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60).returncode == 0


async def test_a_file_and_its_lock_are_nobody_elses_to_read(tmp_path: Path) -> None:
    store = open_state(f"sqlite:///{tmp_path}/state.db", PATIENCE, PATIENCE, now)
    await store.load()
    await store.write(Changes(1), 0)

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}

    assert modes.keys() >= {"state.db", "state.db-wal", "state.db.lock"}
    assert set(modes.values()) == {0o600}
    await store.close()


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "removed"])
async def test_a_file_that_went_takes_no_more_writes(tmp_path: Path, *, replaced: bool) -> None:
    path = tmp_path / "state.db"
    store = open_state(f"sqlite:///{path}", PATIENCE, PATIENCE, now)
    await store.load()
    path.unlink()
    if replaced:
        path.touch()

    with pytest.raises(StateUnreachable, match="removed or replaced"):
        await store.write(Changes(1), 0)

    await store.close()


async def test_a_file_that_is_something_else_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database at all" * 1000)
    store = open_state(f"sqlite:///{path}", PATIENCE, PATIENCE, now)

    with pytest.raises(StateDamaged):
        await store.load()

    assert path.read_bytes().startswith(b"not a database")
    await store.close()


async def test_a_state_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = open_state(f"sqlite:///{path}", PATIENCE, PATIENCE, now)
    await store.load()
    await store.close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE schema_version SET version_num = '9999'")
    connection.close()
    store = open_state(f"sqlite:///{path}", PATIENCE, PATIENCE, now)

    with pytest.raises(StateTooNew):
        await store.load()

    await store.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite://", "sqlite needs a file"),
        ("sqlite:///:memory:", "sqlite needs a file"),
        ("mysql://u@h/d", "mysql is not supported"),
        ("nothing", "is not a database URL"),
    ],
)
def test_a_url_that_no_state_can_have_is_refused(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        open_state(url, PATIENCE, PATIENCE, now)


# --- a server ------------------------------------------------------------------------------------------------------


async def test_four_processes_that_start_at_once_migrate_once(database: Database) -> None:
    code = (
        "import asyncio; from datetime import timedelta as t\n"
        "from tenantry.adapters.database.state import migrate, open_state as o\n"
        f"print(asyncio.run(o({database.url()!r}, t(seconds=9), t(seconds=9), lambda: 0.0).load()).writes)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    ends = [(process.communicate(timeout=60), process.returncode) for process in processes]

    assert [code for _, code in ends] == [0, 0, 0, 0], ends
    assert [out.strip() for (out, _), _ in ends] == ["0"] * 4
    assert database.execute("SELECT count(*) FROM tenantry.ledger") == [(1,)]


async def test_the_tables_are_in_a_schema_of_their_own(database: Database) -> None:
    store = open_state(database.url(), PATIENCE, PATIENCE, now)
    await store.load()

    found = database.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('ledger', 'released')")

    assert found == [(SCHEMA,)]
    await store.close()


async def test_what_is_not_to_be_made_is_missing_and_is_not_made(tmp_path: Path, database: Database) -> None:
    file, tenants = tmp_path / "state.db", tmp_path / "tenants.db"
    with closing(sqlite3.connect(tenants)) as connection, connection:
        connection.execute("CREATE TABLE organization (tenant TEXT)")
    for url in (f"sqlite:///{file}", f"sqlite:///{tenants}", database.url()):
        store = open_state(url, PATIENCE, PATIENCE, now, make=False)
        with pytest.raises(StateMissing):
            await store.load()
        await store.close()

    assert not file.exists()
    with closing(sqlite3.connect(tenants)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("organization",)]
    assert database.execute("SELECT tablename FROM pg_tables WHERE tablename = 'ledger'") == []


async def test_a_file_is_taken_by_one_process_by_whatever_name(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "state.db")
    store = open_state(f"sqlite:///{tmp_path}/state.db", PATIENCE, PATIENCE, now)
    await store.load()
    code = (
        "import asyncio; from datetime import timedelta as t\n"
        "from tenantry.adapters.database.state import open_state as o\n"
        f"asyncio.run(o('sqlite:///{tmp_path}/link.db', t(seconds=9), t(seconds=9), lambda: 0.0).load())"
    )

    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)

    assert f"process {os.getpid()}" in ended.stderr
    await store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE schema_version SET version_num = '0000'",
        "INSERT INTO schema_version VALUES ('0001x')",
        "UPDATE ledger SET clock = 'abc'",
        "UPDATE ledger SET clock = 1e18",
        "UPDATE ledger SET document = '[1]'",
        "DELETE FROM ledger",
    ],
)
async def test_contents_that_cannot_be_ours_are_damage(damage: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    store = open_state(url, PATIENCE, PATIENCE, now)
    await store.load()
    await store.write(Changes(2000.0, [SetChange(SET, SetLedger())]), 0)
    await store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection, connection:
        connection.execute(damage)
    store = open_state(url, PATIENCE, PATIENCE, now)

    with pytest.raises(StateDamaged):
        await store.load()
    await store.close()


async def test_what_is_read_is_of_one_moment_whoever_writes_meanwhile(database: Database) -> None:
    store, other = (open_state(database.url(), PATIENCE, PATIENCE, now) for _ in range(2))
    await store.load()
    await store.write(Changes(2000.0, [SetChange(SET, SetLedger())]), 0)
    with psycopg.connect(database.url()) as writer:
        writer.execute("UPDATE tenantry.ledger SET writes = 2")
        reading = asyncio.create_task(other.load())
        await asyncio.to_thread(_waits_for_a_lock, database)
        writer.execute(
            "INSERT INTO tenantry.application_set (consumer, name, document) SELECT 'x', 'y', document "
            "FROM tenantry.application_set"
        )

    found = await reading
    assert (found.writes, len(found.sets)) == (2, 2)
    for one in (store, other):
        await one.close()


def _waits_for_a_lock(database: Database) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    eventually(lambda: database.execute(waiting) != [(0,)], what="A reader that waits")


async def test_the_history_of_an_application_set_goes_with_it_to_another_consumer(place: Place) -> None:
    store = place.store()
    await store.load()
    released = Event(1.0, EventKind.RELEASED, *SET, came=("a",))
    await store.write(Changes(2000.0, [SetChange(SET, SetLedger())], events=(released,)), 0)

    await store.write(Changes(2001.0, [SetChange(OTHER, SetLedger(), formerly=SET)]), 1)

    assert [event.came for event in await store.events(EventQuery(OTHER))] == [("a",)]
    assert await store.events(EventQuery(SET)) == []


async def test_a_server_that_says_nothing_any_more_is_given_up_in_time(database: Database) -> None:
    short = timedelta(seconds=0.2)
    store = open_state(database.url(), short, short, now)
    await store.load()
    pids = database.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'tenantry-state' AND datname = current_database()"
    )
    for (pid,) in pids:
        os.kill(int(str(pid)), signal.SIGSTOP)
    try:
        with pytest.raises(StateUnreachable, match="has not answered for"):
            await store.counts()
        assert (await store.counts()).writes == 0
    finally:
        for (pid,) in pids:
            os.kill(int(str(pid)), signal.SIGCONT)
    await store.close()


async def test_a_server_that_is_not_there_is_said_so() -> None:
    store = open_state(f"postgresql://nobody@127.0.0.1:{free_port()}/none", timedelta(seconds=2), PATIENCE, now)

    with pytest.raises(StateUnreachable):
        await store.load()

    await store.close()


async def test_nudges_are_counted_for_each_application_set_and_not_twice_in_a_moment(
    place: Place,
) -> None:
    store = place.store()
    found = await store.load()
    one, other = LiveName("argocd", "prod"), LiveName("team-a", "prod")

    assert [await store.nudge(one, "a", 10.0, 5.0), await store.nudge(other, "a", 10.0, 5.0)] == [1, 1]
    assert await store.nudge(one, "a", 14.0, 5.0) is None, "somebody else is about to send it"
    assert await store.nudge(one, "b", 14.0, 5.0) == 2
    assert await store.nudge(one, "a", 14.0, 5.0) == 3
    assert await store.nudge(one, "a", 14.0, 0.0) == 4
    store = await again(place, store)
    assert (await store.load()).writes == found.writes
    assert await store.nudge(one, "a", 20.0, 5.0) == 5
    assert (await store.counts()).writes == found.writes, "counting a nudge makes no answer void"


async def test_a_nudge_that_is_given_back_can_be_counted_at_once_unless_another_one_was(place: Place) -> None:
    store = place.store()
    await store.load()
    name = LiveName("argocd", "prod")
    assert [await store.nudge(name, "a", 10.0, 5.0), await store.nudge(name, "b", 10.0, 5.0)] == [1, 2]

    await store.give_back(name, 1)
    assert await store.nudge(name, "b", 10.0, 5.0) is None
    await store.give_back(name, 2)
    assert await store.nudge(name, "b", 10.0, 5.0) == 3

    await store.give_back(LiveName("team-a", "prod"), 1)
    assert await store.nudge(LiveName("team-a", "prod"), "a", 10.0, 5.0) == 1


async def test_of_many_at_once_one_counts_a_nudge(place: Place) -> None:
    store = place.store()
    await store.load()

    counted = await asyncio.gather(*(store.nudge(LiveName("argocd", "prod"), "a", 10.0, 5.0) for _ in range(8)))

    assert [number for number in counted if number is not None] == [1]


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["file", "server"])
async def test_a_state_of_the_version_before_is_taken_to_this_one(
    schema: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The tables as the first migration alone makes them, with what was written then."""
    if schema is None:
        url = f"sqlite:///{tmp_path}/state.db"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database().url()
    store = open_state(url, PATIENCE, PATIENCE, now)
    await store.load()
    await store.write(Changes(1, [SetChange(SET, FULL, {"{}": RELEASED})]), 0)
    await store.close()
    engine, of = engine_of(url, schema), f"{schema}." if schema else ""
    with engine.begin() as connection:
        undone(connection, of)
        connection.exec_driver_sql(f"DROP TABLE {of}nudge")
        connection.exec_driver_sql(f"UPDATE {of}schema_version SET version_num = '0001'")
    engine.dispose()

    store = open_state(url, PATIENCE, PATIENCE, now)
    found = await store.load()

    assert found.sets[SET] == FULL
    assert await store.nudge(LiveName("argocd", "prod"), "a", 10.0, 5.0) == 1
    await store.close()


@pytest.mark.parametrize("more", [0, 2], ids=["as many", "more"])
async def test_where_a_server_lost_what_was_written_last_nobody_goes_by_it(more: int, database: Database) -> None:
    """As by a failover to a standby that lacks it; others write then, as often or oftener."""
    one, other = (open_state(database.url(), PATIENCE, PATIENCE, now) for _ in range(2))
    await one.load()
    before = of_inputs(a={"x": b"1"}, b={"x": b"1"})
    await one.write(Changes(1, [SetChange(SET, before, {"a": {"x": b"1"}, "b": {"x": b"1"}})]), 0)
    await other.load()
    database.execute(
        "CREATE SCHEMA kept; "
        + "; ".join(f"CREATE TABLE kept.{table} AS TABLE tenantry.{table}" for table in ("ledger", "application_set"))
        + "; CREATE TABLE kept.input AS TABLE tenantry.input; CREATE TABLE kept.released AS TABLE tenantry.released"
    )
    lost = of_inputs(a={"x": b"2"}, b={"x": b"1"})
    await one.write(Changes(2, [SetChange(SET, lost, {"a": {"x": b"2"}})]), 1)
    database.execute(
        "TRUNCATE tenantry.ledger, tenantry.application_set, tenantry.input, tenantry.released; "
        "INSERT INTO tenantry.ledger TABLE kept.ledger; "
        "INSERT INTO tenantry.application_set TABLE kept.application_set; "
        "INSERT INTO tenantry.input TABLE kept.input; INSERT INTO tenantry.released TABLE kept.released"
    )
    after = of_inputs(a={"x": b"1"}, b={"x": b"3"})
    await other.write(Changes(2, [SetChange(SET, after, {"b": {"x": b"3"}})]), 1)
    for number in range(more):
        await other.write(Changes(3, [SetChange(OTHER, SetLedger())]), 2 + number)

    assert (await one.counts()).writes != 2
    with pytest.raises(StateMoved):
        await one.write(Changes(4, [SetChange(SET, lost)]), 2)
    assert (await one.catch_up(2, {SET: lost})).sets[SET] == after
    assert (await one.counts()).writes == 2 + more
    for store in (one, other):
        await store.close()


async def test_what_the_version_before_wrote_is_read_whole(database: Database) -> None:
    """It leaves no stamp at what it changes, and knows nothing of where answers were read."""
    store, other = (open_state(database.url(), PATIENCE, PATIENCE, now) for _ in range(2))
    await store.load()
    before = of_inputs(a={"x": b"1"}, b={})
    await store.write(Changes(1, [SetChange(SET, before, {"a": {"x": b"1"}})]), 0)
    await other.load()
    database.execute(
        "UPDATE tenantry.ledger SET writes = 2, clock = 2; "
        "UPDATE tenantry.application_set SET document = document; "
        "INSERT INTO tenantry.released SELECT id, 'y', '2' FROM tenantry.input WHERE text = 'a'; "
        "INSERT INTO tenantry.input (application_set, text) SELECT id, 'b' FROM tenantry.application_set "
        "ON CONFLICT DO NOTHING"
    )
    after = of_inputs(a={"x": b"1", "y": b"2"}, b={})

    assert (await store.catch_up(1, {SET: before})).sets == {SET: after}
    await store.write(Changes(3, [SetChange(OTHER, SetLedger())]), 2)
    assert (await other.catch_up(1, {SET: before})).sets == {SET: after, OTHER: SetLedger()}
    for one in (store, other):
        await one.close()


async def test_whoever_reads_the_history_leaves_room_for_answers(database: Database) -> None:
    store = open_state(database.url(), PATIENCE, PATIENCE, now)
    await store.load()
    with database.server.connect(database.name) as connection, connection.transaction():
        connection.execute("LOCK TABLE tenantry.event IN ACCESS EXCLUSIVE MODE")
        looks = [asyncio.create_task(store.events(EventQuery(SET))) for _ in range(16)]
        await eventually_waiting(database)

        assert (await store.counts()).writes == 0

    assert await asyncio.gather(*looks) == [[]] * 16
    await store.close()


async def eventually_waiting(database: Database) -> None:
    """Wait until somebody waits for a lock."""
    query = (
        "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()"
    )
    while not await asyncio.to_thread(database.execute, query):
        await asyncio.sleep(0.01)


LATER = f"{int(HEAD) + 1:04}"


@pytest.mark.parametrize(
    ("version", "migration", "error"),
    [
        pytest.param(HEAD, LATER, None, id="that added to it"),
        pytest.param(LATER, LATER, StateTooNew, id="that changed it"),
        pytest.param("0001", HEAD, StateDamaged, id="that never was"),
    ],
)
async def test_a_later_version_says_who_can_use_its_state(
    version: str, migration: str, error: type[StateError] | None, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    store = open_state(url, PATIENCE, PATIENCE, now)
    await store.load()
    await store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection, connection:
        connection.execute("UPDATE schema_version SET version_num = ?", [version])
        connection.execute("UPDATE migration SET version_num = ?", [migration])
    store = open_state(url, PATIENCE, PATIENCE, now)

    with pytest.raises(error) if error else nullcontext():
        await store.load()

    await store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        assert connection.execute("SELECT version_num FROM migration").fetchall() == [(migration,)]


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["file", "server"])
async def test_the_migrations_lead_to_the_very_tables_that_a_new_state_has(
    schema: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if schema is None:
        made, migrated = (f"sqlite:///{tmp_path}/{name}.db" for name in ("made", "migrated"))
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        made, migrated = (server.create_database().url() for _ in range(2))
    store = open_state(made, PATIENCE, PATIENCE, now)
    await store.load()
    await store.close()
    engine = engine_of(migrated, schema)
    with engine.begin() as connection:
        if schema is not None:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        migrate(connection, schema)
    engine.dispose()

    assert tables_at(migrated, schema) == tables_at(made, schema)
    store = open_state(migrated, PATIENCE, PATIENCE, now)
    await store.load()
    await store.write(Changes(1, [SetChange(SET, FULL, {"{}": RELEASED})], names={"a": "a"}), 0)
    await store.close()
    versions = Path(open_state.__code__.co_filename).parent / "migrations" / "versions"
    assert max(versions.glob("r*.py")).name.startswith(f"r{HEAD}_")


def undone(connection: Connection, of: str) -> None:
    """Leave the tables as the second migration made them."""
    columns = {
        "ledger": ("marked", "unmarked", "stamp"),
        "application_set": ("written",),
        "input": ("written", "origin"),
    }
    for table, names in columns.items():
        for column in names:
            connection.exec_driver_sql(f"ALTER TABLE {of}{table} DROP COLUMN {column}")
    for table in ("configuration", "replica", "migration"):
        connection.exec_driver_sql(f"DROP TABLE {of}{table}")


def engine_of(url: str, schema: str | None) -> Engine:
    return create_engine(url if schema is None else url.replace("postgresql://", "postgresql+psycopg://"))


def tables_at(url: str, schema: str | None) -> dict[str, object]:
    """Return columns, keys and indexes of all tables."""
    engine = engine_of(url, schema)
    made = inspect(engine)
    found: dict[str, object] = {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in made.get_columns(name, schema)],
            made.get_pk_constraint(name, schema)["constrained_columns"],
            [(key["constrained_columns"], key["referred_table"]) for key in made.get_foreign_keys(name, schema)],
            sorted((index["name"] or "", index["column_names"]) for index in made.get_indexes(name, schema)),
            sorted(sorted(unique["column_names"]) for unique in made.get_unique_constraints(name, schema)),
        )
        for name in made.get_table_names(schema)
    }
    engine.dispose()
    return found


def test_every_error_of_a_store_is_one() -> None:
    assert all(issubclass(kind, StateError) for kind in (StateDamaged, StateInUse, StateMoved, StateTooNew))
