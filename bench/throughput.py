"""Answers per second with sixteen connections: tenantry as shipped, the rival, and nginx with the same bytes."""

from __future__ import annotations

import gzip
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.load import Contender, Round, interleaved
from bench.plan import Plan
from bench.processes import PATH, CannotMeasure, Running, ask, get, nginx, rival, tenantry, wait_ready
from bench.report import Bar, Figure, plain, spread

NARROW_FIELDS = "tenant,status"
WIDE_FIELDS = "tenant,status,plan,region,seats,created,settings"


@dataclass(frozen=True)
class Case:
    """One table, asked for in one coding."""

    tenants: int
    coding: str
    wide: bool = False
    beside_rival: bool = False
    of_rival: float | None = None
    of_nginx: float | None = None

    @property
    def name(self) -> str:
        return f"{self.tenants:,} tenants{' wide' if self.wide else ''}, {self.coding}"


def cases(plan: Plan) -> list[Case]:
    few, many = 10, plan.tenants
    found = [Case(few, "gzip", beside_rival=True, of_rival=50)]
    if many != few:
        found.append(Case(many, "gzip", beside_rival=True, of_rival=800, of_nginx=0.35))
        found.append(Case(many, "plain", of_nginx=0.6))
    return [*found, Case(many, "gzip", wide=True), Case(many, "plain", wide=True)]


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure every case, one table after the other."""
    chosen = cases(plan)
    tables = dict.fromkeys((case.tenants, case.wide) for case in chosen)
    with nginx(plan.work) as files:
        for tenants, wide in tables:
            with ExitStack() as stack:
                database = plan.tables.make(tenants, wide=wide).tutorial_environment()
                fields = WIDE_FIELDS if wide else NARROW_FIELDS
                # The bars are for the tutorial's two columns as they are.
                names = {} if wide else {"TENANTRY_NAMING_NAME": "off", "TENANTRY_NAMING_LABEL": "off"}
                settings = {"TENANTRY_SOURCE_PARAMETERS": fields, **names}
                ours = stack.enter_context(tenantry(plan.work, database, **settings))
                wait_ready(ours)
                of_table = [case for case in chosen if (case.tenants, case.wide) == (tenants, wide)]
                theirs = None
                if any(case.beside_rival for case in of_table):
                    theirs = stack.enter_context(rival(plan.work, database))
                for case in of_table:
                    yield from _measure(plan, case, ours, files, theirs)
                _only_answers(ours)


def _only_answers(ours: Running) -> None:
    """Hold our own count of requests against what wrk saw: there must be nothing but 200."""
    lines = get(ours, "/metrics")[1].decode().splitlines()
    counted = [line for line in lines if line.startswith("tenantry_requests_total{")]
    if len(counted) != 1 or 'status="200"' not in counted[0]:
        raise CannotMeasure(f"Something else than answers was counted: {counted}")


def _measure(plan: Plan, case: Case, ours: Running, files: Running, theirs: Running | None) -> Iterator[Figure]:
    coding = "gzip" if case.coding == "gzip" else "identity"
    body = ask(ours, coding=coding)
    whole = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    if whole.count(b'"tenant":') != case.tenants:
        raise CannotMeasure(f"tenantry answered {whole.count(b'tenant')} tenants instead of {case.tenants}.")
    (plan.work / "static" / "answer").write_bytes(whole)
    (plan.work / "static" / "answer.gz").write_bytes(body if body != whole else gzip.compress(whole, 6, mtime=0))
    contenders = [Contender(ours, PATH, "POST", coding, len(body), plan.seconds)]
    # A file that small is not compressed by tenantry either, so that nginx sends the same bytes.
    as_sent = coding if body != whole else "identity"
    contenders.append(Contender(files, "/answer", "GET", as_sent, len(body), plan.seconds))
    if theirs is not None and case.beside_rival:
        of_rival = ask(theirs)
        if of_rival.count(b'"tenant":') != case.tenants:
            raise CannotMeasure("The rival does not answer every tenant.")
        # It answers a few times a second: a short round would count whole batches or none.
        seconds = plan.seconds if case.tenants < 1000 else max(plan.seconds, 6.0)
        contenders.append(Contender(theirs, PATH, "POST", coding, len(of_rival), seconds))
    if plan.warm:
        for contender in contenders:
            contender.warm_up(plan.work)
    yield from _figures(case, interleaved(contenders, plan.rounds, plan.work), len(body))


def _figures(case: Case, taken: Sequence[Sequence[Round]], size: int) -> Iterator[Figure]:
    rates = [[one.per_second for one in rounds] for rounds in taken]
    names = ("nginx", "rival")
    beside = dict(zip(names, rates[1:], strict=False))
    told = ", ".join(f"{name} {spread(rate)}/s" for name, rate in beside.items())
    costs = [statistics.median(one.processor for one in rounds) for rounds in taken]
    yield Figure(
        f"answers per second, {case.name}",
        rates[0],
        "/s",
        detail=f"{told}; {size:,} bytes each; processor time each {', '.join(map(plain, costs))} µs",
        beside=beside,
    )
    for name, rounds, least in zip(names, taken[1:], (case.of_nginx, case.of_rival), strict=False):
        ratios = [ours.per_second / other.per_second for ours, other in zip(taken[0], rounds, strict=True)]
        yield Figure(
            f"{case.name}: of {name}",
            ratios,
            "x",
            Bar(least, least=True) if least is not None else None,
        )
    p50 = statistics.median(one.p50 for one in taken[0])
    p99 = statistics.median(one.p99 for one in taken[0])
    yield Figure(
        f"{case.name}: p99 of p50 under that load",
        [one.p99 / one.p50 for one in taken[0]],
        "x",
        None if case.wide else Bar(5),
        f"p50 {plain(p50)} ms, p99 {plain(p99)} ms",
    )
