"""The judge of the chaos: who was deleted rightly, and who was not."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from lightkube.types import PatchType

from tenantry.core.application import TENANT_LABEL
from tests.chaos.customers import Customers
from tests.chaos.judge import UNSEEN, Judge, Passes, Rules
from tests.chaos.people import Operator
from tests.chaos.sets import SET_LABEL, Row, owned
from tests.e2e.argocd import ArgoCD, Object
from tests.support.postgres import Database

SETTLE, MAY_LEAVE = 2.0, 2
ROW = Row("active", "eu", "0")


class FakeClient:
    """Applications as the API server has them: deleted, they stay until their finalizer is gone."""

    def __init__(self) -> None:
        self.there: dict[str, Object] = {}

    def list(self, _: object) -> list[Object]:
        return list(self.there.values())

    def patch(self, _: object, name: str, change: Object, patch_type: PatchType) -> None:
        assert change == {"metadata": {"finalizers": None}}
        assert patch_type is PatchType.MERGE
        del self.there[name]


class Court:
    """A judge, what it looks at, and a clock that is held still."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.client = FakeClient()
        self.customers = Customers(cast("Database", None), clock=lambda: self.now)
        self.operator = Operator()
        argocd = cast("ArgoCD", type("", (), {"client": self.client})())
        rules = Rules(SETTLE, MAY_LEAVE)
        self.passes: list[float] = []
        """When each ApplicationSet was answered."""

        self.judge = Judge(
            argocd,
            self.customers,
            self.operator,
            owned(),
            rules,
            lambda _: None,
            lambda _: self.passes,
            lambda: self.now,
        )

    def row(self, tenant: str, row: Row | None, at: float) -> None:
        self.now, before = at, self.now
        self.customers._note({tenant: row})
        self.customers._noted({tenant: row})
        self.now = before

    def has(self, tenant: str, name: str = "all", uid: str = "", *, is_deleted: bool = False) -> None:
        metadata: dict[str, Any] = {"name": f"{name}-{tenant}", "uid": uid or f"of {name}-{tenant}"}
        metadata["labels"] = {SET_LABEL: name, TENANT_LABEL: tenant}
        if is_deleted:
            metadata["deletionTimestamp"] = datetime.now(UTC).isoformat()
        self.client.there[metadata["name"]] = {"metadata": metadata, "spec": {"source": {}}}

    def finds(self) -> list[str]:
        self.judge.look()
        return self.judge.wrong


@pytest.fixture
def court() -> Court:
    made = Court(time.monotonic())
    for number in range(5):
        made.row(f"t{number}", ROW, made.now - 1000)
        made.has(f"t{number}")
    assert made.finds() == []
    return made


def test_whose_row_is_there_is_not_to_be_deleted(court: Court) -> None:
    court.has("t0", is_deleted=True)

    assert court.finds() == ["all-t0 is deleted, and its tenant was there"]
    assert "all-t0" not in court.client.there, "it was judged, and is let go"


@pytest.mark.parametrize(("seconds", "is_right"), [(SETTLE - 0.1, False), (SETTLE, True), (500, True)])
def test_whose_row_went_may_go_once_that_has_settled(court: Court, seconds: float, *, is_right: bool) -> None:
    court.row("t0", None, court.now - seconds)
    court.has("t0", is_deleted=True)

    assert (court.finds() == []) is is_right


@pytest.mark.parametrize(("ago", "is_right"), [(UNSEEN, True), (UNSEEN + 2, False)])
def test_who_is_back_may_go_by_an_answer_that_could_not_know_it_yet(
    court: Court, ago: float, *, is_right: bool
) -> None:
    court.row("t0", None, court.now - 100)
    court.row("t0", ROW, court.now - ago)
    court.passes = [court.now - 1]
    court.has("t0", is_deleted=True)

    assert (court.finds() == []) is is_right


def test_who_was_away_for_a_moment_may_not_go_however_late_argo_cd_is_told(court: Court) -> None:
    court.row("t0", None, court.now - 6)
    court.row("t0", ROW, court.now - 6 + SETTLE / 2)
    court.has("t0", is_deleted=True)

    assert court.finds() == ["all-t0 is deleted, and its tenant was there"]


def test_what_was_answered_after_a_deletion_says_nothing_of_it(court: Court) -> None:
    court.row("t0", None, court.now - 100)
    court.row("t0", ROW, court.now - 50)
    court.passes = [court.now + 1]
    court.has("t0", is_deleted=True)

    assert court.finds() == []


@pytest.mark.parametrize("is_told", [True, False])
def test_a_return_of_which_argo_cd_was_told_begins_the_time_anew(court: Court, *, is_told: bool) -> None:
    court.row("t0", None, court.now - 100)
    court.row("t0", ROW, court.now - 50)
    court.row("t0", None, court.now - 1)
    court.passes = [court.now - 20] if is_told else [court.now - 60, court.now - 0.5]
    court.has("t0", is_deleted=True)

    assert (court.finds() == []) is not is_told


def test_when_argo_cd_was_answered_stands_in_the_log_of_its_controller(tmp_path: Path) -> None:
    log, passes = tmp_path / "argocd.log", Passes(tmp_path / "argocd.log")
    answered = 'level=info msg="generated 42 applications" applicationset=argocd/all'
    log.write_text(
        f'time="2026-01-01T00:00:01Z" {answered}\n'
        'time="2026-01-01T00:00:02Z" level=error msg="unable to generate applications" applicationset=argocd/all\n'
        f'time="2026-01-01T00:00:03Z" {answered}-others\ntime="2026-01-01T00:00'
    )
    assert len(passes("all")) == 1

    with log.open("a") as more:
        more.write(f':04Z" {answered}\n')

    first, second = passes("all")
    assert second - first == pytest.approx(3)


def test_who_is_left_out_by_a_selector_is_away_for_it_alone(court: Court) -> None:
    court.row("t0", ROW._replace(status="inactive"), court.now - 100)
    court.has("t0", "active", is_deleted=True)
    assert court.finds() == []

    court.has("t0", is_deleted=True)

    assert court.finds() == ["all-t0 is deleted, and its tenant was there"]


def test_no_more_leave_than_may_unless_somebody_approved_it(court: Court) -> None:
    court.operator.approve(["t0", "t1"])
    for tenant in ("t0", "t1", "t2", "t3"):
        court.row(tenant, None, court.now - 100)
        court.has(tenant, is_deleted=True)
    assert court.finds() == []

    court.row("t4", None, court.now - 100)
    court.has("t4", is_deleted=True)

    assert court.finds() == ["all-t4 is deleted: 3 tenants, and 2 may leave"]


def test_an_application_of_nobody_is_wrong_to_delete(court: Court) -> None:
    court.has("stranger", is_deleted=True)

    assert court.finds() == ["all-stranger is deleted, and belongs to nobody who ever was there"]


def test_one_that_is_another_now_was_deleted_unseen(court: Court) -> None:
    court.has("t0", uid="2")

    assert court.finds() == ["all-t0 was made anew, and nobody saw it deleted"]


def test_each_is_judged_once(court: Court) -> None:
    court.has("t0", is_deleted=True)
    court.client.patch = lambda *_, **__: None  # type: ignore[method-assign]

    court.finds()
    court.finds()

    assert len(court.judge.wrong) == court.judge.deleted == 1
