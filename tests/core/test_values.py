"""Canonical text of single values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.core.values import NoText, boolean_text, number_text, parse_json, plain_text, timestamp_text, values_at


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        pytest.param("1.50", "1.50", id="a numeric keeps its scale"),
        pytest.param("1e+20", "100000000000000000000", id="an exponent is spelt out"),
        pytest.param("1e-07", "0.0000001", id="a small exponent too"),
        pytest.param("9007199254740993", "9007199254740993", id="no digit of a large integer is lost"),
        pytest.param("-0", "0", id="zero has no sign"),
        pytest.param("-0.00", "0.00", id="zero with a scale has no sign"),
        pytest.param("-12", "-12", id="a negative one"),
        pytest.param("1e400", "1" + "0" * 400, id="a large one that still fits"),
        pytest.param("1e-400", "0." + "0" * 399 + "1", id="a small one that still fits"),
        pytest.param("1E5", "100000", id="JSON may write a large exponent sign"),
    ],
)
def test_a_number_is_written_without_exponent(written: str, canonical: str) -> None:
    assert number_text(written) == canonical


@pytest.mark.parametrize(
    "written",
    ["NaN", "Infinity", "-Infinity", "1e401", "1e-401", "1e999999999", "acme", "", "²", "-²", "١٢", "\uff11.5"],
)
def test_what_is_no_finite_number_has_no_text(written: str) -> None:
    with pytest.raises(NoText):
        number_text(written)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_a_number_keeps_its_value(number: Decimal) -> None:
    text = number_text(str(number))

    assert Decimal(text) == number
    assert "e" not in text.lower()


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        pytest.param("2026-01-02 03:04:05+00", "2026-01-02T03:04:05Z", id="PostgreSQL with a time zone"),
        pytest.param("2026-01-02 03:04:05.5+00", "2026-01-02T03:04:05.500000Z", id="a fraction has six digits"),
        pytest.param("2026-01-02 03:04:05", "2026-01-02T03:04:05Z", id="without a time zone it is UTC"),
        pytest.param("2026-01-02T03:04:05.000000Z", "2026-01-02T03:04:05Z", id="an empty fraction is left out"),
        pytest.param("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z", id="another time zone becomes UTC"),
        pytest.param("2026-01-02 03:04:05+02", "2026-01-02T01:04:05Z", id="so does PostgreSQL's"),
        pytest.param("10000-01-02 00:00:00+00", "10000-01-02T00:00:00Z", id="years beyond 9999"),
        pytest.param("infinity", "infinity", id="what is no moment stays the database's own text"),
        pytest.param("2026-01-02", "2026-01-02", id="a day stays a day"),
    ],
)
def test_a_moment_is_written_in_utc(written: str, canonical: str) -> None:
    assert timestamp_text(written) == canonical


@pytest.mark.parametrize(
    ("stored", "text"),
    [("1", "true"), ("0", "false"), ("true", "true"), ("FALSE", "false"), ("T", "true"), ("yes", "yes")],
)
def test_a_boolean_is_true_or_false(stored: str, text: str) -> None:
    assert boolean_text(stored) == text


def test_bytes_have_no_text() -> None:
    with pytest.raises(NoText, match="not text"):
        plain_text(b"\xff")


def test_sqlite_values_become_text() -> None:
    assert [plain_text(value) for value in ("a", 5, 1.0, 2.5, True)] == ["a", "5", "1", "2.5", "true"]


def test_json_scalars_become_text_digit_by_digit() -> None:
    parsed = parse_json('{"n": 9007199254740993, "f": 1.50, "t": true, "z": null, "l": [1, "x"]}')

    assert parsed == {"n": "9007199254740993", "f": "1.50", "t": "true", "z": None, "l": ["1", "x"]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="cut in the middle"),
        pytest.param('{"a": 1, "a": 2}', id="a key twice"),
        pytest.param("NaN", id="NaN"),
        pytest.param('"\\ud800"', id="half of a character"),
        pytest.param("[" * 100_000, id="nested without end"),
        pytest.param("[" * 40 + "]" * 40, id="nested too deep"),
        pytest.param("1e999999999", id="a number that fills the memory"),
    ],
)
def test_json_that_cannot_be_sent_has_no_text(text: str) -> None:
    with pytest.raises(NoText):
        parse_json(text)


def test_json_may_be_nested_as_deep_as_the_reason_says() -> None:
    assert parse_json("[" * 32 + "1" + "]" * 32) is not None
    with pytest.raises(NoText, match="is nested deeper than 32 levels"):
        parse_json("[" * 33 + "1" + "]" * 33)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_that_is_sent_is_valid_unicode_or_has_no_text(value: object) -> None:
    try:
        parsed = parse_json(json.dumps(value))
    except NoText:
        return
    json.dumps(parsed, ensure_ascii=False).encode()


KEYS = st.text(alphabet="ab.", max_size=3)
TREES: st.SearchStrategy[object] = st.recursive(
    st.sampled_from(["x", "y"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=8,
)


def flattened(value: object, path: str | None = None) -> list[tuple[str, object]]:
    """Return everything that stands anywhere, by its dotted path."""
    found = [] if path is None else [(path, value)]
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in steps:
        found += flattened(below, str(key) if path is None else f"{path}.{key}")
    return found


@given(TREES, st.text(alphabet="ab.012", max_size=8))
def test_what_stands_at_a_path_is_what_flattens_to_it(value: object, path: str) -> None:
    def repeated(values: list[object]) -> list[str]:
        return sorted(map(repr, values))

    for asked in (path, *(known for known, _ in flattened(value))):
        assert repeated(values_at(value, asked)) == repeated([one for known, one in flattened(value) if known == asked])


@pytest.mark.parametrize("number", ["²", "\u0661", "-1", "00", "1" * 5000, ""])
def test_what_is_no_number_of_an_item_reaches_none(number: str) -> None:
    assert values_at(["x", "y"], number) == []


def test_a_path_of_many_dots_costs_no_more_than_the_keys_there_are() -> None:
    """Whoever asks chooses its length: counted are the keys that are looked at."""
    looked_at = 0

    class Counted(dict[str, object]):
        def __contains__(self, key: object) -> bool:
            nonlocal looked_at
            looked_at += 1
            return super().__contains__(key)

        def __iter__(self) -> Iterator[str]:
            nonlocal looked_at
            for key in super().__iter__():
                looked_at += 1
                yield key

    assert values_at(Counted({"a": {"b": "x"}, "c": "y"}), "a." * 100_000) == []
    assert looked_at <= 2
