"""Two replicas tell one Argo CD of changes: cases 43 to 48 of the contract, on its own controller."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

import pytest
from lightkube import ApiError
from lightkube.types import PatchType

from tests.contract.cases import case
from tests.e2e import tutorial
from tests.e2e.argocd import ApplicationSet, ArgoCD
from tests.e2e.pair import Pair, Replica
from tests.e2e.rights import Rights
from tests.e2e.sets import SELDOM, application_set, parameters, plugin, tag, template
from tests.e2e.survival import passes, settled, uids
from tests.support.postgres import Database

NAME = "tenants"
THE_SAME = json.dumps({"applicationSetName": NAME, "input": {}}).encode()
TENANTS = 10


@pytest.fixture(autouse=True)
def deployed(argocd: ArgoCD, pair: Pair) -> None:
    """Have an ApplicationSet with an Application for each tenant, and nothing to tell."""
    shape = template(tag("tenantName"), parameters={"status": tag("status")})
    argocd.apply(application_set(NAME, plugin(every=SELDOM), template=shape))
    settled(argocd, TENANTS)
    argocd.eventually(lambda: is_quiet(argocd, pair), what="Both replicas at rest")


def is_quiet(argocd: ArgoCD, pair: Pair) -> bool:
    annotated = argocd.application_set(NAME)["metadata"].get("annotations") or {}
    return not annotated and not any(one.pending for one in pair.both)


def sign_up(database: Database, *tenants: str) -> None:
    for tenant in tenants:
        database.execute(f"INSERT INTO organization (tenant, status) VALUES ('{tenant}', 'active')")


def is_deployed(argocd: ArgoCD, tenant: str) -> bool:
    return tenant in uids(argocd)


def arrives(argocd: ArgoCD, tenant: str, within: float = 10) -> None:
    """Wait for an Application: not for as long as it takes until Argo CD is told again."""
    argocd.eventually(partial(is_deployed, argocd, tenant), within=within, what=f"The Application of {tenant}")


def slow_down(replica: Replica) -> None:
    """Have a replica read what changed half a second later, so that the other one is the first to count a nudge."""
    replica.source.delay = 0.05


def numbers(values: Sequence[str]) -> list[int]:
    """Return what the counter of the ApplicationSet said."""
    return [int(value.rpartition("-")[2]) for value in values]


# --- 43: what is told is what is answered --------------------------------------------------------------------------


@case(43, replicas=2)
def test_the_next_question_sees_the_change_whichever_replica_gets_it(
    argocd: ArgoCD, database: Database, pair: Pair
) -> None:
    asked = set()
    for number in range(8):
        tenant, before = f"new-{number}", len(pair.answers())

        sign_up(database, tenant)
        arrives(argocd, tenant)

        first = pair.answers()[before]
        assert tenant in first.body.decode()
        asked.add(first.port)
    assert asked == {pair.one.port, pair.other.port}


@case(43, replicas=2)
def test_a_replica_that_has_not_read_the_change_yet_does_so_before_it_answers_whom_the_other_one_told(
    argocd: ArgoCD, database: Database, pair: Pair
) -> None:
    slow_down(pair.other)
    pair.only(pair.other)
    for number in range(3):
        tenant, before = f"new-{number}", len(pair.answers())

        sign_up(database, tenant)
        arrives(argocd, tenant)

        assert tenant in pair.answers()[before].body.decode()
    assert pair.one.sent >= 1


# --- 44 and 45: one counter, and few nudges ---------------------------------------------------------------------------


@case(44, replicas=2)
def test_no_value_comes_twice_whoever_tells_and_whatever_became_of_the_pass_before(
    argocd: ArgoCD, database: Database, pair: Pair
) -> None:
    for number, (cut, telling) in enumerate([(pair.other, pair.one), (pair.one, pair.other)] * 3):
        cut.cut_off()
        before = telling.sent
        if number % 2:
            pair.only()  # The pass fails, and leaves the annotation where it is.
            sign_up(database, f"unseen-{number}")
            argocd.eventually(lambda: has_failed(argocd), what="The failure")
            pair.only(*pair.both)
        sign_up(database, f"new-{number}")

        arrives(argocd, f"new-{number}", within=20)

        assert telling.sent > before
        pair.heal()
        argocd.eventually(lambda: is_quiet(argocd, pair), what="Both replicas at rest")

    assert len(pair.values) >= 6
    assert len(set(pair.values)) == len(pair.values)
    assert len(set(numbers(pair.values))) == len(pair.values)


def has_failed(argocd: ArgoCD) -> bool:
    annotated = argocd.application_set(NAME)["metadata"].get("annotations") or {}
    return bool(annotated) and argocd.conditions(NAME)["ErrorOccurred"]["status"] == "True"


A_THOUSAND_WRITES = """
DO $$ BEGIN
  FOR number IN 1..1000 LOOP
    UPDATE organization SET status = 'v' || number WHERE tenant = 'acme-corp';
    COMMIT;
    PERFORM pg_sleep(0.0008);
  END LOOP;
