"""Plots as SVG, written by hand: the same bytes for the same figures, text as text, readable on light and on dark.

Each lies on a card of its own colour, so that it can be read on whatever page it stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from bench.report import Bar, Figure, extremes, plain

WIDTH = 1120
_ROW = 26
_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px }
.card { fill: #ffffff; stroke: #d0d7de }
.grid { stroke: #d0d7de }
.soft { fill: #59636e }
.bar { stroke: #1f2328; stroke-width: 1.5 }
.a { fill: #54aeff; stroke: #0969da }
.b { fill: #ffb77c; stroke: #bc4c00 }
.whisker { stroke: #1f2328; stroke-width: 1.5; fill: none }
path.a, path.b { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .card { fill: #0d1117; stroke: #30363d }
  .grid { stroke: #30363d }
  .soft { fill: #9198a1 }
  .bar, .whisker { stroke: #e6edf3 }
  .a { fill: #1f6feb; stroke: #4493f8 }
  .b { fill: #9a4a12; stroke: #f0883e }
  path.a, path.b { fill: none }
}
"""


def bars(figures: Sequence[Figure]) -> str:
    """Return each figure that has a bar, as how many times better than the bar it is."""
    judged = [(figure, figure.bar) for figure in figures if figure.bar is not None]
    times = [[_times(value, bar) for value in (figure.value, *figure.samples)] for figure, bar in judged]
    low = min(-1, math.floor(min((math.log2(min(row)) for row in times), default=0)))
    high = max(2, math.ceil(max((math.log2(max(row)) for row in times), default=0)))
    left, right, top = 570, 900, 76

    def x(value: float) -> float:
        return left + (right - left) * (math.log2(value) - low) / (high - low)

    bottom = top + _ROW * len(judged)
    parts = [_text(20, 28, "How many times better than its bar each figure is", "title")]
    parts += [_text(20, 48, "logarithmic; whiskers: least and most of the rounds; left of 1: missed", "soft")]
    for power in range(low, high + 1):
        at = x(2.0**power)
        parts.append(_line(at, top, at, bottom, "bar" if power == 0 else "grid"))
        if power % 2 == 0:
            parts.append(_text(at, top - 8, f"{2**power} x" if power >= 0 else f"1/{2**-power} x", "soft", "middle"))
    for number, ((figure, bar), row) in enumerate(zip(judged, times, strict=True)):
        middle = top + _ROW * number + _ROW / 2
        began, ended = sorted((x(1), x(row[0])))
        parts.append(_text(left - 12, middle + 4, figure.what, anchor="end"))
        parts.append(_box(began, middle - 7, ended - began, 14, "a" if figure.met else "b"))
        parts.append(_whisker(x(min(row[1:])), x(max(row[1:])), middle))
        told = f"{plain(figure.value)} {figure.unit} ({bar})" + ("" if figure.met else ": missed")
        parts.append(_text(right + 12, middle + 4, told))
    return _svg(bottom + 20, "Figures and their bars", parts)


def _times(value: float, bar: Bar) -> float:
    """Return how many times better than a bar a value is; what cannot be told apart from nothing is 64 times better."""
    times = value / bar.limit if bar.least else bar.limit / max(value, bar.limit / 64)
    return min(64.0, max(1 / 64, times))


def latencies(figures: Sequence[Figure], bars: Mapping[str, tuple[float, float]]) -> str:
    """Return the share of all commits that were answered within a time; `bars` are points that a line has to pass."""
    every = [value for figure in figures for value in figure.distribution]
    low = math.floor(math.log10(min(every)))
    high = math.ceil(math.log10(max([*every, *(at for at, _ in bars.values())])))
    left, right, top, bottom = 70, WIDTH - 40, 80, 340

    def x(value: float) -> float:
        return left + (right - left) * (math.log10(value) - low) / (high - low)

    def y(share: float) -> float:
        return bottom - (bottom - top) * share

    parts = [_text(20, 28, "From a commit to the first answer that has it", "title")]
    parts += [_text(20, 48, "share of all commits; crosses: the bars, which a line has to pass on the left", "soft")]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts += [_line(left, y(share), right, y(share), "grid")]
        parts += [_text(left - 10, y(share) + 4, f"{share:.0%}", "soft", "end")]
    for power in range(low, high + 1):
        for step in (1, 2, 5) if power < high else (1,):
            value = step * 10.0**power
            parts.append(_line(x(value), top, x(value), bottom, "grid"))
            parts.append(_text(x(value), bottom + 18, f"{value:g} ms", "soft", "middle"))
    for kind, figure in zip("ab", figures, strict=False):
        ordered = sorted(figure.distribution)
        steps = [f"M{_n(x(ordered[0]))} {_n(y(0))}"]
        steps += [f"L{_n(x(value))} {_n(y((n + 1) / len(ordered)))}" for n, value in enumerate(ordered)]
        parts.append(f'<path class="{kind}" d="{" ".join(steps)}"/>')
        label = figure.what.rpartition(", ")[2].partition(":")[0]
        parts.append(_text(x(ordered[-1]) + 8, y(1) - 6, label, anchor="end" if x(ordered[-1]) > WIDTH / 2 else ""))
    for name, (at, share) in bars.items():
        parts += [_line(x(at) - 6, y(share), x(at) + 6, y(share), "bar")]
        parts += [_line(x(at), y(share) - 6, x(at), y(share) + 6, "bar")]
        parts += [_text(x(at) + 10, y(share) + 14, name)]
    return _svg(bottom + 40, "From a commit to the first answer that has it", parts)


