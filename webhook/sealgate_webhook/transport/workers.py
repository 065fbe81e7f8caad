"""gunicorn's worker process with the server of `sealgate.process.serving` in uvloop's event loop.

gunicorn binds the ports, starts the worker again if it dies, and kills it if its event loop stands still. Its own
protocol for ASGI applications is not used: see decision 11. Its own worker for event loops is not either, since
importing it imports that protocol, which takes 2 MiB.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, cast

import uvloop
from gunicorn.workers.base import Worker

if TYPE_CHECKING:
    from sealgate.process.serving.server import Server


class ServerWorker(Worker):
    """The worker process of a server; the application of gunicorn's configuration is a `Server`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own arguments, passed on
        super().__init__(*args, **kwargs)
        self._drain = float(self.cfg.graceful_timeout)

    def init_process(self) -> None:
        """Make the event loop, and serve; called by gunicorn in the worker."""
        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._stop = asyncio.Event()
        super().init_process()

    def init_signals(self) -> None:
        """Handle signals in the event loop."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        handlers = {
            signal.SIGTERM: self._finish,
            signal.SIGINT: self._stop_at_once,
            signal.SIGQUIT: self._stop_at_once,
            signal.SIGABRT: self._abort,
            # The terminal's size, and gunicorn's signal for log files; both would end the process.
            signal.SIGWINCH: _ignore,
            signal.SIGUSR1: _ignore,
        }
        for number, handler in handlers.items():
            self._loop.add_signal_handler(number, handler)

    def run(self) -> None:
        """Serve until a signal; called by gunicorn."""
        server = cast("Server", self.wsgi)
        listeners = [cast("Any", listener).sock for listener in self.sockets]
        self._loop.run_until_complete(server.serve(listeners, self._stop, lambda: self._drain, self._tick))

    def _finish(self) -> None:
        """Stop after the requests that are under way."""
        self.alive = False
        self._stop.set()

    def _stop_at_once(self) -> None:
        self._drain = 0.0
        self._finish()

    def _abort(self) -> None:
        """End, because gunicorn found that the event loop stood still."""
        self.alive = False
        sys.exit(1)

    def _tick(self) -> None:
        self.notify()
        if self.ppid != os.getppid():
            # The parent has died, and with it the one who would stop this process.
            self._stop.set()


def _ignore() -> None:
    """Do nothing."""
