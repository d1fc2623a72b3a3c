"""`python -m bench`: the speed table, measured side by side on this machine.

Its end is 0 unless something could not be measured or an answer was wrong: speed alone never fails.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench import deploying, feeding, growing, guarding, lasting, profile, selecting, starting, throughput
from bench.plan import Plan
from bench.processes import CannotMeasure
from bench.profile import Profile
from bench.report import Figure, as_json, as_markdown, machine
from bench.tables import tables_in

MEASUREMENTS: dict[str, Callable[[Plan], Iterator[Figure]]] = {
    "throughput": throughput.measure,
    "start": starting.measure,
    "growing": growing.measure,
    "selecting": selecting.measure,
    "guarding": guarding.measure,
    "feeding": feeding.measure,
    "lasting": lasting.measure,
    "deploying": deploying.measure,
}
PROFILE = "profile"
NAMES = (*MEASUREMENTS, PROFILE)


def main() -> int:
    """Measure, print, and return the code to end with."""
    options = _options()
    missing = [program for program in ("wrk", "nginx") if shutil.which(program) is None]
    if missing:
        print(f"Not installed: {', '.join(missing)}. Install Debian's wrk and nginx-light.", file=sys.stderr)
        return 1
    facts = machine()
    figures, profiles, problems = measured(options.only or _usual(quick=options.quick), quick=options.quick)
    if options.output == "json":
        document = {**as_json(figures, facts), "profiles": profile.as_json(profiles)}
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        print(as_markdown(figures, facts, judged=not options.quick))
        if profiles:
            print(f"\n{profile.as_markdown(profiles)}")
    for problem in problems:
        print(f"Could not measure {problem}", file=sys.stderr)
    return 1 if problems else 0


def _usual(*, quick: bool) -> list[str]:
    """Return what is measured where nothing is named: a cluster of one's own takes ten minutes to build."""
    return [name for name in NAMES if not (quick and name == "deploying")]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten tenants, one round of a second, no bars")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("-o", "--output", choices=("markdown", "json"), default="markdown")
    return parser.parse_args()


def measured(names: Sequence[str], *, quick: bool) -> tuple[list[Figure], list[Profile], list[str]]:
    """Measure by name; returns what was measured, and what could not be."""
    figures: list[Figure] = []
    profiles: list[Profile] = []
    problems: list[str] = []
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenantry-bench-")))
        tables = stack.enter_context(tables_in(work))
        plan = Plan.quick(tables, work) if quick else Plan(tables, work)
        for name in names:
            print(f"{name} …", file=sys.stderr)
            try:
                if name == PROFILE:
                    profiles += profile.measure(plan)
                    continue
                figures += [replace(figure, measurement=name) for figure in MEASUREMENTS[name](plan)]
            except CannotMeasure as error:
                problems.append(f"{name}: {error}")
    return figures, profiles, problems


if __name__ == "__main__":
    sys.exit(main())
