"""Every scenario, from the configuration file to the bytes of the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tenantry.config.loading import load
from tenantry.core.columns import Kind
from tenantry.core.mapping import RowMapping
from tenantry.core.snapshot import Snapshot, SnapshotBuilder
from tenantry.core.steps import at_once
from tenantry.runtime import shape_of
from tests.builders import HERE, columns_of, raw
from tests.scenarios import Request, Scenario, scenarios
from tests.web.harness import ask, door

EVERY_REQUEST = [
    pytest.param(scenario, request, id=f"{name} {number}")
    for name, scenario in scenarios().items()
    for number, request in enumerate(scenario.requests)
]


def snapshot_of(scenario: Scenario, folder: Path) -> Snapshot:
    """Build the snapshot of a scenario as the service does."""
    path = folder / "tenantry.yaml"
    YAML(typ="safe", pure=True).dump({"source": {}, **scenario.configuration}, path)
    columns = columns_of(**{name: Kind(kind) for name, kind in scenario.columns.items()})
    mapping = RowMapping.of(shape_of(load(path, {}, {})), columns)
    builder = SnapshotBuilder(mapping, None)
    builder.add([raw(row, mapping) for row in scenario.rows])
    return at_once(builder.finish(HERE))


@pytest.mark.anyio
@pytest.mark.parametrize(("scenario", "request_"), EVERY_REQUEST)
async def test_a_request_gets_what_stands_there(scenario: Scenario, request_: Request, tmp_path: Path) -> None:
    body = json.dumps({"applicationSetName": "demo", "input": {"parameters": request_.parameters}}).encode()

    reply = await ask(door(snapshot_of(scenario, tmp_path)), body)

    if request_.refused is not None:
        assert (reply.status, reply.message) == (400, request_.refused)
        return
    assert reply.status == 200, reply.message
    items = reply.json["output"]["parameters"]
    if request_.answer is not None:
        assert items == request_.answer
        assert [list(item) for item in items] == [sorted(item) for item in items]
    else:
        assert [item["tenant"] for item in items] == request_.tenants


def test_every_request_says_what_it_gets() -> None:
    for scenario in scenarios().values():
        for request in scenario.requests:
            given = [one for one in (request.tenants, request.answer, request.refused) if one is not None]
            assert len(given) == 1, (scenario.title, request)
