"""Templates of Application names: which fields they are made of, and what they come to.

Where `goTemplate` is off a tag holds a flattened key and nothing else, and a tag that names no key stays as it is
(fasttemplate, as Argo CD uses it in `applicationset/utils/utils.go`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec

from tenantry.core.sight import flat_value


class NameTemplate(msgspec.Struct, frozen=True):
    """How Applications of an ApplicationSet are named."""

    text: str = ""
    go_template: bool = False

    def of(self, encoded: bytes) -> str | None:
        """Return the name that comes of a parameter set; None where only Argo CD can tell."""
        if not self.text:
            return None
        return rendered(self.text, msgspec.json.decode(encoded), go_template=self.go_template)


NO_NAME = NameTemplate()
_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PLAIN = re.compile(r"\s*\.(\w+(?:\.\w+)*)\s*")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"|`([^`]*)`')
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_INDEX = re.compile(r'\(?\s*index\s+[.$]((?:\s+(?:"(?:[^"\\]|\\.)*"|`[^`]*`))+)\s*\)?')
_FIELD = re.compile(r"(?<![\w)\]])\$?\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_WHOLE = re.compile(r"(?<![\w.)])[.$](?![\w.])")
_CONTROL = re.compile(r"(?<![\w.])(?:range|with|template|define|block|break|continue)(?![\w.])|\$\w|\)\s*\.")


def fields_in(template: str, *, go_template: bool) -> Collection[str] | None:
    """Return the dotted fields by which a name may differ; None where that cannot be known.

    Rather one too many: a function may leave out what it is given.
    """
    fields: set[str] = set()
    for tag in _TAG.findall(template):
        if not go_template:
            fields.add(tag.strip())
            continue
        found = _fields_of_action(tag)
        if found is None:
            return None
        fields.update(found)
    return fields


def _fields_of_action(action: str) -> Collection[str] | None:
    """Return the fields that an action of a Go template names."""
    rest = _COMMENT.sub(" ", action)
    fields = {".".join(_texts_in(found[1])) for found in _INDEX.finditer(rest)}
    rest = _TEXT.sub('""', _INDEX.sub(" x ", rest))
    if _CONTROL.search(rest) or _WHOLE.search(rest):
        return None
    return fields | set(_FIELD.findall(rest))


def _texts_in(words: str) -> Iterator[str]:
    for quoted, raw in _TEXT.findall(words):
        yield re.sub(r"\\(.)", r"\1", quoted) or raw


def rendered(template: str, parameters: Mapping[str, Any], *, go_template: bool) -> str | None:
    """Return the name that comes of a parameter set; None where only Argo CD can tell.

    Of a Go template, that is all but text, fields, and fields that go through a few functions of text.
    """
    parts: list[str] = []
    end = 0
    for tag in _TAG.finditer(template):
        key = tag[1].strip()
        value = _came_of(key, parameters) if go_template else flat_value(parameters, key)
        if value is None:
            return None
        parts += [template[end : tag.start()], value]
        end = tag.end()
    return "".join([*parts, template[end:]])


def _came_of(action: str, parameters: Mapping[str, Any]) -> str | None:
    """Return what a pipeline makes of a field; None where it does something else."""
    field, *steps = _PIPE.split(action)
    plain = _PLAIN.fullmatch(field)
    value = None if plain is None else flat_value(parameters, plain[1])
    for step in steps:
        word, *given = _WORD.findall(step)
        function = _FUNCTIONS.get((word, len(given)))
        if value is None or function is None or _WORD.sub("", step).strip():
            return None
        try:
            value = function(value, *(json.loads(one) if one.startswith('"') else one for one in given))
        except ValueError:
            return None
    return value


def _cut(text: str, length: str) -> str:
    """Cut as sprig's `trunc` does, which counts bytes."""
    number, encoded = int(length), text.encode()
    cut = encoded[:number] if number >= 0 else encoded[number:] if -number < len(encoded) else encoded
    return cut.decode(errors="replace")


_PIPE = re.compile(r"\s*\|\s*")
_WORD = re.compile(r'"(?:[^"\\|]|\\.)*"|-?\w+')
_FUNCTIONS: Mapping[tuple[str, int], Callable[..., str]] = {
    ("lower", 0): str.lower,
    ("upper", 0): str.upper,
    ("trim", 0): str.strip,
    ("replace", 2): str.replace,
    ("trimPrefix", 1): str.removeprefix,
    ("trimSuffix", 1): str.removesuffix,
    ("trunc", 1): _cut,
    ("normalize", 0): lambda text: re.sub(r"[^-a-z0-9.]", "-", text.lower())[:253].strip("-."),
}
"""By name and number of arguments, those of sprig and Argo CD that names are usually made with."""
