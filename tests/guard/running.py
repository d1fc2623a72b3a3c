"""Several replicas that are run: killed, paused, rolled out and back, with a database that is restored under them."""

from __future__ import annotations

from typing import Any

from tests.guard.database import RESTORED
from tests.guard.reading import Reading
from tests.guard.replica import Replica
from tests.guard.requests import REQUESTS


class Running(Reading):
    """What happens to processes and to their database. Every step takes two small numbers."""

    def _restart(self, **changed: Any) -> None:  # noqa: ANN401 -- the fields of Here
        self._stop(self.replica, leaves=False)
        self._start(self.replica, **changed)

    def _stop(self, one: Replica, *, leaves: bool) -> None:
        if leaves:
            self.run(one.here.guarding.replicas.leave())
        else:
            self.killed.append(one.sign)
        one.is_up, one.begun = False, None
        one.prepared.clear()

    def _start(self, one: Replica, **changed: Any) -> None:  # noqa: ANN401 -- the fields of Here
        self.process += 1
        self.clock.seconds += 1
        if not one.standby and "position" in changed:
            one.source = changed["position"].source
        name = f"{one.slot}-{self.process}"
        one.here = self.run(one.here.restarted(**{"views": one.here.views, **changed, "name": name}))
        one.process, one.is_up, one.is_awake = self.process, True, True
        one.seen = one.asked = float("-inf")
        self._turn(one)
        self._commit()
        self._read(one)
        self._give_signs()
        self._turn(one)

    def kill(self, a: int, b: int) -> None:
        """End one, with or without a word to the others."""
        if len([one for one in self.replicas if one.answers]) > 1:
            self._stop(self.replica, leaves=bool(b % 2))

    def start(self, a: int, b: int) -> None:
        for one in self.replicas:
            if not one.is_up:
                self._start(one)
        if not any(one.answers for one in self.replicas):
            self.wake(a, b)

    def pause(self, a: int, b: int) -> None:
        """Stop one in its tracks."""
        if len([one for one in self.replicas if one.answers]) > 1:
            self.replica.is_awake = False

    def wake(self, a: int, b: int) -> None:
        """Let those go on who were stopped; they are asked before they find out anything."""
        for one in self.replicas:
            if one.is_up and not one.is_awake:
                one.is_awake = True
                self._turn(one)
                self._ask(*REQUESTS[a % len(REQUESTS)])

    def roll_out(self, a: int, b: int) -> None:
        """Give one another configuration."""
        self.edits += 1
        self._stop(self.replica, leaves=bool(a % 2))
        self._start(self.replica, **{("shape", "views")[b % 2]: f"{self.edits}"})

    def follow(self, a: int, b: int) -> None:
        """Give one the configuration of another: a rollout goes on, or back."""
        one, other = self.replica, self.replicas[(self.replica.slot + 1 + a) % len(self.replicas)]
        if one.configuration != other.configuration:
            self._stop(one, leaves=bool(b % 2))
            self._start(one, shape=other.here.shape, views=other.here.views, position=other.here.position)

    def restore_a_backup(self, a: int, b: int) -> None:
        """Last night's data under all of them, which one of them finds at its start.

        That is, if somebody was answered from later data, and it reads the primary: by a standby, nobody can tell.
        """
        standing = self.store.stands_at(self.replica.source)
        is_known = abs(standing - self.database.logged) < RESTORED // 2 and not self.replica.standby
        if not is_known or any(one.source != self.replica.source for one in self.replicas):
            return
        self.rows = dict(list(self.rows.items())[: max(1, len(self.rows) - a)])
        self.database.restore(self.as_read(), self.kind, doubtful=self.nameless)
        self.restored = self.process + 1
        for one in self.replicas:
            one.begun = None
        self._restart()

    def lose_the_ledger(self, a: int, b: int) -> None:
        self.model.forget()
        self.holds.clear()
        self.killed.clear()
        self.crossed = None
        self.store = self._new_store()
        for one in self.replicas:
            one.is_up, one.begun = False, None
            one.prepared.clear()
        for one in self.replicas:
            self._start(one, store=self.store)

    # --- the database ----------------------------------------------------------------------------------------------

    def log(self, a: int, b: int) -> None:
        self.database.log()

    def lag(self, a: int, b: int) -> None:
        """Let the standby come so far with each read of it."""
        self.pace = (0, 1, 1, 2, 1000)[a % 5]

    def replay(self, a: int, b: int) -> None:
        self.database.replay(a or None)

    def begin_read(self, a: int, b: int) -> None:
        """Begin a read that is published later, with the rows of now or of then."""
        self._commit()
        if self.replica.begun is None:
            self._begin_read(self.replica, looks=bool(b % 2))

    def end_reads(self, a: int, b: int) -> None:
        for one in self.replicas:
            if one.begun is not None and one.answers:
                self._publish(one)
