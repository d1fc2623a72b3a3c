"""What Argo CD does not notice: polls without a change, tokens that rotate, restarts of anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import tutorial
from tests.e2e.argocd import ArgoCD
from tests.e2e.survival import lost, settled, some_passes, uids, versions
from tests.support.postgres import PostgresServer
from tests.support.service import RunningService
from tests.support.waiting import eventually

Serving = Callable[..., RunningService]

TENANTS = 10
NEWCOMER = "INSERT INTO organization (tenant, status) VALUES ('kilo-media', 'active')"


def newcomer_deploys(argocd: ArgoCD) -> None:
    """Wait for the Application of a new tenant: the whole chain works."""
    argocd.eventually(lambda: "foobar-app-kilo-media" in uids(argocd), within=90, what="The newcomer's Application")


def test_twenty_polls_without_a_change_write_nothing(argocd: ArgoCD, serving: Serving, victim: PostgresServer) -> None:
    service = serving(tutorial.environment(victim.create_database()))
    tutorial.poll_often(argocd, service, seconds=1)
    settled(argocd, TENANTS)
    some_passes(argocd, 2)
    before = versions(argocd)

    some_passes(argocd, 20)

    assert versions(argocd) == before
    assert len(before) == TENANTS


def test_a_restart_of_tenantry_deletes_nothing(argocd: ArgoCD, serving: Serving, victim: PostgresServer) -> None:
    database = victim.create_database()
    service = serving({**tutorial.environment(database), "TENANTRY_SERVER_DRAIN": "4s"})
    tutorial.poll_often(argocd, service)
    before = settled(argocd, TENANTS)

    service.stop()  # polled all the while: it answers until it is drained
    argocd.nudge(tutorial.NAME)
    argocd.eventually(lambda: argocd.conditions(tutorial.NAME)["ErrorOccurred"]["status"] == "True", what="An error")
    assert lost(argocd, before) == []
    service.start()
    database.execute(NEWCOMER)
    eventually(lambda: "kilo-media" in service.ask(token=tutorial.token()).tenants(), what="The newcomer")
    argocd.nudge(tutorial.NAME)

    newcomer_deploys(argocd)
    assert lost(argocd, before) == []


def test_a_restart_of_the_controller_deletes_nothing(argocd: ArgoCD, serving: Serving, victim: PostgresServer) -> None:
    database = victim.create_database()
    tutorial.poll_often(argocd, serving(tutorial.environment(database)))
    before = settled(argocd, TENANTS)

    argocd.stop()
    database.execute(NEWCOMER)
    argocd.start()

    newcomer_deploys(argocd)
    assert lost(argocd, before) == []


def test_a_restart_of_postgresql_deletes_nothing(argocd: ArgoCD, serving: Serving, victim: PostgresServer) -> None:
    database = victim.create_database()
    tutorial.poll_often(argocd, serving(tutorial.environment(database)))
    before = settled(argocd, TENANTS)

    victim.stop()
    some_passes(argocd, 2)
    victim.start()
    database.execute(NEWCOMER)

    newcomer_deploys(argocd)
    assert lost(argocd, before) == []


def test_tenantry_restarted_without_its_database_answers_nothing_and_nothing_is_deleted(
    argocd: ArgoCD, serving: Serving, victim: PostgresServer
) -> None:
    database = victim.create_database()
    service = serving(tutorial.environment(database))
    tutorial.poll_often(argocd, service)
    before = settled(argocd, TENANTS)

    service.stop()
    victim.stop()
    service.start(ready=False)
    argocd.nudge(tutorial.NAME)
    argocd.eventually(
        lambda: "not reachable" in argocd.conditions(tutorial.NAME)["ErrorOccurred"]["message"],
        what="An error that says why",
    )
    assert lost(argocd, before) == []
    victim.start()
    database.execute(NEWCOMER)
    eventually(lambda: service.ask(path="/readyz", method="GET", body=b"").status == 200, what="A snapshot")
    argocd.nudge(tutorial.NAME)

    newcomer_deploys(argocd)
    assert lost(argocd, before) == []


def test_an_outage_that_outlasts_the_last_good_read_is_told_and_nothing_is_deleted(
    argocd: ArgoCD, serving: Serving, victim: PostgresServer
) -> None:
    database = victim.create_database()
    service = serving({**tutorial.environment(database), "TENANTRY_SNAPSHOT_MAX_STALE": "3s"})
    tutorial.poll_often(argocd, service)
    before = settled(argocd, TENANTS)

    victim.stop()
    argocd.eventually(lambda: argocd.conditions(tutorial.NAME)["ErrorOccurred"]["status"] == "True", what="An error")
    assert "older than snapshot.max_stale: The database" in argocd.conditions(tutorial.NAME)["ErrorOccurred"]["message"]
    assert lost(argocd, before) == []
    victim.start()
    database.execute(NEWCOMER)
    eventually(lambda: "kilo-media" in service.ask(token=tutorial.token()).tenants(), what="The newcomer")
    argocd.nudge(tutorial.NAME)

    newcomer_deploys(argocd)
    assert lost(argocd, before) == []


def test_a_token_rotates_with_an_overlap_and_no_pass_fails(
    argocd: ArgoCD, serving: Serving, victim: PostgresServer, tmp_path: Path
) -> None:
    database = victim.create_database()
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tokens / "argocd.1").write_text(tutorial.token())
    environment = {**tutorial.environment(database), "TENANTRY_TOKENS_DIRECTORY": str(tokens), "AUTH_TOKEN": ""}
    service = serving(environment)
    tutorial.poll_often(argocd, service, seconds=1)
    before = settled(argocd, TENANTS)

    (tokens / "argocd.2").write_text("the-next-token")
    eventually(lambda: service.ask(token="the-next-token").status == 200, what="The next token")
    some_passes(argocd, 2)
    argocd.apply(tutorial.secret("the-next-token"))
    some_passes(argocd, 3)
    (tokens / "argocd.1").unlink()
    eventually(lambda: service.ask(token=tutorial.token()).status == 401, what="The end of the first token")
    some_passes(argocd, 3)
    database.execute(NEWCOMER)

    newcomer_deploys(argocd)
    assert lost(argocd, before) == []
    assert "error generating params" not in argocd.log.read_text()


@pytest.fixture(autouse=True)
def running(victim: PostgresServer) -> None:
    """Let no test begin on a server that another one left stopped."""
    if not victim.running:
        victim.start()
