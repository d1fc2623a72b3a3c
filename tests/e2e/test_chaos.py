"""A short `make chaos`: what breaks costs no tenant of ours an Application, and those of a naive plugin all of them."""

from __future__ import annotations

import pytest

from tests.chaos.run import Chaos, Wrong

SEED = 1
SECONDS = 40.0


def test_whatever_breaks_around_two_replicas_no_application_is_deleted_that_should_not_be() -> None:
    told = Chaos(SEED, SECONDS).run()

    assert "all rightly" in told, told


def test_the_same_faults_cost_a_plugin_that_answers_them_with_an_empty_list_its_applications() -> None:
    with pytest.raises(Wrong, match="is deleted, and its tenant was there"):
        Chaos(SEED, SECONDS, is_rival=True).run()
