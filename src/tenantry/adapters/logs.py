"""Log lines: JSON in a container, readable on a terminal; neither tokens nor tenants' data are ever in one.

Lines are gathered and written by a thread, so that a reader of the log that stalls does not stall an answer.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import Processor

from tenantry.core.errors import TenantryError
from tenantry.core.snapshot import Snapshot

AnswerLine = Callable[[str, str, str, int, float], None]
"""Writes the line of an answer: ApplicationSet, consumer, outcome, tenants, milliseconds."""

_ENCODER = msgspec.json.Encoder()
_MOST_WAITING = 50_000
_GATHERED = 0.05
"""Seconds for which lines are gathered before they are written."""
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MOST_ROWS_TOLD = 20


class LogWriter:
    """Writes lines from a thread of its own; drops and counts what a stalled reader leaves no room for.

    The thread is woken once for many lines: to hand over each by itself would cost more than the answer it tells of.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream` until closed."""
        self._stream = stream
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._some = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: str) -> None:
        """Take in a line."""
        if len(self._lines) >= _MOST_WAITING:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._some.is_set():
            self._some.set()

    def close(self) -> None:
        """Write what is left and end the thread, within a second."""
        self._closing.set()
        self._some.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._closing.wait(_GATHERED)
            self._some.clear()
            if not self._write_waiting():
                return
        # What came while the last were being written.
        self._write_waiting()

    def _write_waiting(self) -> bool:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if self._dropped:
            lines.insert(0, msgspec.json.encode({"event": "log_lines_dropped", "lines": self._dropped}).decode())
            self._dropped = 0
        try:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
        except (OSError, ValueError):
            return False
        return True


class LogObserver:
    """Turns what is observed into log lines."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger, answered: AnswerLine | None = None) -> None:
        """Write to `log`; `answered` writes the line of an answer, which is written most, by a shorter way."""
        self._log = log
        self._answered = answered or self._answered_at_length
        self._last_failure = ""
        self._last_quarantine: tuple[object, ...] = ()

    def snapshot_published(
        self,
        snapshot: Snapshot,
        seconds: float,
        *,
        changed: bool,
        heard: float | None = None,  # noqa: ARG002
    ) -> None:
        """Tell of a changed snapshot, of a recovery, and of rows that were quarantined or released."""
        if changed or self._last_failure:
            self._log.info(
                "snapshot_published",
                revision=snapshot.revision[:12],
                tenants=len(snapshot.tenants),
                rows=snapshot.rows,
                milliseconds=_milliseconds(seconds),
            )
        self._last_failure = ""
        self._tell_quarantine(snapshot)

    def _tell_quarantine(self, snapshot: Snapshot) -> None:
        told = tuple((row.row, row.column, row.reason, row.kept) for row in snapshot.quarantined)
        if told == self._last_quarantine:
            return
        self._last_quarantine = told
        if not told:
            self._log.info("quarantine_empty")
        for row in snapshot.quarantined[:_MOST_ROWS_TOLD]:
            self._log.warning(
                "row_quarantined",
                row=row.row,
                column=row.column,
                reason=row.reason,
                served=_served(kept=row.kept, complete=snapshot.complete),
                remedy="Correct the row; `tenantry check` names its tenant.",
            )
        if len(told) > _MOST_ROWS_TOLD:
            self._log.warning("rows_quarantined", rows=len(told), told=_MOST_ROWS_TOLD)

    def read_spared(self) -> None:
        """Say nothing: it is nothing new."""

    def read_failed(self, error: TenantryError, cause: str, seconds: float) -> None:
        """Tell of a failed read: a warning when it is news, a debug line while it goes on."""
        tell = self._log.debug if error.message == self._last_failure else self._log.warning
        self._last_failure = error.message
        tell("read_failed", reason=error.message, cause=cause, milliseconds=_milliseconds(seconds))

    def answered(
        self,
        application_set: str,
        consumer: str,
        tenants: int,
        checksum: int,  # noqa: ARG002 -- for the metrics
        seconds: float,
        *,
        held: bool,
    ) -> None:
        """Write the one line of an answered request."""
        outcome = "held" if held else "released"
        self._answered(application_set, consumer, outcome, tenants, _milliseconds(seconds))

    def _answered_at_length(
        self, application_set: str, consumer: str, outcome: str, tenants: int, milliseconds: float
    ) -> None:
        self._log.info(
            "answered",
            application_set=application_set,
            consumer=consumer,
            outcome=outcome,
            tenants=tenants,
            milliseconds=milliseconds,
        )

    def refused(self, status: int, error: TenantryError, seconds: float, application_set: str, consumer: str) -> None:
        """Write the one line of a refused request."""
        self._log.warning(
            "refused",
            application_set=application_set,
            consumer=consumer,
            outcome="refused",
            status=status,
            reason=error.message,
            milliseconds=_milliseconds(seconds),
        )

    def failed(self, error: BaseException) -> None:
        """Write where something raised, without the values that it held."""
        self._log.error("failed", error=type(error).__name__, at=_places(error))

    def told(self, event: str, fields: dict[str, object]) -> None:
        """Write any other event; one that says what to do is a warning."""
        tell = self._log.warning if "remedy" in fields else self._log.info
        tell(event, **fields)


def start_log(form: str, level: str, stream: TextIO = sys.stderr) -> tuple[LogObserver, LogWriter]:
    """Set up the log, ours and that of libraries: `form` is auto, json or console."""
    writer = LogWriter(stream)
    readable = form == "console" or (form == "auto" and stream.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if readable
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        renderer,
    ]
    log = structlog.wrap_logger(
        _Lines(writer),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )
    short = None if readable or _LEVELS[level] > _LEVELS["info"] else partial(_write_answered, writer)
    root = logging.getLogger()
    root.handlers = [_Foreign(log)]
    root.setLevel(logging.WARNING)
    return LogObserver(log, short), writer


class _Lines:
    """What structlog writes to: every level is one line."""

    def __init__(self, writer: LogWriter) -> None:
        self.msg = self.debug = self.info = self.warning = self.error = self.critical = writer.write


class _Foreign(logging.Handler):
    """Lines of libraries: who and how severe, without their text, which may quote requests or statements.

    asyncio puts what it quotes into the template, after its first line.
    """

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        known = record.msg.partition("\n")[0] if isinstance(record.msg, str) else type(record.msg).__name__
        error = record.exc_info[1] if record.exc_info else None
        self._log.warning(
            "library",
            logger=record.name,
            severity=record.levelname.lower(),
            template=known,
            error=type(error).__name__ if error else None,
        )


def _write_answered(
    writer: LogWriter, application_set: str, consumer: str, outcome: str, tenants: int, milliseconds: float
) -> None:
    """Write what structlog would, in a fifth of the time."""
    line = {
        "application_set": application_set,
        "consumer": consumer,
        "outcome": outcome,
        "tenants": tenants,
        "milliseconds": milliseconds,
        "event": "answered",
        "level": "info",
        "timestamp": datetime.now(UTC),
    }
    writer.write(_ENCODER.encode(line).decode())


def _json(document: Any, **_: Any) -> str:  # noqa: ANN401 -- structlog's signature
    return msgspec.json.encode(document).decode()


def _served(*, kept: bool, complete: bool) -> str:
    if kept:
        return "last good parameters"
    return "left out: no answer ever had it" if complete else "unknown: no answer leaves"


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _places(error: BaseException) -> list[str]:
    """Return the last places of a traceback: function and line, never values."""
    places: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-6:]
