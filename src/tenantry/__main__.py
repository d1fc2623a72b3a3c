"""`tenantry` and `python -m tenantry`."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main() -> None:
    """Hear SIGTERM from the first moment, then run the command line.

    As process 1 of a container a signal without a handler is lost: Kubernetes would wait, and kill.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)
    from tenantry.cli.main import main as run

    run()


def _terminated(number: int, _: FrameType | None) -> None:
    """End as a shell tells it of a process that a signal ended."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
