"""What the configuration says of fields: names, types, defaults, allow-lists, control characters."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.allowing import pattern_of
from tenantry.core.columns import Kind
from tenantry.core.defaults import Layer, merged
from tenantry.core.errors import MissingColumn, RefusedColumn, UnknownParameter
from tenantry.core.fields import FieldShape, Naming
from tenantry.core.naming import tenant_label, tenant_name
from tenantry.core.snapshot import Snapshot
from tenantry.core.values import BooleanText, Json, NoText, NumberText
from tests.builders import answer_to, columns_of, sets_of, snapshot_of

Row = dict[str, object]
COLUMNS = columns_of(tenant=Kind.TEXT, plan=Kind.TEXT, seats=Kind.TEXT, settings=Kind.JSON)


def served(rows: list[Row], *fields: FieldShape, defaults: tuple[Layer, ...] = ()) -> list[dict[str, object]]:
    """Return the parameter sets of rows, without the tenant's own name where there is one row."""
    return sets_of(answer_to(snapshot_of(rows, COLUMNS, fields=fields, defaults=defaults)))


def one(row: Row, *fields: FieldShape, defaults: tuple[Layer, ...] = ()) -> dict[str, object]:
    (found,) = served([{"tenant": "a", **row}], *fields, defaults=defaults)
    return found


def quarantined(row: Row, *fields: FieldShape, defaults: tuple[Layer, ...] = ()) -> str:
    """Return why a row cannot be used, and of which column."""
    snapshot = snapshot_of([{"tenant": "a", **row}], COLUMNS, fields=fields, defaults=defaults)
    (unusable,) = snapshot.quarantined
    assert unusable.tenant == "a"
    return f"{unusable.column} {unusable.reason}"


def layer(when: dict[str, str], **defaults: Json) -> Layer:
    return Layer(tuple((name, frozenset({text})) for name, text in when.items()), tuple(defaults.items()))


# --- names ------------------------------------------------------------------------------------------------------


def test_a_column_is_served_under_another_name_and_no_longer_under_its_own() -> None:
    (found,) = served([{"tenant": "a", "plan": "pro"}], FieldShape("tier", column="plan"))

    assert found["tier"] == "pro"
    assert "plan" not in found


def test_one_column_may_be_served_under_two_names() -> None:
    (found,) = served([{"tenant": "a", "plan": "pro"}], FieldShape("tier", column="plan"), FieldShape("plan"))

    assert (found["tier"], found["plan"]) == ("pro", "pro")


def test_a_column_that_a_field_is_made_from_must_exist() -> None:
    with pytest.raises(MissingColumn, match="Column 'paln' of table 'organization' does not exist"):
        served([], FieldShape("tier", column="paln"))
    with pytest.raises(MissingColumn, match="Columns 'paln', 'saets' of table 'organization' do not exist"):
        served([], FieldShape("tier", column="paln"), FieldShape("number", column="saets"))


def test_a_field_may_have_a_dotted_name_beside_fields_that_are_no_json() -> None:
    columns = columns_of(tenant=Kind.TEXT, plan=Kind.TEXT, next=Kind.TEXT, **{"plan.old": Kind.TEXT})
    rows: list[Row] = [{"tenant": "a", "plan": "pro", "plan.old": "free", "next": "gold"}]
    shapes = (FieldShape("plan.old", allow=("free",)), FieldShape("plan.new", column="next"))

    (found,) = sets_of(answer_to(snapshot_of(rows, columns, fields=shapes)))

    assert found == {"tenant": "a", "plan": "pro", "plan.new": "gold", "plan.old": "free"}


def test_bytes_are_refused_whatever_they_are_declared_to_be() -> None:
    with pytest.raises(RefusedColumn, match="column 'logo' holds bytes"):
        snapshot_of([], columns_of(tenant=Kind.TEXT, logo=Kind.BYTES), fields=(FieldShape("logo", kind=Kind.TEXT),))


def test_a_column_that_looks_like_a_secret_is_served_where_a_field_is_told_to_be_made_from_it() -> None:
    columns = columns_of(tenant=Kind.TEXT, password=Kind.TEXT, api_key=Kind.TEXT)
    rows: list[Row] = [{"tenant": "a", "password": "x", "api_key": "y"}]
    shapes = (FieldShape("password"), FieldShape("access", column="api_key"))

    assert sets_of(answer_to(snapshot_of(rows, columns, fields=shapes))) == [
        {"tenant": "a", "password": "x", "access": "y"}
    ]


