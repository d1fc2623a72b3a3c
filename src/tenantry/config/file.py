"""The configuration file: YAML, whose every problem tells its line and quotes no value that may be a secret."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from tenantry.config.reading import Reading, items
from tenantry.config.structure import STRUCTURES, take_structure
from tenantry.config.table import BY_KEY, SECTIONS, SETTINGS, Setting
from tenantry.config.wording import every, printable, told_name, unknown

CONFIG_VARIABLE = "TENANTRY_CONFIG"
"""The variable that names the file, where no flag does."""

_LARGEST = 1 << 20
_SECTIONS = (*SECTIONS, *STRUCTURES)


def take_file(reading: Reading, path: Path) -> None:
    """Take every setting of a file."""
    name = printable(str(path))
    try:
        document = _document(path)
    except ValueError as wrong:
        reading.problems.append(f"{name}{wrong}")
        reading.wrong |= BY_KEY.keys()
        return
    for key, content in document.items():
        origin = f"{name} line {_line(document, key)}"
        if key in STRUCTURES:
            take_structure(reading, str(key), content, lambda mapping, key: f"{name} line {_line(mapping, key)}")
        elif key not in SECTIONS:
            reading.problems.append(f"{origin}: {unknown(str(key), 'section', _SECTIONS)}")
        elif content is not None and not isinstance(content, dict):
            reading.problems.append(f"{origin}: {key} is a section, with settings below it.")
        else:
            _take_section(reading, str(key), content or {}, name)


def _document(path: Path) -> dict[object, object]:
    """Parse a file; raises ValueError with the rest of a sentence that begins with its name."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # A warning of the parser quotes the file, which may hold a secret.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            text = file.read(_LARGEST + 1).decode("utf-8-sig")
            document = YAML(typ="rt", pure=True).load(text)
    except OSError as error:
        raise ValueError(f": cannot be read ({error.strerror}). Check --config and {CONFIG_VARIABLE}.") from None
    except UnicodeDecodeError:
        raise ValueError(": is not text in UTF-8.") from None
    except YAMLError as error:
        raise ValueError(_yaml_problem(error)) from None
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, RuntimeError):
        # The parser's own slips, such as a date with a month 13; what they say may quote a secret.
        raise ValueError(": is not YAML that can be read.") from None
    if len(text) > _LARGEST:
        raise ValueError(": is larger than 1MiB, which is no configuration file.")
    if not isinstance(document, dict):
        raise ValueError(
            f": is {'empty' if document is None else 'not a mapping'}. Known sections: {every(_SECTIONS)}."
        )
    return document


def _yaml_problem(error: Exception) -> str:
    """Say what the parser did not like, unless it quotes the file: that may be a secret."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f" line {mark.line + 1}" if mark else ""
    problem = str(getattr(error, "problem", "") or "")
    if problem.startswith("found duplicate key"):
        key = problem.partition('"')[2].partition('" with value')[0]
        return f"{line}: the key {told_name(key)} stands twice in one mapping."
    return f"{line}: is not YAML." if not problem or re.search("['\"]", problem) else f"{line}: is not YAML: {problem}."


def _take_section(reading: Reading, section: str, content: Mapping[object, object], file: str) -> None:
    by_name = {setting.name: setting for setting in SETTINGS if setting.section == section}
    for name, value in content.items():
        origin = f"{file} line {_line(content, name)}"
        setting = by_name.get(str(name))
        if setting is None:
            reading.problems.append(f"{origin}: {unknown(str(name), f'setting in {section}', by_name)}")
        elif setting.flag is None:
            reading.refuse_in_the_open(setting, origin)
        elif value is not None or setting.default is not None:
            try:
                reading.put(setting, _given(setting, value), origin)
            except ValueError as wrong:
                reading.refuse(setting, origin, str(wrong))


def _given(setting: Setting, value: object) -> list[str]:
    """Return a value of the file as text; raises ValueError where that would not be what was written."""
    if isinstance(value, list):
        if not setting.kind.many:
            raise ValueError("It takes one value, not a list.")
        return [_item(setting, item) for item in value]
    text = _scalar(value, literal=setting.kind.literal)
    return items(text) if setting.kind.many else [text]


def _item(setting: Setting, item: object) -> str:
    """Return an item of a list as text; a mapping with the keys of its kind as their values with colons."""
    keys = setting.kind.keys
    if not keys or not isinstance(item, dict):
        return _scalar(item, literal=not keys)
    for key in item:
        if key not in keys:
            raise ValueError(unknown(str(key), "key of an item", keys))
    if missing := [key for key in keys if key not in item]:
        raise ValueError(f"An item has no {' and no '.join(missing)}.")
    return ":".join(_scalar(item[key], literal=False) for key in keys)


def _scalar(value: object, *, literal: bool) -> str:
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, dict | list):
        raise ValueError("It has no value." if value is None else "It takes plain text here.")
    if literal:
        raise ValueError("It must be text: write it in quotes.")
    return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _line(mapping: object, key: object) -> int:
    """Return where a key stands; one that was merged in (`<<`) has no place of its own."""
    try:
        places = mapping.lc  # type: ignore[attr-defined]
        return int((places.key if isinstance(mapping, dict) else places.item)(key)[0]) + 1
    except (AttributeError, LookupError, TypeError):
        return 1
