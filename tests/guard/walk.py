"""`python -m tests.guard.walk`: walk at random through what can happen, until the invariant breaks or the steps end."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.guard.world import ACTIONS, Broken, World, told

_A_LIFE = 500
"""Steps after which a world begins anew."""


def walk(steps: int, seed: int) -> str:
    """Take so many steps and return what was seen; raises Broken, with the steps that led there."""
    chance = random.Random(seed)
    names, weights = list(ACTIONS), list(ACTIONS.values())
    taken = answers = left = 0
    while taken < steps:
        world = World()
        try:
            for _ in range(min(_A_LIFE, steps - taken)):
                world.do(chance.choices(names, weights)[0], chance.randrange(10), chance.randrange(10))
                taken += 1
        except Broken as broken:
            raise Broken(f"seed {seed}, step {taken}: {broken}\n{told(world)}") from None
        finally:
            answers += sum(len(known.answers) for known in world.model.sets.values())
            left += sum(len(known.left) for known in world.model.sets.values())
            world.close()
    return f"{taken} steps, seed {seed}: {left} tenants left by rows alone, in {answers} inputs; the invariant held."


def main() -> int:
    """Walk as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    try:
        print(walk(asked.steps, asked.seed))
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
