"""What the guard sees of ApplicationSets in a cluster, and whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tenantry.core.errors import ClusterDenied, ClusterError
from tenantry.core.ledger import SetName
from tenantry.core.live import LiveName, LiveSet, live_set
from tenantry.service import specs as module
from tenantry.service.following import Following, Gone, Listed
from tenantry.service.specs import SETTLED, ClusterSpecs
from tests.fakes import FakeClock, FakeTokens, Recorder
from tests.guard.test_selectors import ACTIVE, plugin
from tests.service.test_nudging import FakeCluster

pytestmark = pytest.mark.anyio

PROD = SetName("argocd", "prod")


def live(*generators: Mapping[str, Any], name: str = "prod", namespace: str = "argocd") -> LiveSet:
    metadata = {"name": name, "namespace": namespace, "uid": name}
    return live_set({"metadata": metadata, "spec": {"generators": list(generators or (plugin(),))}})


class Bed:
    """A cluster that is followed by hand."""

    def __init__(self, *, consumers: Sequence[str] | None = None, **tokens: str) -> None:
        self.cluster = FakeCluster()
        self.clock = FakeClock()
        self.changed: list[str] = []
        self.following = Following(
            self.cluster, Recorder(), namespaces=["argocd", "other"], config_maps=["p"], changed=lambda _: None
        )
        self.specs = ClusterSpecs(
            self.cluster,
            self.following,
            FakeTokens(**(tokens or {"argocd": "a"})),
            self.clock,
            consumers=consumers,
            changed=self.changed.append,
        )

    def sees(self, *sets: LiveSet) -> Bed:
        for namespace in self.following.namespaces:
            self.following._take(namespace, Listed([one for one in sets if one.name.namespace == namespace]))
            self.following._note(namespace, None)
        self.cluster.there = {one.name: one for one in sets}
        return self


async def test_an_applicationset_is_what_its_generators_ask_for() -> None:
    spec = Bed().sees(live(plugin(region="eu"))).specs.of(PROD)

    assert spec is not None
    assert spec.may_ask('{"region":"eu"}')


async def test_generators_of_another_plugin_are_none_of_ours() -> None:
    other = {"plugin": {"configMapRef": {"name": "other"}}}
    assert Bed().sees(live(other)).specs.of(PROD) is None


async def test_a_generator_by_another_config_map_beside_one_of_ours_may_ask_us_too() -> None:
    other = {"plugin": {"configMapRef": {"name": "{{name}}"}, "input": {"parameters": {"region": "us"}}}}

    spec = Bed().sees(live(plugin(region="eu"), other)).specs.of(PROD)

    assert spec is not None
    assert spec.may_ask('{"region":"us"}')


async def test_of_several_consumers_nobody_knows_whose_a_cluster_is_until_they_are_named() -> None:
    assert Bed(argocd="a", staging="b").sees(live()).specs.of(PROD) is None
    named = Bed(consumers=["argocd"], argocd="a", staging="b").sees(live())
    assert named.specs.of(PROD) is not None
    assert named.specs.of(SetName("staging", "prod")) is None


async def test_those_of_one_name_in_two_namespaces_count_together() -> None:
    bed = Bed().sees(live(plugin(region="eu")), live(plugin(region="us"), namespace="other"))

    spec = bed.specs.of(PROD)

    assert spec is not None
    assert spec.may_ask('{"region":"eu"}')
    assert spec.may_ask('{"region":"us"}')
    assert not spec.is_single


async def test_while_a_namespace_cannot_be_seen_nothing_is_known() -> None:
    bed = Bed().sees(live())
    bed.following._lost(ClusterError(), "other", is_first=True)

    assert bed.specs.of(PROD) is None
    assert await bed.specs.look(PROD) is None


async def test_only_another_spec_is_told_of() -> None:
    bed = Bed().sees(live(plugin()))
    bed.following._take("argocd", replace(live(plugin()), failure="another status"))
    assert bed.changed == ["prod"]

    bed.following._take("argocd", live(plugin(ACTIVE)))
    bed.following._take("argocd", Gone(LiveName("argocd", "prod")))

    assert bed.changed == ["prod"] * 3
    assert bed.specs.of(PROD) is None


async def test_a_spec_is_settled_once_nobody_can_have_an_older_view_of_it() -> None:
    bed = Bed().sees(live(plugin()))
    assert not bed.specs.is_settled(PROD)
    bed.clock.pass_by(seconds=SETTLED + 1)
    assert bed.specs.is_settled(PROD)

    bed.following._take("argocd", live(plugin(region="eu")))

    assert not bed.specs.is_settled(PROD)


async def test_a_look_finds_what_was_not_heard_of() -> None:
    bed = Bed().sees(live(plugin()))
    bed.clock.pass_by(seconds=SETTLED + 1)
    edited = live(plugin(region="eu"))
    bed.cluster.there[edited.name] = edited

    spec = await bed.specs.look(PROD)

    assert spec is not None
    assert spec.may_ask('{"region":"eu"}')
    assert bed.specs.of(PROD) == spec
    assert bed.changed == ["prod", "prod"]
    assert not bed.specs.is_settled(PROD)


async def test_a_look_that_fails_or_finds_nothing_knows_nothing() -> None:
    bed = Bed().sees(live())
    bed.cluster.there.clear()
    assert await bed.specs.look(PROD) is None
    bed.cluster.broken = ClusterDenied()
    assert await bed.specs.look(PROD) is None


async def test_a_look_at_a_cluster_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bed = Bed().sees(live())
    monkeypatch.setattr(module, "_LOOK", 0.01)

    async def silent(_: LiveName) -> LiveSet | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(bed.cluster, "find", silent)

    assert await bed.specs.look(PROD) is None


async def test_a_request_waits_for_the_first_look_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    bed = Bed()
    waiting = asyncio.create_task(bed.specs.ready())
    await asyncio.sleep(0)
    assert not waiting.done()
    bed.sees(live())
    await waiting

    refused = Bed()
    for namespace in refused.following.namespaces:
        refused.following._lost(ClusterDenied(), namespace, is_first=True)
    await refused.specs.ready()

    monkeypatch.setattr(module, "_FIRST_LOOK", 0.01)
    await Bed().specs.ready()