def test_all_that_is_wrong_with_the_columns_is_told_at_once() -> None:
    with pytest.raises(RefusedColumn) as refused:
        snapshot_of([], columns_of(tenant=Kind.TEXT, logo=Kind.BYTES, password=Kind.TEXT))

    assert refused.value.what == (
        "Table 'organization': column 'logo' holds bytes, which have no text; column 'password' looks like a secret "
        "and is served only if source.parameters names it."
    )


def test_names_and_labels_are_made_from_the_id_beside_the_columns() -> None:
    rows: list[Row] = [{"tenant": "Acme_Corp"}, {"tenant": "acme-corp"}]
    snapshot = snapshot_of(rows, columns_of(tenant=Kind.TEXT), naming=Naming())

    assert sets_of(answer_to(snapshot)) == [
        {"tenant": id, "tenantLabel": tenant_label(id), "tenantName": tenant_name(id)}
        for id in ("Acme_Corp", "acme-corp")  # noqa: A001 -- the id of a tenant
    ]


def test_computed_fields_stand_in_order_of_name_and_can_be_renamed_or_switched_off() -> None:
    snapshot = snapshot_of(
        [{"tenant": "a", "zone": "z"}], columns_of(tenant=Kind.TEXT, zone=Kind.TEXT), naming=Naming("appName", None)
    )

    assert list(sets_of(answer_to(snapshot))[0]) == ["appName", "tenant", "zone"]


def test_computed_fields_are_as_long_as_is_told_and_have_a_hash_where_all_shall_have_one() -> None:
    long = "a-very-long-name-of-a-tenant-" * 2
    snapshot = snapshot_of(
        [{"tenant": "a"}, {"tenant": long}], columns_of(tenant=Kind.TEXT), naming=Naming(length=25, always_hash=True)
    )

    assert [(item["tenantName"], item["tenantLabel"]) for item in sets_of(answer_to(snapshot))] == [
        (tenant_name(tenant, 25, always_hash=True), tenant_label(tenant, always_hash=True)) for tenant in ("a", long)
    ]
    assert tenant_name("a", always_hash=True) != tenant_name("a")
    assert tenant_label("a", always_hash=True) != tenant_label("a")


def test_a_column_with_the_name_of_a_computed_field_is_refused() -> None:
    with pytest.raises(RefusedColumn, match="a field called 'tenantName' is computed from the id"):
        snapshot_of([], columns_of(tenant=Kind.TEXT, tenantName=Kind.TEXT), naming=Naming())


def test_tenants_are_found_by_a_computed_name() -> None:
    snapshot = snapshot_of([{"tenant": "Acme Corp"}, {"tenant": "b"}], columns_of(tenant=Kind.TEXT), naming=Naming())
    name = tenant_name("Acme Corp")

    assert [item["tenant"] for item in sets_of(answer_to(snapshot, {"tenantName": name}))] == ["Acme Corp"]
    assert [item["tenant"] for item in sets_of(answer_to(snapshot, {"selector": f"tenantName={name}"}))] == [
        "Acme Corp"
    ]


# --- types ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "written", "text"),
    [
        (Kind.NUMBER, "007", "7"),
        (Kind.NUMBER, "-007", "-7"),
        (Kind.NUMBER, "\N{NO-BREAK SPACE}5 ", "5"),
        (Kind.NUMBER, "1.50", "1.50"),
        (Kind.NUMBER, "1e3", "1000"),
        (Kind.BOOLEAN, "t", "true"),
        (Kind.BOOLEAN, "0", "false"),
        (Kind.TIMESTAMP, "2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
    ],
)
def test_text_is_read_as_the_type_that_is_declared(kind: Kind, written: str, text: str) -> None:
    assert one({"seats": written}, FieldShape("seats", kind=kind))["seats"] == text


@pytest.mark.parametrize(
    ("kind", "written", "reason"),
    [
        (Kind.NUMBER, "many", "seats is not a number"),
        (Kind.NUMBER, "NaN", "seats is not a finite number"),
        (Kind.BOOLEAN, "yes", "seats is not a boolean"),
        (Kind.JSON, "{", "seats is not valid JSON"),
    ],
)
def test_what_is_not_of_the_declared_type_quarantines_its_row(kind: Kind, written: str, reason: str) -> None:
    assert quarantined({"seats": written}, FieldShape("seats", kind=kind)) == reason


