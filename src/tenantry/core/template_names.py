"""Templates of Application names: which fields they are made of, and what they come to.

Where `goTemplate` is off a tag holds a flattened key and nothing else, and a tag that names no key stays as it is
(fasttemplate, as Argo CD uses it in `applicationset/utils/utils.go`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tenantry.core.sight import flat_value

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

    Of a Go template, that is all but text and plain fields.
    """
    parts: list[str] = []
    end = 0
    for tag in _TAG.finditer(template):
        key = tag[1].strip()
        if go_template:
            plain = _PLAIN.fullmatch(tag[1])
            if plain is None:
                return None
            key = plain[1]
        value = flat_value(parameters, key)
        if value is None:
            return None
        parts += [template[end : tag.start()], value]
        end = tag.end()
    return "".join([*parts, template[end:]])
