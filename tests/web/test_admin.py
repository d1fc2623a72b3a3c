"""The admin API: who is let in, what is asked and how, and what every refusal looks like."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tenantry.core.snapshot import Snapshot
from tenantry.service.facts import QuarantinePage, TenantFound, TenantPage
from tenantry.service.overview import Overview
from tenantry.web.api import api
from tenantry.web.app import AdminGate, FrontDoor
from tenantry.web.asgi import Headers
from tests.builders import snapshot_of, tenants
from tests.fakes import FakeTokens, Recorder
from tests.web.harness import ADMIN_TOKEN, TOKEN, Door, Reply, ask, door

pytestmark = pytest.mark.anyio

BASE = "/api/admin/v1"
PATHS = [f"{BASE}/tenants", f"{BASE}/tenants/tenant-0001", f"{BASE}/quarantine"]
ODD_IDS = [
    "a/b", "/", "//", "..", ".", "a/../b", "a b", " a", "100%", "%2F", "a?b=c", "a#b", "a+b", "a&b", "é", "東京", "🦀",
    "a;b", "a:b", "-", "tenants", "\N{NO-BREAK SPACE}x", "x'\"<>\\", "\u202e"
]  # fmt: skip


def admin_door(snapshot: Snapshot | None = None, **how: Any) -> Door:  # noqa: ANN401 -- see `door`
    return door(snapshot, admin_tokens=FakeTokens(admin=ADMIN_TOKEN), **how)


async def get(here: Door, path: str, *, token: str | None = ADMIN_TOKEN, headers: Headers | None = None) -> Reply:
    return await ask(here, b"", method="GET", path=path, token=token, headers=headers)


def tenant_path(tenant: str) -> str:
    return f"{BASE}/tenants/{quote(tenant, safe='')}"


# --- who is let in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_the_admin_token_opens(path: str) -> None:
    reply = await get(admin_door(), path)

    assert reply.status == 200
    assert reply.header("content-type") == "application/json"


@pytest.mark.parametrize("path", [*PATHS, f"{BASE}/nowhere", "/api/admin/", "/api/admin/v2/tenants"])
@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        pytest.param([], 401, "no bearer token", id="no header"),
        pytest.param([(b"authorization", b"Bearer ")], 401, "no bearer token", id="an empty token"),
        pytest.param([(b"authorization", b"Basic eDp5")], 401, "no bearer token", id="another scheme"),
        pytest.param(
            [(b"authorization", f"Bearer {ADMIN_TOKEN}".encode())] * 2, 401, "no bearer", id="the header twice"
        ),
        pytest.param([(b"authorization", b"Bearer wrong")], 401, "not the admin token", id="an unknown token"),
        pytest.param([(b"authorization", f"Bearer {TOKEN}".encode())], 403, "plugin token", id="a plugin token"),
    ],
)
async def test_nobody_else_is_let_in_and_hears_why(path: str, headers: Headers, status: int, why: str) -> None:
    here = admin_door(snapshot_of([{"tenant": "acme-corp", "status": "active"}]))

    reply = await get(here, path, token=None, headers=headers)

    assert reply.status == status
    assert why in reply.message
    assert b"acme" not in reply.body
    assert reply.header("www-authenticate") == ("Bearer" if status == 401 else None)
    assert here.seen.events == ["admin_refused"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", [None, TOKEN, ADMIN_TOKEN, "anything"])
async def test_while_there_is_no_admin_token_nothing_is_there(path: str, token: str | None) -> None:
    reply = await get(door(), path, token=token)

    assert reply.status == 404
    assert reply.message == (await get(door(), "/elsewhere")).message


async def test_a_token_that_is_the_plugins_too_opens_the_plugins_path_alone() -> None:
    here = door(admin_tokens=FakeTokens(admin=TOKEN))

    assert (await get(here, PATHS[0], token=TOKEN)).status == 403
    assert (await ask(here, token=TOKEN)).status == 200


async def test_the_admin_token_does_not_open_the_plugins_path() -> None:
    here = admin_door()

    reply = await ask(here, token=ADMIN_TOKEN)

    assert reply.status == 403
    assert "the admin token" in reply.message
    assert [status for status, *_ in here.seen.refusals] == [403]
    assert here.seen.answers == []


@pytest.mark.parametrize("path", ["/api/%61dmin/v1/tenants", "/api/admin%2Fv1/tenants", "/%61pi/admin/v1/quarantine"])
async def test_a_path_written_otherwise_is_the_same_path_to_the_gate(path: str) -> None:
    assert (await get(admin_door(), path, token=None)).status == 401
    assert (await get(admin_door(), path)).status == 200


async def test_a_route_that_is_reached_around_the_gate_is_not_there() -> None:
    framework = api(Overview(admin_door().snapshots))

    for path in PATHS:
        reply = await ask(framework, b"", method="GET", path=path, token=ADMIN_TOKEN)
        assert reply.status == 404


async def test_on_the_socket_no_token_is_needed() -> None:
    here = door()
    gate = AdminGate(api(Overview(here.snapshots)), Recorder(), lambda _: None)

    reply = await ask(FrontDoor({}, Recorder(), gate), b"", method="GET", path=PATHS[0], token=None)

    assert reply.status == 200


# --- what is asked -----------------------------------------------------------------------------------------------


async def test_a_list_is_a_page_with_the_facts_of_its_snapshot() -> None:
    here = admin_door()

    first = (await get(here, f"{PATHS[0]}?limit=6")).json
    second = (await get(here, f"{PATHS[0]}?limit=6&after={first['next']}")).json

    assert [one["id"] for one in first["tenants"] + second["tenants"]] == [f"tenant-{n:04}" for n in range(10)]
    assert (first["next"], second["next"]) == ("tenant-0005", None)
    assert first["snapshot"] == {
        "revision": here.snapshots.current().revision,
        "age_seconds": 0.0,
        "tenants": 10,
        "retired": 0,
        "quarantined": 0,
        "in_doubt": 0,
        "problem": None,
    }


@pytest.mark.parametrize("tenant", ODD_IDS)
async def test_an_id_may_hold_anything(tenant: str) -> None:
    rows: list[dict[str, object]] = [{"tenant": tenant, "status": "active"}]
    here = admin_door(snapshot_of(rows, state="status"))

    shown = await get(here, tenant_path(tenant))
    listed = await get(here, f"{PATHS[0]}?state=active&limit=1000")

    assert shown.status == 200
    assert shown.json["tenant"]["id"] == tenant
    assert [one["id"] for one in listed.json["tenants"]] == [tenant]


@hypothesis_settings(deadline=None, max_examples=25)
@given(st.text(min_size=1, max_size=20).filter(lambda text: not text.isspace()))
async def test_whatever_an_id_is_its_page_follows_the_one_before(tenant: str) -> None:
    here = admin_door(snapshot_of([{"tenant": tenant}, {"tenant": tenant + "\x00"}, {"tenant": tenant + "!"}]))

    page = (await get(here, f"{PATHS[0]}?after={quote(tenant, safe='')}")).json
    shown = await get(here, tenant_path(tenant + "\n"))

    assert [one["id"] for one in page["tenants"]] == [tenant + "\x00", tenant + "!"]
    assert shown.status == 404


async def test_an_id_with_line_breaks_is_shown_too() -> None:
    before = snapshot_of([{"tenant": "a\nb\n", "status": "active"}])

    shown = await get(admin_door(before), tenant_path("a\nb\n"))

    assert shown.json["tenant"]["id"] == "a\nb\n"
    assert shown.json["tenant"]["quarantined"]["column"] == "tenant"


@pytest.mark.parametrize("path", [f"{BASE}/tenants/nobody", f"{BASE}/tenants/", f"{BASE}/tenants/%FF%FE"])
async def test_a_tenant_that_there_is_not_is_a_404_with_a_sentence(path: str) -> None:
    reply = await get(admin_door(), path)

    assert reply.status == 404
    assert reply.message.startswith("There is no tenant with the id '")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (
            "stat=active",
            "no query parameter 'stat' here. Known: after, limit, quarantined, shards, state. Did you mean 'state'?",
        ),
        ("state=active", "source.state is not set"),
        ("limit=0", "'limit' has to be greater than or equal to 1"),
        ("limit=1001", "'limit' has to be less than or equal to 1000"),
        ("limit=all", "'limit' has to be a valid integer"),
        ("limit=", "'limit' has to be a valid integer"),
        ("limit=1_0", "'limit' has to be a valid integer"),
        ("limit=%2B5", "'limit' has to be a valid integer"),
        ("limit=1.5", "'limit' has to be a valid integer"),
        ("shards=0", "'shards' has to be greater than or equal to 1"),
        ("shards=1025", "'shards' has to be less than or equal to 1024"),
        ("after=%ff", "The query is not UTF-8."),
        ("quarantined=yes", "'quarantined' has to be 'true' or 'false'"),
        ("limit=1&limit=2", "The query has 'limit' more than once."),
        ("after=a&after=b", "The query has 'after' more than once."),
    ],
)
async def test_a_query_that_is_not_understood_is_refused_and_never_widened(query: str, why: str) -> None:
    reply = await get(admin_door(), f"{PATHS[0]}?{query}")

    assert reply.status == 400
    assert why in reply.message
    assert b"detail" not in reply.body


async def test_every_path_refuses_what_it_does_not_take() -> None:
    for path, known in zip(PATHS[1:], ("shards", "after, limit"), strict=True):
        reply = await get(admin_door(), f"{path}?state=active")
        assert reply.status == 400
        assert f"Known: {known}." in reply.message


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
async def test_another_method_is_told_in_our_shape(path: str, method: str) -> None:
    reply = await ask(admin_door(), b"", method=method, path=path, token=ADMIN_TOKEN)

    assert reply.status == 405
    assert "Use GET." in reply.message


@pytest.mark.parametrize("path", PATHS)
async def test_without_a_snapshot_the_status_is_503(path: str) -> None:
    reply = await get(admin_door(empty=True), path)

    assert reply.status == 503
    assert "not been read yet" in reply.message


async def test_a_stale_snapshot_is_shown_where_no_application_set_is_answered() -> None:
    here = admin_door()
    here.clock.pass_by(hours=2)

    reply = await get(here, PATHS[0])

    assert (await ask(here)).status == 503
    assert reply.status == 200
    assert "max_stale" in reply.json["snapshot"]["problem"]


async def test_a_fault_is_told_in_our_shape_without_its_reason() -> None:
    good = snapshot_of(tenants(1))
    here = admin_door(replace(good, tenants={"tenant-0000": None}))  # type: ignore[dict-item]

    reply = await get(here, PATHS[0])

    assert reply.status == 500
    assert "The log has the reason." in reply.message
    assert [type(fault) for fault in here.seen.faults] == [AttributeError]


# --- as the document says ----------------------------------------------------------------------------------------


async def test_answers_are_what_the_document_says_and_nothing_besides() -> None:
    before = snapshot_of(tenants(3), state="status", serve=("active",), retire=("inactive",))
    rows = tenants(4)
    rows[0]["status"], rows[1]["status"], rows[3]["tenant"] = "paused", "inactive", None
    here = admin_door(snapshot_of(rows, previous=before, state="status", serve=("active",), retire=("inactive",)))
    document = (await ask(here, b"", method="GET", path="/openapi.json", token=None)).json

    kinds = {PATHS[0]: TenantPage, PATHS[1]: TenantFound, PATHS[2]: QuarantinePage}
    for path, kind in kinds.items():
        reply = await get(here, path)
        assert TypeAdapter(kind).dump_python(TypeAdapter(kind).validate_json(reply.body), mode="json") == reply.json
        schema = document["components"]["schemas"][kind.__name__]
        assert set(schema["required"]) == set(schema["properties"]) == set(reply.json)
    assert "HTTPValidationError" not in json.dumps(document)


async def test_the_document_tells_every_status_of_every_admin_path() -> None:
    document = (await ask(door(), b"", method="GET", path="/openapi.json", token=None)).json

    admin = {name: path for name, path in document["paths"].items() if name.startswith("/api/admin/")}
    operations = [(method, operation) for path in admin.values() for method, operation in path.items()]

    assert sorted(method for method, _ in operations) == ["get"] * 7 + ["post"] * 7
    for method, operation in operations:
        of_a_word = {"409"} if method == "post" and operation["operationId"] != "refresh" else set()
        assert set(operation["responses"]) == {"200", "400", "401", "403", "404", "405", "500", "503"} | of_a_word
        assert operation["security"] == [{"adminToken": []}, {}]
        assert all(parameter["description"] for parameter in operation.get("parameters", ()))
