"""What a new question costs: the calls of one pass of a matrix, and the first call with a selector."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection

import psycopg

from bench.load import SteadyClient, small_answers_meanwhile
from bench.plan import Plan
from bench.processes import HEADERS, PATH, CannotMeasure, Running, ask, question, tenantry, wait_ready, wait_until
from bench.report import Bar, Figure
from bench.tables import FIRST

CALLS = 500
"""Rows of the first generator, and so calls of one pass."""

_REGIONS = "UPDATE organization SET status = 'r-' || id % 500"
_CHANGE = "UPDATE organization SET id = id + 1000000 RETURNING id"

NARROW: Mapping[str, str] = {
    "a tenth": "id>90000",
    "none, looking at every tenant": "status notin (active,trial,inactive,de-provisioned)",
}
WIDE: Mapping[str, str] = {
    "a fortieth by a set": "plan in (enterprise-1,enterprise-2),region=europe-west-1,status in (active,trial)",
    "a ninth by a leaf of JSON": "settings.replicas=4",
    "three quarters": "status!=active",
}


_WIDE_FIELDS = "tenant,status,plan,region,seats,created,settings"


def measure(plan: Plan) -> Iterator[Figure]:
    """Ask as a matrix does, then ask a large table for what nobody asked before."""
    yield from _matrix(plan)
    yield from _first_calls(plan)


def _matrix(plan: Plan) -> Iterator[Figure]:
    database = plan.tables.make(plan.tenants)
    settings = {"TENANTRY_SOURCE_PARAMETERS": "id,tenant,status", "TENANTRY_SNAPSHOT_REFRESH": "100ms"}
    changed: list[float] = []
    same: list[float] = []
    with (
        tenantry(plan.work, database.tutorial_environment(), **settings) as running,
        database.server.connect(database.name) as connection,
    ):
        connection.execute(_REGIONS)
        wait_ready(running)
        # The first pass of the ApplicationSet, and one that shows that it is no preview.
        _pass(running)
        time.sleep(1.0)
        _pass(running)
        for _ in range(plan.rounds):
            _change(connection, running)
            changed.append(_pass(running))
            same.append(_pass(running))
    what = f"{CALLS} calls of one pass, {plan.tenants:,} tenants"
    yield Figure(f"{what}, everything changed", changed, "s", Bar(1.5))
    yield Figure(f"{what}, nothing changed", same, "s", Bar(0.5))


def _change(connection: psycopg.Connection[tuple[object, ...]], running: Running) -> None:
    """Change every row, and wait for the snapshot that has it."""
    (number,) = connection.execute(_CHANGE).fetchall()[0]
    # Another ApplicationSet looks, so that the release is left to the pass.
    name = f"look-{number}"
    wait_until(
        running, lambda: bool(json.loads(ask(running, {"id": number}, application_set=name))["output"]["parameters"])
    )


def _pass(running: Running) -> float:
    """Ask once for each row, one after the other on one connection as the controller does; returns seconds."""
    connection = HTTPConnection("127.0.0.1", running.port, timeout=30)
    bodies = [question({"status": f"r-{number}"}) for number in range(CALLS)]
    began = time.perf_counter()
    for body in bodies:
        connection.request("POST", PATH, body, {**HEADERS, "Accept-Encoding": "gzip"})
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise CannotMeasure(f"{running.name} answered {reply.status}")
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


def _first_calls(plan: Plan) -> Iterator[Figure]:
    for wide, selectors in ((False, NARROW), (True, WIDE)):
        database = plan.tables.make(plan.most_tenants, wide=wide)
        settings = {
            "TENANTRY_SOURCE_PARAMETERS": "tenant,status,plan,region,seats,created,settings"
            if wide
            else "id,tenant,status",
            # One that is read once: what is measured is the question.
            "TENANTRY_SNAPSHOT_REFRESH": "1h",
            "TENANTRY_SNAPSHOT_MAX_STALE": "2h",
        }
        with tenantry(plan.work, database.tutorial_environment(), **settings) as running:
            wait_ready(running)
            yield from _asked(
                plan, running, f"{plan.most_tenants:,} tenants{' wide' if wide else ''}", selectors, wide=wide
            )


def _asked(plan: Plan, running: Running, size: str, selectors: Mapping[str, str], *, wide: bool) -> Iterator[Figure]:
    """Ask for what nobody asked before, while another client asks for one tenant."""
    client = SteadyClient(running, {"tenant": FIRST}, every=0.005)
    client.start()
    # Where all is over in a moment, the client would not have begun.
    wait_until(running, lambda: bool(client.taken))
    taken: dict[str, list[float]] = {what: [] for what in selectors}
    sizes: dict[str, int] = {}
    spans: list[list[tuple[float, float]]] = []
    for number in range(plan.rounds):
        spans.append([])
        for what, selector in selectors.items():
            began = time.monotonic()
            # Beside it something that holds for all: another selector than the one before.
            body = ask(running, {"selector": f"{selector},tenant!=nobody-{number}"}, coding="gzip")
            spans[-1].append((began, time.monotonic()))
            taken[what].append((spans[-1][-1][1] - began) * 1000)
            sizes[what] = len(body) >> 10
    client.stop()
    for what, times in taken.items():
        bar = None if wide else Bar(100)
        detail = f"{sizes[what]:,} KiB gzipped"
        yield Figure(f"first call that selects {what}, {size}", times, "ms", bar, detail)
    yield small_answers_meanwhile(client, spans, f"others ask what is new, {size}")
