"""What was measured, beside what it must reach: as a Markdown table and as JSON."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import tenantry


@dataclass(frozen=True)
class Bar:
    """What a figure must reach: at least, or at most."""

    limit: float
    least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    unit: str
    bar: Bar | None = None
    detail: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.bar is None else self.bar.met(self.value)

    def line(self, *, judged: bool) -> str:
        bar = ratio = met = ""
        if self.bar is not None and judged:
            bar = f"{'≥' if self.bar.least else '≤'} {plain(self.bar.limit)} {self.unit}"
            ratio = f"{self.value / self.bar.limit:.2f}"
            met = "yes" if self.met else "no"
        return f"| {self.what} | {bar} | {plain(self.value)} {self.unit} | {ratio} | {met} | {self.detail} |"


def plain(value: float) -> str:
    """Write a number with three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


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
        "cores": str(len(os.sched_getaffinity(0))),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Linux": platform.release(),
        "Python": platform.python_version(),
        "tenantry": tenantry.__version__,
        **{name: version(name) for name in ("uvicorn", "uvloop", "httptools", "psycopg", "SQLAlchemy", "fastapi")},
        "nginx": _told(["nginx", "-v"]).rpartition("/")[2],
        "wrk": _told(["wrk", "-v"]).split(" [")[0].removeprefix("wrk "),
    }


def _told(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return ((done.stdout + done.stderr).strip().splitlines() or ["unknown"])[0]


def as_markdown(figures: Sequence[Figure], facts: dict[str, str], *, judged: bool) -> str:
    lines = ["| what | bar | measured | of the bar | met | beside it |", "|---|---|---|---|---|---|"]
    lines += [figure.line(judged=judged) for figure in figures]
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return "\n".join([*lines, "", f"Measured with: {told}."])


def as_json(figures: Sequence[Figure], facts: dict[str, str]) -> dict[str, Any]:
    return {"figures": [{**asdict(figure), "met": figure.met} for figure in figures], "machine": facts}
