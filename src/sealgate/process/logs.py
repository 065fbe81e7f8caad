"""Logs: one JSON object a line on standard error, or coloured text where a person is watching.

Events are constant texts, values go into keys. Foreign text (uids, namespaces, image names) goes through
`sealgate.messages.quote` before it gets here, so it can neither start a line of its own nor move a terminal's cursor.
gunicorn, Kopf and everything else that uses `logging` come out in the same shape.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

from sealgate.messages import quote
from sealgate.process.hidden_modules import hidden

with hidden("rich"):
    # structlog would import it for tracebacks in colour, which are not used here: 9 MiB with what it needs.
    import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from structlog.typing import FilteringBoundLogger, Processor

LogStyle = Literal["auto", "json", "console"]

#: The most characters of a message that another library composed.
MAX_FOREIGN = 2000


def configure_logs(
    style: LogStyle = "auto", stream: TextIO | None = None, level: int = logging.INFO
) -> FilteringBoundLogger:
    """Make this process log in one shape and return the logger to pass on.

    Args:
        style: format of the lines; "auto" is text on a terminal and JSON elsewhere.
        stream: where to; standard error by default.
        level: the least that is said, one of `logging`'s.
    """
    steady = _Steady(stream or sys.stderr)
    renderer = _renderer(style, steady)
    _adopt_standard_logging(renderer, steady, level)
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(steady),
        processors=[*_SHARED, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


class _Steady:
    """A stream whose failures go no further: a full disk or a closed pipe must not cost an answer.

    Where there is a file behind the stream, a text goes to it as a whole and past all buffers. Those have locks, and
    a thread that waits for the system inside such a lock makes all others queue there, at twice the cost of a review
    that is answered from memory. The system itself keeps apart what is written at once; only a text of more than 4
    KiB can be torn, and only in a pipe whose reader does not keep up.

    Args:
        stream: the one behind it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # With PYTHONUNBUFFERED, as in the images, the file is where the buffer would be.
        buffer = getattr(stream, "buffer", None)
        raw = getattr(buffer, "raw", buffer)
        self._file = raw if isinstance(raw, io.FileIO) else None

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            if self._file is None:
                self._stream.write(text)
            else:
                _write_all(self._file, text.encode(errors="backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Flush, if that is needed and possible."""
        if self._file is None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def isatty(self) -> bool:
        """Return whether a person is watching."""
        return self._stream.isatty()


class _Lines:
    """What structlog writes its lines to.

    Args:
        stream: where to.
    """

    def __init__(self, stream: _Steady) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        """Write a line."""
        self._stream.write(line + "\n")
        self._stream.flush()

    debug = info = warning = error = critical = msg


def _write_all(file: io.FileIO, data: bytes) -> None:
    """Write data; what a file that never waits has no room for is dropped."""
    while data:
        data = data[file.write(data) or len(data) :]


def _renderer(style: LogStyle, stream: _Steady) -> Processor:
    if style == "console" or (style == "auto" and stream.isatty()):
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    return _render_json


def _render_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    # The fields that every line has come first. The event is `msg`, as in the JSON logs of Kubernetes' components.
    first = {"time": event.pop("time"), "level": event.pop("level"), "msg": event.pop("event")}
    return _ENCODER.encode(first | dict(event))


def _adopt_standard_logging(renderer: Processor, stream: _Steady, level: int) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, _name_logger, _bound_message],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def _name_logger(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    event["logger"] = event["_record"].name
    return event


def _bound_message(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    event["event"] = quote(event["event"], MAX_FOREIGN)
    return event


#: Made once: `json.dumps` would make one for each line. A value that is not JSON is written as Python prints it.
_ENCODER = json.JSONEncoder(default=repr)

_SHARED: tuple[Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)
