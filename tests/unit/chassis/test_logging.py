"""Log lines: one JSON object each, with the request's id and what was passed beside the message."""

import json
import logging
import sys

from chassis.logging import JsonFormatter
from chassis.origin import Origin, current_origin


def _line(message: str, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, (), None)
    vars(record).update(extra)
    line: dict[str, object] = json.loads(JsonFormatter("auth").format(record))
    return line


def test_a_line_names_process_level_and_extras() -> None:
    line = _line("slow\nquery", seconds=1.5)
    assert line["process"] == "auth"
    assert line["level"] == "warning"
    assert line["message"] == "slow\nquery"
    assert line["seconds"] == 1.5
    assert "requestId" not in line


def test_a_line_within_a_request_carries_its_id() -> None:
    token = current_origin.set(Origin(request_id="r-1"))
    try:
        assert _line("x")["requestId"] == "r-1"
    finally:
        current_origin.reset(token)


def test_an_exception_is_one_field() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("l", logging.ERROR, __file__, 1, "m", (), sys.exc_info())
    line = json.loads(JsonFormatter("auth").format(record))
    assert "ValueError: broken" in line["exception"]
