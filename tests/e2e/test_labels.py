"""Our selectors against Kubernetes' own: a million of them, made from a grammar and then damaged.

Same verdict, same matches, same text. What differs is stated here, and nothing else may.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tenantry.core.errors import InvalidSelector
from tenantry.core.labels import MOST_REQUIREMENTS, Requirement, parse_selector, written
from tests.e2e.build import built

SELECTORS = 1_000_000
WORKERS = 4
"""Tests that share the million, so that they can run side by side."""

KEYS = (
    "a",
    "tier",
    "in",
    "notin",
    "a.b",
    "x.y/z",
    "A_1",
    "0",
    "-a",
    "a-",
    "a/b/c",
    "/a",
    "X/a",
    "a" * 63,
    "a" * 64,
    "é",
)
WORDS = (
    "",
    "a",
    "b",
    "in",
    "notin",
    "gold",
    "v1.2_3-x",
    "5",
    "6",
    "007",
    "-5",
    "9" * 19,
    "9223372036854775807",
    "b" * 64,
)
BLANKS = ("", "", " ", "\t", " \r\n")
PIECES = (
    "a",
    "b",
    " ",
    "=",
    "==",
    "!=",
    "!",
    "(",
    ")",
    ",",
    "<",
    ">",
    "in",
    "notin",
    "\n",
    "5",
    "-",
    ".",
    "/",
    "é",
    "\v",
)
LABELS: tuple[Mapping[str, str], ...] = (
    {},
    {"a": "", "tier": "gold", "in": "in", "a.b": "5"},
    {"a": "a", "tier": "", "x.y/z": "b", "0": "6", "A_1": "-5"},
    {"a": "5", "tier": "b", "notin": "a", "a.b": "9223372036854775807", "0": "9223372036854775808"},
    {"a": "007", "tier": "+5", "in": "", "a.b": "v1.2_3-x", "a" * 63: "gold"},
)


class Verdict(NamedTuple):
    """What is made of a selector."""

    valid: bool
    text: str
    matches: tuple[bool, ...]


class Judged(msgspec.Struct):
    """What tests/e2e/controller/labels.go writes."""

    valid: bool
    text: str
    matches: list[bool] | None


def selector(chance: random.Random) -> str:
    """Return a selector: mostly right, sometimes damaged, sometimes anything."""
    kind = chance.random()
    if kind < 0.1:
        return "".join(chance.choices(PIECES, k=chance.randrange(9)))
    text = ",".join(requirement(chance) for _ in range(chance.choice((0, 1, 1, 1, 2, 3))))
    if kind < 0.3:
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice((*PIECES, "")) + text[at + chance.randrange(3) :]
    return text


def requirement(chance: random.Random) -> str:
    key, blank, other = chance.choice(KEYS), chance.choice(BLANKS), chance.choice(BLANKS)
    match chance.randrange(4):
        case 0:
            operator = chance.choice(("=", "==", "!=", "<", ">"))
            return f"{blank}{key}{other}{operator}{blank}{chance.choice(WORDS)}{other}"
        case 1:
            values = f"{other},".join(chance.choice(WORDS) for _ in range(chance.randrange(4)))
            return f"{key} {chance.choice(('in', 'notin'))}{blank}({other}{values}{blank})"
        case 2:
            return f"{blank}{chance.choice(('', '!', '! '))}{key}{other}"
    return f"{key}{chance.choice(('<', '>'))}{chance.choice(('4', '5', '6', '9223372036854775808', '+1'))}"


def ours(text: str) -> Verdict:
    try:
        found = parse_selector(text)
    except InvalidSelector:
        return Verdict(valid=False, text="", matches=())
    return Verdict(True, in_order(written(found)), tuple(matches(found, labels) for labels in LABELS))


def matches(requirements: Sequence[Requirement], labels: Mapping[str, str]) -> bool:
    return all(requirement.matches(labels.get(requirement.key)) for requirement in requirements)


def in_order(text: str) -> str:
    """Kubernetes orders by key alone and keeps what stands twice: bring requirements into one order."""
    inside, parts, depth = "", set[str](), 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.add(inside)
            inside = ""
        else:
            inside += character
    return ",".join(sorted({*parts, inside}))


def is_refused_on_purpose(text: str) -> bool:
    """Tell whether a selector has `in ()`, the one thing that Kubernetes takes and we do not, beside a NUL."""
    squeezed = "".join(text.split())
    return "in()" in squeezed or text.count(",") >= MOST_REQUIREMENTS


def theirs(texts: Sequence[str], folder: Path) -> Iterator[Verdict]:
    """Ask Kubernetes, in a file: a pipe would want someone at both ends."""
    questions = folder / "questions"
    labels = json.dumps(LABELS)
    questions.write_text("".join(f'{{"selector": {json.dumps(text)}, "labels": {labels}}}\n' for text in texts))
    with questions.open("rb") as asked, (folder / "verdicts").open("w+b") as told:
        subprocess.run([built().binary, "selectors"], stdin=asked, stdout=told, check=True, timeout=120)
        told.seek(0)
        decoder = msgspec.json.Decoder(Judged)
        for line in told:
            found = decoder.decode(line)
            yield Verdict(found.valid, in_order(found.text), tuple(found.matches or ()))


@pytest.mark.parametrize("part", range(WORKERS))
def test_a_million_selectors_mean_what_they_mean_to_kubernetes(part: int, tmp_path: Path) -> None:
    chance = random.Random(f"selectors {part}")
    texts = [selector(chance) for _ in range(SELECTORS // WORKERS)]
    valid = refused = 0

    for text, judged in zip(texts, theirs(texts, tmp_path), strict=True):
        found = ours(text)
        if not found.valid and judged.valid and is_refused_on_purpose(text):
            refused += 1
            continue
        assert found == judged, repr(text)
        valid += judged.valid

    # The generator has to make enough of each kind to mean something.
    assert valid > len(texts) // 4
    assert len(texts) - valid > len(texts) // 4
    assert refused > len(texts) // 1000
