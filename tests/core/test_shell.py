"""Words for a shell mean what they were made from."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry.core.shell import shell_word

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_bash_reads_a_word_as_it_was_meant(texts: list[str]) -> None:
    script = f"printf '%s\\0' {' '.join(map(shell_word, texts))}"

    said = subprocess.run(["bash", "-c", script], check=True, capture_output=True, env={"LC_ALL": "C.UTF-8"}).stdout

    assert said.decode().split("\0")[:-1] == texts


@pytest.mark.parametrize(("text", "word"), [("prod-eu", "prod-eu"), ("a b", "'a b'"), ("a\nb", "$'a\\u000ab'")])
def test_a_word_is_as_plain_as_it_can_be(text: str, word: str) -> None:
    assert shell_word(text) == word
