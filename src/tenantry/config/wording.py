"""How problems quote what was written: bounded, printable, and nothing that may be a secret in the wrong place."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tenantry.core.errors import nearest, quoted


def told(text: str) -> str:
    """Quote a value that is wrong, but none that may be an address with a password, put in the wrong place."""
    return "This" if "://" in text or "@" in text else quoted(text)


def told_name(name: str) -> str:
    """Quote a name that is not known, unless it is none: a URL where a key belongs may hold a password."""
    return quoted(name) if re.fullmatch(r"[\w.-]{1,64}", name) else "(not a name)"


def unknown(name: str, what: str, known: Iterable[str]) -> str:
    """Say that there is no such thing, which there are, and which of them may have been meant."""
    return f"there is no {what} called {told_name(name)}. Known: {every(known)}.{nearest(name, known)}"


def every(names: Iterable[str]) -> str:
    """List all names in order."""
    return ", ".join(sorted(names))


def printable(text: str) -> str:
    """Replace what cannot be printed, line breaks above all."""
    return "".join(character if character.isprintable() else "?" for character in text)
