"""One run of the chaos, from the first tenant to the judgement."""

from __future__ import annotations

import json
import shutil
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.customers import Customers
from tests.chaos.judge import Judge, Passes, Rules
from tests.chaos.people import AtTheDesk, Busy, Operator
from tests.chaos.plan import Fault, faults
from tests.chaos.sets import of_anybody, owned
from tests.chaos.stage import MAY_LEAVE, SETTLE, Breaking, Stage
from tests.chaos.view import View
from tests.e2e.bed import own_folder
from tests.e2e.sets import OFTEN
from tests.support.waiting import eventually

RECOVERED = 90.0
"""Seconds after the last fault within which everything is as the table says, whatever happened before."""

QUIET = 15.0
"""Seconds within which a change arrives once that is so."""

CHANGES = 10
"""Changes that are timed then."""

_BETWEEN = 0.3
"""Seconds between two changes, on average."""

_PREFIX = "tenantry-chaos-"


class Wrong(AssertionError):
    """Applications were deleted, or are missing, that should be there."""


@dataclass
class Journal:
    """What happened, in order."""

    began: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    def __call__(self, what: str) -> None:
        self.lines.append(f"{time.monotonic() - self.began:7.2f} {what}")


@dataclass
class Chaos:
    """A run that may be had again by its seed."""

    seed: int
    seconds: float
    is_rival: bool = False
    keep: Path | None = None
    """Where logs go if anything is wrong."""

    journal: Journal = field(default_factory=Journal)
    _is_lost: threading.Event = field(default_factory=threading.Event)
    """Set once something is wrong: no more has to be seen."""

    def run(self) -> str:
        """Run, and return what was seen; raises Wrong."""
        with own_folder(_PREFIX) as folder:
            folder.chmod(0o755)
            with Stage(folder, is_rival=self.is_rival) as stage:
                try:
                    return self._on(stage)
                except AssertionError as wrong:
                    self._keep([folder, stage.argocd.log.parent])
                    wrong.add_note(stage.argocd.report())
                    raise

    def _keep(self, folders: Sequence[Path]) -> None:
        if self.keep is None:
            return
        shutil.rmtree(self.keep, ignore_errors=True)
        self.keep.mkdir(parents=True)
        (self.keep / "journal.log").write_text("\n".join(self.journal.lines) + "\n")
        for log in (log for folder in folders for log in folder.glob("**/*.log")):
            (self.keep / log.name).write_bytes(log.read_bytes())

    def _on(self, stage: Stage) -> str:
        sets = of_anybody(every=OFTEN) if self.is_rival else owned()
        desk = AtTheDesk(ports=stage.ports, sets=sets)
        operator = Operator() if self.is_rival else desk
        customers = Customers(stage.tenants)
        busy = Busy(customers, operator, self.seed)
        customers.begin(busy.chance)
        rules, passes = Rules(SETTLE, MAY_LEAVE), Passes(stage.argocd.log)
        judge = Judge(stage.argocd, customers, operator, sets, rules, self.journal, passes)
        stage.connect(sets)
        judge.begin()
        try:
            view = View(sets, customers, judge, None if self.is_rival else desk)
            view.wait(40, "The first Applications")
            with Breaking(stage) as breaking:
                self._suffer(breaking, busy, judge)
                told = [] if self.is_rival or judge.wrong else self._recover(view, busy)
        finally:
            judge.end()
        self._judge(judge, breaking, stage)
        return " ".join([self._seen(judge, busy, breaking), *told])

    # --- the faults ------------------------------------------------------------------------------------------------

    def _suffer(self, breaking: Breaking, busy: Busy, judge: Judge) -> None:
        """Change the tenants all the time, while everything breaks as planned."""
        began, plan = time.monotonic(), faults(self.seed, self.seconds)
        threads = [threading.Thread(target=self._break, args=(breaking, one, began), daemon=True) for one in plan]
        self._made = Counter(f"{one.how} {one.on}" for one in plan)
        for thread in threads:
            thread.start()
        while time.monotonic() - began < self.seconds and not judge.wrong:
            self.journal(busy.change())
            time.sleep(busy.chance.expovariate(1 / _BETWEEN))
        if judge.wrong:
            self._is_lost.set()
        for thread in threads:
            thread.join(120)
        self.journal("The last fault is over.")

    def _break(self, breaking: Breaking, fault: Fault, began: float) -> None:
        if self._is_lost.wait(max(0.0, began + fault.at - time.monotonic())):
            return
        self.journal(f"{fault.how} {fault.on} for {fault.lasts:.1f} s")
        with breaking.broken(fault.on, fault.how):
            time.sleep(fault.lasts)
        self.journal(f"{fault.on} is mended")

    # --- after them ------------------------------------------------------------------------------------------------

    def _recover(self, view: View, busy: Busy) -> Sequence[str]:
        began = time.monotonic()
        busy.mend()
        view.wait(RECOVERED, "The table's Applications, and those that nobody let go")
        recovered = time.monotonic() - began
        self.journal(f"All is as the table says, {recovered:.1f} s after the last fault.")
        times = [self._timed(view, busy) for _ in range(CHANGES)]
        view.wait(RECOVERED, "The table's Applications, and those that are held", is_asked=True)
        held = view.number_held()
        self._let_all_go(view)
        return [
            f"All was as the table says {recovered:.1f} s after the last fault, with {held} removals held;",
            f"changes then arrived in {statistics.median(times):.2f} s (at most {max(times):.2f} s).",
        ]

    def _timed(self, view: View, busy: Busy) -> float:
        self.journal(busy.upgrade())
        began = time.monotonic()
        view.wait(QUIET, "A change")
        return time.monotonic() - began

    def _let_all_go(self, view: View) -> None:
        """Approve all that is held, so that the Applications are those of the table and no others."""
        assert view.desk is not None
        desk = view.desk

        def are_gone() -> bool:
            return not sum(desk.let_go(one) for one in view.sets)

        eventually(are_gone, within=RECOVERED, every=1.0, what="The end of all holds")
        view.wait(RECOVERED, "The table's Applications alone", is_asked=True)

    # --- what is told ----------------------------------------------------------------------------------------------

    def _judge(self, judge: Judge, breaking: Breaking, stage: Stage) -> None:
        wrong = list(judge.wrong)
        wrong += [f"{name} ended by itself with {code}" for name, code in breaking.ended if name in stage.replicas]
        for name, replica in stage.replicas.items():
            wrong += [f"{name} failed: {line[:2000]}" for line in unexpected(replica.log)]
        if wrong:
            raise Wrong(
                f"seed {self.seed}, {self.seconds:.0f} s: {len(wrong)} things are wrong.\n" + "\n".join(wrong[:20])
            )

    def _seen(self, judge: Judge, busy: Busy, breaking: Breaking) -> str:
        again = Counter(name for name, _ in breaking.ended)
        return (
            f"seed {self.seed}, {self.seconds:.0f} s: {sum(self._made.values())} faults, {busy.made} changes, "
            f"{judge.deleted} Applications deleted, all rightly; {len(judge.by_rows)} tenants left with nobody asked, "
            f"where {MAY_LEAVE} may. Ended by themselves: {dict(again) or 'nobody'}."
        )


def unexpected(log: Path) -> Iterator[str]:
    """Give the lines that tell of a fault which nobody thought of."""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            if json.loads(line).get("event") == "failed":
                yield line
        elif line.startswith("Traceback"):
            yield line
