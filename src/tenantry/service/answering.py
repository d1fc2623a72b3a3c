"""Answering an ApplicationSet: request in, checked bytes out, encoded once per snapshot and selection.

A request never reads the tenants table and never waits for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tenantry.core.answer import Answer, encoded_answer, make_answer
from tenantry.core.index import SnapshotIndex
from tenantry.core.selection import Selection, parse_selection
from tenantry.core.snapshot import Snapshot
from tenantry.core.tenant import Tenant
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


@dataclass(frozen=True, slots=True)
class Question:
    """A request that was understood, and the snapshot that it is about."""

    snapshot: Snapshot
    index: SnapshotIndex
    selection: Selection


class Ticket(Protocol):
    """For how long an answer may be sent again."""

    def is_good(self) -> bool:
        """Tell whether it may, and note that it was; raises NotReady."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that may leave, and for how long."""

    answer: Answer
    ticket: Ticket
    is_held: bool = False
    """Whether it is otherwise than the rows say: somebody stays, or has to wait."""


class Answers(Protocol):
    """Who answers requests."""

    @property
    def is_local(self) -> bool:
        """Whether an answer that is prepared can be sent without asking anybody."""
        ...

    async def confirm(self) -> None:
        """Make sure that no other process has changed what answers depend on; raises NotReady."""
        ...

    async def answer(self, consumer: str, request: PluginRequest) -> Reply:
        """Return the answer; raises NotReady, RequestRefused, EditedInput or InvalidAnswer."""
        ...


@dataclass(frozen=True, slots=True)
class _OfSnapshot:
    """Good for as long as the snapshot that it came from."""

    snapshots: SnapshotHolder
    revision: str

    def is_good(self) -> bool:
        return self.snapshots.current().revision == self.revision


class Unguarded:
    """Answers with what the rows say (`guard.mode: off`)."""

    is_local = True

    def __init__(self, answering: Answering, snapshots: SnapshotHolder) -> None:
        """Answer from what `snapshots` holds."""
        self._answering = answering
        self._snapshots = snapshots
        self.answered = asyncio.Event()
        """Set once anybody was answered."""

        self.revisions: dict[str, tuple[str, float]] = {}
        """By ApplicationSet: the revision of the snapshot that it was answered from last, and when that was read."""

    async def confirm(self) -> None:
        """Do nothing: answers depend on the snapshot alone."""

    async def answer(self, consumer: str, request: PluginRequest) -> Reply:  # noqa: ARG002 -- the port
        """Return the answer; raises NotReady, RequestRefused or InvalidAnswer."""
        answer = await self._answering.answer(request)
        self.answered.set()
        self.revisions[request.application_set] = (answer.revision, self._snapshots.read.began)
        return Reply(answer, _OfSnapshot(self._snapshots, answer.revision))


class Answering:
    """Finds and encodes what requests ask for, from the current snapshot."""

    def __init__(self, snapshots: SnapshotHolder) -> None:
        """Answer from what `snapshots` holds."""
        self._snapshots = snapshots
        self._index: SnapshotIndex | None = None
        self._answers: OrderedDict[Selection, Answer] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[tuple[str, Selection], asyncio.Task[Answer]] = {}

    def question(self, request: PluginRequest, snapshot: Snapshot) -> Question:
        """Understand a request; raises RequestRefused."""
        selection = parse_selection(request.parameters, snapshot.vocabulary, request.application_set)
        return Question(snapshot, self._index_of(snapshot), selection)

    async def answer(self, request: PluginRequest) -> Answer:
        """Return the answer; raises NotReady, RequestRefused or InvalidAnswer, and never returns less than all."""
        return await self.of(self.question(request, self._snapshots.current()))

    async def of(self, question: Question, chosen: Sequence[Tenant] | None = None) -> Answer:
        """Return the answer that has all that a question asks for, `chosen` where that was found already."""
        index, selection = question.index, question.selection
        answer = self._answers.get(selection) if index is self._index else None
        if answer is None:
            return await self._made_once(index, selection, chosen)
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

    async def _made_once(self, index: SnapshotIndex, selection: Selection, chosen: Sequence[Tenant] | None) -> Answer:
        """Make an answer, once for all who ask for it meanwhile; one who goes away takes nothing from the others."""
        key = (index.snapshot.revision, selection)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._make(index, selection, chosen))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)

    async def _make(self, index: SnapshotIndex, selection: Selection, chosen: Sequence[Tenant] | None) -> Answer:
        steps = make_answer(index, selection) if chosen is None else encoded_answer(chosen, index.snapshot)
        answer = await driven(steps)
        if index is self._index:
            self._keep(selection, answer)
        return answer

    def _keep(self, selection: Selection, answer: Answer) -> None:
        self._answers[selection] = answer
        self._bytes += answer.size
        while len(self._answers) > MOST_ANSWERS or (self._bytes > MOST_BYTES and len(self._answers) > 1):
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= oldest.size
