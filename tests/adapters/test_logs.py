"""Log lines: none is lost, none waits for its reader, and none holds what must not be seen."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import threading

from tenantry.adapters.logs import LogWriter, start_log
from tenantry.core.errors import SourceUnreachable
from tests.builders import snapshot_of
from tests.support.waiting import eventually


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_every_line_is_written_also_those_that_come_while_it_closes() -> None:
    stream = io.StringIO()
    writer = LogWriter(stream)

    def write_many() -> None:
        for _ in range(1000):
            writer.write("x")

    threads = [threading.Thread(target=write_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    writer.close()

    assert stream.getvalue().count("x\n") == 4000


def test_a_reader_that_stalls_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    writer = LogWriter(stream)

    for _ in range(60_000):
        writer.write("a line that is long enough to fill the pipe in no time " * 3)

    os.close(reading)
    eventually(lambda: not writer._thread.is_alive())
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def test_the_line_of_an_answer_is_the_same_by_the_short_way() -> None:
    stream = io.StringIO()
    observer, writer = start_log("json", "info", stream)

    observer.answered("prod-eu", "default", 10, 0, 0.0012, held=False)
    observer.told("listening", {"addresses": ["127.0.0.1:1"]})
    writer.close()

    answered, listening = lines_of(stream)
    assert answered.pop("timestamp").__class__ is listening.pop("timestamp").__class__ is str
    assert answered == {
        "application_set": "prod-eu",
        "consumer": "default",
        "outcome": "released",
        "tenants": 10,
        "milliseconds": 1.2,
        "event": "answered",
        "level": "info",
    }


def test_a_quarantined_row_is_told_once_and_by_number() -> None:
    stream = io.StringIO()
    observer, writer = start_log("json", "info", stream)
    snapshot = snapshot_of([{"tenant": "acme-corp", "status": b"\xff"}])

    for _ in range(3):
        observer.snapshot_published(snapshot, 0.1, changed=False)
    writer.close()

    (line,) = lines_of(stream)
    assert (line["event"], line["row"], line["column"]) == ("row_quarantined", 1, "status")
    assert "acme" not in stream.getvalue()


def test_a_failure_is_told_when_it_is_news() -> None:
    stream = io.StringIO()
    observer, writer = start_log("json", "info", stream)

    for _ in range(5):
        observer.read_failed(SourceUnreachable(), "OperationalError", 0.1)
    writer.close()

    assert [line["event"] for line in lines_of(stream)] == ["read_failed"]


def test_a_fault_is_told_by_its_place_and_not_by_its_values() -> None:
    stream = io.StringIO()
    observer, writer = start_log("json", "info", stream)

    def fails(token: str) -> None:
        raise ValueError(f"something with {token}")

    try:
        fails("geheim")
    except ValueError as error:
        observer.failed(error)
        logging.getLogger("a.library").exception("Something with %s", "geheim")
    writer.close()

    assert "geheim" not in stream.getvalue()
    assert "fails:" in stream.getvalue()


def test_a_line_of_asyncio_is_told_without_what_it_quotes() -> None:
    stream = io.StringIO()
    _, writer = start_log("json", "info", stream)

    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task exception='geheim'>")
    writer.close()

    assert "geheim" not in stream.getvalue()
    assert "Task exception was never retrieved" in stream.getvalue()
