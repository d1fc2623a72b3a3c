"""The snapshot in use, and when it may not be answered from."""

from __future__ import annotations

import pytest

from tenantry.core.errors import LastGoodUnknown, NoSnapshot, SnapshotTooOld, SourceUnreachable
from tenantry.service.snapshots import SnapshotHolder
from tests.builders import snapshot_of, tenants
from tests.fakes import FakeClock


def test_before_the_first_read_there_is_nothing_to_answer_from() -> None:
    holder = SnapshotHolder(FakeClock(), 3600)

    with pytest.raises(NoSnapshot):
        holder.current()
    assert holder.age is None


def test_a_failed_first_read_is_named_without_the_drivers_text() -> None:
    holder = SnapshotHolder(FakeClock(), 3600)
    holder.read_failed(SourceUnreachable())

    with pytest.raises(NoSnapshot, match="not reachable"):
        holder.current()


def test_the_last_good_snapshot_is_served_until_it_is_too_old() -> None:
    clock = FakeClock()
    holder = SnapshotHolder(clock, max_stale=3600)
    snapshot = snapshot_of(tenants(1))
    holder.publish(snapshot, clock.monotonic())
    holder.read_failed(SourceUnreachable())

    clock.pass_by(seconds=3600)

    assert holder.current() is snapshot
    clock.pass_by(seconds=1)
    with pytest.raises(SnapshotTooOld, match="not reachable"):
        holder.current()
    assert holder.age == 3601


def test_a_snapshot_that_may_lack_a_tenant_is_not_answered_from() -> None:
    holder = SnapshotHolder(FakeClock(), 3600)
    rows = tenants(6)
    for row in rows:
        row["status"] = b"\xff"
    holder.publish(snapshot_of(rows), 1000.0)

    with pytest.raises(LastGoodUnknown, match=r"Row 1, column 'status', .* And 3 more rows"):
        holder.current()


def test_the_message_about_a_row_holds_no_data_of_its_tenant() -> None:
    holder = SnapshotHolder(FakeClock(), 3600)
    holder.publish(snapshot_of([{"tenant": "acme-corp", "status": b"\xff"}]), 1000.0)

    with pytest.raises(LastGoodUnknown) as refused:
        holder.current()

    assert "acme" not in refused.value.message
