"""Shards: disjoint, stable parts of all tenants, for as many ApplicationSets.

The part that a tenant belongs to is a function of its id and the number of parts alone, the same in every version. It
is the jump consistent hash (Lamping and Veach, 2014), in whole numbers: with one part more, only tenants of the new one
move. Why not rendezvous hashing: docs/decisions/0012.
"""

from __future__ import annotations

import hashlib

MOST_SHARDS = 1024
"""Parts that there may be."""

_64_BITS = (1 << 64) - 1
_STEP = 2862933555777941757
"""The multiplier of the paper's generator, in which each jump takes the next random number."""


def shard_of(identifier: str, count: int) -> int:
    """Return which of `count` parts a tenant belongs to, 0 to count - 1; raises ValueError for no sound count."""
    if not 1 <= count <= MOST_SHARDS:
        raise ValueError(f"A count of shards is 1 to {MOST_SHARDS}, not {count}.")
    state = int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest())
    shard, following = 0, 0
    while following < count:
        shard = following
        state = (state * _STEP + 1) & _64_BITS
        following = ((shard + 1) << 31) // ((state >> 33) + 1)
    return shard
