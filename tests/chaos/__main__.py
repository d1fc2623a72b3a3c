"""`python -m tests.chaos`: break everything around two replicas at random, and judge each Application that is deleted.

Two replicas of tenantry answer Argo CD's own controller on a real API server. PostgreSQL, tenantry, the API server,
etcd and the controller are killed, ended and held still, and the links between them cut, swallowed and slowed down;
meanwhile tenants sign up, change, leave, are deleted by mistake and put back. A seed draws the same faults and changes
again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.chaos.run import Chaos

_LOGS = Path("build") / "chaos"


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="for how long things break")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--plugin", choices=("tenantry", "rival"), default="tenantry", help="who answers Argo CD")
    asked = parser.parse_args()
    chaos = Chaos(asked.seed, asked.seconds, asked.plugin == "rival", _LOGS / str(asked.seed))
    try:
        print(chaos.run())
    except AssertionError as wrong:
        told = [str(wrong), *getattr(wrong, "__notes__", ())]
        print(*told, f"seed {asked.seed}; what happened, and all logs: {chaos.keep}", sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
