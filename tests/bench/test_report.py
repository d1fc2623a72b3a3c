"""What a figure says of its rounds, and that JSON keeps it."""

from __future__ import annotations

import json

import pytest
from bench.report import Bar, Figure, as_json, as_markdown, figures_of, percentile

LEAST = Figure("of nginx", [0.3, 0.5, 0.4], "x", Bar(0.35, least=True))
MOST = Figure(
    "commit to answer", [10.0, 12.0], "ms", Bar(11.0), "two rounds", whole=11.5, distribution=[9.0, 10.0, 11.5, 12.0]
)


def test_a_figure_is_the_median_of_its_rounds() -> None:
    assert LEAST.value == 0.4
    assert LEAST.met


def test_a_percentile_is_that_of_all_rounds_together() -> None:
    assert MOST.value == 11.5
    assert not MOST.met


def test_a_figure_without_a_bar_is_neither_met_nor_missed() -> None:
    assert Figure("answers", [1.0], "/s").met is None


def test_a_figure_comes_back_from_json_as_it_was() -> None:
    report = json.loads(json.dumps(as_json([LEAST, MOST], {})))

    assert figures_of(report) == [LEAST, MOST]
    assert [(one["value"], one["least"], one["most"]) for one in report["figures"]] == [
        (0.4, 0.3, 0.5),
        (11.5, 10.0, 12.0),
    ]


def test_the_table_tells_the_least_and_the_most_of_the_rounds() -> None:
    table = as_markdown([LEAST], {"cores": "2"}, judged=True)

    assert "| of nginx | ≥ 0.35 x | 0.40 x | 0.30 to 0.50 | 1.14 | yes |" in table
    assert table.endswith("Measured with: cores 2.")


@pytest.mark.parametrize(("share", "value"), [(0.5, 3), (0.99, 4), (0.0, 1)])
def test_percentiles_are_of_the_values_that_there_are(share: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], share) == value
