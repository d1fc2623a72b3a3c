"""Pages of Markdown, as far as the tests look into them: headings, links and fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=ticks)$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<title>.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One line behind a prompt, and what it should print; no lines means that only its exit code counts."""

    line: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what its info string says besides, and its text."""

    language: str
    note: str
    text: str
    line: int

    @property
    def reason_not_to_run(self) -> str | None:
        """Why it is not run; None if it is."""
        return self.note.removeprefix("not-run:").strip() if self.note.startswith("not-run") else None

    def commands(self) -> Iterator[Command]:
        """Return the commands of a console block; raises ValueError on output without one."""
        line = ""
        output: list[str] = []
        for text in self.text.splitlines():
            if text.startswith("$ "):
                if line:
                    yield Command(line, tuple(output))
                line, output = text[2:], []
            elif line:
                output.append(text)
            else:
                raise ValueError(f"Line {self.line}: a console block begins with `$ `.")
        yield Command(line, tuple(output))


@dataclass(frozen=True)
class Page:
    """One file of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        """Its path from the root of the repository."""
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """What is left without fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self) -> list[Block]:
        """Return the fenced blocks in their order."""
        found = []
        for fence in _FENCE.finditer(self.text):
            language, _, note = fence["info"].strip().partition(" ")
            line = self.text.count("\n", 0, fence.start()) + 1
            found.append(Block(language, note.strip(), fence["text"], line))
        return found

    def links(self) -> list[str]:
        """Return the targets of all links."""
        return [link["target"] for link in _LINK.finditer(self.prose)]

    def anchors(self) -> set[str]:
        """Return the anchors of all headings, made as code hosts make them."""
        return {_anchor(heading["title"]) for heading in _HEADING.finditer(self.prose)}


def _anchor(title: str) -> str:
    plain = _LINK.sub(lambda link: link[0][1 : link[0].index("]")], title).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def pages() -> list[Page]:
    """Return every page of the repository."""
    return [Page(path) for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))]