def stages(cases: Mapping[str, Mapping[str, float]]) -> str:
    """Return the microseconds of each stage, a bar for each case."""
    names = list(next(iter(cases.values())))
    most = max(value for case in cases.values() for value in case.values())
    left, right, top, row = 340, 900, 80, 12 * len(cases) + 12
    parts = [_text(20, 28, "Where the time of a request goes: microseconds of the processor", "title")]
    for number, (kind, name) in enumerate(zip("ab", cases, strict=False)):
        parts += [_box(20 + 240 * number, 42, 12, 12, kind), _text(38 + 240 * number, 52, name)]
    for place, stage in enumerate(names):
        above = top + row * place
        parts.append(_text(left - 12, above + row / 2, stage, anchor="end"))
        for number, (kind, case) in enumerate(zip("ab", cases.values(), strict=False)):
            long = (right - left) * case[stage] / most
            parts.append(_box(left, above + 12 * number, long, 10, kind))
            parts.append(_text(left + long + 8, above + 12 * number + 9, plain(case[stage])))
    bottom = top + row * len(names)
    parts.append(_line(left, top - 6, left, bottom - 6, "bar"))
    return _svg(bottom + 10, "Where the time of a request goes", parts)


def rates(groups: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Return answers per second side by side, by table and by program: median, least and most."""
    every = [rate for group in groups.values() for samples in group.values() for rate in samples]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    left, right, top = 260, 840, 76
    rows = sum(len(group) + 1 for group in groups.values())
    bottom = top + 22 * rows

    def x(value: float) -> float:
        return left + (right - left) * (math.log10(value) - low) / (high - low)

    parts = [_text(20, 28, "Answers per second, side by side", "title")]
    parts += [_text(20, 48, "logarithmic; sixteen connections; whiskers: least and most of the rounds", "soft")]
    for power in range(low, high + 1):
        parts.append(_line(x(10.0**power), top, x(10.0**power), bottom, "grid"))
        parts.append(_text(x(10.0**power), top - 8, f"{10**power:,}", "soft", "middle"))
    at = top
    for name, group in groups.items():
        parts.append(_text(20, at + 15, name, "title"))
        for program, samples in group.items():
            at += 22
            middle, value = at + 11, sorted(samples)[len(samples) // 2]
            parts.append(_text(left - 12, middle + 4, program, anchor="end"))
            parts.append(_box(left, middle - 6, x(value) - left, 12, "a" if program == "tenantry" else "b"))
            parts.append(_whisker(x(min(samples)), x(max(samples)), middle))
            parts.append(_text(right + 12, middle + 4, f"{plain(value)} ({extremes(samples) or 'one round'})"))
        at += 22
    return _svg(bottom + 16, "Answers per second, side by side", parts)


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_n(height)}" width="{WIDTH}" '
        f'height="{_n(height)}" role="img">\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n'
    )
    card = f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{_n(height - 1)}" rx="8"/>'
    return head + "\n".join([card, *parts]) + "\n</svg>\n"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    named = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{_n(x)}" y="{_n(y)}"{named}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 1))}" height="{_n(height)}"/>'


def _whisker(least: float, most: float, y: float) -> str:
    if most - least < 0.5:
        return ""
    ends = "".join(f"M{_n(at)} {_n(y - 4)}V{_n(y + 4)}" for at in (least, most))
    return f'<path class="whisker" d="M{_n(least)} {_n(y)}H{_n(most)}{ends}"/>'


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
