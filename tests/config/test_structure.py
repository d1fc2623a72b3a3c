"""Fields, defaults and views in the configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tenantry.config.loading import load
from tenantry.config.settings import Settings
from tenantry.core.columns import Kind
from tenantry.core.defaults import Layer
from tenantry.core.errors import ConfigurationError
from tenantry.core.fields import FieldShape
from tenantry.core.values import BooleanText, NumberText


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tenantry.yaml"


def loaded(text: str, file: Path) -> Settings:
    file.write_text(text)
    return load(file, {}, {})


def problems_of(text: str, file: Path) -> list[str]:
    """Return the problems of a file, each without its path."""
    with pytest.raises(ConfigurationError) as refused:
        loaded(text, file)
    return [problem.removeprefix(f"{file} ") for problem in refused.value.problems]


def test_all_that_can_be_said_of_a_field(file: Path) -> None:
    text = """
fields:
  tier: {column: plan, default: basic, allow: [basic, "pro-*"]}
  seats: {type: number, native: true, default: 5}
  on: {type: boolean, default: false}
  notes: {type: text}
  settings:
    type: json
    leaves: {limits: {cpu: 1, memory: 1Gi}, zones: [eu, us], on: true}
  settings.project: {allow: customers-*}
"""
    assert loaded(text, file).fields == (
        FieldShape("tier", column="plan", default="basic", allow=("basic", "pro-*")),
        FieldShape("seats", kind=Kind.NUMBER, native=True, default="5"),
        FieldShape("on", kind=Kind.BOOLEAN, default="false"),
        FieldShape("notes", kind=Kind.TEXT),
        FieldShape(
            "settings",
            kind=Kind.JSON,
            default={"limits": {"cpu": "1", "memory": "1Gi"}, "zones": ["eu", "us"], "on": "true"},
        ),
        FieldShape("settings.project", allow=("customers-*",)),
    )


def test_defaults_know_which_of_them_are_numbers_and_booleans(file: Path) -> None:
    (shape,) = loaded("fields: {settings: {leaves: {n: 1, on: true, text: '1'}}}", file).fields

    assert isinstance(shape.default, dict)
    assert [type(value) for value in shape.default.values()] == [NumberText, BooleanText, str]


def test_a_field_with_leaves_may_have_an_allow_list_for_all_of_them(file: Path) -> None:
    (shape,) = loaded("fields: {settings: {leaves: {a: b}, allow: '*'}}", file).fields

    assert (shape.default, shape.allow) == ({"a": "b"}, ("*",))


def test_layers_of_defaults_keep_their_order(file: Path) -> None:
    text = """
defaults:
- when: {tier: [gold, silver], settings.zone: eu}
  set: {seats: 10, settings: {limits: {cpu: "2"}}}
- when: {region: us}
  set: {seats: 3}
"""
    assert loaded(text, file).defaults == (
        Layer(
            (("tier", frozenset({"gold", "silver"})), ("settings.zone", frozenset({"eu"}))),
            (("seats", "10"), ("settings", {"limits": {"cpu": "2"}})),
        ),
        Layer((("region", frozenset({"us"})),), (("seats", "3"),)),
    )


def test_views_hold_what_a_request_would(file: Path) -> None:
    text = """
views:
  paying: {selector: "status=active,plan in (pro,enterprise)"}
  first: {status: [active, trial], seats: 5, on: true, off: "true", shard: {index: 0, count: 4}}
  by-expression: {selector: {matchExpressions: [{key: plan, operator: In, values: [pro]}]}}
