"""Rows of any kind, and one read after the other: a bad row never removes its tenant and never stops the others."""

from __future__ import annotations

import json
import random

from hypothesis import example, given
from hypothesis import strategies as st

from tenantry.core.snapshot import Snapshot
from tenantry.core.tenant import Row
from tests.builders import answer_to, served
from tests.fuzz.rows import ANY_ROWS, ANY_TABLES, DOCUMENTS, check_answer, good_tables, read, rows_where

FLAT = st.none() | st.sampled_from(['{"a":1}', '{"a":"x","b":true}', '{"b":null}', "{}"])
"""JSON that always fits together."""

BAD = (
    rows_where(settings=st.sampled_from(["{", "NaN", '{"a":1,"a":2}', "x" * 201, b"\xff"]))
    | rows_where(number=st.sampled_from(["", "many", float("inf")]))
    | rows_where(status=st.sampled_from(["unheard of", None, b"\xff"]))
)
"""Rows that cannot be used, of tenants that are known by their id."""

NAMELESS = rows_where(tenant=st.sampled_from([None, "", " ", b"\xff", "x" * 201]))


def text(snapshot: Snapshot) -> dict[str, bytes]:
    return {id_: tenant.encoded for id_, tenant in snapshot.tenants.items()}


@given(ANY_TABLES)
def test_whatever_the_rows_are_there_is_a_snapshot_and_its_answer_keeps_the_contract(rows: list[Row]) -> None:
    snapshot = read(rows)

    assert [item["tenant"] for item in check_answer(answer_to(snapshot).body)] == served(snapshot)
    assert snapshot.rows == len(rows)


@given(st.lists(ANY_TABLES, min_size=2, max_size=4))
def test_whatever_follows_whatever_there_is_a_snapshot_and_its_answer_keeps_the_contract(
    tables: list[list[Row]],
) -> None:
    snapshot = None
    for rows in tables:
        snapshot = read(rows, snapshot)

        check_answer(answer_to(snapshot).body)


@given(ANY_TABLES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_a_byte(rows: list[Row], chance: random.Random) -> None:
    other = list(rows)
    chance.shuffle(other)

    first, second = read(rows), read(other)

    assert answer_to(first).body == answer_to(second).body
    assert first.revision == second.revision
    assert first.complete == second.complete


def numbered(number: float) -> list[Row]:
    return [(None, number, None, None, "active", "t1")]


@example(numbered(1234567890123456768.0), numbered(1234567890123456768))
@given(ANY_TABLES, good_tables(FLAT))
def test_what_came_before_does_not_change_a_byte_while_all_rows_are_good(before: list[Row], rows: list[Row]) -> None:
    assert answer_to(read(rows, read(before))).body == answer_to(read(rows)).body


@given(good_tables(DOCUMENTS.map(json.dumps)), ANY_TABLES)
def test_reading_the_same_again_changes_nothing(good: list[Row], rows: list[Row]) -> None:
    once = read(rows, read(good))
    twice = read(rows, once)

    assert twice.revision == once.revision
    assert twice.complete == once.complete


@given(good_tables(FLAT), good_tables(FLAT), BAD)
def test_a_bad_row_never_removes_its_tenant_nor_changes_the_others(
    before: list[Row], after: list[Row], bad: Row
) -> None:
    owner = str(bad[-1])
    first = read(before)
    rest = [row for row in after if row[-1] != owner]

    snapshot = read([*rest, bad], first)

    assert (owner in snapshot.tenants) == (owner in first.tenants)
    if owner in first.tenants:
        assert snapshot.tenants[owner].row == first.tenants[owner].row
    assert {row[-1] for row in rest} == snapshot.tenants.keys() - {owner}
    assert {id_: snapshot.tenants[id_].row for id_ in snapshot.tenants if id_ != owner} == {
        row[-1]: row for row in rest
    }


@given(good_tables(FLAT), good_tables(FLAT), NAMELESS)
def test_a_row_without_an_id_stops_removals_and_nothing_else(
    before: list[Row], after: list[Row], nameless: Row
) -> None:
    first = read(before)

    snapshot = read([*after, nameless], first)

    assert snapshot.tenants.keys() == first.tenants.keys() | {row[-1] for row in after}
    assert all(snapshot.tenants[str(row[-1])].row == row for row in after)


MANY_ALIKE = st.sampled_from(['{"a":1}', '{"a.b":1}', '{"a":{"b":1}}', '{"a":[1]}', "{}"]).flatmap(
    lambda document: good_tables(st.just(document), least=3)
)


def alike(document: str) -> list[Row]:
    return [(None, None, document, None, "active", f"t{n}") for n in range(1, 4)]


@example(alike('{"a.b":1}'), {"a": {"b": 1}})
@example(alike('{"a":{"b":1}}'), {"a.b": 1})
@example(alike('{"a":1}'), {"a": {"b": 1}})
@example(alike('{"a":1}'), {"a": {"b": 1, "c": 2, "d": 3, "e": 4}})
@given(MANY_ALIKE, DOCUMENTS)
def test_one_odd_document_never_stops_the_many(rows: list[Row], document: object) -> None:
    many = [row for row in rows if row[-1] != "t5"]
    odd: Row = (None, None, json.dumps(document), None, "active", "t5")

    for previous in (None, read(many)):
        snapshot = read([*many, odd], previous)

        assert [snapshot.tenants[str(row[-1])].row for row in many] == many


@example(alike('{"a.b":1}'), {"a": {"b": 1}})
@given(MANY_ALIKE, DOCUMENTS)
def test_one_odd_document_never_stops_the_many_while_another_row_is_bad(rows: list[Row], document: object) -> None:
    first = read(rows)
    bad, odd, *many = rows
    bad = (*bad[:2], "{", *bad[3:])
    odd = (*odd[:2], json.dumps(document), *odd[3:])

    snapshot = read([bad, odd, *many], first)

    assert snapshot.tenants.keys() == first.tenants.keys()
    assert [snapshot.tenants[str(row[-1])].row for row in many] == many


@given(st.lists(ANY_TABLES, min_size=1, max_size=3), good_tables(FLAT))
def test_once_all_rows_are_good_nothing_is_left_of_what_was_wrong(tables: list[list[Row]], good: list[Row]) -> None:
    snapshot = None
    for rows in tables:
        snapshot = read(rows, snapshot)

    last = read(good, snapshot)

    assert text(last) == text(read(good))
    assert (last.complete, last.quarantined, last.kept_in_doubt) == (True, (), 0)


@given(st.lists(st.lists(ANY_ROWS, max_size=5), min_size=2, max_size=4))
def test_a_tenant_leaves_only_with_a_row_that_is_retired_or_gone(tables: list[list[Row]]) -> None:
    before = read([])
    for rows in tables:
        snapshot = read(rows, before)
        for gone in before.tenants.keys() - snapshot.tenants.keys():
            states = [row[4] for row in rows if row[-1] == gone]
            assert all(state == "inactive" for state in states)
            assert all(row.tenant is not None for row in snapshot.quarantined)
        before = snapshot
