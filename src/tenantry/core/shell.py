"""Words for a shell: what is printed for pasting means there what was meant here."""

from __future__ import annotations

import shlex


def shell_word(text: str) -> str:
    r"""Quote a word for a POSIX shell; what cannot be printed as `$'\n'`, which bash, zsh and ksh read."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
