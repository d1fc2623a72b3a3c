"""Telling Argo CD of changes: on its own controller, with no more rights than `tenantry manifests rbac` gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

import pytest
from lightkube import ApiError, codecs
from lightkube.core.generic_client import ListAsyncIterable
from lightkube.resources.core_v1 import Secret
from lightkube.types import PatchType

from tenantry.adapters.kubernetes import Kubernetes, of_kubeconfig
from tenantry.core.errors import ClusterDenied, ClusterError
from tenantry.core.live import REFRESH, LiveName, LiveSet
from tenantry.service.following import Gone, Listed, Seen
from tests.contract.cases import case
from tests.e2e import tutorial
from tests.e2e.argocd import Application, ApplicationSet, ArgoCD, Object
from tests.e2e.rights import Rights
from tests.e2e.sets import SELDOM, application_set, elements, matrix, merge, plugin, tag, template
from tests.e2e.survival import lost, passes, settled, uids
from tests.support.postgres import Database
from tests.support.service import RunningService

Serving = Callable[..., RunningService]
NAME = "tenants"


def changes() -> dict[str, dict[str, object]]:
    """Return changes that nobody but people may make."""
    return {
        "the spec": {"spec": {"goTemplate": False}},
        "what no schema describes": {"spec": {"generators": [elements({"tenant": "b"})]}},
        "a label": {"metadata": {"labels": {"team": "x"}}},
        "another annotation": {"metadata": {"annotations": {"notes": "x"}}},
        "an annotation that goes": {"metadata": {"annotations": {"owner": None}}},
        "a finalizer": {"metadata": {"finalizers": ["argocd.argoproj.io/x"]}},
        "the spec beside the annotation": {
            "metadata": {"annotations": {REFRESH: "1"}},
            "spec": {"syncPolicy": {"preserveResourcesOnDeletion": True}},
        },
    }


@case(47)
def test_tenantrys_own_account_may_refresh_an_applicationset_and_change_nothing_else(
    argocd: ArgoCD, rights: Rights
) -> None:
    made = application_set(NAME, elements({"tenant": "a"}), template=template(tag("tenant")))
    made["metadata"]["annotations"] = {"owner": "somebody"}
    argocd.apply(made)
    settled(argocd, 1)
    for what, change in changes().items():
        with pytest.raises(ApiError) as refused:
            rights.client.patch(ApplicationSet, NAME, change, patch_type=PatchType.MERGE)
        assert "and nothing else" in str(refused.value.status.message), what
    status: Object = {"status": {"conditions": []}}
    for forbidden in (
        lambda: rights.client.patch(ApplicationSet.Status, NAME, status, patch_type=PatchType.MERGE),
        lambda: rights.client.delete(ApplicationSet, NAME),
        lambda: rights.client.deletecollection(ApplicationSet),
        lambda: rights.client.create(codecs.from_dict({**made, "metadata": {"name": "another"}})),
        lambda: rights.client.replace(codecs.from_dict({**made, "metadata": {"name": NAME}})),
        lambda: rights.client.patch(Application, "a", {"metadata": {"labels": {"x": "y"}}}, patch_type=PatchType.MERGE),
        lambda: rights.client.delete(Application, "a"),
        lambda: rights.client.get(Application, "a"),
        lambda: list(rights.client.list(Secret)),
        lambda: list(rights.client.list(ApplicationSet, namespace="*")),
    ):
        with pytest.raises(ApiError) as refused:
            forbidden()
        assert refused.value.status.code == 403
    assert [found["metadata"]["name"] for found in rights.client.list(Application)] == ["a"]

    asked = passes(argocd)
    asyncio.run(refreshed(rights, argocd.namespace, "x-1"))
    argocd.eventually(lambda: passes(argocd) > asked, what="A pass")
    assert argocd.application_set(NAME)["spec"]["goTemplate"] is True
    assert argocd.application_set(NAME)["metadata"]["annotations"].get("owner") == "somebody"


async def refreshed(rights: Rights, namespace: str, value: str) -> None:
    cluster = of_kubeconfig(rights.kubeconfig)
    try:
        await cluster.refresh(LiveName(namespace, NAME), value)
    finally:
        await cluster.close()


# --- on the controller ------------------------------------------------------------------------------------------------


@pytest.fixture
def service(argocd: ArgoCD, database: Database, serving: Serving, rights: Rights) -> RunningService:
    """Serve the tutorial's tenants, guarded, to an Argo CD that hardly ever polls."""
    guarded = {"TENANTRY_GUARD_MODE": "hold", "TENANTRY_GUARD_SETTLE": "2s"}
    running = serving({**tutorial.environment(database), **guarded, **rights.environment})
    tutorial.connect(argocd, running)
    return running


SHAPES = {
    "alone": lambda: plugin(every=SELDOM),
    "in a matrix": lambda: matrix(elements({"region": "eu"}), plugin(every=SELDOM)),
    "first in a matrix": lambda: matrix(plugin(every=SELDOM), elements({"region": "eu"})),
    "in a merge": lambda: merge(plugin(every=SELDOM), elements({"tenant": "acme-corp", "plan": "gold"})),
}


def is_there(argocd: ArgoCD, application: str) -> bool:
    return application in uids(argocd)


