"""Logs: one JSON object a line on standard error, or coloured text where a person is watching.

Messages are constant, values stand beside them under names of their own. Foreign text (uids, namespaces, image
names) goes through `sealgate.messages.quote` before it gets here, so it can neither start a line of its own nor move a
terminal's cursor. gunicorn, Flask and everything else that uses `logging` come out in the same shape.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

import structlog
from gunicorn.glogging import Logger

from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from gunicorn.config import Config
    from structlog.typing import FilteringBoundLogger, Processor

LogStyle = Literal["auto", "json", "console"]

#: The most characters of a message that another library composed.
MAX_FOREIGN = 2000


def configure_logs(style: LogStyle = "auto", stream: TextIO | None = None) -> FilteringBoundLogger:
    """Make this process log in one shape and return the logger to pass on.

    Args:
        style: how lines look; "auto" is text on a terminal and JSON elsewhere.
        stream: where to; standard error by default.
    """
    stream = stream or sys.stderr
    renderer = _renderer(style, stream)
    _adopt_standard_logging(renderer, stream)
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[*_SHARED, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


class GunicornLogger(Logger):
    """gunicorn's messages on the same path as all others; its access log is off, a review has a line of its own."""

    def setup(self, cfg: Config) -> None:
        """Send everything to the root logger, which `configure_logs` has set up."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        self.error_log.setLevel(logging.INFO)


def _renderer(style: LogStyle, stream: TextIO) -> Processor:
    if style == "console" or (style == "auto" and stream.isatty()):
        return structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )
    return _render_json


def _render_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return _ENCODER.encode(event)


def _adopt_standard_logging(renderer: Processor, stream: TextIO) -> None:
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
    root.setLevel(logging.INFO)


def _name_logger(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    event["logger"] = event["_record"].name
    return event


def _bound_message(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    event["event"] = quote(event["event"], MAX_FOREIGN)
    return event


#: Made once: `json.dumps` would make one for each line. What is no JSON is shown as Python shows it.
_ENCODER = json.JSONEncoder(default=repr)

_SHARED: tuple[Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)
