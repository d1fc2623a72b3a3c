"""Inputs that were never answered, by what the cluster says of their ApplicationSet: previews, and edited generators.

What no generator can ask for is asked by somebody who looks at what would be. What the only generator asks for takes
the place of what it asked for so far, and whoever was answered then is judged by that.
"""

from __future__ import annotations

from tenantry.core.editing import edited
from tenantry.core.ledger import FIRST_PASS, Input, SetName
from tenantry.core.spec import Spec
from tenantry.service.ledger import Ledger
from tenantry.service.specs import NO_SPECS, Specs
from tenantry.service.state import SetChange


class Editing:
    """Tells new inputs of an ApplicationSet apart."""

    def __init__(self, ledger: Ledger) -> None:
        """Know what `ledger` remembers; nothing of the cluster yet."""
        self._ledger = ledger
        self.specs: Specs = NO_SPECS

    async def look(self, name: SetName, given: Input) -> bool:
        """Make sure to know as much of an ApplicationSet as who asks for a new input; raises nothing.

        Tells whether the cluster could be asked: what was heard of it may be minutes old.
        """
        await self.specs.ready()
        own = self._ledger.own(name)
        if own.began is not None and given not in own.baselines and self._ledger.now() - own.began > FIRST_PASS:
            return await self.specs.look(name) is not None
        return False

    def is_preview(self, name: SetName, given: Input, *, looked: bool) -> bool:
        """Tell whether nobody but a preview can ask for an input: nothing of its answer is remembered then."""
        own, spec = self._ledger.own(name), self._spec(name, given)
        return (
            looked
            and spec is not None
            and not spec.may_ask(given)
            and any(map(spec.may_ask, own.known()))
            and self.specs.is_settled(name)
        )

    async def take_over(self, name: SetName, given: Input) -> None:
        """Give an input what its ApplicationSet was answered before, if its only generator was edited to ask for it.

        Not if it was made anew: nobody has an Application there who would keep it. Raises StateError.
        """
        own, spec = self._ledger.own(name), self._spec(name, given)
        if spec is None or own.spec is None or not spec.is_single or not spec.may_ask(given):
            return
        if spec.is_another(own.spec):
            return
        if not any(map(own.spec.may_ask, own.known())) or any(map(spec.may_ask, own.known())):
            return
        found = edited(name, own, given, self._ledger.now())
        change = SetChange(name, found.ledger, put={given: found.put}, dropped=found.dropped)
        await self._ledger.write(change, self._ledger.generation, events=found.events)

    def _spec(self, name: SetName, given: Input) -> Spec | None:
        """Return what an ApplicationSet is now, if the input is new to it and others are not."""
        own = self._ledger.own(name)
        return self.specs.of(name) if own.baselines and given not in own.baselines else None
