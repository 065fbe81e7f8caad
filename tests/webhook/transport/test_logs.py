"""Logs: one format for every logger, one line per event, untrusted text escaped."""

from __future__ import annotations

import io
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from gunicorn.config import Config

from sealgate.process.logs import configure_logs
from sealgate_webhook.transport.logs import GunicornLogger

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_and_level() -> None:
    stream = io.StringIO()
    configure_logs("auto", stream).info("review", uid="1")
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"msg": "review", "level": "info", "uid": "1"}


@pytest.mark.parametrize("name", ["gunicorn.error", "flask.app", "urllib3", "anything"])
def test_standard_logging_has_the_same_format(name: str) -> None:
    stream = io.StringIO()
    configure_logs("json", stream)
    logging.getLogger(name).warning("seen %s\n%s", "this", "and that")
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"msg": "seen this\\nand that", "level": "warning", "logger": name}


def test_exceptions_are_inside_their_line() -> None:
    stream = io.StringIO()
    log = configure_logs("json", stream)
    try:
        int("broken")
    except ValueError:
        log.exception("internal error")
        logging.getLogger("flask.app").exception("also")
    ours, theirs = lines(stream)
    for line in (ours, theirs):
        assert "ValueError: invalid literal" in line["exception"]
        assert line["level"] == "error"


def test_debug_lines_are_left_out() -> None:
    stream = io.StringIO()
    configure_logs("json", stream).debug("detail")
    logging.getLogger("urllib3").debug("detail")
    assert stream.getvalue() == ""


def test_a_person_at_a_terminal_gets_text() -> None:
    stream = Terminal()
    configure_logs("auto", stream).info("review", uid="1")
    text = stream.getvalue()
    assert "review" in text
    assert not text.startswith("{")


def test_text_format_without_a_terminal_has_no_colours() -> None:
    stream = io.StringIO()
    log = configure_logs("console", stream)
    log.info("review", uid="1")
    logging.getLogger("gunicorn.error").warning("Invalid request %s", "\x1b[31m\nfake line")
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 2


def test_long_foreign_messages_are_cut() -> None:
    stream = io.StringIO()
    configure_logs("json", stream)
    logging.getLogger("gunicorn.error").warning("Invalid request %s", "x" * 100_000)
    assert len(stream.getvalue()) < 3000


def test_gunicorn_logs_through_the_same_handler_and_no_access_lines() -> None:
    stream = io.StringIO()
    configure_logs("json", stream)
    logger = GunicornLogger(Config())
    logger.info("Listening at: %s", "https://127.0.0.1:8443")
    assert not logger.access_log_enabled
    (line,) = lines(stream)
    assert line["msg"] == "Listening at: https://127.0.0.1:8443"
    assert not logger.error_log.handlers


def test_logs_go_to_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json").info("review")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["msg"] == "review"


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed file")]
)
def test_unwritable_log_does_not_affect_responses(error: Exception) -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise error

        def flush(self) -> None:
            raise error

    configure_logs("json", Broken()).info("review")
    logging.getLogger("gunicorn.error").info("starting")


def test_lines_of_many_threads_are_written_whole_and_unbuffered() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as output, os.fdopen(writer, "w") as stream:
        log = configure_logs("json", stream)
        with ThreadPoolExecutor(16) as pool:
            written = pool.map(lambda number: log.info("review", number=number, text="x" * 2000), range(500))
            # Nothing is left in a buffer: every line can be read while the stream is open.
            read = [json.loads(output.readline())["number"] for _ in range(500)]
            assert len(list(written)) == 500
    assert sorted(read) == list(range(500))


def test_a_line_that_is_longer_than_a_pipe_arrives_whole() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as output, os.fdopen(writer, "w") as stream:
        log = configure_logs("json", stream)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(log.warning, "review", text="x" * 1_000_000)
            assert len(json.loads(output.readline())["text"]) == 1_000_000


@pytest.mark.parametrize("buffering", [-1, 0])  # 0 is what PYTHONUNBUFFERED makes of standard error
def test_line_with_any_characters_is_written(tmp_path: Path, buffering: int) -> None:
    file = (tmp_path / "log").open("wb", buffering=buffering)
    with io.TextIOWrapper(file, encoding="ascii", write_through=not buffering) as stream:
        configure_logs("console", stream).error("caf\u00e9 \ud800")
        assert "caf\u00e9 \\ud800" in (tmp_path / "log").read_text(encoding="utf-8")


def test_closed_log_file_affects_no_response_and_is_not_replaced(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w")
    log = configure_logs("json", stream)
    stream.close()
    with (tmp_path / "other").open("w+") as other:
        log.info("review")
        logging.getLogger("gunicorn.error").warning("also")
        assert other.read() == ""


def test_full_non_blocking_pipe_does_not_affect_responses() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(reader), os.fdopen(writer, "w") as stream:
        log = configure_logs("json", stream)
        for _ in range(100):
            log.info("review", text="x" * 10_000)
