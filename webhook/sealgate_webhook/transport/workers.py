"""gunicorn's worker process with the server of `sealgate.process.serving` in its event loop.

gunicorn binds the ports, starts the worker again if it dies, and kills it if its event loop stands still. Its own
protocol for ASGI applications is not used: see decision 11.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, cast

from gunicorn.workers.gasgi import ASGIWorker

if TYPE_CHECKING:
    from sealgate.process.serving.server import Server


class ServerWorker(ASGIWorker):
    """The worker process of a server; the application of gunicorn's configuration is a `Server`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own arguments, passed on
        super().__init__(*args, **kwargs)
        self._stop = asyncio.Event()
        self._drain = float(self.cfg.graceful_timeout)

    def run(self) -> None:
        """Serve until a signal; called by gunicorn."""
        server = cast("Server", self.asgi)
        listeners = [cast("Any", listener).sock for listener in self.sockets]
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        loop.run_until_complete(server.serve(listeners, self._stop, lambda: self._drain, self._tick))

    def handle_exit_signal(self) -> None:
        """Stop after the requests that are under way."""
        super().handle_exit_signal()
        self._stop.set()

    def handle_quit_signal(self) -> None:
        """Stop at once."""
        super().handle_quit_signal()
        self._drain = 0.0
        self._stop.set()

    def _tick(self) -> None:
        self.notify()
        if self.ppid != os.getppid():
            # The parent has died, and with it the one who would stop this process.
            self._stop.set()