@pytest.mark.parametrize("shape", SHAPES)
def test_who_signs_up_is_deployed_at_once_wherever_the_plugin_stands(
    argocd: ArgoCD, database: Database, service: RunningService, shape: str
) -> None:
    argocd.apply(application_set(NAME, SHAPES[shape](), template=template(tag("tenantName"))))
    settled(argocd, 10)

    for tenant in ("kilo-media", "lima-labs"):
        database.execute(f"INSERT INTO organization (tenant, status) VALUES ('{tenant}', 'active')")
        argocd.eventually(partial(is_there, argocd, tenant), within=20, what="The Application")

    assert len(uids(argocd)) == 12


def test_a_removal_is_told_once_it_settled_and_a_hold_never(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    argocd.apply(application_set(NAME, plugin(every=SELDOM), template=template(tag("tenantName"))))
    before = settled(argocd, 10)

    database.execute("DELETE FROM organization WHERE tenant = 'acme-corp'")
    argocd.eventually(lambda: lost(argocd, before) == ["acme-corp"], within=30, what="The end of acme-corp")
    asked = passes(argocd)
    database.execute("DELETE FROM organization WHERE tenant <> 'global-tech'")
    database.execute("INSERT INTO organization (tenant, status) VALUES ('kilo-media', 'active')")
    argocd.eventually(lambda: "kilo-media" in uids(argocd), within=20, what="The newcomer")

    assert lost(argocd, before) == ["acme-corp"]
    argocd.eventually(lambda: passes(argocd) > asked, what="The pass that brought the newcomer")


def test_after_an_outage_of_ours_nobody_waits_three_minutes(
    argocd: ArgoCD, database: Database, service: RunningService
) -> None:
    argocd.apply(application_set(NAME, plugin(every=SELDOM), template=template(tag("tenantName"))))
    settled(argocd, 10)
    service.kill()
    argocd.nudge(NAME)
    argocd.eventually(lambda: argocd.conditions(NAME)["ErrorOccurred"]["status"] == "True", what="The failure")

    service.start()

    argocd.eventually(
        lambda: argocd.conditions(NAME)["ErrorOccurred"]["status"] == "False", within=30, what="The recovery"
    )


def test_an_applicationset_of_another_plugin_is_left_alone(
    argocd: ArgoCD, database: Database, serving: Serving, rights: Rights
) -> None:
    ours = {"TENANTRY_KUBERNETES_PLUGIN_CONFIGMAPS": "another-plugin", "TENANTRY_GUARD_MODE": "hold"}
    running = serving({**tutorial.environment(database), **ours, **rights.environment})
    tutorial.connect(argocd, running)
    argocd.apply(application_set(NAME, plugin(every=SELDOM), template=template(tag("tenantName"))))
    settled(argocd, 10)

    database.execute("INSERT INTO organization (tenant, status) VALUES ('kilo-media', 'active')")
    argocd.eventually(lambda: "kilo-media" in running.ask(token=tutorial.token()).tenants(), what="Another answer")
    argocd.nudge(NAME)
    argocd.eventually(lambda: "kilo-media" in uids(argocd), what="The Application")
    assert "nudged" not in running.log.read_text()


# --- the adapter on the real API server -----------------------------------------------------------------------------


def test_what_happens_to_applicationsets_is_seen_and_a_position_that_is_too_old_ends_the_watch(
    argocd: ArgoCD, rights: Rights, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = application_set(NAME, plugin(every=SELDOM), template=template(tag("tenant")))

    async def watched() -> None:
        cluster = of_kubeconfig(rights.kubeconfig)
        try:
            async with aclosing(cluster.watch(argocd.namespace)) as seen:
                assert await anext(seen) == Listed([])
                await asyncio.to_thread(argocd.apply, made)
                first = await until(seen, lambda one: isinstance(one, LiveSet))
                assert isinstance(first, LiveSet)
                assert (first.name, first.inputs) == (LiveName(argocd.namespace, NAME), {"{}"})
                failed = await until(seen, lambda one: isinstance(one, LiveSet) and one.failure is not None)
                assert isinstance(failed, LiveSet)
                assert failed.failed_by_plugin is False, "there is no ConfigMap yet"
                await asyncio.to_thread(argocd.delete, NAME)
                assert await until(seen, lambda one: isinstance(one, Gone)) == Gone(first.name)
            monkeypatch.setattr(ListAsyncIterable, "resourceVersion", "1")
            with pytest.raises(ClusterError, match="410"):
                async with aclosing(cluster.watch(argocd.namespace)) as seen:
                    await until(seen, lambda _: False)
        finally:
            await cluster.close()

    asyncio.run(watched())


async def until(seen: object, is_wanted: Callable[[Seen], bool]) -> Seen:
    async with asyncio.timeout(30):
        async for one in seen:  # type: ignore[attr-defined]
            if is_wanted(one):
                found: Seen = one
                return found
    raise AssertionError("The watch ended.")


def test_whoever_has_no_rights_is_told_how_to_get_them(argocd: ArgoCD, kubeconfig: Path, tmp_path: Path) -> None:
    config = json.loads(kubeconfig.read_text())
    argocd.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}})
    config["users"][0]["user"]["token"] = argocd.token("nobody")
    path = tmp_path / "nobody.kubeconfig"
    path.write_text(json.dumps(config))

    async def refused(cluster: Kubernetes) -> None:
        with pytest.raises(ClusterDenied, match="manifests rbac"):
            await anext(cluster.watch(argocd.namespace))
        with pytest.raises(ClusterDenied):
            await cluster.refresh(LiveName(argocd.namespace, NAME), "1")
        await cluster.close()

    asyncio.run(refused(of_kubeconfig(path)))
