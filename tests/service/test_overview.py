"""What an operator sees: every tenant there is, why it is served or not, page by page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.columns import Column, Kind
from tenantry.core.errors import InvalidQuery, NoSnapshot, NoSuchTenant
from tenantry.core.fields import FieldShape, Naming
from tenantry.core.naming import tenant_label, tenant_name
from tenantry.core.sharding import shard_of
from tenantry.core.snapshot import Snapshot
from tenantry.core.steps import at_once
from tenantry.service.facts import ShardOf, TenantPage, TenantView
from tenantry.service.overview import Overview, TenantQuery
from tenantry.service.snapshots import SnapshotHolder
from tests.builders import answer_to, columns_of, sets_of, snapshot_of, tenants
from tests.fakes import FakeClock

STATES: dict[str, Any] = {"state": "status", "serve": ("active", "trial"), "retire": ("inactive",)}


class Bed:
    """An overview of one snapshot."""

    def __init__(self, snapshot: Snapshot | None, counts: Sequence[int] = ()) -> None:
        self.clock = FakeClock()
        self.holder = SnapshotHolder(self.clock, 3600)
        self.overview = Overview(self.holder, lambda: counts)
        if snapshot is not None:
            self.publish(snapshot)

    def publish(self, snapshot: Snapshot) -> None:
        at_once(self.holder.sightings.note(snapshot.quarantined))
        self.holder.publish(snapshot, self.clock.monotonic())

    def page(self, **query: Any) -> TenantPage:  # noqa: ANN401 -- the fields of TenantQuery
        return asyncio.run(self.overview.tenants(TenantQuery(**query)))

    def tenant(self, tenant: str) -> TenantView:
        return asyncio.run(self.overview.tenant(tenant)).tenant

    def ids(self, **query: Any) -> list[str]:  # noqa: ANN401 -- the fields of TenantQuery
        return [one.id for one in self.page(**query).tenants]


def row(tenant: str | None, status: str | None = "active", **more: object) -> dict[str, object]:
    return {"tenant": tenant, "status": status, "plan": "pro", **more}


def mixed() -> Snapshot:
    """Return a snapshot with one tenant of every kind, and a row without an id."""
    before = snapshot_of([row("acme"), row("broken"), row("doubt")], **STATES)
    rows = [
        row("acme"),
        row("broken", plan="x" * 40_000),
        row("new-and-broken", "paused"),
        row("old", "inactive"),
        row(None),
    ]
    return snapshot_of(rows, previous=before, **STATES)


# --- one tenant --------------------------------------------------------------------------------------------------


def test_a_served_tenant_shows_its_parameters_and_the_row_they_come_from() -> None:
    assert Bed(mixed()).tenant("acme") == TenantView(
        id="acme",
        state="active",
        served=True,
        why="Served.",
        name=None,
        label=None,
        views=[],
        shards=[],
        parameters={name: msgspec.Raw(b'"%b"' % text) for name, text in ACME.items()},
        source_row={"plan": "pro", "status": "active", "tenant": "acme"},
        quarantined=None,
        in_doubt=False,
    )


ACME = {"plan": b"pro", "status": b"active", "tenant": b"acme"}


@pytest.mark.parametrize(
    ("tenant", "served", "state", "why"),
    [
        ("broken", True, "active", "Served with its last good parameters. Row 2, column 'plan', is longer than"),
        (
            "new-and-broken",
            False,
            None,
            "Not served: its row cannot be used, and its last good parameters are not known. ",
        ),
        ("old", False, "inactive", "Not served: its state is 'inactive', which is not in source.serve."),
        (
            "doubt",
            True,
            "active",
            "Served with its last good parameters. No row that is served has its id, but some row",
        ),
    ],
)
def test_every_tenant_that_there_is_says_why_it_is_served_or_not(
    tenant: str, served: bool, state: str | None, why: str
) -> None:
    found = Bed(mixed()).tenant(tenant)

    assert (found.served, found.state) == (served, state)
    assert found.why.startswith(why)
    assert (found.parameters is not None) is (found.source_row is not None) is served
    assert found.in_doubt is (tenant == "doubt")


def test_a_state_that_is_null_is_told_so() -> None:
    snapshot = snapshot_of([row("acme", None)], state="status", serve=("active",), retire=("*",))

    found = Bed(snapshot).tenant("acme")

    assert (found.state, found.why) == (None, "Not served: its state is NULL, which is not in source.serve.")


def test_a_quarantined_tenant_says_where_why_and_since_when() -> None:
    bed = Bed(mixed())
    began = bed.clock.now()
    bed.clock.pass_by(minutes=3)
    bed.publish(mixed())

    found = bed.tenant("broken").quarantined

    assert found is not None
    assert (found.row, found.column, found.kept) == (2, "plan", True)
    assert "source.max_text" in found.reason
    assert found.since == began.replace(microsecond=0)


def test_columns_that_look_like_secrets_are_masked_in_the_row() -> None:
    columns = columns_of(tenant=Kind.TEXT, db_password=Kind.TEXT, api_token=Kind.TEXT)
    rows: list[dict[str, object]] = [{"tenant": "acme", "db_password": "hunter2", "api_token": None}]
    snapshot = snapshot_of(rows, columns, parameters=("tenant", "db_password", "api_token"))

    assert Bed(snapshot).tenant("acme").source_row == {"tenant": "acme", "db_password": "****", "api_token": None}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            "postgresql://app:hunter2@db/x and redis://:geheim@cache",
            "postgresql://app:****@db/x and redis://:****@cache",
        ),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ('{"size": 1.50, "db": {"password": "hunter2"}}', '{"size":1.50,"db":{"password":"****"}}'),
        ('{"size": 1.50}', '{"size": 1.50}'),
        ('[{"apiToken": 7}, "ftp://a:b@c", null]', '[{"apiToken":"****"},"ftp://a:****@c",null]'),
        ("{no JSON ://a:b@c", "{no JSON ://a:****@c"),
    ],
)
def test_secrets_inside_json_and_urls_are_masked_in_the_row(value: str, shown: str) -> None:
    columns = columns_of(tenant=Kind.TEXT, notes=Kind.TEXT)
    snapshot = snapshot_of([{"tenant": "acme", "notes": value}], columns)

    assert Bed(snapshot).tenant("acme").source_row == {"tenant": "acme", "notes": shown}


def test_what_looks_like_a_secret_is_masked_in_the_parameters_too() -> None:
    columns = columns_of(tenant=Kind.TEXT, db_password=Kind.TEXT, settings=Kind.JSON)
    settings = '{"db": {"password": "hunter2", "host": "db"}, "urls": ["pg://a:b@c", "x"], "token": ""}'
    rows: list[dict[str, object]] = [{"tenant": "acme", "db_password": "hunter2", "settings": settings}]
    snapshot = snapshot_of(rows, columns, parameters=("tenant", "db_password", "settings"))

    shown = json.loads(msgspec.json.encode(Bed(snapshot).tenant("acme").parameters))

    assert shown == {
        "tenant": "acme",
        "db_password": "****",
        "settings": {"db": {"password": "****", "host": "db"}, "urls": ["pg://a:****@c", "x"], "token": ""},
    }


def test_a_tenant_comes_with_what_it_was_read_from() -> None:
    bed = Bed(mixed())
    bed.clock.pass_by(hours=2)

    found = asyncio.run(bed.overview.tenant("acme"))

    assert found.snapshot == bed.page().snapshot
    assert "snapshot.max_stale" in str(found.snapshot.problem)


def test_a_value_of_the_row_that_is_no_text_is_told_and_not_shown() -> None:
    columns = columns_of(tenant=Kind.TEXT, status=Kind.TEXT)
    rows: list[dict[str, object]] = [{"tenant": 7, "status": b"\xff"}]
    snapshot = snapshot_of(rows, columns, parameters=("tenant",), state="status")

    found = Bed(snapshot).tenant("7")

    assert found.source_row == {"tenant": "7", "status": "(holds bytes that are not text)"}
    assert found.state is None


def test_parameters_are_those_of_the_answer_to_the_last_digit() -> None:
    number = "1234567890123456789.1234567890123456789000"
    columns = (Column("tenant", Kind.TEXT), Column("seats", Kind.NUMBER))
    shape = FieldShape("seats", kind=Kind.NUMBER, native=True)
    snapshot = snapshot_of([{"tenant": "acme", "seats": number}], columns, fields=(shape,))

    encoded = msgspec.json.encode(Bed(snapshot).tenant("acme"))

    assert f'"seats":{number}'.encode() in encoded
    assert json.loads(encoded)["parameters"] == sets_of(answer_to(snapshot))[0]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("acme-crop", " Did you mean 'acme-corp'?"),
        ("inactve", " Did you mean 'inactive-one'?"),
        ("brokn", " Did you mean 'broken'?"),
        ("nothing like it", ""),
        ("acme-corp" * 2000, ""),
    ],
)
def test_an_id_that_there_is_not_names_the_nearest_of_any_kind(wanted: str, told: str) -> None:
    rows = [row("acme-corp"), row("inactive-one", "inactive"), row("broken", "paused")]

    with pytest.raises(NoSuchTenant) as missing:
        Bed(snapshot_of(rows, **STATES)).tenant(wanted)

    assert missing.value.what.endswith(f"'.{told}")


def test_the_nearest_is_found_among_very_many() -> None:
    with pytest.raises(NoSuchTenant, match="Did you mean 'tenant-2718'"):
        Bed(snapshot_of(tenants(5000))).tenant("tenant-2718x")


# --- what a tenant is called and belongs to ----------------------------------------------------------------------


def test_every_tenant_tells_its_name_and_label_served_or_not() -> None:
    naming = Naming(length=30, always_hash=True)
    bed = Bed(snapshot_of([row("Acme_Corp"), row("old", "inactive"), row("broken", "paused")], naming=naming, **STATES))

    for tenant in ("Acme_Corp", "old", "broken"):
        found = bed.tenant(tenant)
        assert found.name == tenant_name(tenant, 30, always_hash=True)
        assert found.label == tenant_label(tenant, always_hash=True)
    parameters = json.loads(msgspec.json.encode(bed.tenant("Acme_Corp").parameters))
    assert parameters["tenantName"] == bed.tenant("Acme_Corp").name


@pytest.mark.parametrize("naming", [Naming(name_field=None), Naming(label_field=None)], ids=["name", "label"])
def test_a_name_that_is_switched_off_is_null(naming: Naming) -> None:
    found = Bed(snapshot_of([row("acme")], naming=naming)).tenant("acme")

    assert (found.name is None) is (naming.name_field is None)
    assert (found.label is None) is (naming.label_field is None)


VIEWS = (
    ("part", {"shard": {"index": 1, "count": 3}}),
    ("pro", {"plan": "pro"}),
    ("paying", {"selector": "status=active,plan!=free"}),
)


def test_a_tenant_tells_the_views_that_it_is_in() -> None:
    bed = Bed(snapshot_of([row("acme"), row("beta", plan="free"), row("old", "inactive")], views=VIEWS, **STATES))

    found = {tenant: [view for view in bed.tenant(tenant).views if view != "part"] for tenant in bed.ids()}

    assert found == {"acme": ["paying", "pro"], "beta": [], "old": []}


@given(
    st.lists(st.text(min_size=1, max_size=3), max_size=12, unique=True), st.sampled_from([name for name, _ in VIEWS])
)
def test_a_view_is_told_of_exactly_those_whom_an_application_set_with_that_view_gets(ids: list[str], view: str) -> None:
    plans = ("pro", "free", None)
    rows = [row(tenant, plan=plans[n % 3]) for n, tenant in enumerate(ids)]
    snapshot = snapshot_of(rows, columns_of(tenant=Kind.TEXT, status=Kind.TEXT, plan=Kind.TEXT), views=VIEWS)

    told = [one.id for one in Bed(snapshot).page(limit=1000).tenants if view in one.views]

    assert told == [one["tenant"] for one in sets_of(answer_to(snapshot, {"view": view}))]


def test_a_tenant_tells_its_part_of_each_count_of_shards_that_is_asked_for() -> None:
    snapshot = snapshot_of([row("acme"), row("old", "inactive")], **STATES)
    bed = Bed(snapshot, counts=[8, 3])

    for tenant in ("acme", "old"):
        expected = [ShardOf(shard_of(tenant, count), count) for count in (3, 8)]
        assert bed.tenant(tenant).shards == expected
        assert [one.shards for one in bed.page(shards=8).tenants if one.id == tenant] == [expected]
        assert asyncio.run(bed.overview.tenant(tenant, 5)).tenant.shards == [
            expected[0],
            ShardOf(shard_of(tenant, 5), 5),
            expected[1],
        ]


# --- pages -------------------------------------------------------------------------------------------------------


def test_all_kinds_of_tenants_are_listed_in_order_of_id() -> None:
    assert Bed(mixed()).ids() == ["acme", "broken", "doubt", "new-and-broken", "old"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"state": "active"}, ["acme", "broken", "doubt"]),
        ({"state": "inactive"}, ["old"]),
        ({"state": "trial"}, []),
        ({"quarantined": True}, ["broken", "new-and-broken"]),
        ({"quarantined": False}, ["acme", "doubt", "old"]),
        ({"quarantined": True, "state": "active"}, ["broken"]),
        ({"after": "broken"}, ["doubt", "new-and-broken", "old"]),
        ({"after": "b"}, ["broken", "doubt", "new-and-broken", "old"]),
        ({"after": "zzz"}, []),
    ],
)
def test_a_list_has_what_was_asked_for(query: dict[str, Any], ids: list[str]) -> None:
    assert Bed(mixed()).ids(**query) == ids


@given(
    st.lists(st.tuples(st.text(max_size=3), st.sampled_from(["active", "trial", "inactive", "paused"])), max_size=30),
    st.integers(1, 7),
    st.sampled_from([{}, {"state": "active"}, {"quarantined": True}, {"quarantined": False, "state": "inactive"}]),
)
def test_pages_together_are_every_tenant_once_and_in_order(
    rows: list[tuple[str, str]], limit: int, query: dict[str, Any]
) -> None:
    bed = Bed(snapshot_of([row(tenant, status) for tenant, status in rows], **STATES))
    everybody = bed.page(limit=1000)
    pages = [bed.page(limit=limit, **query)]
    while (after := pages[-1].next) is not None:
        pages.append(bed.page(limit=limit, after=after, **query))

    listed = [one for page in pages for one in page.tenants]
    usable = {tenant for tenant, _ in rows if tenant and not tenant.isspace()}
    assert [one.id for one in everybody.tenants] == sorted(usable)
    assert listed == [
        one
        for one in everybody.tenants
        if one.state == query.get("state", one.state)
        and bool(one.quarantined) == query.get("quarantined", bool(one.quarantined))
    ]
    assert all(len(page.tenants) == limit for page in pages[:-1])
    assert everybody.next is None


def test_a_page_ends_only_with_an_id_that_fits_into_a_url() -> None:
    bed = Bed(snapshot_of([row("a"), row("b" * 5000), row("c" * 2048), row("d")]))

    first = bed.page(limit=2)

    assert [one.id[0] for one in first.tenants] == ["a", "b", "c"]
    assert (first.next or "")[:1] == "c"
    assert [one.id for one in bed.page(limit=2, after=first.next).tenants] == ["d"]


def test_a_page_ends_early_where_tenants_are_large() -> None:
    bed = Bed(snapshot_of(tenants(300, plan="x" * 30_000)))

    first = bed.page(limit=1000)
    last = first
    seen = [one.id for one in first.tenants]
    while last.next is not None:
        last = bed.page(limit=1000, after=last.next)
        seen += [one.id for one in last.tenants]

    assert len(first.tenants) < 100
    assert seen == [f"tenant-{n:04}" for n in range(300)]


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({}, "source.state is not set"),
        (STATES, "There is no state 'activ'. Known: active, inactive, trial. Did you mean 'active'?"),
    ],
)
def test_a_state_that_nothing_can_have_is_an_error_and_no_empty_list(shape: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidQuery, match=why.replace("?", r"\?")):
        Bed(snapshot_of(tenants(1), **shape)).page(state="activ")


@pytest.mark.parametrize(
    "shape", [{"state": "status"}, {"state": "status", "serve": ("active",), "retire": ("*",)}], ids=["all", "a star"]
)
def test_a_state_that_no_row_has_at_the_moment_is_no_error(shape: dict[str, Any]) -> None:
    assert Bed(snapshot_of(tenants(1), **shape)).ids(state="paused") == []


# --- quarantine --------------------------------------------------------------------------------------------------


def test_the_quarantine_lists_rows_without_an_id_too() -> None:
    page = asyncio.run(Bed(mixed()).overview.quarantine(100, 0))

    assert [(one.row, one.tenant, one.column, one.kept) for one in page.rows] == [
        (2, "broken", "plan", True),
        (3, "new-and-broken", "status", False),
        (5, None, "tenant", False),
    ]
    assert page.next is None


def test_the_quarantine_comes_in_pages() -> None:
    overview = Bed(mixed()).overview

    first = asyncio.run(overview.quarantine(2, 0))
    second = asyncio.run(overview.quarantine(2, first.next or 0))

    assert ([one.row for one in first.rows], first.next) == ([2, 3], 3)
    assert ([one.row for one in second.rows], second.next) == ([5], None)


# --- what it comes from ------------------------------------------------------------------------------------------


def test_the_facts_of_the_snapshot_come_with_every_list() -> None:
    bed = Bed(mixed())
    bed.clock.pass_by(seconds=2.5)

    facts = bed.page().snapshot

    assert facts == asyncio.run(bed.overview.quarantine(1, 0)).snapshot
    assert (facts.tenants, facts.retired, facts.quarantined, facts.in_doubt) == (3, 1, 3, 1)
    assert facts.age_seconds == 2.5
    assert facts.revision == mixed().revision
    assert facts.problem is None


def test_a_snapshot_that_is_not_answered_from_is_shown_with_the_reason() -> None:
    bed = Bed(mixed())
    bed.clock.pass_by(hours=2)

    page = bed.page()

    assert len(page.tenants) == 5
    assert "snapshot.max_stale" in str(page.snapshot.problem)


def test_without_a_snapshot_nothing_is_made_up() -> None:
    bed = Bed(None)

    for ask in (bed.page, lambda: bed.tenant("acme"), lambda: asyncio.run(bed.overview.quarantine(1, 0))):
        with pytest.raises(NoSnapshot):
            ask()


def test_many_tenants_are_looked_through_in_short_steps() -> None:
    snapshot = snapshot_of(tenants(5000), **STATES)

    steps = sum(1 for _ in Bed(snapshot).overview._page(snapshot, TenantQuery(state="trial")))

    assert steps >= 100
