"""What the guard knows of an ApplicationSet's spec: what its generators ask for, and what they take of the answers.

It is remembered with what was answered, so that a start without access to the cluster judges by what was known last.
Inputs are canonical texts of input parameters, as everywhere in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec

from tenantry.core.sight import Layers, Sight
from tenantry.core.template_names import NO_NAME, NameTemplate

_FIRST_INEXACT = 1 << 53
"""From here on a float, as which Go reads every number, stands for several whole numbers."""

_TAG = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_CONTROL = re.compile(r"\{\{-|-\}\}|\{\{\s*(?:if|else|end|range|with|define|template|block|break|continue)\b")
"""Actions of Go templates after which text beside them may stand several times, or not at all."""


class Generator(msgspec.Struct, frozen=True):
    """One plugin generator, as far as what it asks for and what it takes of the answer."""

    asks: str
    """What it asks for, with tags where Argo CD fills them."""

    is_exact: bool
    """Whether it asks for nothing else."""

    layers: Layers = ()

    def may_ask(self, given: str) -> bool:
        """Tell whether Argo CD can make an input of what is written."""
        if self.is_exact:
            return given == self.asks
        return _may_become(msgspec.json.decode(self.asks), msgspec.json.decode(given))


class Spec(msgspec.Struct, frozen=True):
    """An ApplicationSet as it is in the cluster; of several with one name, all of them together."""

    generators: tuple[Generator, ...]
    is_single: bool = False
    """Whether it has one generator alone, which asks for one input."""

    identity: tuple[str, ...] = ()
    """The dotted fields of which names of Applications are made: whose change gives a tenant another one."""

    name: NameTemplate = NO_NAME
    """How Applications are named, where all are named so."""

    uids: tuple[str, ...] = ()
    """By what the API server knows it from one of its name that was deleted."""

    has_company: bool = False
    """Whether it has generators that ask no plugin: it owns Applications that are no tenant's."""

    def is_another(self, before: Spec) -> bool:
        """Tell whether it was made anew since it was `before`, and not only edited."""
        return bool(before.uids) and not set(self.uids) & set(before.uids)

    def application_of(self, encoded: bytes) -> str:
        """Return the name of a parameter set's Application; empty where only Argo CD can tell."""
        return self.name.of(encoded) or ""

    def may_ask(self, given: str) -> bool:
        """Tell whether any of its generators can ask for an input."""
        return any(one.may_ask(given) for one in self.generators)

    def selectors_of(self, given: str) -> Collection[Layers]:
        """Return what the answer to an input goes through, for each generator that can ask for it."""
        return tuple(dict.fromkeys(one.layers for one in self.generators if one.may_ask(given)))

    def fields_of(self, given: str) -> Collection[str]:
        """Return the dotted fields of an answer by which Argo CD names or selects its Applications."""
        keys = {one.key for layers in self.selectors_of(given) for layer in layers for one in layer.requirements}
        return {*self.identity, *keys}

    def sight_of(self, given: str, *, is_current: bool) -> Sight:
        """Return who has an Application of those that an input is answered with."""
        return Sight(self.selectors_of(given), is_current=is_current)


def _may_become(written: object, given: object) -> bool:
    """Tell whether a value with tags in it may be filled so that it is the given one."""
    match written, given:
        case str(), str():
            return _pattern(written).fullmatch(given) is not None
        case Mapping(), Mapping():
            if any("{{" in key for key in written):
                return True
            return written.keys() == given.keys() and all(_may_become(written[key], given[key]) for key in written)
        case list(), list():
            return len(written) == len(given) and all(map(_may_become, written, given))
        case ((bool() | None), _):
            return written is given
        case (int(), int()) if abs(written) < _FIRST_INEXACT:
            return written == given
        case ((int() | float()), (int() | float() | str())):
            return True  # Go may write it in another way than it was read.
    return False


def _pattern(written: str) -> re.Pattern[str]:
    """Return what matches a text whose tags were filled by anything."""
    texts = _TAG.split(written)
    # Braces that are left over are those of a text inside of a tag.
    if _CONTROL.search(written) or any("{{" in text or "}}" in text for text in texts):
        return _ANYTHING
    return re.compile(".*".join(map(re.escape, texts)), re.DOTALL)


_ANYTHING = re.compile(".*", re.DOTALL)