def test_json_that_is_declared_as_text_is_the_text_of_the_database() -> None:
    assert one({"settings": '{"a": 1}'}, FieldShape("settings", kind=Kind.TEXT))["settings"] == '{"a": 1}'


@pytest.mark.parametrize(
    ("kind", "written", "native"),
    [(Kind.NUMBER, "1234567", 1234567), (Kind.NUMBER, "007", 7), (Kind.BOOLEAN, "true", True), (Kind.NUMBER, None, "")],
)
def test_a_native_field_keeps_its_json_type_and_null_is_still_no_null(
    kind: Kind, written: str | None, native: object
) -> None:
    found = one({"seats": written}, FieldShape("seats", kind=kind, native=True))["seats"]

    assert found == native
    assert type(found) is type(native)


def test_native_json_keeps_the_types_of_its_leaves_and_empty_lists() -> None:
    row: Row = {
        "settings": '{"n": 9007199254740993, "x": 1.50, "on": true, "off": false, "text": "1", "none": null, '
        '"list": [], "more": [1, false, null, "2", {"x": 3}]}'
    }
    snapshot = snapshot_of([{"tenant": "a", **row}], COLUMNS, fields=(FieldShape("settings", native=True),))

    body = answer_to(snapshot).body.decode()

    assert (
        '"settings":{"list":[],"more":[1,false,"","2",{"x":3}],"n":9007199254740993,"none":"","off":false,"on":true,'
        '"text":"1","x":1.50}'
    ) in body


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ({"seats": "1e309"}, FieldShape("seats", kind=Kind.NUMBER, native=True)),
        ({"settings": '{"a": [{"b": -1e309}]}'}, FieldShape("settings", native=True)),
    ],
)
def test_a_number_that_no_float_holds_is_never_sent_as_one(row: Row, shape: FieldShape) -> None:
    """Go would read nothing of the whole answer."""
    assert "is a number that no float holds, which a native field cannot be" in quarantined(row, shape)
    assert one({"settings": '{"a": 1e309, "b": "1e309"}'})["settings"]["a"].startswith("1000")  # type: ignore[index]
    assert one({"settings": '{"b": "1e309"}'}, FieldShape("settings", native=True))["settings"] == {"b": "1e309"}


@pytest.mark.parametrize("written", ["²", "١٢", "\uff11\uff12", "-\u0661"])
def test_a_native_number_in_digits_that_json_does_not_know_quarantines_its_row_alone(written: str) -> None:
    """A float made of them, or a number that is none in the answer, would stop all tenants."""
    rows: list[Row] = [{"tenant": "a", "seats": "2"}, {"tenant": "b", "seats": written}]
    snapshot = snapshot_of(rows, COLUMNS, fields=(FieldShape("seats", kind=Kind.NUMBER, native=True),))

    assert [item["seats"] for item in sets_of(answer_to(snapshot))] == [2]
    assert [row.sentence for row in snapshot.quarantined] == ["Row 2, column 'seats', is not a number."]


def test_native_values_compare_as_text_all_the_same() -> None:
    snapshot = snapshot_of(
        [{"tenant": "a", "settings": '{"on": true}'}], COLUMNS, fields=(FieldShape("settings", native=True),)
    )

    assert len(sets_of(answer_to(snapshot, {"settings.on": "true"}))) == 1


def test_a_native_field_of_a_type_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(RefusedColumn, match="field 'plan' is native, but its type is not known"):
        served([], FieldShape("plan", native=True))


# --- defaults ---------------------------------------------------------------------------------------------------


def test_null_means_the_default_and_an_empty_text_does_not() -> None:
    rows: list[Row] = [{"tenant": "a", "plan": None}, {"tenant": "b", "plan": ""}, {"tenant": "c", "plan": "pro"}]

    assert [item["plan"] for item in served(rows, FieldShape("plan", default="basic"))] == ["basic", "", "pro"]


