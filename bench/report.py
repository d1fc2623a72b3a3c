"""What was measured, beside what it must reach: as a Markdown table and as JSON."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.support.postgres import binaries

import tenantry


@dataclass(frozen=True)
class Bar:
    """What a figure must reach: at least, or at most."""

    limit: float
    least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {plain(self.limit)}"


@dataclass(frozen=True)
class Figure:
    """One line of the table: what each round gave, and what it comes to."""

    what: str
    samples: Sequence[float]
    """One for each round or run; of a ratio, taken of what ran side by side in that round."""

    unit: str
    bar: Bar | None = None
    detail: str = ""
    whole: float | None = None
    """What all rounds give together, where that is not the median of the samples: a percentile, a peak."""

    distribution: Sequence[float] = ()
    """All that was timed, where a plot shows it."""

    beside: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What the rivals gave in the same rounds, by name."""

    measurement: str = ""
    """The name by which `--only` measures it."""

    @property
    def value(self) -> float:
        return statistics.median(self.samples) if self.whole is None else self.whole

    @property
    def met(self) -> bool | None:
        return None if self.bar is None else self.bar.met(self.value)

    def line(self, *, judged: bool) -> str:
        bar = ratio = met = ""
        if self.bar is not None and judged:
            bar = f"{self.bar} {self.unit}"
            ratio = f"{self.value / self.bar.limit:.2f}"
            met = "yes" if self.met else "no"
        measured = f"{plain(self.value)} {self.unit} | {extremes(self.samples)}"
        return f"| {self.what} | {bar} | {measured} | {ratio} | {met} | {self.detail} |"


def plain(value: float) -> str:
    """Write a number with three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def extremes(values: Sequence[float]) -> str:
    """Write the least and the most of several rounds."""
    return "" if len(values) < 2 else f"{plain(min(values))} to {plain(max(values))}"


def spread(values: Sequence[float]) -> str:
    """Write a median and, in brackets, the least and the most."""
    if len(values) == 1:
        return plain(values[0])
    return f"{plain(statistics.median(values))} ({plain(min(values))} to {plain(max(values))})"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def machine() -> dict[str, str]:
    """Return what the figures depend on besides the code."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "revision": _told(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]),
        "processor": _first("/proc/cpuinfo", "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(_first('/proc/meminfo', 'MemTotal').split()[0]) / (1 << 20):.1f} GiB",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Linux": platform.release(),
        "Python": platform.python_version(),
        "tenantry": tenantry.__version__,
        **{name: version(name) for name in ("uvicorn", "uvloop", "httptools", "psycopg", "SQLAlchemy", "fastapi")},
        "PostgreSQL": _told([str(binaries() / "postgres"), "--version"]).split(") ", 1)[-1],
        "nginx": _told(["nginx", "-v"]).rpartition("/")[2],
        "wrk": _told(["wrk", "-v"]).split(" [")[0].removeprefix("wrk "),
    }


def _first(path: str, key: str) -> str:
    """Return the first value of a key in one of the kernel's files."""
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "0 unknown"


def _told(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return ((done.stdout + done.stderr).strip().splitlines() or ["unknown"])[0]


def as_markdown(figures: Sequence[Figure], facts: Mapping[str, str], *, judged: bool) -> str:
    lines = ["| what | bar | measured | spread | of the bar | met | beside it |", "|---|---|---|---|---|---|---|"]
    lines += [figure.line(judged=judged) for figure in figures]
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return "\n".join([*lines, "", f"Measured with: {told}."])


def as_json(figures: Sequence[Figure], facts: Mapping[str, str]) -> dict[str, Any]:
    return {"figures": [_document(figure) for figure in figures], "machine": facts}


def _document(figure: Figure) -> dict[str, Any]:
    """Return a figure with what can be told of it, its numbers with the digits that can matter."""
    found = asdict(figure)
    found["samples"] = [rounded(value) for value in figure.samples]
    found["distribution"] = [rounded(value) for value in figure.distribution]
    found["beside"] = {name: [rounded(value) for value in values] for name, values in figure.beside.items()}
    found["whole"] = None if figure.whole is None else rounded(figure.whole)
    told = {"value": figure.value, "least": min(figure.samples), "most": max(figure.samples)}
    return {**found, **{name: rounded(value) for name, value in told.items()}, "met": figure.met}


def rounded(value: float) -> float:
    """Return a number with six digits."""
    return float(f"{value:.6g}")


def figures_of(report: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of a report again."""
    names = [one.name for one in fields(Figure)]
    found = []
    for document in report["figures"]:
        given = {name: document[name] for name in names}
        given["distribution"] = given["distribution"] or ()
        given["bar"] = None if given["bar"] is None else Bar(**given["bar"])
        found.append(Figure(**given))
    return found
