from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SCRIPT = """
import logging, structlog
from service.telemetry import logs

logs.configure({level!r}, {form!r})
log = structlog.get_logger("test")
log.debug("fine")
log.info("hello", number=1, text="caf\\u00e9", nothing=None, empty="", zero=0)
logging.getLogger("library").info("a library's small talk")
logging.getLogger("library").warning("a library's %s", "warning")
for _ in range(1000):
    logging.getLogger("asyncio").error("socket.accept() out of system resource\\nsocket: x")
logging.getLogger("aiohttp.server").error("Error handling request: POST /?name=private")
logging.getLogger("opentelemetry.trace.span").warning("Member doesn't match the w3c identifiers format private")
def broken():
    private = "private"
    raise ValueError("private")
try:
    broken()
except ValueError:
    log.exception("it broke")
    logging.getLogger("library").exception("it broke too")
"""


def lines(level: str, form: str) -> list[str]:
    """Return the lines that a process with this configuration writes to standard error."""
    script = SCRIPT.format(level=level, form=form)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_logs_are_one_object_per_line_for_libraries_too() -> None:
    events: list[dict[str, Any]] = [json.loads(line) for line in lines("INFO", "json")]
    assert [event["event"] for event in events] == [
        "hello",
        "a library's warning",
        "socket.accept() out of system resource\nsocket: x",
        "it broke",
        "it broke too",
    ]
    assert (events[0]["number"], events[0]["text"], events[0]["level"]) == (1, "caf\u00e9", "info")
    assert events[0].keys() == {"event", "number", "text", "zero", "level", "timestamp"}
    assert all(event["timestamp"].endswith("Z") for event in events)
    assert events[1]["logger"] == "library"


def test_an_exception_is_logged_with_its_type_and_stack_without_its_text() -> None:
    written = lines("INFO", "json")
    assert not any("private" in line for line in written)
    for line in written[-2:]:
        event = json.loads(line)
        assert event["exception"] == "ValueError"
        assert event["frames"][-1].endswith(" broken")


@pytest.mark.parametrize(("level", "number"), [("DEBUG", 6), ("INFO", 5), ("ERROR", 3)])
def test_the_level_decides_what_is_logged(level: str, number: int) -> None:
    assert len(lines(level, "json")) == number


def test_a_terminal_gets_text() -> None:
    written = lines("INFO", "console")
    assert "hello" in written[0]
    assert "number" in written[0]
    assert not any("private" in line for line in written)


UNWRITABLE = """
import logging, structlog, sys
from service.telemetry import logs

class Unwritable:
    def __str__(self):
        raise RuntimeError("private")

logs.configure("INFO", {form!r})
log = structlog.get_logger("test")
log.info("lone_surrogate", reason=chr(0xD800))
log.info("object", reason=Unwritable())
log.info("number", reason=2**70)
logging.getLogger("library").warning("%d is private", "private")
logging.getLogger("library").warning(Unwritable())
"""


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_that_cannot_be_formatted_raises_nothing_and_its_content_is_not_logged(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNWRITABLE.format(form=form)], capture_output=True, text=True, timeout=30, check=True
    )
    assert not any(word in done.stderr for word in ("private", "Traceback"))
    assert len(done.stderr.splitlines()) == 5


STORM = """
import logging, structlog, threading
from service.telemetry import logs

logs.configure("INFO", "json")
def storm():
    for number in range(500):
        structlog.get_logger("test").info("bad_request", status=400, request_id=number)
        logging.getLogger("library").warning("number %d", number)
storm()
thread = threading.Thread(target=storm)
thread.start()
thread.join()
structlog.get_logger("test").info("rare")
"""


def test_lines_of_one_kind_are_sampled_for_libraries_and_other_threads_too() -> None:
    done = subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, timeout=30, check=True)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    suppressed = sum(event["count"] for event in events if event["event"] == "lines_suppressed")
    assert suppressed >= 1000  # it may take more than one second
    others = [event["event"] for event in events if event["event"] != "lines_suppressed"]
    assert others[-1] == "rare"
    assert len(others) + suppressed == 2001
