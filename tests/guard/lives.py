"""The lives of the walk: how each world begins, and which steps are taken in it, how often."""

from __future__ import annotations

from typing import NamedTuple

from tenantry.core.guard import GuardMode


class Life(NamedTuple):
    """How a world begins, and what its guard does."""

    many: int = 60
    mode: GuardMode = GuardMode.HOLD
    settle: float = 60.0
    in_cluster: bool = False
    """Whether the guard sees the ApplicationSets and their Applications."""

    replicas: int = 1
    """How many processes answer by one ledger."""

    standbys: int = 0
    """How many of those read from a standby of the database."""


LIVES = (
    Life(),
    Life(),
    Life(24),
    Life(),
    Life(4),
    Life(mode=GuardMode.UPSERT_ONLY),
    Life(settle=0.0),
    Life(2),
    Life(24, GuardMode.OBSERVE),
    Life(24),
    Life(in_cluster=True),
    Life(24, in_cluster=True),
    Life(4, settle=0.0, in_cluster=True),
    Life(24, GuardMode.UPSERT_ONLY, in_cluster=True),
    Life(24, replicas=2),
    Life(24, replicas=2, standbys=1),
    Life(replicas=3),
    Life(4, replicas=2),
    Life(24, settle=0.0, replicas=3, standbys=1),
    Life(24, replicas=2, standbys=2),
    Life(24, GuardMode.OBSERVE, replicas=2),
)


ACTIONS: dict[str, int] = {
    # time, reads and requests
    "ask": 20,
    "ask_again": 5,
    "foresee": 14,
    "poll": 14,
    "settle": 18,
    "lose": 22,
    "rename_and_lose": 4,
    "lose_and_retype": 4,
    "read": 16,
    "read_for_long": 10,
    "wait": 24,
    "ask_otherwise": 4,
    "fall_silent": 2,
    "ask_all": 3,
    "tidy": 2,
    # rows
    "insert": 6,
    "flood": 3,
    "delete": 10,
    "delete_some": 6,
    "delete_half": 2,
    "delete_again": 6,
    "put_back": 12,
    "change": 6,
    "rename": 4,
    "rename_some": 3,
    "move": 6,
    "move_some": 4,
    "retire": 6,
    "retire_all": 1,
    "revive_all": 4,
    "rewrite_ids": 2,
    "replace_all": 2,
    "restore": 6,
    "retype": 3,
    "resize": 3,
    "spoil": 4,
    "mend": 6,
    "lose_an_id": 2,
    # people
    "approve": 4,
    "approve_gone": 5,
    "approve_held": 8,
    "withdraw": 2,
    "admit": 3,
    "freeze": 1,
    "unfreeze": 6,
    "pin": 3,
    "pin_gone": 3,
    "unpin": 4,
    # faults
    "restart": 3,
    "spoil_held": 3,
    "restart_later": 1,
    "edit_configuration": 3,
    "another_database": 2,
    "restore_a_backup": 2,
    "lose_the_ledger": 1,
    "lose_the_ledger_and_some": 1,
    "admit_strays": 4,
    "fail_to_write": 2,
}
"""Every kind of step, and how often a random walk takes it."""

_OF_SEVERAL: dict[str, int] = {
    # requests and reads
    "ask_each": 8,
    "cross": 24,
    "race": 6,
    "hide": 6,
    "look_late": 6,
    "begin_read": 14,
    "end_reads": 8,
    "log": 6,
    "lag": 3,
    "replay": 4,
    # those who run it
    "kill": 3,
    "start": 8,
    "pause": 3,
    "wake": 8,
    "roll_out": 2,
    "follow": 6,
}
"""What happens among several replicas besides."""

_OF_ONE = ("ask_again", "foresee", "admit_strays")
"""What is looked at where one process answers alone."""


def actions_of(life: int) -> dict[str, int]:
    """Return every kind of step of a life, and how often a random walk takes it."""
    if LIVES[life].replicas == 1:
        return ACTIONS
    return {**{name: weight for name, weight in ACTIONS.items() if name not in _OF_ONE}, **_OF_SEVERAL}