END $$"""
"""Each a commit of its own, within a second or little more."""

A_FEW = 16
"""Of both together."""


@case(45, replicas=2)
def test_of_a_thousand_writes_in_a_second_a_few_are_told_and_the_last_one_arrives(
    argocd: ArgoCD, database: Database, pair: Pair
) -> None:
    database.execute(A_THOUSAND_WRITES)

    def is_last() -> bool:
        return parameters(argocd.applications()["acme-corp"])["status"] == "v1000"

    argocd.eventually(is_last, within=20, what="The last write")
    argocd.eventually(lambda: is_quiet(argocd, pair), what="Both replicas at rest")
    assert 1 <= len(pair.values) <= A_FEW
    assert len(set(pair.values)) == len(pair.values)


# --- 46: links that are cut -------------------------------------------------------------------------------------------


@case(46, replicas=2)
def test_what_one_replica_cannot_tell_the_other_one_does(argocd: ArgoCD, database: Database, pair: Pair) -> None:
    for number, (cut, telling) in enumerate((pair.both, pair.both[::-1])):
        cut.cut_off()
        slow_down(telling)
        before = telling.sent

        sign_up(database, f"new-{number}")

        arrives(argocd, f"new-{number}")
        assert telling.sent > before
        telling.source.heal()
        cut.api.heal()
        argocd.eventually(lambda: is_quiet(argocd, pair), what="Both replicas at rest")
    assert [one for one in pair.both if "nudge_failed" in one.service.log.read_text()], "nobody was cut off in time"


@case(46, replicas=2)
def test_what_hangs_at_one_replica_the_other_one_tells(argocd: ArgoCD, database: Database, pair: Pair) -> None:
    for number, (silent, telling) in enumerate((pair.both, pair.both[::-1])):
        silent.api.black_hole = True
        slow_down(telling)

        sign_up(database, f"new-{number}")

        arrives(argocd, f"new-{number}", within=25)
        telling.source.heal()
        silent.api.heal()
        silent.api.cut()
        argocd.eventually(lambda: is_quiet(argocd, pair), what="Both replicas at rest")


@case(46, replicas=2)
def test_what_neither_can_tell_shows_with_both_and_is_told_once_a_link_is_back_also_by_those_that_began_meanwhile(
    argocd: ArgoCD, database: Database, pair: Pair
) -> None:
    for one in pair.both:
        one.cut_off()
    sign_up(database, "new")
    for one in pair.both:
        argocd.eventually(lambda one=one: one.pending > 2, what="What is pending")  # type: ignore[misc]

    pair.one.service.kill()
    pair.one.service.start()
    pair.other.service.stop()
    pair.other.service.start()
    sign_up(database, "newer")
    argocd.eventually(lambda: pair.one.metric("tenantry_tenants") == TENANTS + 2, what="The read")
    assert not is_deployed(argocd, "new")
    assert pair.values == []
    pair.heal()

    arrives(argocd, "new", within=60)
    arrives(argocd, "newer", within=60)
    argocd.eventually(lambda: is_quiet(argocd, pair), what="Both replicas at rest")


# --- 47 and 48: with no more rights, and for nothing but a change -----------------------------------------------------


@case(47, replicas=2)
def test_by_one_account_both_set_the_annotation_and_neither_may_change_anything_else(
    argocd: ArgoCD, database: Database, pair: Pair, rights: Rights
) -> None:
    sign_up(database, "the-first")
    arrives(argocd, "the-first")
    argocd.eventually(lambda: is_quiet(argocd, pair), what="The end of a pass, which writes down defaults of its own")
    before = argocd.application_set(NAME)

    for cut, telling in ((pair.one, pair.other), (pair.other, pair.one)):
        cut.cut_off()
        told = telling.sent
        sign_up(database, f"by-{telling.port}")
        arrives(argocd, f"by-{telling.port}")
        assert telling.sent > told
        pair.heal()
        argocd.eventually(lambda: is_quiet(argocd, pair), what="Both replicas at rest")

    after = argocd.application_set(NAME)
    assert (after["spec"], after["metadata"].get("labels")) == (before["spec"], before["metadata"].get("labels"))
    change = {"metadata": {"labels": {"team": "x"}}}
    with pytest.raises(ApiError, match="and nothing else"):
        rights.client.patch(ApplicationSet, NAME, change, patch_type=PatchType.MERGE)


@case(48, replicas=2)
def test_questions_to_either_replica_tell_nobody(argocd: ArgoCD, database: Database, pair: Pair) -> None:
    asked = passes(argocd)
    for one in pair.both:
        for given in ({}, {"status": "active"}, {"tenant": "acme-corp"}):
            for _ in range(20):
                assert one.service.ask(given, token=tutorial.token()).status == 200
                assert one.service.ask(body=THE_SAME, token=tutorial.token()).status == 200
    assert (pair.values, passes(argocd)) == ([], asked)

    sign_up(database, "new")
    arrives(argocd, "new")

    assert len(pair.values) == 1, "the change, and nothing that was asked before it"
