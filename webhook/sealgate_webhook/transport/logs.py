"""gunicorn's messages, in the one shape that all logs have (`sealgate.process.logs`)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gunicorn.glogging import Logger

if TYPE_CHECKING:
    from gunicorn.config import Config


class GunicornLogger(Logger):
    """gunicorn's messages on the same path as all others; its access log is off, a review has a line of its own."""

    def setup(self, cfg: Config) -> None:
        """Send everything to the root logger, which `configure_logs` has set up."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        self.error_log.setLevel(logging.INFO)
