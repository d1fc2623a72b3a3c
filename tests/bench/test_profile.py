"""Where a request's time goes: that each moment is counted in one stage, and what the timers cost is taken off."""

from __future__ import annotations

from bench.profile import Profile, as_markdown
from bench.stages import OUTSIDE, STAGES, WRITE, Timers


def test_every_function_of_a_stage_is_there() -> None:
    missing = [name for places in STAGES.values() for owner, name in places if not hasattr(owner, name)]

    assert missing == []


def test_no_function_is_in_two_stages() -> None:
    places = [place for places in STAGES.values() for place in places]

    assert len(places) == len(set(places))


def test_a_stage_within_another_is_counted_apart() -> None:
    timers = Timers()
    auth, metrics = timers.stages["auth: the token"], timers.stages["metrics"]

    def long() -> int:
        return sum(range(200_000))

    inner = timers.timed(auth, long)

    assert timers.timed(metrics, inner)() == sum(range(200_000))

    assert auth.calls == metrics.calls == metrics.inner == 1
    assert auth.nanoseconds > 0
    assert metrics.nanoseconds > 0


def test_an_error_passes_through_a_timer() -> None:
    timers = Timers()

    def fails() -> None:
        raise KeyError("x")

    for _ in range(2):
        try:
            timers.timed(timers.stages[WRITE], fails)()
        except KeyError:
            continue
    assert timers.told()["requests"] == 2


def test_what_was_timed_names_every_stage() -> None:
    assert list(Timers().told()["microseconds"]) == [OUTSIDE, *STAGES]


def test_the_table_has_a_line_for_each_stage_and_the_whole() -> None:
    few = Profile("10 tenants", {"writing": 15.0, "log": 5.0}, 10.0, 12_000.0)
    many = Profile("10,000 tenants", {"writing": 45.0, "log": 5.0}, 40.0, 8_000.0)

    table = as_markdown([few, many])

    assert "| writing | 15.0 | 75% | 45.0 | 90% |" in table
    assert "| all of it | 20.0 | 100% | 50.0 | 100% |" in table
    assert "| of which in the kernel | 10.0 | 50% | 40.0 | 80% |" in table
