"""What goes wrong when: drawn from a seed alone, so that a run can be had again."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PARTS: Mapping[str, int] = {
    "tenants": 3,
    "state": 3,
    "replica-1": 3,
    "replica-2": 3,
    "controller": 2,
    "api-server": 1,
    "etcd": 1,
}
"""What runs, and how often it is a victim, one beside the other."""

REPLICAS = ("replica-1", "replica-2")
LINKS: Mapping[str, int] = {
    **{f"{replica}>{server}": 1 for replica in REPLICAS for server in ("tenants", "state", "api-server")},
    **{f"controller>{replica}": 2 for replica in REPLICAS},
    "controller>api-server": 1,
    "api-server>etcd": 1,
}
"""Who talks to whom."""

OF_PARTS = ("kill", "end", "pause")
OF_LINKS = ("cut", "swallow", "slow")

_BETWEEN = 1.0
"""Seconds from one fault to the next, on average: several last at once."""

_SHORTEST, _LONGEST = 0.3, 6.0
_REST = 4.0
"""Seconds for which nothing else happens to who has just had a fault: long enough to start again."""


@dataclass(frozen=True)
class Fault:
    """One that begins `at` some second, and is mended after it `lasts` for so many."""

    at: float
    on: str
    how: str
    lasts: float

    def __str__(self) -> str:
        return f"{self.at:.1f} s: {self.how} {self.on} for {self.lasts:.1f} s"


def faults(seed: int, seconds: float) -> Sequence[Fault]:
    """Return what happens within so many seconds, in order; all of it is mended by then."""
    chance = random.Random(seed)
    victims = {**PARTS, **LINKS}
    names, weights = list(victims), list(victims.values())
    free = dict.fromkeys(names, 0.0)
    drawn: list[Fault] = []
    at = chance.expovariate(1 / _BETWEEN)
    while at < seconds:
        on, lasts = chance.choices(names, weights)[0], chance.uniform(_SHORTEST, _LONGEST)
        how = chance.choice(OF_PARTS if on in PARTS else OF_LINKS)
        if free[on] <= at and at + lasts <= seconds:
            drawn.append(Fault(at, on, how, lasts))
            free[on] = at + lasts + _REST
        at += chance.expovariate(1 / _BETWEEN)
    return drawn