def test_declared_leaves_are_always_there_and_the_row_wins_key_by_key() -> None:
    leaves: Json = {"tier": "basic", "limits": {"cpu": NumberText("1"), "memory": "1Gi"}}

    found = one({"settings": '{"limits": {"cpu": 4}}'}, FieldShape("settings", default=leaves))

    assert found["settings"] == {"tier": "basic", "limits": {"cpu": "4", "memory": "1Gi"}}
    assert one({"settings": None}, FieldShape("settings", default=leaves))["settings"] == {
        "tier": "basic",
        "limits": {"cpu": "1", "memory": "1Gi"},
    }


def test_layers_go_over_the_default_in_their_order_and_the_row_over_all() -> None:
    shapes = (FieldShape("seats", default="1"), FieldShape("settings", default={"cpu": "1", "zone": "any"}))
    layers = (
        layer({"plan": "pro"}, seats="10", settings={"cpu": "2"}),
        layer({"plan": "pro", "settings.zone": "eu"}, settings={"cpu": "3"}),
    )
    rows: list[Row] = [
        {"tenant": "a", "plan": "basic"},
        {"tenant": "b", "plan": "pro"},
        {"tenant": "c", "plan": "pro", "settings": '{"zone": "eu"}'},
        {"tenant": "d", "plan": "pro", "seats": "7", "settings": '{"zone": "eu", "cpu": "9"}'},
    ]

    found = [(item["seats"], item["settings"]) for item in served(rows, *shapes, defaults=layers)]

    assert found == [
        ("1", {"cpu": "1", "zone": "any"}),
        ("10", {"cpu": "2", "zone": "any"}),
        ("10", {"cpu": "3", "zone": "eu"}),
        ("7", {"cpu": "9", "zone": "eu"}),
    ]


def test_a_layer_sees_the_defaults_of_the_layers_before_it() -> None:
    layers = (layer({"seats": "1"}, plan="pro"), layer({"plan": "pro"}, settings={"cpu": "2"}))

    assert one({}, FieldShape("seats", default="1"), defaults=layers)["settings"] == {"cpu": "2"}


def test_a_layer_sees_the_defaults_of_leaves_unless_the_row_has_another_value() -> None:
    shapes = (FieldShape("settings", default={"tier": "gold"}),)
    layers = (layer({"settings.tier": "gold"}, plan="pro"),)
    rows: list[Row] = [{"tenant": "a"}, {"tenant": "b", "settings": '{"tier": "silver"}'}]

    assert [item["plan"] for item in served(rows, *shapes, defaults=layers)] == ["pro", ""]


def test_a_layer_that_depends_on_a_text_is_not_for_those_who_have_an_object_or_a_list_there() -> None:
    layers = (layer({"settings": "x"}, plan="pro"), layer({"settings.zones": "eu"}, seats="9"))
    rows: list[Row] = [
        {"tenant": "a", "settings": '{"zones": ["eu"]}'},
        {"tenant": "b", "settings": '{"zones": "eu"}'},
    ]
    alone: list[Row] = [{"tenant": "a", "settings": '["x"]'}, {"tenant": "b", "settings": '"x"'}]

    zones = [(item["plan"], item["seats"]) for row in rows for item in served([row], defaults=layers)]
    assert zones == [("", ""), ("", "9")]
    assert [item["plan"] for item in served(alone, defaults=layers)] == ["", "pro"]


def test_a_default_in_a_layer_is_written_as_its_type_is() -> None:
    layers = (layer({"tenant": "a"}, seats="007"),)

    assert one({}, FieldShape("seats", kind=Kind.NUMBER), defaults=layers)["seats"] == "7"


def test_a_default_of_what_is_declared_as_text_may_have_line_breaks() -> None:
    assert one({}, FieldShape("plan", kind=Kind.TEXT, default="a\nb"))["plan"] == "a\nb"


