"""The page of the benchmark: that it is what its results say, and says all of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from bench.page import REFERENCE, RESULTS, TITLES, Notes, files, main
from bench.profile import Profile, as_json
from bench.report import Bar, Figure, figures_of
from bench.report import as_json as figures_as_json

from bench import page, plots

MET = Figure("10 tenants: of nginx", [0.5, 0.4, 0.6], "x", Bar(0.35, least=True), measurement="throughput")
RATES = Figure(
    "answers per second, 10 tenants",
    [900.0, 1100.0],
    "/s",
    beside={"nginx": [2000.0, 2200.0]},
    measurement="throughput",
)
MISSED = Figure("start to ready", [1.6, 1.7], "s", Bar(1.5), "cold & old", measurement="start")
FED = Figure(
    "commit, heard by the trigger: p50",
    [10.0],
    "ms",
    Bar(40.0),
    distribution=[8.0, 10.0, 30.0],
    measurement="feeding",
)
PROFILED = Profile("10 tenants", {"writing": 20.0, "log": 5.0}, 18.0, 12_000.0)
NOTES = Notes(
    about={name: f"About {name}." for name in (*TITLES, "profile")},
    missed={MISSED.what: "Because of the disk."},
    parts=[{"part": "Writing", "text": "Written at once."}],
    pending=[{"what": "the moon", "why": "It is far."}],
)


def report(*figures: Figure, profiles: tuple[Profile, ...] = ()) -> dict[str, Any]:
    document = {**figures_as_json(figures, {"cores": "2"}), "profiles": as_json(profiles)}
    read: dict[str, Any] = json.loads(json.dumps(document))
    return read


def written(*figures: Figure, profiles: tuple[Profile, ...] = ()) -> Mapping[str, str]:
    return files(report(*figures, profiles=profiles), NOTES)


# --- what is committed -------------------------------------------------------------------------------------------


def test_the_page_is_what_the_committed_results_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(RESULTS)]) == 0, capsys.readouterr().err


def test_every_bar_that_the_committed_results_miss_is_explained() -> None:
    missed = {figure.what for figure in figures_of(json.loads(RESULTS.read_text())) if figure.met is False}

    assert missed <= Notes.read().missed.keys()


def test_only_figures_with_a_bar_are_explained() -> None:
    judged = {figure.what for figure in figures_of(json.loads(RESULTS.read_text())) if figure.bar}

    assert Notes.read().missed.keys() <= judged


def test_every_committed_figure_with_a_bar_has_five_rounds_at_least() -> None:
    few = [one.what for one in figures_of(json.loads(RESULTS.read_text())) if one.bar and len(one.samples) < 5]

    assert few == []


def test_every_committed_figure_has_a_name_of_its_own() -> None:
    names = [figure.what for figure in figures_of(json.loads(RESULTS.read_text()))]

    assert len(names) == len(set(names))


def test_every_measurement_is_described() -> None:
    assert Notes.read().about.keys() == {*TITLES, "profile"}


# --- what a page says --------------------------------------------------------------------------------------------


def test_a_line_of_the_table_has_bar_figure_spread_and_verdict() -> None:
    text = written(MET)["benchmark.md"]

    assert "| 10 tenants: of nginx | ≥ 0.35 x | 0.50 x | 0.40 to 0.60 | yes |  |" in text
    assert "1 of 1 bars are met." in text


def test_a_missed_bar_is_named_with_its_reason() -> None:
    text = written(MET, MISSED)["benchmark.md"]

    assert "1 of 2 bars are met." in text
    assert "- **start to ready**: 1.65 s where ≤ 1.50 s is asked. Because of the disk." in text
    assert "| 1.65 s | 1.60 to 1.70 | **no** |" in text


def test_a_missed_bar_without_a_reason_says_so() -> None:
    text = files(report(MISSED), Notes(NOTES.about, {}, [], []))["benchmark.md"]

    assert "Nobody has explained it yet." in text


def test_the_profile_stands_there_with_what_was_done() -> None:
    text = written(MET, profiles=(PROFILED,))["benchmark.md"]

    assert "| writing | 20.0 | 80% |" in text
    assert "1. **Writing.** Written at once." in text


def test_machine_and_what_is_not_measured_stand_there() -> None:
    text = written(MET)["benchmark.md"]

    assert "| cores | 2 |" in text
    assert "- **the moon**: It is far." in text


# --- plots -------------------------------------------------------------------------------------------------------


def test_every_plot_is_linked_and_is_xml_with_its_text_as_text() -> None:
    made = written(MET, RATES, MISSED, FED, profiles=(PROFILED,))
    drawn = [name for name in made if name.endswith(".svg")]

    assert len(drawn) == 4
    for name in drawn:
        told = "".join(ET.fromstring(made[name]).itertext())
        assert f"({name})" in made["benchmark.md"]
        assert "prefers-color-scheme: dark" in made[name]
        assert len(told) > 100
    assert "start to ready" in made["benchmark/bars.svg"]
    assert "1.65 s (≤ 1.50): missed" in made["benchmark/bars.svg"]


def test_what_is_missed_lies_on_the_other_side_of_the_bar() -> None:
    drawn = plots.bars([MET, MISSED])
    boxes = [box for box in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}rect") if box.get("class") != "card"]
    met, missed = ((float(box.attrib["x"]), float(box.attrib["width"])) for box in boxes)

    assert met[0] == pytest.approx(missed[0] + missed[1], abs=0.2)


def test_a_figure_that_is_nothing_or_less_can_be_drawn() -> None:
    drawn = plots.bars([Figure("cost", [-0.2, 0.0, 0.1], "ms", Bar(50.0))])

    assert "cost" in drawn


def test_no_text_of_the_committed_plots_leaves_its_card() -> None:
    lost = []
    for path in (REFERENCE / "benchmark").glob("*.svg"):
        for text in ET.fromstring(path.read_text()).iter("{http://www.w3.org/2000/svg}text"):
            wide, at = 6.6 * len(text.text or ""), float(text.attrib["x"])
            left = at - wide * {"end": 1.0, "middle": 0.5}.get(text.get("text-anchor", ""), 0.0)
            if left < 0 or left + wide > plots.WIDTH:
                lost.append((path.name, text.text))

    assert lost == []


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_writes_once_and_finds_it_current(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(json.dumps(report(MET, RATES)))
    into = ["--into", str(tmp_path / "reference"), str(results)]

    assert main(["--check", *into]) == 1
    assert main(into) == 0
    assert main(["--check", *into]) == 0

    (tmp_path / "reference" / "benchmark" / "rates.svg").write_text("<svg/>")
    assert main(["--check", *into]) == 1


def test_a_plot_that_nothing_gives_any_more_is_removed(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(json.dumps(report(MET)))
    into = ["--into", str(tmp_path), str(results)]
    (tmp_path / "benchmark").mkdir()
    old = tmp_path / "benchmark" / "old.svg"
    old.write_text("<svg/>")

    assert main(["--check", *into]) == 1
    assert main(into) == 0
    assert not old.exists()


def test_the_page_goes_where_the_docs_are() -> None:
    assert page.ROOT / "docs" / "reference" == REFERENCE
