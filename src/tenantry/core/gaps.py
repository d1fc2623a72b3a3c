"""What of a live ApplicationSet the guard cannot see through, and the better way."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from tenantry.core.errors import listed
from tenantry.core.live import LiveSet, PluginUse
from tenantry.core.sight import is_of_argo_cd, is_within


class Gap(NamedTuple):
    """Something that cannot be known."""

    what: str
    remedy: str


def gaps_of(live: LiveSet, fields: Collection[str] | None) -> list[Gap]:
    """Return the gaps of an ApplicationSet; `fields` are those that our parameter sets have, None if not known yet."""
    found = [Gap(f"A selector of it cannot be used: {problem}", _REFUSED) for problem in live.problems]
    unknown = [use.name.text for use in live.plugins if use.identity is None]
    found += [
        Gap(
            f"Which fields its Applications are named by cannot be known: {name or 'a templatePatch names them'}",
            _NAMES,
        )
        for name in unknown
    ]
    if any(use.has_company for use in live.plugins):
        found.append(Gap("It has another generator, whose Applications cannot be told from those of tenants.", _APART))
    for use in live.plugins if fields is not None else ():
        found += _of_selectors(use, fields or ())
    return list(dict.fromkeys(found))


def _of_selectors(use: PluginUse, fields: Collection[str]) -> Iterator[Gap]:
    for layer in use.layers:
        keys = sorted({one.key for one in layer.requirements})
        foreign = [key for key in keys if is_of_argo_cd(key) or (not layer.is_whole and not _is_among(key, fields))]
        if foreign:
            yield Gap(f"Its selector asks for {listed(foreign)}, which no answer of ours has.", _SELECT)
        unsure = [key for key in keys if not layer.is_sure and _is_among(key, fields)]
        if unsure:
            yield Gap(f"Its selector asks for {listed(unsure)}, which another generator may overwrite.", _SELECT)
        missing = [key for key in keys if layer.is_whole and not is_of_argo_cd(key) and not _is_among(key, fields)]
        if missing:
            yield Gap(f"Its selector asks for {listed(missing)}, which is no field. Known: {listed(fields)}.", _SELECT)


def _is_among(key: str, fields: Collection[str]) -> bool:
    return any(is_within(key, field) for field in fields)


_REFUSED = "Argo CD refuses it, and makes no pass until it is corrected."
_NAMES = "Name Applications by plain fields, such as tenantName, or list in guard.identity what the name is made of."
_APART = "Give it an ApplicationSet of its own: then a state that is older than the Applications is noticed."
_SELECT = (
    "Select in the input of the plugin generator instead (docs/reference/request.md): then the guard sees all of it."
)
