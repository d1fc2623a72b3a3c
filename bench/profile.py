"""`python -m bench.profile`: where the time of a request goes, in the service as shipped, with the guard and its state.

The whole is the processor's time for each answer, measured without timers; the shares of the stages are measured beside
it with timers. What is in none of the stages is the event loop: looking for bytes, and reading them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.load import Contender
from bench.plan import Plan
from bench.processes import PATH, CannotMeasure, Running, ask, tenantry, wait_ready
from bench.report import plain, rounded
from bench.tables import tables_in

LOG_THREAD = "log: the thread that writes the lines"


@dataclass(frozen=True)
class Profile:
    """Where the time of one kind of request goes."""

    name: str
    stages: Mapping[str, float]
    """Microseconds of each request, by stage."""

    kernel: float
    """How many of them the kernel takes, in whatever stage."""

    answers: float
    """Per second, while nothing was timed."""

    @property
    def total(self) -> float:
        return sum(self.stages.values())


def measure(plan: Plan) -> Iterator[Profile]:
    """Profile a small answer and a large one."""
    for tenants in dict.fromkeys((10, plan.tenants)):
        database = plan.tables.make(tenants).tutorial_environment()
        settings = {"TENANTRY_SOURCE_PARAMETERS": "tenant,status"}
        file = plan.work / f"stages-{tenants}.json"
        with ExitStack() as stack:
            free = stack.enter_context(tenantry(plan.work, database, **settings))
            module = ("bench.stages", str(file))
            timed = stack.enter_context(tenantry(plan.work, database, module, **settings))
            contenders = [_contender(running, plan.seconds) for running in (free, timed)]
            rounds = [_round(plan, contenders) for _ in range(plan.rounds)]
        yield _profile(f"{tenants:,} tenants, gzip", rounds, json.loads(file.read_text()))


@dataclass(frozen=True)
class _Round:
    """Microseconds of each request without timers."""

    user: float
    kernel: float
    others: float
    answers: float


def _contender(running: Running, seconds: float) -> Contender:
    wait_ready(running)
    return Contender(running, PATH, "POST", "gzip", len(ask(running, coding="gzip")), seconds)


def _round(plan: Plan, contenders: Sequence[Contender]) -> _Round:
    """Load both, one after the other, and return what the one without timers used."""
    free, timed = contenders
    if plan.warm:
        free.warm_up(plan.work)
    before = free.running.thread_seconds()
    took = free.round(plan.work)
    after = free.running.thread_seconds()
    timed.round(plan.work)
    number = took.per_second * free.seconds
    user, kernel, others = ((b - a) / number * 1e6 for a, b in zip(before, after, strict=True))
    return _Round(user, kernel, others, took.per_second)


def _profile(name: str, rounds: Sequence[_Round], timed: Mapping[str, Any]) -> Profile:
    if not timed["requests"]:
        raise CannotMeasure("No request went through the stages.")
    main = statistics.median(one.user + one.kernel for one in rounds)
    whole = sum(timed["microseconds"].values())
    stages = {stage: main * spent / whole for stage, spent in timed["microseconds"].items()}
    beside = {LOG_THREAD: statistics.median(one.others for one in rounds)}
    return Profile(
        name,
        {stage: rounded(spent) for stage, spent in {**stages, **beside}.items()},
        rounded(statistics.median(one.kernel for one in rounds)),
        rounded(statistics.median(one.answers for one in rounds)),
    )


def as_markdown(profiles: Sequence[Profile]) -> str:
    """Return the table of all profiles, a stage in each line."""
    head = "".join(f" {one.name}: µs | share |" for one in profiles)
    lines = [f"| stage |{head}", "|---|" + "---|---|" * len(profiles)]
    for stage in profiles[0].stages:
        cells = "".join(f" {plain(one.stages[stage])} | {one.stages[stage] / one.total:.0%} |" for one in profiles)
        lines.append(f"| {stage} |{cells}")
    whole = "".join(f" {plain(one.total)} | 100% |" for one in profiles)
    kernel = "".join(f" {plain(one.kernel)} | {one.kernel / one.total:.0%} |" for one in profiles)
    return "\n".join([*lines, f"| all of it |{whole}", f"| of which in the kernel |{kernel}"])


def as_json(profiles: Sequence[Profile]) -> list[dict[str, Any]]:
    return [asdict(one) for one in profiles]


def profiles_of(report: Mapping[str, Any]) -> list[Profile]:
    """Return the profiles of a report again."""
    return [Profile(**document) for document in report.get("profiles", [])]


def main() -> int:
    """Profile, print, and return the code to end with."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten tenants, one round of a second")
    parser.add_argument("-o", "--output", choices=("markdown", "json"), default="markdown")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tenantry-bench-") as work, tables_in(Path(work)) as tables:
        plan = Plan.quick(tables, Path(work)) if options.quick else Plan(tables, Path(work))
        try:
            profiles = list(measure(plan))
        except CannotMeasure as error:
            print(f"Could not measure: {error}", file=sys.stderr)
            return 1
    print(json.dumps(as_json(profiles), indent=2) if options.output == "json" else as_markdown(profiles))
    return 0


if __name__ == "__main__":
    sys.exit(main())
