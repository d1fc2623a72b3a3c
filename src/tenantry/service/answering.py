"""Answering an ApplicationSet: request in, checked bytes out, encoded once per snapshot and selection.

A request never reads the tenants table and never waits for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tenantry.core.answer import Answer, make_answer
from tenantry.core.index import SnapshotIndex
from tenantry.core.selection import Selection, parse_selection
from tenantry.core.snapshot import Snapshot
from tenantry.service.driving import driven
from tenantry.service.snapshots import SnapshotHolder

MOST_ANSWERS = 1024
"""Answers kept per snapshot: twice the calls of a large matrix."""

MOST_BYTES = 64 << 20
"""Bytes of answers kept per snapshot."""


@dataclass(frozen=True, slots=True)
class PluginRequest:
    """What Argo CD asks: an ApplicationSet's name and its input parameters."""

    application_set: str
    parameters: Mapping[str, object]


class Answering:
    """Turns requests into answers from the current snapshot."""

    def __init__(self, snapshots: SnapshotHolder) -> None:
        """Answer from what `snapshots` holds."""
        self._snapshots = snapshots
        self._index: SnapshotIndex | None = None
        self._answers: OrderedDict[Selection, Answer] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[tuple[str, Selection], asyncio.Task[Answer]] = {}

    async def answer(self, request: PluginRequest) -> Answer:
        """Return the answer; raises NotReady, RequestRefused or InvalidAnswer, and never returns less than all."""
        snapshot = self._snapshots.current()
        selection = parse_selection(request.parameters, snapshot.vocabulary, request.application_set)
        index = self._index_of(snapshot)
        answer = self._answers.get(selection)
        if answer is None:
            return await self._made_once(index, selection)
        self._answers.move_to_end(selection)
        return answer

    @property
    def counts(self) -> Collection[int]:
        """The counts of shards that ApplicationSets lately asked for."""
        return () if self._index is None else self._index.shards.keys()

    def _index_of(self, snapshot: Snapshot) -> SnapshotIndex:
        """Return what was sorted of a snapshot; with another one, all that came from the one before is let go."""
        if self._index is None or snapshot.revision != self._index.snapshot.revision:
            self._index = SnapshotIndex(snapshot, self._index)
            self._answers.clear()
            self._bytes = 0
        return self._index

    async def _made_once(self, index: SnapshotIndex, selection: Selection) -> Answer:
        """Make an answer, once for all who ask for it meanwhile; one who goes away takes nothing from the others."""
        key = (index.snapshot.revision, selection)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._make(index, selection))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)

    async def _make(self, index: SnapshotIndex, selection: Selection) -> Answer:
        answer = await driven(make_answer(index, selection))
        if index is self._index:
            self._keep(selection, answer)
        return answer

    def _keep(self, selection: Selection, answer: Answer) -> None:
        self._answers[selection] = answer
        self._bytes += answer.size
        while len(self._answers) > MOST_ANSWERS or (self._bytes > MOST_BYTES and len(self._answers) > 1):
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= oldest.size
