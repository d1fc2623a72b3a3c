"""What the generators of a live ApplicationSet can ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.service.answering import PluginRequest
from tenantry.service.keys import input_of
from tests.fakes import spec_with
from tests.guard.test_selectors import ACTIVE, plugin


def text_of(**parameters: object) -> str:
    return input_of(PluginRequest("prod", parameters))


@given(st.dictionaries(st.sampled_from("abc"), st.text(max_size=4) | st.booleans() | st.integers(-99, 99), max_size=3))
def test_a_generator_asks_for_what_is_written_there_and_for_nothing_else(parameters: dict[str, object]) -> None:
    spec = spec_with(plugin(**parameters))
    assert spec.may_ask(text_of(**parameters)) or any("{{" in str(value) for value in parameters.values())
    assert not spec.may_ask(text_of(**parameters, d="1"))
    assert spec.is_single


@given(region=st.text(max_size=5), cluster=st.text(max_size=5))
def test_a_template_may_become_whatever_its_tags_are_filled_with(region: str, cluster: str) -> None:
    spec = spec_with(plugin(region="{{region}}", nested={"of": ["x-{{ .name }}-y"]}))
    assert spec.may_ask(text_of(region=region, nested={"of": [f"x-{cluster}-y"]}))
    assert not spec.is_single


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ('{{ if eq .env "prod" }}eu{{ else }}us{{ end }}', "us"),
        ("{{ range .regions }}{{ . }},{{ end }}", "eu,us,"),
        ("eu- {{- .name }}", "eu-1"),
        ("{{ .name -}} -eu", "1-eu"),
        ('{{ "}}" }}', "}}"),
    ],
)
def test_a_template_that_decides_what_stands_beside_its_tags_may_become_anything(written: str, becomes: str) -> None:
    assert spec_with(plugin(region=written)).may_ask(text_of(region=becomes))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"region": "eu"},
        {"region": "eu", "tier": "silver"},
        {"region": ["eu"], "tier": "gold"},
        {"region": "eu", "tier": "gold", "more": "1"},
        {"region": True, "tier": "gold"},
    ],
)
def test_a_template_never_becomes_what_differs_besides_its_tags(asked: dict[str, object]) -> None:
    assert not spec_with(plugin(region="{{region}}", tier="gold")).may_ask(text_of(**asked))


def test_a_key_that_is_filled_may_be_any() -> None:
    assert spec_with(plugin(**{"{{key}}": "a"})).may_ask(text_of(region="eu"))


def test_a_number_may_be_written_in_another_way_where_go_does_so() -> None:
    shard = spec_with(plugin(shard={"index": 1, "count": 64}))
    assert shard.may_ask(text_of(shard={"index": 1, "count": 64}))
    assert not shard.may_ask(text_of(shard={"index": 2, "count": 64}))
    templated = spec_with(plugin(region="{{r}}", shard={"index": 1}))
    assert templated.may_ask(text_of(region="eu", shard={"index": 1}))
    assert not templated.may_ask(text_of(region="eu", shard={"index": 2}))
    assert spec_with(plugin(at={"least": 1 << 54})).may_ask(text_of(at={"least": (1 << 54) + 1}))
    assert spec_with(plugin(at={"least": 1.5})).may_ask(text_of(at={"least": "1.5"}))


def test_allow_empty_is_no_part_of_an_input() -> None:
    assert spec_with(plugin(region="eu", allowEmpty=True)).may_ask(text_of(region="eu"))


def test_only_the_selectors_of_who_can_ask_for_an_input_count_for_it() -> None:
    spec = spec_with(plugin(ACTIVE, region="eu"), plugin(region="us"))
    assert not spec.sight_of(text_of(region="eu"), is_current=True).sees_all
    assert spec.sight_of(text_of(region="us"), is_current=True).sees_all


def test_one_generator_beside_another_is_not_the_only_one() -> None:
    assert not spec_with(plugin(), {"list": {"elements": []}}).is_single
    assert not spec_with({"matrix": {"generators": [{"list": {}}, plugin()]}}).is_single
