"""Rollouts and rollbacks: of several configurations only the newest one answers, as long as somebody has it."""

from __future__ import annotations

import pytest

from tenantry.core.errors import OlderConfiguration
from tenantry.service.replicas import ALIVE
from tests.fakes import FakeStore
from tests.guard.here import Here
from tests.guard.test_attacks import COLUMNS, begun, rows

pytestmark = pytest.mark.anyio


async def shared() -> Here:
    """Return a process with a ledger that others may share, on whose clock the server's own goes."""
    store = FakeStore(is_shared=True)
    here = await begun(20, store=store)
    store.clock = here.clock.monotonic
    await here.guarding.replicas._look()
    return here


async def rolled_out(before: Here, shape: str = "new") -> Here:
    """Return a process of another configuration that has read the rows."""
    new = await before.restarted(shape=shape, name=f"of {shape}")
    new.read(rows(20), COLUMNS)
    return new


async def test_whoever_is_of_an_older_configuration_answers_until_the_new_one_did_and_not_after() -> None:
    old = await shared()
    new = await rolled_out(old)
    reply = await old.reply()
    assert len(await old.ask()) == 20

    assert len(await new.ask()) == 20

    await old.guarding.confirm()
    assert not reply.ticket.is_good()
    with pytest.raises(OlderConfiguration, match="newer configuration"):
        await old.ask()
    assert len(await new.ask()) == 20
    assert old.seen.events.count("configuration_older") == 1


async def test_an_older_one_is_ready_so_that_a_rollback_can_go_on() -> None:
    old = await shared()
    new = await rolled_out(old)
    await new.ask()
    with pytest.raises(OlderConfiguration):
        await old.ask()

    old.guarding.require()
    with pytest.raises(OlderConfiguration):
        old.guarding.require_to_answer()


async def test_once_the_newer_ones_have_left_the_older_one_answers_and_is_the_newest() -> None:
    old = await shared()
    new = await rolled_out(old)
    await new.ask()
    with pytest.raises(OlderConfiguration):
        await old.ask()

    await new.guarding.replicas.leave()

    assert len(await old.ask()) == 20
    assert old.ledger.configurations[-1] != new.ledger.configurations[-1]
    assert old.seen.events[-1] == "configuration_newest"
    later = await rolled_out(old)
    with pytest.raises(OlderConfiguration):
        await later.ask()


async def test_once_the_newer_ones_were_not_seen_for_long_the_older_one_answers() -> None:
    old = await shared()
    new = await rolled_out(old)
    await new.ask()
    old.clock.pass_by(seconds=ALIVE - 1)
    with pytest.raises(OlderConfiguration):
        await old.ask()

    old.clock.pass_by(seconds=2)

    assert len(await old.ask()) == 20


async def test_one_that_was_taken_for_gone_and_comes_back_answers_no_more() -> None:
    old = await shared()
    new = await rolled_out(old)
    reply = await new.reply()
    old.clock.pass_by(seconds=ALIVE + 1)
    assert len(await old.ask()) == 20

    await new.guarding.confirm()
    assert not reply.ticket.is_good()
    with pytest.raises(OlderConfiguration):
        await new.ask()


async def test_a_configuration_that_changes_no_answer_counts_from_its_first_one_too() -> None:
    old = await shared()
    new = await old.restarted(views="another", name="other")
    new.read(rows(20), COLUMNS)
    writes = len(old.store.written)

    await new.ask()

    assert len(old.store.written) == writes + 1
    assert len(old.store.configurations) == 2
    await new.ask()
    assert len(old.store.written) == writes + 1


async def test_another_database_is_another_configuration() -> None:
    old = await shared()
    new = await old.restarted(name="other", position=type(old.position)("other/db/table", 1, 1))
    new.read(rows(20), COLUMNS)
    await new.ask()

    with pytest.raises(OlderConfiguration):
        await old.ask()


async def test_nobody_is_told_of_changes_by_a_process_of_an_older_configuration() -> None:
    old = await shared()
    new = await rolled_out(old)
    await new.ask()
    await old.guarding.replicas._look()

    with pytest.raises(OlderConfiguration):
        await old.guarding.foreseeing.look({"prod": False})


async def test_a_process_with_a_ledger_of_its_own_asks_nobody() -> None:
    here = await begun(20)
    other = await here.restarted(shape="new", name="other")
    other.read(rows(20), COLUMNS)

    assert len(await other.ask()) == 20
    assert len(await here.ask()) == 20
    assert not here.store.configurations
    assert not here.store.replicas


async def test_everybody_who_is_there_is_known_with_the_time_since() -> None:
    old = await shared()
    new = await rolled_out(old)
    await new.ask()
    old.clock.pass_by(seconds=7)
    await old.guarding.replicas._look()
    old.clock.pass_by(seconds=1)

    assert {one.id: one.age for one in old.guarding.replicas.alive} == {"one": 1, "of new": 8}
    assert old.guarding.replicas.is_older
