"""What has been read so far: values, where each came from, and every problem, to be told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tenantry.config.table import Setting

_FOR_FILES = {
    "tokens": "are tokens.file and tokens.directory",
    "admin": "is admin.token_file",
    "notify": "is notify.secret_file",
}


@dataclass(slots=True)
class Reading:
    """What has been read so far, and what is wrong with it."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    """Keys that a problem was told of, so that nothing is concluded from them."""

    problems: list[str] = field(default_factory=list)

    def put(self, setting: Setting, given: Sequence[str], origin: str) -> None:
        """Take a value, or the problem with it."""
        try:
            value = setting.kind.read(checked(given))
        except ValueError as wrong:
            self.refuse(setting, origin, str(wrong))
        else:
            self.values[setting.key] = value
            self.origins[setting.key] = origin

    def refuse(self, setting: Setting, origin: str, why: str) -> None:
        """Take a problem with a setting."""
        self.problems.append(f"{origin}: {setting.key}: {why}")
        self.wrong.add(setting.key)

    def refuse_in_the_open(self, setting: Setting, origin: str) -> None:
        """Refuse a secret where people see it."""
        why = (
            f"It is given as the variable {setting.env} only, since files are shown around and flags stand in the list "
            f"of processes; for a token in a file there {_FOR_FILES.get(setting.section, '')}."
        )
        self.refuse(setting, origin, why)

    def has(self, key: str) -> bool:
        """Tell whether a setting was given, right or wrong."""
        return key in self.values or key in self.wrong


def checked(given: Sequence[str]) -> Sequence[str]:
    """Refuse what no file system, header or database takes, and what is not UTF-8 in the environment."""
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for text in given for character in text):
        raise ValueError("It holds a character that is not text.")
    return given


def items(text: str) -> list[str]:
    """Return the items of a list that is written with commas."""
    return [part.strip() for part in text.split(",")] if text.strip() else []