@pytest.mark.parametrize(
    ("default", "settings", "found"),
    [
        ({"a": {}}, '{"a": "x"}', {"a": "x"}),
        ({"a": {}}, '{"a": {"b": "x"}}', {"a": {"b": "x"}}),
        ({"a": "x"}, '{"a": {}}', {"a": "x"}),
        ({"a": "x"}, '{"a": null}', {"a": "x"}),
        ({"b": "x"}, '{"a": {}}', {"a": "{}", "b": "x"}),
        ({"b": "x"}, '{"a": null}', {"a": "", "b": "x"}),
    ],
)
def test_an_empty_object_fits_a_value_and_an_object_and_says_nothing(
    default: Json, settings: str, found: dict[str, object]
) -> None:
    assert one({"settings": settings}, FieldShape("settings", default=default))["settings"] == found


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('{"limits": "none"}', "settings holds a single value where its default is an object"),
        ('{"tier": {"name": "x"}}', "settings holds an object where its default is a single value"),
        ("[]", "settings holds a single value where its default is an object"),
    ],
)
def test_json_of_another_shape_than_its_declared_leaves_quarantines_its_row(settings: str, reason: str) -> None:
    shape = FieldShape("settings", default={"tier": "basic", "limits": {"cpu": "1"}})

    assert quarantined({"settings": settings}, shape) == reason


@pytest.mark.parametrize(
    ("shapes", "layers", "told"),
    [
        ((FieldShape("plan", default={"a": "b"}),), (), "A default of 'plan' has leaves, but the field is no JSON"),
        ((FieldShape("plan", kind=Kind.NUMBER, default="many"),), (), "A default of 'plan' is not a number"),
        ((FieldShape("plan", kind=Kind.BOOLEAN, default="maybe"),), (), "A default of 'plan' is not a boolean"),
        (
            (FieldShape("plan", kind=Kind.NUMBER),),
            (layer({"tenant": "a"}, plan="x"),),
            "A default of 'plan' is not a n",
        ),
        ((FieldShape("plan", default="a\nb"),), (), "A default of 'plan' holds a line break or control character"),
        ((), (layer({"plan": "x"}, nothing="1"),), "A default is given to 'nothing', which is no field"),
        ((), (layer({"paln": "x"}, plan="1"),), "A default depends on 'paln', which is neither a field nor a leaf"),
        ((), (layer({"plan.x": "x"}, plan="1"),), "A default depends on 'plan.x'"),
        (
            (FieldShape("settings", default={"a": "1"}),),
            (layer({"plan": "x"}, settings={"a": {"b": "c"}}),),
            "A default holds an object where its default is a single value",
        ),
    ],
)
def test_defaults_that_cannot_hold_are_told_at_the_first_read(
    shapes: tuple[FieldShape, ...], layers: tuple[Layer, ...], told: str
) -> None:
    with pytest.raises(RefusedColumn, match=told):
        served([], *shapes, defaults=layers)


LEAF = st.sampled_from(["x", "y", "", None])
OBJECT: st.SearchStrategy[Json] = st.recursive(
    LEAF, lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3), max_leaves=6
)


@given(OBJECT, OBJECT, OBJECT)
def test_merging_is_the_same_in_whichever_order_it_is_done(first: Json, second: Json, third: Json) -> None:
    def result(left: bool) -> Json:
        try:
            return merged(merged(first, second), third) if left else merged(first, merged(second, third))
        except NoText:
            return "does not fit"

    assert "does not fit" in (result(left=True), result(left=False)) or result(left=True) == result(left=False)


@given(OBJECT, OBJECT)
def test_what_a_row_says_is_never_lost_in_merging(below: Json, own: Json) -> None:
    try:
        found = merged(below, own)
    except NoText:
        return
    for path, text in texts_by_path(own):
        assert (path, text) in texts_by_path(found)


