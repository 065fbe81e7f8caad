"""Processes that run a Python module and start in a few milliseconds.

Each is forked by a process that has imported the module (`fork_server.py`), because importing the webhook takes longer
than most tests of its process. Everything after the imports is as it is with `python -m`.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
#: The module that forks.
FORK_SERVER: Final = "tests.support.fork_server"
#: What the processes run.
MODULES: Final = ("tests.webhook.serve", "sealgate_webhook.__main__", "sealgate_webhook.events.__main__")


class ForkedProcess:
    """A process, with the part of `subprocess.Popen` that tests use.

    Args:
        command: a module and its arguments.

    Attributes:
        stderr: what the process writes there, as text.
    """

    def __init__(self, *command: str) -> None:
        reading, writing = os.pipe()
        self._status, status = os.pipe()
        request = {
            "command": command,
            "environment": dict(os.environ),
            "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        }
        socket.send_fds(_fork_server()[0], [json.dumps(request).encode()], [writing, status])
        os.close(writing)
        os.close(status)
        self.stderr = os.fdopen(reading, encoding="utf-8")
        self._written = b""
        self.returncode: int | None = None
        while b"\n" not in self._written:
            self._read()
        self.pid = int(self._written.partition(b"\n")[0])

    def poll(self) -> int | None:
        """Return the exit status, as `Popen` has it; None as long as the process runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the end, and return the exit status.

        Raises:
            subprocess.TimeoutExpired: the process still runs after so many seconds.
        """
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)

    def _read(self) -> None:
        found = os.read(self._status, 64)
        assert found, "the process could not be forked"
        self._written += found

    def _end(self) -> None:
        while self._written.count(b"\n") < 2:
            self._read()
        self.returncode = int(self._written.split(b"\n")[1])
        os.close(self._status)


@functools.cache
def _fork_server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process that forks, once for each process of tests."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", FORK_SERVER, str(theirs.fileno()), *MODULES]
        return ours, subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])


def end_fork_server() -> None:
    """End the process that forks, if it has been started, once all that it has forked have ended."""
    if _fork_server.cache_info().currsize:
        control, process = _fork_server()
        control.close()
        process.wait()
        _fork_server.cache_clear()
