"""Since when a row cannot be used."""

from __future__ import annotations

from tenantry.core.steps import at_once
from tenantry.core.tenant import Unusable
from tenantry.service.sighting import Sightings
from tests.fakes import FakeClock

BAD = Unusable(7, "is too long", "plan", "acme")


def test_a_row_is_known_since_it_was_first_seen_whatever_its_number() -> None:
    clock = FakeClock()
    sightings = Sightings(clock)
    at_once(sightings.note([BAD]))
    began = clock.now()

    clock.pass_by(minutes=5)
    at_once(sightings.note([Unusable(8, "is too long", "plan", "acme", kept=True)]))

    assert sightings.since(BAD) == began


def test_another_reason_column_or_tenant_is_another_sighting() -> None:
    clock = FakeClock()
    sightings = Sightings(clock)
    at_once(sightings.note([BAD]))
    clock.pass_by(minutes=5)
    others = [
        Unusable(7, "is not text", "plan", "acme"),
        Unusable(7, "is too long", "name", "acme"),
        Unusable(7, "is too long", "plan", "beta"),
        Unusable(7, "is too long", "plan", None),
    ]

    at_once(sightings.note([BAD, *others]))
    clock.pass_by(minutes=5)

    assert {(clock.now() - sightings.since(row)).total_seconds() for row in others} == {300}
    assert (clock.now() - sightings.since(BAD)).total_seconds() == 600


def test_a_row_that_was_good_in_between_is_seen_anew() -> None:
    clock = FakeClock()
    sightings = Sightings(clock)
    at_once(sightings.note([BAD]))
    clock.pass_by(minutes=5)
    at_once(sightings.note([]))
    clock.pass_by(minutes=5)

    at_once(sightings.note([BAD]))

    assert sightings.since(BAD) == clock.now()


def test_a_row_that_was_never_noted_is_first_seen_now() -> None:
    clock = FakeClock()

    assert Sightings(clock).since(BAD) == clock.now()
