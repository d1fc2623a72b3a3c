"""Positions: what continues a snapshot and what goes back behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenantry.core.position import DISCARDED_BY_A_CRASH, Position

BEFORE = Position("system/database/table", timeline=2, lsn=10_000_000)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(BEFORE, id="the same position"),
        pytest.param(replace(BEFORE, lsn=10_000_001), id="a later one"),
        pytest.param(replace(BEFORE, timeline=3, lsn=10_000_001), id="a promoted standby that has it all"),
        pytest.param(replace(BEFORE, lsn=10_000_000 - DISCARDED_BY_A_CRASH), id="a primary after a crash"),
    ],
)
def test_a_continuation_is_accepted(after: Position) -> None:
    assert after.went_back_from(BEFORE) == ""


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        pytest.param(replace(BEFORE, source="other"), "another database", id="another database"),
        pytest.param(replace(BEFORE, timeline=1), "earlier timeline", id="an earlier timeline"),
        pytest.param(replace(BEFORE, lsn=9_999_999, standby=True), "earlier position", id="a standby that lags"),
        pytest.param(replace(BEFORE, timeline=3, lsn=9_999_999), "earlier position", id="a promotion that lost data"),
        pytest.param(replace(BEFORE, lsn=1), "earlier position", id="a restored backup"),
    ],
)
def test_going_back_is_noticed(after: Position, reason: str) -> None:
    assert reason in after.went_back_from(BEFORE)