def texts_by_path(value: Json, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        return [found for key, below in value.items() for found in texts_by_path(below, (*path, key))]
    return [(path, value)] if isinstance(value, str) else []


# --- what a request may name ------------------------------------------------------------------------------------


def test_a_request_names_declared_leaves_only() -> None:
    snapshot = snapshot_of(
        [{"tenant": "a", "settings": '{"other": "x"}'}],
        COLUMNS,
        fields=(FieldShape("settings", default={"tier": "basic"}),),
        defaults=(layer({"plan": "pro"}, settings={"zone": {"name": "eu"}}),),
    )

    assert len(sets_of(answer_to(snapshot, {"settings.tier": "basic"}))) == 1
    assert sets_of(answer_to(snapshot, {"settings.zone.name": "eu"})) == []
    with pytest.raises(
        UnknownParameter, match=r"'settings.teir'.*Known: settings.tier, settings.zone.name.*settings.tier"
    ):
        answer_to(snapshot, {"settings.teir": "basic"})
    with pytest.raises(UnknownParameter, match=r"settings\.other"):
        answer_to(snapshot, {"selector": "settings.other=x"})


def test_leaves_that_are_not_declared_are_served_all_the_same() -> None:
    found = one({"settings": '{"other": "x"}'}, FieldShape("settings", default={"tier": "basic"}))

    assert found["settings"] == {"other": "x", "tier": "basic"}


# --- allow-lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", ["customers-eu", "customers-", "shared"])
def test_an_allow_list_takes_what_one_of_its_patterns_matches_as_a_whole(plan: str) -> None:
    assert one({"plan": plan}, FieldShape("plan", allow=("customers-*", "shared")))["plan"] == plan


@pytest.mark.parametrize("plan", ["default", "shared2", "my-customers-eu", "Shared", "shared\n", "customers.x", ""])
def test_what_no_pattern_matches_quarantines_its_row(plan: str) -> None:
    reason = quarantined({"plan": plan}, FieldShape("plan", kind=Kind.TEXT, allow=("customers-*", "shared")))

    assert reason == "plan has a value that its allow-list does not have"


def test_null_is_nothing_that_an_allow_list_has_unless_a_default_is() -> None:
    assert quarantined({"plan": None}, FieldShape("plan", allow=("*",))) == (
        "plan has no value, which its allow-list does not have"
    )
    assert one({"plan": None}, FieldShape("plan", default="shared", allow=("shared",)))["plan"] == "shared"


def test_a_leaf_has_an_allow_list_under_its_dotted_name() -> None:
    shape = FieldShape("settings.project", allow=("customers-*",))

    assert one({"settings": '{"project": "customers-eu"}'}, shape)["settings"] == {"project": "customers-eu"}
    assert quarantined({"settings": '{"project": "default"}'}, shape) == (
        "settings has a value under 'project' that its allow-list does not have"
    )
    assert quarantined({"settings": "{}"}, shape) == (
        "settings has no value under 'project', which its allow-list does not have"
    )
    assert "project" in quarantined({"settings": '{"project": ["customers-eu", "default"]}'}, shape)


def test_an_allow_list_is_about_every_text_below_it() -> None:
    shape = FieldShape("settings.projects", allow=("customers-*",))
    good = '{"projects": ["customers-a", {"more": "customers-b"}]}'

    assert one({"settings": good}, shape)["settings"] == json.loads(good)
    assert quarantined({"settings": '{"projects": ["customers-a", {"more": "default"}]}'}, shape) == (
        "settings has a value under 'projects' that its allow-list does not have"
    )


def test_a_tenant_that_breaks_an_allow_list_stays_as_it_was() -> None:
    shape = FieldShape("plan", allow=("customers-*",))
    before = snapshot_of([{"tenant": "a", "plan": "customers-eu"}], COLUMNS, fields=(shape,))

    after = snapshot_of([{"tenant": "a", "plan": "default"}], COLUMNS, previous=before, fields=(shape,))

    assert sets_of(answer_to(after)) == sets_of(answer_to(before))
    assert after.quarantined[0].kept


def test_what_is_said_of_a_leaf_that_no_field_has_is_refused() -> None:
    with pytest.raises(RefusedColumn, match=r"`fields` tells of 'plan.x', which is neither a field nor a leaf"):
        served([], FieldShape("plan.x", allow=("*",)))
    with pytest.raises(RefusedColumn, match=r"`fields` tells of 'settings2.x', which is neither a field nor a leaf"):
        served([], FieldShape("settings2.x", allow=("*",)))
    for shape in (
        FieldShape("settings.x", native=True),
        FieldShape("settings.x", default="1"),
        FieldShape("settings.x", kind=Kind.NUMBER),
    ):
        with pytest.raises(RefusedColumn, match=r"of the leaf 'settings.x', `fields` can only tell `allow`"):
            served([], shape)


@given(
    st.lists(st.text(alphabet="ab*.+\n", max_size=5), min_size=1, max_size=3), st.text(alphabet="ab*.+\n", max_size=8)
)
def test_a_pattern_means_the_same_as_a_search_by_hand(patterns: list[str], text: str) -> None:
    assert bool(pattern_of(patterns).fullmatch(text)) == any(matches(pattern, text) for pattern in patterns)


def matches(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(matches(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and matches(pattern[1:], text[1:])


# --- control characters -----------------------------------------------------------------------------------------

CONTROLS = ["\n", "\r", "\t", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("control", CONTROLS)
def test_text_with_a_control_character_quarantines_its_row_unless_declared_as_text(control: str) -> None:
    row: Row = {"plan": f"a{control}b"}

    assert quarantined(row) == (
        "plan holds a line break or control character, which only a field that is declared as text may have"
    )
    assert one(row, FieldShape("plan", kind=Kind.TEXT))["plan"] == f"a{control}b"


@pytest.mark.parametrize("control", CONTROLS)
def test_so_does_json_in_a_leaf_or_a_key(control: str) -> None:
    free = FieldShape("settings.note", kind=Kind.TEXT)
    in_leaf: Row = {"settings": json.dumps({"note": [f"a{control}b"]})}

    assert quarantined(in_leaf).startswith("settings holds a line break or control character")
    assert quarantined({"settings": json.dumps({f"a{control}": "b"})}, free).startswith("settings holds a line break")
    assert one(in_leaf, free)["settings"] == {"note": [f"a{control}b"]}
    assert one({"settings": json.dumps({"a": "b"}, indent=2)})["settings"] == {"a": "b"}


@pytest.mark.parametrize("control", ["\x7f", "\x85", "\x9b", "\u2028", "\u2029"])
def test_so_does_json_that_holds_it_without_an_escape(control: str) -> None:
    row: Row = {"settings": json.dumps({"a": f"b{control}c"}, ensure_ascii=False)}

    assert quarantined(row).startswith("settings holds a line break or control character")


@pytest.mark.parametrize(
    ("leaf", "good", "bad"),
    [
        ("settings.note", {"note": "a\nb"}, {"notes": "a\nb"}),
        ("settings.note", {"note": {"x": "a\nb"}}, {"x": {"note": "a\nb"}}),
        ("settings.a.note", {"a": {"note": "a\nb"}}, {"note": "a\nb"}),
        ("settings.notes.1", {"notes": ["a", "b\nc"]}, {"notes": ["a\nb", "c"]}),
    ],
)
def test_only_the_leaf_that_is_declared_as_text_may_have_them(leaf: str, good: object, bad: object) -> None:
    shape = FieldShape(leaf, kind=Kind.TEXT)

    assert one({"settings": json.dumps(good)}, shape)["settings"] == good
    assert quarantined({"settings": json.dumps(bad)}, shape).startswith("settings holds a line break")


def test_a_leaf_that_is_declared_as_text_is_none_of_another_field() -> None:
    columns = columns_of(tenant=Kind.TEXT, settings=Kind.JSON, other=Kind.JSON)
    note = json.dumps({"note": "a\nb"})
    rows: list[Row] = [{"tenant": "a", "other": note}, {"tenant": "b", "settings": note}]

    snapshot = snapshot_of(rows, columns, fields=(FieldShape("other.note", kind=Kind.TEXT),))

    assert [(row.tenant, row.column) for row in snapshot.quarantined] == [("b", "settings")]


@pytest.mark.parametrize(
    "text", ["Žluťoučký kůň", "株式会社", "👩‍🚀", "a\N{NO-BREAK SPACE}b", "\N{SOFT HYPHEN}", "{{ x }}"]
)
def test_what_people_write_is_no_control_character(text: str) -> None:
    assert one({"plan": text})["plan"] == text


def test_an_id_with_a_line_break_is_quarantined_as_its_own() -> None:
    snapshot: Snapshot = snapshot_of([{"tenant": "a\nb"}, {"tenant": "c"}], COLUMNS)

    assert [(row.tenant, row.column) for row in snapshot.quarantined] == [("a\nb", "tenant")]


def test_booleans_and_numbers_of_a_default_are_text_unless_the_field_is_native() -> None:
    leaves: Json = {"on": BooleanText("true"), "n": NumberText("2")}

    assert one({}, FieldShape("settings", default=leaves))["settings"] == {"n": "2", "on": "true"}
    assert one({}, FieldShape("settings", default=leaves, native=True))["settings"] == {"n": 2, "on": True}
    assert one({}, FieldShape("seats", default=NumberText("2")))["seats"] == "2"
    assert one({}, FieldShape("seats", kind=Kind.NUMBER, default=NumberText("2"), native=True))["seats"] == 2
