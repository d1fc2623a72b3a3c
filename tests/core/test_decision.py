"""What an ApplicationSet is answered when its rows change: who comes, who may leave, who has to stay."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tenantry.core.asking import Asked, Decision, Read, input_digest
from tenantry.core.decision import decide
from tenantry.core.errors import EditedInput
from tenantry.core.guard import GuardMode, Policy, RemovalLimit
from tenantry.core.ledger import LIVE_FOR, Rule, SetLedger, Size, SourceLedger, Word, size_at, with_size
from tenantry.core.steps import at_once

HOUR, DAY = 3600.0, 86400.0
LIMITS = (
    RemovalLimit(timedelta(hours=1), 5, 2),
    RemovalLimit(timedelta(days=1), 10, 3),
    RemovalLimit(timedelta(days=7), 25, 5),
)
ALL = "{}"


def policy(mode: GuardMode = GuardMode.HOLD, settle: float = 60.0) -> Policy:
    return Policy(mode, settle, LIMITS, ("tenantName",))


class Bench:
    """One ApplicationSet over time: rows by input, and what it is answered."""

    def __init__(self, *tenants: str, mode: GuardMode = GuardMode.HOLD) -> None:
        self.policy = policy(mode)
        self.own = SetLedger()
        self.source = SourceLedger()
        self.rows: dict[str, dict[str, str]] = {ALL: dict.fromkeys(tenants, "1")}
        self.lens = "lens"
        self.lenses = {0: "lens"}
        """By the first read through each."""

        self.now = 1_000_000.0
        self.reads = 1
        self.absences: dict[str, Mapping[str, Read]] = {}
        self.came: dict[tuple[str, str], int] = {}
        self.silent: set[str] = set()
        """Inputs that nobody asks for any more."""

        self.last: Decision | None = None
        for given in self.rows:
            self.ask(given)
        self.passes(minutes=1)
        self.ask()

    def passes(self, *, minutes: float = 0.0, hours: float = 0.0, asking: bool = False) -> None:
        """Let time pass, in which the rows are read every minute; `asking`, an answer follows each read."""
        until = self.now + minutes * 60 + hours * HOUR
        while self.now < until:
            self.now += min(60.0, until - self.now)
            self.read()
            if asking:
                self.ask()

    def read(self) -> None:
        self.reads += 1
        for given, absences in self.absences.items():
            candidate = self.candidate(given)
            released = self.own.baselines[given].released
            self.absences[given] = {
                tenant: since
                for tenant, since in absences.items()
                if tenant not in candidate or _name(candidate[tenant]) != _name(released.get(tenant, b"{}"))
            }

    def look_otherwise(self) -> None:
        """Shape answers by something else from the next read on."""
        self.read()
        self.lens = self.lenses[self.reads] = f"{self.lens}'"

    def candidate(self, given: str = ALL) -> dict[str, bytes]:
        return {tenant: parameters(tenant, value) for tenant, value in self.rows.get(given, {}).items()}

    def ask(self, given: str = ALL, **more: Any) -> set[str]:  # noqa: ANN401 -- the fields of Asked
        """Ask for an input, and return who is answered."""
        live = [other for other in self.own.live(self.now) if other != given]
        asked = Asked(
            given,
            self.candidate(given),
            self.lens,
            "layout",
            self.now,
            Read(self.reads, self.now),
            self.absences.get(given, {}),
            lambda tenant: [other for other in live if tenant in self.rows.get(other, {})],
            name="tenantName",
            judged=self.last.absences if self.last else {},
            lens_at=lambda read: [lens for first, lens in self.lenses.items() if first <= read.number][-1],
            came=lambda other, tenant: self.came.get((other, tenant)),
            in_step=[other for other in self.own.baselines if other not in {given, *self.silent}],
            **more,
        )
        self.last = at_once(decide(self.own, self.source, self.policy, asked, self.reads))
        self.own = self.last.ledger
        self.absences[given] = self.last.absences
        self.came |= {(given, tenant): self.reads for tenant in self.last.came}
        losses = (*self.source.losses, *self.last.lost)
        present = len({tenant for one in self.own.baselines.values() for tenant in one.released})
        sizes = with_size(self.source.sizes, self.now, present, self.now - 8 * DAY)
        self.source = SourceLedger(losses, sizes, present, self.source.freeze)
        return set(self.own.baselines[given].released)

    def gone(self, *tenants: str, given: str = ALL) -> None:
        for tenant in tenants:
            del self.rows[given][tenant]

    def come(self, *tenants: str, given: str = ALL) -> None:
        self.rows.setdefault(given, {}).update((tenant, "1") for tenant in tenants)

    def approve(self, *tenants: str, hours: float = 24) -> None:
        words = {tenant: Word("ann", "left", self.now, self.now + hours * HOUR) for tenant in tenants}
        self.own = msgspec.structs.replace(self.own, approvals={**self.own.approvals, **words})

    def admit(self, given: str) -> None:
        """Let an input be new."""
        word = Word("ann", "new", self.now)
        self.own = msgspec.structs.replace(self.own, admitted={input_digest(given): word})

    def held(self) -> dict[str, Rule]:
        return {hold.tenant: hold.rule for hold in self.own.holds.values()}


def parameters(tenant: str, value: str = "1") -> bytes:
    return json.dumps({"tenant": tenant, "tenantName": value.partition(":")[2] or tenant, "value": value}).encode()


def _name(encoded: bytes) -> object:
    return json.loads(encoded).get("tenantName")


def named(number: int) -> list[str]:
    return [f"t{n:03}" for n in range(number)]


# --- rows come and change ----------------------------------------------------------------------------------------


def test_who_comes_is_answered_at_once() -> None:
    bench = Bench("a")
    bench.come("b")

    assert bench.ask() == {"a", "b"}


def test_a_change_is_answered_at_once() -> None:
    bench = Bench("a")
    bench.rows[ALL]["a"] = "2"
    bench.ask()

    assert bench.own.baselines[ALL].released == {"a": parameters("a", "2")}


def test_an_answer_without_news_has_nothing_to_record() -> None:
    bench = Bench("a", "b")
    bench.passes(minutes=5)
    bench.ask()

    assert bench.last is not None
    assert not bench.last.to_record


# --- settling ----------------------------------------------------------------------------------------------------


def test_who_goes_leaves_once_every_read_for_the_time_of_settling_was_without_it() -> None:
    bench = Bench(*named(10))
    bench.gone("t000")

    assert "t000" in bench.ask()
    bench.now += 59
    bench.read()
    assert "t000" in bench.ask()
    bench.now += 1
    bench.read()
    assert "t000" not in bench.ask()


def test_one_read_alone_settles_nothing_however_late_it_is_asked_for() -> None:
    bench = Bench(*named(10))
    bench.gone("t000")
    bench.ask()
    bench.now += 3600

    assert "t000" in bench.ask()


def test_who_is_back_in_one_read_begins_anew() -> None:
    bench = Bench(*named(10))
    bench.gone("t000")
    bench.ask()
    bench.come("t000")
    bench.passes(minutes=1)
    bench.gone("t000")
    bench.passes(minutes=1)

    assert "t000" in bench.ask()
    bench.passes(minutes=1)
    assert "t000" not in bench.ask()


def test_who_came_with_another_name_and_then_goes_settles_anew() -> None:
    bench = Bench(*named(10))
    bench.rows[ALL]["t000"] = "1:renamed"
    bench.ask()
    bench.passes(minutes=1)
    bench.ask()
    assert bench.own.baselines[ALL].released["t000"] == parameters("t000", "1:renamed")

    bench.gone("t000")
    bench.read()

    assert "t000" in bench.ask()


# --- limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of", "gone", "leave"), [(10, 2, True), (10, 3, False), (100, 5, True), (100, 6, False)])
def test_removals_beyond_a_limit_are_all_held(of: int, gone: int, leave: bool) -> None:
    bench = Bench(*named(of))
    bench.gone(*named(gone))
    bench.ask()
    bench.passes(minutes=2)

    assert len(bench.ask()) == (of - gone if leave else of)
    assert bench.held() == ({} if leave else dict.fromkeys(named(gone), Rule.LIMIT))


def test_one_an_hour_does_not_add_up_to_more_than_the_longer_windows_allow() -> None:
    bench = Bench(*named(20))
    for tenant in named(20)[:12]:
        bench.gone(tenant)
        bench.ask()
        bench.passes(hours=2, asking=True)

    assert len(bench.ask()) == 17


def test_a_return_refunds_nothing() -> None:
    bench = Bench(*named(10))
    bench.gone("t000", "t001")
    bench.ask()
    bench.passes(minutes=2, asking=True)
    bench.come("t000", "t001")
    bench.ask()
    bench.gone("t002")
    bench.ask()
    bench.passes(minutes=2)

    assert "t002" in bench.ask()
    assert bench.held() == {"t002": Rule.LIMIT}


def test_a_hold_stays_however_long_it_lasts_and_however_large_the_set_grows() -> None:
    bench = Bench(*named(10))
    bench.gone(*named(3))
    bench.ask()
    bench.passes(minutes=2, asking=True)
    bench.come(*(f"new{n}" for n in range(10)))
    bench.passes(hours=24 * 9)

    assert set(named(3)) <= bench.ask()


def test_who_is_held_uses_up_no_limit() -> None:
    bench = Bench(*named(10))
    bench.gone(*named(3))
    bench.ask()
    bench.passes(minutes=2, asking=True)
    bench.gone("t008")
    bench.ask()
    bench.passes(minutes=2)

    assert "t008" not in bench.ask()


def test_a_hold_ends_with_its_tenants_return() -> None:
    bench = Bench(*named(10))
    bench.gone(*named(3))
    bench.ask()
    bench.passes(minutes=2, asking=True)
    bench.come("t000")
    bench.ask()

    assert bench.held().keys() == {"t001", "t002"}


def test_who_is_held_stays_as_it_was_and_others_change() -> None:
    bench = Bench(*named(10))
    bench.gone(*named(3))
    bench.rows[ALL]["t005"] = "2"
    bench.ask()
    bench.passes(minutes=2, asking=True)

    released = bench.own.baselines[ALL].released
    assert (released["t000"], released["t005"]) == (parameters("t000"), parameters("t005", "2"))


def test_a_drop_over_several_inputs_counts_as_one() -> None:
    bench = Bench(*named(5))
    other = '{"region":"eu"}'
    bench.come(*(f"e{n}" for n in range(5)), given=other)
    bench.own = msgspec.structs.replace(bench.own, admitted={input_digest(other): Word("ann", "new", bench.now)})
    bench.ask(other)
    bench.passes(minutes=1)
    bench.ask(other)
    bench.gone("t000", "t001")
    bench.gone("e0", given=other)
    for _ in range(3):
        bench.ask()
        bench.ask(other)
        bench.passes(minutes=1)

    assert bench.ask() == {"t002", "t003", "t004"}
    assert "e0" in bench.ask(other)


# --- never the last ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allow_empty", [False, True])
def test_the_last_leave_only_where_that_is_allowed(allow_empty: bool) -> None:
    bench = Bench("a", "b")
    bench.gone("a", "b")
    bench.ask()
    bench.passes(minutes=2)

    assert bench.ask(allow_empty=allow_empty) == (set() if allow_empty else {"a", "b"})


# --- only rows remove --------------------------------------------------------------------------------------------


def test_who_goes_missing_with_another_lens_is_held_whatever_the_limits() -> None:
    bench = Bench(*named(100))
    bench.lens = "other"
    bench.gone("t000")
    bench.ask()
    bench.passes(hours=1, asking=True)

    assert bench.held() == {"t000": Rule.LENS}


def test_who_was_missing_before_another_lens_leaves_as_before() -> None:
    bench = Bench(*named(100))
    bench.gone("t000")
    bench.ask()
    bench.look_otherwise()
    bench.passes(minutes=2)

    assert "t000" not in bench.ask()


def test_who_was_seen_missing_before_the_first_request_through_another_lens_is_held() -> None:
    bench = Bench(*named(100))
    bench.gone("t000")
    bench.look_otherwise()
    bench.absences[ALL] = {"t000": Read(bench.reads, bench.now)}
    bench.passes(minutes=2)
    bench.ask()

    assert bench.held() == {"t000": Rule.LENS}


@pytest.mark.parametrize(
    "meanwhile", [{"doubtful": True}, {"unreadable": ["t000"]}], ids=["some row is anybody's", "its row is unusable"]
)
def test_who_goes_missing_with_another_lens_is_held_however_long_it_had_to_stay_anyway(
    meanwhile: dict[str, Any],
) -> None:
    bench = Bench(*named(100))
    bench.gone("t000")
    bench.look_otherwise()
    bench.ask(**meanwhile)
    bench.absences[ALL] = {}
    bench.ask()
    bench.passes(minutes=2, asking=True)

    assert bench.held() == {"t000": Rule.LENS}


def test_who_goes_missing_with_another_lens_while_it_is_pinned_is_held_after_it() -> None:
    bench = Bench(*named(100))
    bench.own = msgspec.structs.replace(bench.own, pins={"t000": Word("ann", "audit", bench.now)})
    bench.gone("t000")
    bench.look_otherwise()
    bench.ask()
    bench.own = msgspec.structs.replace(bench.own, pins={})
    bench.passes(minutes=2, asking=True)

    assert bench.held() == {"t000": Rule.LENS}


def test_another_name_is_another_application() -> None:
    bench = Bench(*named(10))
    for tenant in named(3):
        bench.rows[ALL][tenant] = f"1:{tenant}-renamed"
    bench.ask()
    bench.passes(minutes=2, asking=True)

    assert bench.held().keys() == set(named(3))
    assert bench.own.baselines[ALL].released["t000"] == parameters("t000")


# --- edited inputs -----------------------------------------------------------------------------------------------


def test_a_new_input_that_would_lose_somebody_is_refused() -> None:
    bench = Bench("a", "b")
    bench.come("a", given="edited")

    with pytest.raises(EditedInput, match="would lose 1 tenant"):
        bench.ask("edited")


@pytest.mark.parametrize("tenants", [("a", "b"), ("a", "b", "c")])
def test_a_new_input_that_loses_nobody_is_answered(tenants: Collection[str]) -> None:
    bench = Bench("a", "b")
    bench.come(*tenants, given="edited")

    assert bench.ask("edited") == set(tenants)


def test_a_new_input_is_answered_once_somebody_approved_whom_it_would_lose() -> None:
    bench = Bench("a", "b")
    bench.come("a", given="edited")
    bench.approve("b")

    assert bench.ask("edited") == {"a"}


@pytest.mark.parametrize("why", [{"unreadable": ["b"]}, {"doubtful": True}], ids=["unusable", "anybody's"])
def test_an_approved_input_costs_nobody_whose_row_may_be_there_still(why: dict[str, Any]) -> None:
    bench = Bench("a", "b")
    bench.come("a", given="edited")
    bench.gone("b")
    bench.admit("edited")

    with pytest.raises(EditedInput, match="1 tenant"):
        bench.ask("edited", **why)
    assert bench.ask("edited") == {"a"}
    assert [loss.tenant for loss in bench.own.losses] == ["b"]


def test_upsert_only_lets_an_approved_input_cost_nobody_whose_row_went() -> None:
    bench = Bench("a", "b", mode=GuardMode.UPSERT_ONLY)
    bench.come("a", given="edited")
    bench.gone("b")
    bench.admit("edited")

    with pytest.raises(EditedInput, match="upsert-only"):
        bench.ask("edited")


def test_an_input_that_nobody_asked_for_in_a_day_holds_up_no_new_one() -> None:
    bench = Bench("a")
    bench.come("a", "b", given="wider")
    bench.ask("wider")
    bench.passes(minutes=1)
    bench.ask("wider")
    bench.now += LIVE_FOR
    bench.ask("wider")
    bench.rows[ALL] = {}
    bench.come("a", "b", "c", given="widest")

    assert bench.ask("widest") == {"a", "b", "c"}


def test_a_tenant_that_moves_is_in_both_or_one_and_never_in_neither() -> None:
    bench = Bench("a", "b")
    bench.come("a", "b", "x", given="eu")
    bench.ask("eu")
    bench.passes(minutes=1)
    bench.ask("eu")
    bench.come("m")
    bench.ask()
    bench.gone("m")
    bench.come("m", given="eu")

    assert "m" in bench.ask()
    assert "m" in bench.ask("eu")
    assert "m" not in bench.ask()
    assert bench.own.losses == ()


def test_who_was_in_another_input_already_does_not_move_there() -> None:
    bench = Bench(*named(100))
    bench.come(*named(100), given="all")
    bench.ask("all")
    bench.passes(minutes=1)
    bench.ask("all")
    bench.gone(*named(50))

    bench.ask()
    bench.passes(minutes=2)

    assert len(bench.ask()) == 100
    assert set(bench.held().values()) == {Rule.LIMIT}


def test_who_was_in_another_input_already_leaves_once_settled_and_is_counted() -> None:
    bench = Bench(*named(100))
    bench.come(*named(100), given="all")
    bench.ask("all")
    bench.passes(minutes=1)
    bench.ask("all")
    bench.gone("t000")
    assert "t000" in bench.ask()

    bench.passes(minutes=2)

    assert "t000" not in bench.ask()
    assert [loss.tenant for loss in bench.own.losses] == ["t000"]


def test_who_came_to_another_input_before_it_went_missing_here_does_not_move_there() -> None:
    bench = Bench(*named(100))
    bench.come("t000", given="other")
    bench.admit("other")
    bench.ask("other")
    bench.passes(minutes=1)
    bench.ask("other")
    bench.come(*named(50), given="other")
    bench.ask("other")
    bench.passes(minutes=1)
    bench.gone(*named(50))

    bench.ask()
    bench.passes(minutes=2)

    assert len(bench.ask()) == 100
    assert set(bench.held().values()) == {Rule.LIMIT}


def test_who_becomes_another_one_as_it_moves_is_a_removal() -> None:
    bench = Bench(*named(100))
    bench.come(*named(100), "x", given="other")
    bench.rows["other"] = {"x": "1"}
    bench.admit("other")
    bench.ask("other")
    bench.passes(minutes=1)
    bench.ask("other")
    bench.gone(*named(50))
    bench.rows["other"] |= {tenant: f"1:{tenant}-renamed" for tenant in named(50)}
    bench.ask("other")
    bench.ask()
    bench.passes(minutes=2)

    assert len(bench.ask()) == 100
    assert set(bench.held().values()) == {Rule.LIMIT}


def test_who_moves_to_an_input_that_is_not_asked_for_stays_until_it_is() -> None:
    bench = Bench("a", "b")
    bench.come("a", "b", given="other")
    bench.ask("other")
    bench.passes(minutes=1)
    bench.ask("other")
    bench.come("m")
    bench.ask()
    bench.gone("m")
    bench.come("m", given="other")
    bench.passes(minutes=5, asking=True)

    assert "m" in bench.ask()
    bench.ask("other")
    assert "m" not in bench.ask()


def test_tenants_of_an_input_that_nobody_asks_for_any_more_are_not_left_over() -> None:
    bench = Bench("a", "b")
    bench.come("a", "b", given="the same")
    bench.ask("the same")
    bench.passes(minutes=1)
    bench.ask("the same")
    bench.silent = {ALL}
    bench.gone("a", "b", given="the same")

    bench.ask("the same")
    bench.passes(minutes=2)

    assert bench.ask("the same") == {"a", "b"}
    assert {hold.rule for hold in bench.own.holds.values()} == {Rule.LAST}


# --- people's words ----------------------------------------------------------------------------------------------


def test_who_is_approved_leaves_and_the_others_stay_held() -> None:
    bench = Bench(*named(10))
    bench.gone(*named(4))
    bench.ask()
    bench.passes(minutes=2, asking=True)
    bench.approve("t000", "t001")

    assert set(named(4)) & bench.ask() == {"t002", "t003"}


def test_an_approval_may_come_first_and_lapses() -> None:
    bench = Bench(*named(10))
    bench.approve(*named(4), hours=2)
    bench.gone("t000", "t001", "t002")
    bench.ask()
    bench.passes(minutes=2)
    assert len(bench.ask()) == 7
    bench.passes(hours=2)
    bench.gone("t003", "t004", "t005")
    bench.ask()
    bench.passes(minutes=2)

    assert len(bench.ask()) == 7


def test_an_approval_is_spent_once_its_tenant_left_and_came_back() -> None:
    bench = Bench(*named(10))
    bench.gone(*named(3))
    bench.ask()
    bench.passes(minutes=2, asking=True)
    bench.approve(*named(3))
    bench.ask()
    bench.come(*named(3))
    bench.ask()
    bench.gone(*named(3))
    bench.ask()
    bench.passes(minutes=2)

    assert len(bench.ask()) == 10


def test_an_approval_of_another_name_is_spent_with_it() -> None:
    bench = Bench(*named(10))
    bench.approve(*named(3))
    for tenant in named(3):
        bench.rows[ALL][tenant] = f"1:{tenant}-renamed"
    bench.passes(minutes=2, asking=True)
    assert bench.own.baselines[ALL].released["t000"] == parameters("t000", "1:t000-renamed")

    bench.gone(*named(3))
    bench.ask()
    bench.passes(minutes=2, asking=True)

    assert bench.ask() == set(named(10))
    assert bench.held().keys() == set(named(3))


def test_an_approval_of_another_name_stands_until_each_input_has_it() -> None:
    bench = Bench(*named(10))
    bench.come("t000", "t001", given="x")
    bench.admit("x")
    bench.ask("x")
    bench.passes(minutes=1)
    bench.ask("x")
    bench.approve("t000")
    for given in (ALL, "x"):
        bench.rows[given]["t000"] = "1:renamed"
        bench.ask(given)
    bench.passes(minutes=2)

    for given in (ALL, "x"):
        bench.ask(given)
        assert bench.own.baselines[given].released["t000"] == parameters("t000", "1:renamed")
    assert bench.own.losses == ()
    assert bench.own.approvals == {}


@pytest.mark.parametrize("of", ["set", "source"])
def test_nobody_leaves_while_removals_are_frozen_approved_or_not(of: str) -> None:
    bench = Bench(*named(10))
    word = Word("ann", "incident", bench.now)
    if of == "set":
        bench.own = msgspec.structs.replace(bench.own, freeze=word)
    else:
        bench.source = msgspec.structs.replace(bench.source, freeze=word)
    bench.approve("t000")
    bench.gone("t000", "t001")
    bench.ask()
    bench.passes(minutes=2)

    assert len(bench.ask()) == 10
    assert bench.held() == {"t000": Rule.FREEZE, "t001": Rule.FREEZE}


def test_a_pin_holds_a_tenant_as_it_is() -> None:
    bench = Bench(*named(10))
    pins = {tenant: Word("ann", "audit", bench.now) for tenant in ("t000", "t001")}
    bench.own = msgspec.structs.replace(bench.own, pins=pins)
    bench.rows[ALL]["t000"] = "2"
    bench.gone("t001")
    bench.ask()
    bench.passes(minutes=3, asking=True)

    released = bench.own.baselines[ALL].released
    assert (released["t000"], released["t001"]) == (parameters("t000"), parameters("t001"))


# --- mass replacement --------------------------------------------------------------------------------------------


def test_ids_that_are_all_written_otherwise_do_not_double_the_fleet() -> None:
    bench = Bench(*named(50))
    bench.gone(*named(50))
    bench.come(*(f"padded-{tenant}" for tenant in named(50)))

    assert bench.ask() == set(named(50))
    bench.passes(minutes=3, asking=True)
    assert bench.ask() == set(named(50))
    bench.approve(*named(50))
    bench.ask()
    assert bench.ask() == {f"padded-{tenant}" for tenant in named(50)}


def test_ids_that_are_all_written_otherwise_do_not_double_the_fleet_while_some_row_may_be_anybodys() -> None:
    bench = Bench(*named(50))
    bench.gone(*named(50))
    bench.come(*(f"padded-{tenant}" for tenant in named(50)))

    assert bench.ask(doubtful=True) == set(named(50))


def test_a_new_id_with_the_name_of_one_who_stays_waits_for_its_end() -> None:
    bench = Bench(*named(10))
    bench.gone("t000")
    bench.rows[ALL]["T000"] = "1:t000"

    assert "T000" not in bench.ask()
    bench.passes(minutes=2)
    bench.ask()
    assert "T000" in bench.ask()


# --- modes and doubt ---------------------------------------------------------------------------------------------


def test_upsert_only_lets_nobody_go_without_approval() -> None:
    bench = Bench(*named(100), mode=GuardMode.UPSERT_ONLY)
    bench.gone("t000", "t001")
    bench.approve("t001")
    bench.ask()
    bench.passes(minutes=2)

    assert bench.ask() == set(named(100)) - {"t001"}


def test_observe_holds_nobody_and_tells_whom_it_would() -> None:
    bench = Bench(*named(10), mode=GuardMode.OBSERVE)
    bench.gone(*named(3))

    assert len(bench.ask()) == 7
    assert bench.last is not None
    assert bench.last.would_hold == {Rule.LIMIT: 3}


def test_nobody_leaves_while_some_row_may_be_anybodys() -> None:
    bench = Bench(*named(10))
    bench.gone("t000")
    bench.ask(doubtful=True)
    bench.passes(hours=2)

    assert "t000" in bench.ask(doubtful=True)
    assert "t000" not in bench.ask()


def test_who_has_a_row_that_cannot_be_used_stays_as_released() -> None:
    bench = Bench(*named(10))
    bench.gone("t000")
    bench.ask(unreadable=["t000"])
    bench.passes(hours=2)

    assert "t000" in bench.ask(unreadable=["t000"])
    assert bench.held() == {}


def test_an_input_that_is_asked_for_again_after_long_is_written_down() -> None:
    bench = Bench("a")
    bench.ask()
    assert bench.last is not None
    assert not bench.last.to_record

    bench.now += DAY
    bench.ask()

    assert bench.last.to_record


def test_a_size_that_changes_since_an_input_is_not_asked_for_any_more_is_written_down() -> None:
    bench = Bench("a", "b")
    bench.come("c", given="x")
    bench.admit("x")
    bench.ask("x")
    bench.passes(minutes=1)
    bench.ask("x")
    for _ in range(47):
        bench.now += HOUR / 2
        bench.ask()
    assert [one.size for one in bench.own.sizes][-1] == 3
    assert bench.last is not None
    assert not bench.last.to_record

    bench.now += HOUR / 2
    bench.ask()

    assert [one.size for one in bench.own.sizes][-1] == 2
    assert bench.last.to_record


# --- sizes -------------------------------------------------------------------------------------------------------


def test_the_size_of_a_first_pass_is_that_at_its_end() -> None:
    sizes = with_size(with_size((), 0.0, 10, -1.0), 20.0, 500, -1.0)

    assert sizes == (Size(0.0, 500),)


def test_those_who_only_wait_to_come_do_not_let_the_last_ones_go() -> None:
    here = Bench("a", "b")
    here.come(*(f"h{n}" for n in range(30)), given="x")
    here.admit("x")
    here.ask("x")
    here.passes(minutes=1)
    here.ask("x")
    here.rows["x"].clear()
    here.passes(minutes=2)
    here.ask("x")
    here.passes(minutes=2)
    assert len(here.ask("x")) == 30
    here.passes(hours=25)
    here.gone("a", "b")
    here.come(*(f"new{n}" for n in range(40)))
    here.ask()
    here.passes(minutes=2)

    assert here.ask() == {"a", "b"}
    assert {here.held()[tenant] for tenant in ("a", "b")} == {Rule.LAST}


def test_sizes_are_few_and_the_last_is_right() -> None:
    sizes: tuple[Size, ...] = ()
    for n in range(10_000):
        sizes = with_size(sizes, float(n), n, n - 3600.0)

    assert len(sizes) < 30
    assert size_at(sizes, 10_000.0, 0) == 9_999
    assert abs(size_at(sizes, 8_000.0, 0) - 8_000) <= 300
