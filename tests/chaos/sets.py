"""The ApplicationSets of the chaos, and which Application each makes of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tenantry.core.application import TENANT_LABEL
from tenantry.core.sharding import shard_of
from tests.e2e.argocd import Object
from tests.e2e.sets import SELDOM, application_set, elements, matrix, plugin, tag, template

SET_LABEL = "chaos/set"
REGIONS = ("eu", "us")
SHARDS = 2


class Row(NamedTuple):
    """One tenant's."""

    status: str
    region: str
    plan: str


class Owned(NamedTuple):
    """An ApplicationSet."""

    name: str
    manifest: Object
    has: Callable[[str, Row], bool]
    """Whether it makes an Application of a tenant's row."""

    answers: Callable[[str], bool] = lambda _: True
    """Whether it is answered with a tenant, whatever it makes of that."""


def owned(*, every: int = SELDOM) -> Sequence[Owned]:
    """Return all of them: plain, with Argo CD's own selector, in shards, and in a matrix."""
    active = {"selector": {"matchLabels": {"status": "active"}}}
    regions = elements(*({"region": region} for region in REGIONS))
    return [
        *of_anybody(every=every),
        *(_shard(index, every) for index in range(SHARDS)),
        _owned("regions", matrix(regions, plugin(every=every, region=tag("region", go=False))), lambda *_: True),
        _owned(
            "active-matrix", {**matrix(regions, plugin(every=every, region=tag("region", go=False))), **active}, _active
        ),
    ]


def of_anybody(*, every: int) -> Sequence[Owned]:
    """Return those that any plugin can answer."""
    active = {"selector": {"matchLabels": {"status": "active"}}}
    return [
        _owned("all", plugin(every=every), lambda *_: True),
        _owned("active", {**plugin(every=every), **active}, _active),
    ]


def _shard(index: int, every: int) -> Owned:
    def answers(tenant: str) -> bool:
        return shard_of(tenant, SHARDS) == index

    made = _owned(f"shard-{index}", plugin(every=every, shard={"index": index, "count": SHARDS}), lambda *_: True)
    return made._replace(has=lambda tenant, _: answers(tenant), answers=answers)


def _active(_: str, row: Row) -> bool:
    return row.status == "active"


def _owned(name: str, generator: Object, has: Callable[[str, Row], bool]) -> Owned:
    tenant = tag("tenant", go=False)
    labels = {TENANT_LABEL: tenant, SET_LABEL: name}
    made = template(f"{name}-{tenant}", {"plan": tag("plan", go=False)}, labels)
    return Owned(name, application_set(name, generator, template=made, go=False), has)
