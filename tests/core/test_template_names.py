"""Which fields the name of an Application is made of, and what comes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.template_names import fields_in, rendered

FIELD = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}(\.[A-Za-z_][A-Za-z0-9_]{0,3})?", fullmatch=True)
TEXT = st.text(st.sampled_from("abc-."), max_size=4)


@given(st.lists(st.tuples(TEXT, FIELD), min_size=1, max_size=4), st.booleans())
def test_the_plain_fields_of_a_name_are_known(parts: list[tuple[str, str]], go_template: bool) -> None:
    dot = "." if go_template else ""
    template = "".join(f"{text}{{{{ {dot}{field} }}}}" for text, field in parts)

    assert fields_in(template, go_template=go_template) == {field for _, field in parts}


@given(st.lists(st.tuples(TEXT, st.sampled_from("abc")), min_size=1, max_size=4), st.booleans())
def test_a_name_of_plain_fields_comes_out_as_argo_cd_makes_it(
    parts: list[tuple[str, str]],
    go_template: bool,
) -> None:
    dot = "." if go_template else ""
    template = "".join(f"{text}{{{{{dot}{field}}}}}" for text, field in parts)

    values = {"a": "1", "b": "2", "c": "3"}

    name = rendered(template, values, go_template=go_template)

    assert name == "".join(f"{text}{values[field]}" for text, field in parts)


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ('app-{{ .tenant | lower | replace "_" "-" | trunc 53 }}', {"tenant"}),
        ('{{ printf "%s-%s" .a .b.c }}', {"a", "b.c"}),
        ('{{ index . "a-b" }}', {"a-b"}),
        ('{{ index . "a" "b" | lower }}{{ .c }}', {"a.b", "c"}),
        ('{{ default "x.y" .a }}', {"a"}),
        ("{{ $.a }}", {"a"}),
        ("{{- .a -}}", {"a"}),
        ("{{ if .a }}{{ .b }}{{ else }}c{{ end }}", {"a", "b"}),
        ("{{ (lower .a) }}", {"a"}),
        ("{{/* .a */}}{{ .b }}", {"b"}),
        ("{{ `.a` }}", set()),
        ("plain", set()),
        ("{{ now }}", set()),
    ],
)
def test_every_field_that_a_go_template_names_counts(template: str, fields: set[str]) -> None:
    assert fields_in(template, go_template=True) == fields


@pytest.mark.parametrize(
    "template",
    [
        "{{ toJson . }}",
        "{{ . | toJson }}",
        "{{ toJson $ }}",
        "{{ range .a }}{{ .b }}{{ end }}",
        "{{ with .a }}{{ .b }}{{ end }}",
        "{{ $x := .a }}{{ $x.b }}",
        '{{ template "name" . }}',
        "{{ (index .a 0).b }}",
        "{{ index . .a }}",
    ],
)
def test_a_template_of_which_everything_may_depend_is_not_known(template: str) -> None:
    assert fields_in(template, go_template=True) is None


@pytest.mark.parametrize(
    ("template", "tenant", "name"),
    [
        ('foobar-app-{{ .tenant | lower | replace "_" "-" | trunc 53 }}', "Acme_Corp", "foobar-app-acme-corp"),
        ("{{ .tenant | trunc 3 }}", "äöü", "ä\ufffd"),
        ("{{ .tenant | trunc -3 }}", "abcde", "cde"),
        ("{{ .tenant | normalize }}", "Acme (EU)", "acme--eu"),
        ('{{.tenant|trimPrefix "a"|trimSuffix "c"|upper}}', "abc", "B"),
        ("{{ .tenant | trim }}", " a ", "a"),
    ],
)
def test_functions_of_text_that_names_are_usually_made_with_are_known(template: str, tenant: str, name: str) -> None:
    assert rendered(template, {"tenant": tenant}, go_template=True) == name


@pytest.mark.parametrize(
    "template",
    [
        "{{ .a | sha256sum }}",
        "{{ lower .a }}",
        "{{- .a }}",
        "{{ .missing }}",
        "{{ .nested }}",
        '{{ .a | replace "x" }}',
    ],
)
def test_a_name_that_only_argo_cd_can_make_is_not_made_up(template: str) -> None:
    assert rendered(template, {"a": "1", "nested": {"b": "2"}}, go_template=True) is None
