"""How much is measured: in full, or just enough to see that everything can be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.tables import Tables


@dataclass(frozen=True)
class Plan:
    """What every measurement is given."""

    tables: Tables
    work: Path
    """A folder for logs, files and bytecode."""

    tenants: int = 10_000
    most_tenants: int = 100_000
    rounds: int = 5
    seconds: float = 2.0
    starts: int = 9
    changes: int = 12
    commits: int = 44
    """Of each round."""

    hour: int = 1800
    """Changes of an hour: one for each snapshot interval."""

    warm: bool = True

    @classmethod
    def quick(cls, tables: Tables, work: Path) -> Plan:
        """Ten tenants and a second each: shows that it works, and nothing of speed."""
        return cls(
            tables,
            work,
            tenants=10,
            most_tenants=10,
            rounds=1,
            seconds=1.0,
            starts=1,
            changes=3,
            commits=4,
            hour=48,
            warm=False,
        )
