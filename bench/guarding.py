"""What the guard costs: answers per second with it and without it, and the release of an answer that changed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import psycopg

from bench.load import Contender, interleaved
from bench.plan import Plan
from bench.processes import PATH, Running, ask, tenantry, wait_ready, wait_until
from bench.report import Bar, Figure, spread

_NARROW = {"TENANTRY_NAMING_NAME": "off", "TENANTRY_NAMING_LABEL": "off"}
_ONE = "UPDATE organization SET status = %s WHERE tenant = (SELECT min(tenant) FROM organization)"
_ALL = "UPDATE organization SET status = %s"

Connection = psycopg.Connection[tuple[object, ...]]


def measure(plan: Plan) -> Iterator[Figure]:
    """Run a service with the guard beside one without, on one table."""
    database = plan.tables.make(plan.tenants)
    state = plan.tables.make(1)
    settings = {"TENANTRY_SOURCE_PARAMETERS": "tenant,status", "TENANTRY_SNAPSHOT_REFRESH": "100ms", **_NARROW}
    environment = database.tutorial_environment()
    with ExitStack() as stack:
        off, file, server = (
            stack.enter_context(tenantry(plan.work, environment, **settings, **more))
            for more in (
                {"TENANTRY_GUARD_MODE": "off"},
                {"TENANTRY_GUARD_MODE": "hold"},
                {"TENANTRY_GUARD_MODE": "hold", "TENANTRY_STATE_URL": state.url()},
            )
        )
        for running in (off, file, server):
            wait_ready(running)
            ask(running)
        time.sleep(1.5)  # until a second request is another poll
        for running in (off, file, server):
            ask(running)
        yield from _unchanged(plan, off, {"file": file, "server": server})
        with database.server.connect(database.name) as connection:
            yield from _releases(plan, connection, off, file, server)


def _unchanged(plan: Plan, off: Running, guarded: Mapping[str, Running]) -> Iterator[Figure]:
    size = len(ask(off, coding="gzip"))
    contenders = [Contender(one, PATH, "POST", "gzip", size, plan.seconds) for one in (off, *guarded.values())]
    if plan.warm:
        for contender in contenders:
            contender.warm_up(plan.work)
    taken = interleaved(contenders, plan.rounds, plan.work)
    rates = [[one.per_second for one in rounds] for rounds in taken]
    for (what, _), with_guard in zip(guarded.items(), rates[1:], strict=True):
        ratios = [on / without for on, without in zip(with_guard, rates[0], strict=True)]
        yield Figure(
            f"{plan.tenants:,} tenants, gzip, unchanged: with the guard (state in a {what}) of without",
            ratios,
            "x",
            # A shared state is asked before each answer.
            Bar(0.9, least=True) if what == "file" else None,
            f"{spread(with_guard)}/s, {spread(rates[0])}/s without",
        )
    _, local, shared = rates
    yield Figure(
        f"{plan.tenants:,} tenants, gzip, unchanged: with a shared ledger (PostgreSQL) of with a local one (file)",
        [theirs / ours for theirs, ours in zip(shared, local, strict=True)],
        "x",
        None,
        f"{spread(shared)}/s, {spread(local)}/s with a local one",
    )


def _releases(plan: Plan, connection: Connection, off: Running, file: Running, server: Running) -> Iterator[Figure]:
    """Time the first answer after a change: what is more than without the guard is what the release costs."""
    for changed, statement in (("one tenant", _ONE), ("every tenant", _ALL)):
        taken: dict[str, list[float]] = {"without": [], "file": [], "server": []}
        for number in range(plan.changes):
            status = f"{changed[:3]}{number}"
            connection.execute(statement, (status,))
            for name, running in (("without", off), ("file", file), ("server", server)):
                _published(running, status)
                began = time.perf_counter()
                ask(running)
                taken[name].append((time.perf_counter() - began) * 1000)
        for name, most in (("file", 50.0), ("server", 80.0)):
            costs = [ours - theirs for ours, theirs in zip(taken[name], taken["without"], strict=True)]
            yield Figure(
                f"release of an answer of {plan.tenants:,} tenants, {changed} changed, state in a {name}",
                costs,
                "ms",
                Bar(most),
                f"{spread(taken[name])} ms, {spread(taken['without'])} ms without",
            )


def _published(running: Running, status: str) -> None:
    """Wait until a service has read a change, which an answer to another ApplicationSet's input shows."""
    parameters = {"status": status}
    wait_until(running, lambda: b'"status"' in ask(running, parameters, application_set=f"look-{status}"))
