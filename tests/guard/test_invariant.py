"""The invariant of the guard, over steps that nobody chose: `python -m tests.guard.walk` takes a hundred thousand."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.guard.lives import ACTIONS
from tests.guard.walk import walk
from tests.guard.world import World

_STEPS = 4000
"""What a walk of the suite takes: ten seconds or so."""


class Steps(RuleBasedStateMachine):
    """Steps that Hypothesis chooses, and makes fewer where they break something."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(
        action=st.sampled_from([name for name, weight in ACTIONS.items() for _ in range(1 + weight // 5)]),
        a=st.integers(0, 9),
        b=st.integers(0, 9),
    )
    def step(self, action: str, a: int, b: int) -> None:
        self.world.do(action, a, b)

    def teardown(self) -> None:
        self.world.close()


TestSteps = Steps.TestCase
TestSteps.settings = settings(
    max_examples=25, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck)
)


_AMONG_REPLICAS = (
    *("answered by 0", "answered by 1", "answered by 2", "prepared", "crossed", "decided anew", "died"),
    *("ReplicaBehind", "OlderConfiguration", "EditedInput", "StateUnwritable"),
)
"""What a walk of the suite comes by where several replicas answer."""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_walk_never_breaks_the_invariant_and_is_no_empty_one(seed: int) -> None:
    seen = walk(_STEPS, seed)

    assert seen.left > 20, seen
    assert not [what for what in _AMONG_REPLICAS if not seen.counts[what]], seen
