"""What the pages say of Argo CD holds: the tests that they name exist, and one version is meant everywhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.pages import ROOT, Page, pages
from tests.e2e.build import ARGO_CD, SOURCES, version

PAGE = Page(ROOT / "docs" / "explanation" / "argo-cd.md")
NAMED = re.compile(r"\[`(\w+)`\]\(([^)]+)\)")
DEFINED = re.compile(r"^(?:def|func) ([Tt]est\w+)\(", re.MULTILINE)
FACTS = SOURCES / "facts"


def defined(path: Path) -> set[str]:
    """Return the names of the tests in a file, Python's or Go's."""
    return set(DEFINED.findall(path.read_text())) if path.is_file() else set()


def statements() -> list[str]:
    """Return what stands behind each dash of the page."""
    return re.split(r"^- |^## .*$", PAGE.text, flags=re.MULTILINE)[1:]


def test_every_test_that_a_page_names_exists_where_it_says() -> None:
    named = [
        (name, (page.path.parent / path).resolve())
        for page in pages()
        for name, path in NAMED.findall(page.text)
        if name.lower().startswith("test")
    ]

    assert len(named) > 50
    assert [(name, str(path.relative_to(ROOT))) for name, path in named if name not in defined(path)] == []


def test_every_statement_of_the_page_names_a_test() -> None:
    assert [said for said in statements() if said.strip() and not NAMED.search(said)] == []


def test_every_fact_has_a_statement() -> None:
    facts = {name for path in FACTS.glob("*_test.go") for name in defined(path)} - {"TestMain"}

    assert facts - {name for name, _ in NAMED.findall(PAGE.text)} == set()


def test_every_page_means_the_version_of_argo_cd_that_the_tests_run_on() -> None:
    named = {found for page in pages() for found in re.findall(r"Argo CD (v\d+\.\d+\.\d+)", page.text)}

    assert named == {version(SOURCES, ARGO_CD)}


def test_no_other_source_of_the_tests_names_that_version() -> None:
    number = version(SOURCES, ARGO_CD).removeprefix("v")
    sources = [
        ROOT / "Makefile",
        *(path for path in (ROOT / "tests").rglob("*") if path.suffix in {".py", ".go", ".yaml"}),
    ]

    assert [str(path.relative_to(ROOT)) for path in sources if number in path.read_text()] == []
