"""The bytes of an answer, and the check before they leave."""

from __future__ import annotations

import gzip
import zlib

import msgspec
import pytest

from tenantry.core.answer import make_answer, parameter_sets
from tenantry.core.errors import InvalidAnswer
from tenantry.core.index import SnapshotIndex
from tenantry.core.selection import Selection
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import at_once
from tenantry.core.tenant import Tenant
from tests.builders import answer_to, sets_of, snapshot_of, tenants


def test_the_bytes_are_pinned() -> None:
    snapshot = snapshot_of([{"tenant": "b", "status": None}, {"tenant": "ä &<", "status": 'x"'}])

    assert answer_to(snapshot).body == (
        '{"output":{"parameters":[{"status":"","tenant":"b"},{"status":"x\\"","tenant":"ä &<"}]}}'.encode()
    )


def test_tenants_are_in_order_of_id_across_slices() -> None:
    names = [item["tenant"] for item in sets_of(answer_to(snapshot_of(tenants(2500))))]

    assert names == sorted(names)
    assert len(names) == 2500


def test_a_large_answer_is_compressed_to_the_same_bytes_each_time() -> None:
    one, two = (answer_to(snapshot_of(tenants(100))) for _ in range(2))

    assert one.compressed is not None
    assert gzip.decompress(one.compressed) == one.body
    assert one.compressed == two.compressed


def test_a_small_answer_is_not_compressed() -> None:
    assert answer_to(snapshot_of(tenants(2))).compressed is None


@pytest.mark.parametrize("number", [0, 1, 2, 2500])
def test_the_checksum_is_of_the_whole_body(number: int) -> None:
    answer = answer_to(snapshot_of(tenants(number)))

    assert answer.checksum == zlib.crc32(answer.body)


def damaged(snapshot: Snapshot, name: str, **change: object) -> Snapshot:
    """Return a snapshot in which one tenant is not what it should be."""
    broken = msgspec.structs.replace(snapshot.tenants[name], **change)
    spoilt: dict[str, Tenant] = {**snapshot.tenants, name: broken}
    return Snapshot(**{**{field: getattr(snapshot, field) for field in snapshot.__slots__}, "tenants": spoilt})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"encoded": b'{"status":"active"}'}, id="a key is missing"),
        pytest.param({"encoded": b'{"status":"active","tenant":"x","z":""}'}, id="there is a key too many"),
        pytest.param({"encoded": b'{"tenant":"x","status":"active"}'}, id="the keys are in another order"),
        pytest.param({"encoded": b'{"status":null,"tenant":"x"}'}, id="a value is null"),
        pytest.param({"encoded": b'{"status":1,"tenant":"x"}'}, id="a value is a number"),
        pytest.param({"encoded": b'{"status":[],"tenant":"x"}'}, id="a value is an empty list"),
        pytest.param({"encoded": b"{"}, id="the bytes are cut"),
        pytest.param({"encoded": b""}, id="there are no bytes"),
        pytest.param({"encoded": b'{"status":"a","tenant":"x"},{"status":"a","tenant":"y"}'}, id="there are two"),
        pytest.param({"id": "a"}, id="the order is not by id"),
    ],
)
def test_an_answer_that_breaks_its_promise_does_not_leave(change: dict[str, object]) -> None:
    snapshot = damaged(snapshot_of(tenants(5)), "tenant-0002", **change)

    with pytest.raises(InvalidAnswer):
        at_once(make_answer(SnapshotIndex(snapshot), Selection()))


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"output":{}}', b'{"output":{"parameters":null}}', b'{"output":{"parameters":[null]}}'],
)
def test_what_argo_cd_would_take_for_no_tenants_is_no_answer(body: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        parameter_sets(body)