"""
    assert dict(loaded(text, file).views) == {
        "paying": {"selector": "status=active,plan in (pro,enterprise)"},
        "first": {
            "status": ["active", "trial"],
            "seats": "5",
            "on": True,
            "off": "true",
            "shard": {"index": "0", "count": "4"},
        },
        "by-expression": {"selector": {"matchExpressions": [{"key": "plan", "operator": "In", "values": ["pro"]}]}},
    }


def test_a_section_without_content_is_as_if_it_were_not_there(file: Path) -> None:
    assert loaded("fields:\ndefaults:\nviews:\n", file) == Settings()


NO_TEXT = "It holds a character that is not text."
DEEP = "[" * 40 + "x" + "]" * 40
WHAT = "It takes a text, a whole number or a boolean; write other numbers and dates in quotes."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("fields: []", "line 1: fields: It is a mapping of names."),
        (
            "fields:\n  plan: pro",
            "line 2: fields.plan: It takes column, type, native, default, leaves, allow below it.",
        ),
        (
            "fields:\n  plan: {defautl: x}",
            ("line 2: fields.plan: there is no setting of a field called 'defautl'. Known: allow, column, default, "
            "leaves, native, type. Did you mean 'default'?"),
        ),
        (
            "fields:\n  plan: {type: string}",
            "line 2: fields.plan.type: there is no type called 'string'. Known: boolean, json, number, text, timestamp.",  # noqa: E501 -- as it is told
        ),
        ("fields:\n  plan:\n    native: maybe", "line 3: fields.plan.native: It is true or false."),
        ("fields:\n  plan: {default: 1.50}", f"line 2: fields.plan.default: {WHAT}"),
        ("fields:\n  plan: {default: 2026-01-01}", f"line 2: fields.plan.default: {WHAT}"),
        ("fields:\n  plan: {default: }", "line 2: fields.plan.default: It has no value."),
        ("fields:\n  plan: {default: {a: b}}", f"line 2: fields.plan.default: {WHAT}"),
        ("fields:\n  plan: {leaves: []}", "line 2: fields.plan.leaves: It is a mapping of leaves to their defaults."),
        ("fields:\n  plan: {leaves: {a: {b: }}}", "line 2: fields.plan.leaves.a.b: It has no value."),
        (
            "fields:\n  plan: {leaves: {a: b}, default: x}",
            "line 2: fields.plan.default: With leaves, each of those has a default of its own.",
        ),
        (
            "fields:\n  plan: {leaves: {a: b}, type: text}",
            "line 2: fields.plan.leaves: Only JSON has leaves: its type is another one.",
        ),
        (
            "fields:\n  plan: {allow: []}",
            ("line 2: fields.plan.allow: It takes a pattern or a list of patterns, in which `*` is any text; a number "
            "in quotes."),
        ),
        (
            "fields:\n  plan: {allow: a-*, default: b}",
            "line 2: fields.plan.default: Its own allow-list does not have it.",
        ),
        (
            "fields:\n  plan: {leaves: {a: b}, type: number}",
            "line 2: fields.plan.leaves: Only JSON has leaves: its type is another one.",
        ),
        ("fields:\n  plan: {leaves: {}}", "line 2: fields.plan.leaves: It is a mapping of leaves to their defaults."),
        (
            "fields:\n  plan: {allow: [a, '']}",
            ("line 2: fields.plan.allow: It takes a pattern or a list of patterns, in which `*` is any text; a number "
            "in quotes."),
        ),
        ('fields:\n  plan: {allow: "a\\0"}', f"line 2: fields.plan.allow: {NO_TEXT}"),
        ('fields:\n  plan: {default: "a\\0"}', f"line 2: fields.plan.default: {NO_TEXT}"),
        ('fields:\n  plan: {column: "a\\0"}', f"line 2: fields.plan.column: {NO_TEXT}"),
        ("fields:\n  plan: {column: ' '}", "line 2: fields.plan.column: It takes a name."),
        (f"fields:\n  plan:\n    leaves: {{a: {DEEP}}}", "line 3: fields.plan.leaves.a: It is nested too deep."),
        ("fields:\n  ' ': {column: a}", "line 2: fields: A name is text: write it in quotes."),
        ("fields:\n  https://me:secret@host: x", "line 2: fields.(not a name): It takes column, type, native, default, leaves, allow below it."),  # noqa: E501 -- as it is told
        ("fields:\n  plan: {column: 5}", "line 2: fields.plan.column: It takes a name."),
        ("fields:\n  5: {column: a}", "line 2: fields: A name is text: write it in quotes."),
        ("fields:\n  values: {column: a}", "line 2: fields.values: Argo CD overwrites a parameter called 'values'."),
        ("defaults: {}", "line 1: defaults: It is a list, each item with when, set."),
        ("defaults:\n- x", "line 2: defaults[0]: It takes when, set below it."),
        (
            "defaults:\n- {when: {a: b}, set: {c: d}, else: {}}",
            "line 2: defaults[0]: there is no part of a default called 'else'. Known: set, when.",
        ),
        (
            "defaults:\n- {when: {a: b}}",
            ("line 2: defaults[0].set: It is a mapping. The defaults of fields for those tenants; JSON is merged key by "  # noqa: E501 -- as it is told
            "key."),
        ),
        (
            "defaults:\n- when: {}\n  set: {c: d}",
            "line 2: defaults[0].when: It is a mapping. Fields or dotted leaves, and the value, or list of values, of which each has one.",  # noqa: E501 -- as it is told
        ),
        (
            "defaults:\n- when: {a: b}\n  set: x",
            ("line 3: defaults[0].set: It is a mapping. The defaults of fields for those tenants; JSON is merged key by "  # noqa: E501 -- as it is told
            "key."),
        ),
        ("defaults:\n- when: {a: []}\n  set: {c: d}", "line 2: defaults[0].when.a: The list is empty."),
        ("defaults:\n- when: {a: b}\n  set:\n    c: 1.5", f"line 4: defaults[0].set.c: {WHAT}"),
        ("views: [x]", "line 1: views: It is a mapping of names."),
        (
            "views:\n  paying:",
            "line 2: views.paying: It takes what a request takes: fields with their values, selector, shard.",
        ),
        ("views:\n  a: {view: b}", "line 2: views.a.view: A view cannot have it; a request can."),
        ("views:\n  a: {allowEmpty: true}", "line 2: views.a.allowEmpty: A view cannot have it; a request can."),
        (f"views:\n  a: {{plan: {DEEP}}}", "line 2: views.a.plan: It is nested too deep."),
        ("views:\n  a: {plan: 1.5}", f"line 2: views.a.plan: {WHAT}"),
    ],
)  # fmt: skip
def test_a_problem_tells_its_line_and_what_is_allowed(text: str, problem: str, file: Path) -> None:
    assert problems_of(text, file) == [problem]


def test_a_selector_that_cannot_be_read_is_told_at_once(file: Path) -> None:
    (problem,) = problems_of("views:\n  gold:\n    selector: 'tier in (gold'\n", file)

    assert problem.startswith("line 3: views.gold.selector: ")


def test_every_problem_is_told(file: Path) -> None:
    text = "fields:\n  a: {type: x}\n  b: {native: 1}\ndefaults:\n- x\n- y\nviews:\n  c: {}\n"

    assert [problem.split(":")[0] for problem in problems_of(text, file)] == [f"line {n}" for n in (2, 3, 5, 6, 8)]


def test_fields_that_are_not_served_are_a_contradiction(file: Path) -> None:
    text = "source: {parameters: [tenant]}\nfields: {tier: {column: plan}, settings.x: {allow: a}}\n"

    assert problems_of(text, file) == [
        "line 2: `fields` tells of 'tier', which source.parameters does not list: add it there, or leave it out here."
    ]


def test_fields_that_are_not_understood_are_in_no_contradiction(file: Path) -> None:
    text = "source: {parameters: [tenant]}\nfields: {tier: {column: plan}, tenant: {native: 5}}\n"

    assert problems_of(text, file) == ["line 2: fields.tenant.native: It is true or false."]


def test_two_computed_fields_cannot_have_one_name(file: Path) -> None:
    assert problems_of("naming: {name: a, label: a}", file) == [
        "line 1: naming.name and naming.label are the same field."
    ]
    assert loaded("naming: {name: 'off', label: 'off'}", file).naming.label == "off"


SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["a", "b", "in", "json", "text", "x-*", ""])
CONTENT = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["a", "b", "column", "type", "default", "leaves", "allow", "when", "set", "selector", "shard"]
            ),
            below,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(section=st.sampled_from(["fields", "defaults", "views"]), content=CONTENT)
def test_whatever_is_written_it_is_understood_or_told(section: str, content: object, file: Path) -> None:
    from ruamel.yaml import YAML

    YAML(typ="safe", pure=True).dump({section: content}, file)

    try:
        settings = load(file, {}, {})
    except ConfigurationError as refused:
        assert all(problem.startswith(f"{file} line ") for problem in refused.problems)  # noqa: PT017 -- one of two good ends
    else:
        assert getattr(settings, section) or not content
