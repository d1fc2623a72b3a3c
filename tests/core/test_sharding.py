"""Which shard a tenant belongs to."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.sharding import MOST_SHARDS, shard_of

GOLDEN: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "shards.json").read_text())
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
OF_MANY_KINDS = {
    "numbers": [str(number) for number in range(20_000)],
    "names": [f"customer-{number:06}" for number in range(20_000)],
    "same beginning": [f"{'x' * 50}{number}" for number in range(20_000)],
    "same end": [f"{number}.tenants.example.com" for number in range(20_000)],
}
CRITICAL = {2: 15.14, 7: 27.86, 16: 44.26, 64: 110.50}
"""Chi-squared at p = 0.0001 for one degree of freedom fewer than shards."""


@given(IDS, st.integers(1, MOST_SHARDS))
def test_a_shard_is_one_of_those_that_there_are(identifier: str, count: int) -> None:
    assert 0 <= shard_of(identifier, count) < count


@given(IDS, st.integers(1, MOST_SHARDS - 1))
def test_with_one_shard_more_a_tenant_stays_or_moves_to_the_new_one(identifier: str, count: int) -> None:
    assert shard_of(identifier, count + 1) in (shard_of(identifier, count), count)


@pytest.mark.parametrize("count", [-1, 0, MOST_SHARDS + 1])
def test_other_counts_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {MOST_SHARDS}, not {count}"):
        shard_of("acme", count)


@pytest.mark.parametrize("kind", OF_MANY_KINDS)
@pytest.mark.parametrize("count", CRITICAL)
def test_shards_are_even(kind: str, count: int) -> None:
    ids = OF_MANY_KINDS[kind]
    sizes = Counter(shard_of(identifier, count) for identifier in ids)
    expected = len(ids) / count

    chi_squared = sum((sizes[shard] - expected) ** 2 / expected for shard in range(count))

    assert chi_squared < CRITICAL[count]


@pytest.mark.parametrize("identifier", GOLDEN)
def test_shards_are_the_same_in_every_version(identifier: str) -> None:
    assert {count: shard_of(identifier, int(count)) for count in GOLDEN[identifier]} == GOLDEN[identifier]
