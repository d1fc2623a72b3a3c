"""`python -m tests.guard.walk`: walk at random through what can happen, until the invariant breaks or the steps end."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.guard.lives import LIVES, actions_of
from tests.guard.model import Broken
from tests.guard.several import Several
from tests.guard.world import World

Step: TypeAlias = "tuple[str, int, int]"

_A_LIFE = 150
"""Steps after which a world begins anew."""

_SHORTENING = 40.0
"""Seconds for which a shorter history is looked for."""


class Walked(Broken):
    """A walk that ended where the invariant broke."""

    def __init__(self, why: str, life: int, steps: Sequence[Step]) -> None:
        super().__init__(why)
        self.life = life
        self.steps = steps

    @property
    def way(self) -> str:
        """What broke, without tenants and numbers."""
        return " ".join(word for word in str(self.args[0]).rpartition(": ")[2].split() if word.isalpha())

    def __str__(self) -> str:
        """Write it so that it can be taken again."""
        return f"{self.args[0]}\nreplay({self.life}, {list(self.steps)!r})"


@dataclass
class Seen:
    """What a walk came by."""

    seed: int
    taken: int = 0
    answers: int = 0
    left: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """What happened among several replicas."""

    def note(self, world: World) -> None:
        """Take in a life that is over."""
        known = world.model.sets.values()
        self.answers += sum(len(one.answers) for one in known)
        self.left += sum(len(one.left) for one in known)
        if isinstance(world, Several):
            self.counts += world.counts

    def __str__(self) -> str:
        """Sum it up."""
        counts = ", ".join(f"{name} {number}" for name, number in sorted(self.counts.items()))
        return (
            f"{self.taken} steps, seed {self.seed}: {self.left} tenants left by rows alone, in {self.answers} inputs; "
            f"the invariant held. Of several replicas: {counts or 'nothing'}."
        )


def begun(life: int) -> World:
    """Return the world of a life."""
    return Several(life) if LIVES[life].replicas > 1 else World(life)


def walk(steps: int, seed: int) -> Seen:
    """Take so many steps and return what was seen; raises Walked, with all steps of the life in which it broke."""
    chance, seen, life = random.Random(seed), Seen(seed), 0
    while seen.taken < steps:
        world, actions = begun(life), actions_of(life)
        names, weights = list(actions), list(actions.values())
        try:
            for _ in range(min(_A_LIFE, steps - seen.taken)):
                world.do(chance.choices(names, weights)[0], chance.randrange(10), chance.randrange(10))
                seen.taken += 1
        except Broken as broken:
            raise Walked(f"seed {seed}, step {seen.taken}: {broken}", life, world.taken) from None
        finally:
            seen.note(world)
            world.close()
        life = (life + 1) % len(LIVES)
    return seen


def replay(life: int, steps: Sequence[Step]) -> None:
    """Take steps again; raises Walked where the invariant breaks."""
    world = begun(life)
    try:
        for step in steps:
            world.do(*step)
    except Broken as broken:
        raise Walked(str(broken), life, list(world.taken)) from None
    finally:
        world.close()


def shortest(broken: Walked, seconds: float = _SHORTENING) -> Walked:
    """Return the shortest history found in some time that breaks the invariant in the same way."""
    until = time.monotonic() + seconds

    def is_late() -> bool:
        return time.monotonic() > until

    found = _again(broken, broken.steps) or broken
    part = len(found.steps) // 2
    while part and not is_late():
        shorter = _without_parts(found, part, is_late)
        if len(shorter.steps) == len(found.steps):
            part //= 2
        found = shorter
    return found


def _without_parts(found: Walked, part: int, is_late: Callable[[], bool]) -> Walked:
    """Leave out every run of so many steps that is not needed, the last first."""
    at = len(found.steps) - part
    while at >= 0 and not is_late():
        shorter = _again(found, [*found.steps[:at], *found.steps[at + part :]])
        found = shorter or found
        at = min(at - part, len(found.steps) - part) if at else -1
    return found


def _again(like: Walked, steps: Sequence[Step]) -> Walked | None:
    try:
        replay(like.life, steps)
    except Walked as broken:
        return broken if broken.way == like.way else None
    return None


def main() -> int:
    """Walk as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--as-it-is", action="store_true", help="do not look for a shorter history")
    asked = parser.parse_args()
    try:
        print(walk(asked.steps, asked.seed))
    except Walked as broken:
        print(broken.args[0], file=sys.stderr)
        print(broken if asked.as_it_is else shortest(broken), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
