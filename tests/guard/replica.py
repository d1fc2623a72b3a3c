"""One of several processes, as the world of the walk knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tenantry.core.position import Position
from tenantry.service.answering import Reply
from tests.guard.database import Version
from tests.guard.here import Here
from tests.guard.together import Key, Sign


class Begun(NamedTuple):
    """A read that knows where the log is, and is not published yet."""

    began: float
    position: Position
    version: Version | None
    """What it found; None if it has not looked yet."""


@dataclass
class Replica:
    """One of several processes, and those that take its place."""

    slot: int
    here: Here
    process: int
    standby: bool
    source: str
    is_up: bool = True
    is_awake: bool = True
    seen: float = float("-inf")
    """When it gave a sign of life."""

    asked: float = float("-inf")
    """When it was asked for something, which may have been one too."""

    begun: Begun | None = None
    failed: bool = False
    """Whether its last read for a request found nothing that may be answered from."""

    prepared: dict[Key, Reply] = field(default_factory=dict)

    @property
    def configuration(self) -> str:
        """All that shapes its answers."""
        return f"{self.here.shape}/{self.here.views}/{self.source}"

    @property
    def sign(self) -> Sign:
        """What the others can know of it."""
        return Sign(self.configuration, self.seen, max(self.seen, self.asked))

    @property
    def answers(self) -> bool:
        """Whether a request that comes to it is answered at all."""
        return self.is_up and self.is_awake
