"""Names and labels that are made from ids, and shards."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tenantry.core.naming import ALPHABET, tenant_label, tenant_name

DNS_LABEL = re.compile(r"^(?!-)[a-z0-9-]{1,63}(?<!-)$(?!\n)")
LABEL_VALUE = re.compile(r"^(?![-_.])[A-Za-z0-9_.-]{1,63}(?<![-_.])$(?!\n)")
GOLDEN: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "names.json").read_text())

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
PLAIN = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
LENGTHS = st.integers(20, 63)


@given(IDS | PLAIN, LENGTHS, st.booleans())
@example("a\n", 40, False)
@example("-", 40, False)
@example("a" * 41, 40, False)
def test_a_name_is_a_dns_label_and_a_label_is_a_label_value(identifier: str, length: int, always: bool) -> None:
    name = tenant_name(identifier, length, always_hash=always)

    assert DNS_LABEL.match(name), name
    assert len(name) <= length
    assert LABEL_VALUE.match(tenant_label(identifier, always_hash=always))


@pytest.mark.parametrize(
    "identifier",
    ["acme", "acme-corp", "0", "a" * 40, "1234567", "tenant-1700000000", "global-greenlands", "x-bcdfghjklm", "a--b"],
)
def test_an_id_that_is_a_name_is_its_own_name(identifier: str) -> None:
    assert tenant_name(identifier) == identifier
    assert tenant_label(identifier) == identifier


@given(PLAIN | IDS, LENGTHS, st.booleans())
def test_an_id_that_is_its_own_name_is_its_own_label(identifier: str, length: int, always: bool) -> None:
    if tenant_name(identifier, length, always_hash=always) == identifier:
        assert tenant_label(identifier, always_hash=always) == identifier


@pytest.mark.parametrize("identifier", ["Acme_Corp", "a.b", "A", "x" * 63])
def test_an_id_that_is_a_label_value_is_its_own_label_though_no_name(identifier: str) -> None:
    assert tenant_label(identifier) == identifier
    assert tenant_name(identifier) != identifier


def test_an_id_that_is_too_long_for_a_name_is_not_cut_but_hashed() -> None:
    first, second = tenant_name("a" * 41), tenant_name("a" * 42)

    assert first != second
    assert first.startswith("a" * 29 + "-")


def test_ids_that_read_alike_have_names_of_their_own() -> None:
    alike = [
        "acme-corp",
        "Acme_Corp",
        "acme corp",
        "ACME-CORP",
        "Äcme Corp",
        "acme-corp ",
        "acme--corp.",
        "acme\N{EN DASH}corp",
    ]

    assert len({tenant_name(identifier) for identifier in alike}) == len(alike)
    assert len({tenant_label(identifier) for identifier in alike}) == len(alike)


@given(IDS | PLAIN, LENGTHS)
def test_an_id_that_is_another_ones_name_gets_another_name(identifier: str, length: int) -> None:
    name = tenant_name(identifier, length)
    assume(name != identifier)

    assert tenant_name(name, length) != name
    assert tenant_label(tenant_label(identifier)) != tenant_label(identifier) or tenant_label(identifier) == identifier


@given(
    IDS, st.integers(0, 62), st.sampled_from([*ALPHABET, "-", "e", "A", "."]), st.sampled_from(["set", "add", "cut"])
)
def test_nobody_takes_anothers_name_by_an_id_near_to_it(victim: str, place: int, character: str, how: str) -> None:
    name = tenant_name(victim)
    assume(name != victim)
    changed = {
        "set": name[:place] + character + name[place + 1 :],
        "add": name[:place] + character + name[place:],
        "cut": name[:place] + name[place + 1 :],
    }[how]
    assume(changed and changed != victim)

    assert tenant_name(changed) != name


@given(PLAIN)
def test_every_id_is_hashed_where_that_is_wished(identifier: str) -> None:
    name = tenant_name(identifier, always_hash=True)

    assert name != identifier
    assert re.search(rf"-[{ALPHABET}]{{10}}$", name)


@given(IDS)
def test_a_hash_has_a_digit_and_a_letter_so_that_plain_words_and_numbers_are_none(identifier: str) -> None:
    tail = tenant_name(identifier, always_hash=True)[-10:]

    assert re.search("[0-9]", tail)
    assert re.search("[a-z]", tail)


@pytest.mark.parametrize("identifier", GOLDEN)
def test_names_are_the_same_in_every_version(identifier: str) -> None:
    assert {"name": tenant_name(identifier), "label": tenant_label(identifier)} == GOLDEN[identifier]


def test_a_million_ids_have_a_million_names_and_labels() -> None:
    known = random.Random(20261123)
    words = [
        "Acme",
        "Globex",
        "Initech",
        "Umbrella",
        "Müller & Söhne",
        "株式会社",
        "Ромашка",
        "Café",
        "🚀 Rockets",
        "O'Neil",
    ]
    ids = {f"customer-{number:07}" for number in range(400_000)}
    ids |= {f"{known.choice(words)} {known.choice(words)} {number}" for number in range(300_000)}
    while len(ids) < 1_000_000:
        ids.add("".join(map(chr, known.choices(range(0x21, 0x3000), k=known.randint(1, 12)))))

    assert len({tenant_name(identifier) for identifier in ids}) == len(ids)
    assert len({tenant_label(identifier) for identifier in ids}) == len(ids)


def test_the_golden_names_hold_odd_ids() -> None:
    joined = "".join(GOLDEN)

    assert len(GOLDEN) >= 50
    assert {"Lo", "So", "Mn", "Zs", "Cc"} <= {unicodedata.category(character) for character in joined}
