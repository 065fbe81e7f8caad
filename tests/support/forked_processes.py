"""Processes that run a Python module and start in a few milliseconds.

Each is forked by a process that has imported the module (`fork_server.py`), because importing the webhook takes longer
than most tests of its process. Everything after the imports is as it is with `python -m`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self, TextIO

ROOT: Final = Path(__file__).parents[2]
#: The module that forks.
FORK_SERVER: Final = "tests.support.fork_server"
#: How long the end of a process may take on a busy machine.
PATIENCE_SECONDS: Final = 150
#: How long a thread waits before it asks whether another thread has read the exit status.
_PAUSE_SECONDS: Final = 0.1
#: What the processes run, and what else is imported for that, by the program that they are. One process forks for each.
PROGRAMS: Final = (
    (
        "tests.webhook.serve",
        "sealgate_webhook.__main__",
        "sealgate_webhook.events.__main__",
        "tests.cli.command",
        "sealgate.cli.commands.serve",
        "sealgate.cli.commands.sign",
        "sealgate.cli.commands.verify",
    ),
    ("sealgate_operator.__main__", "sealgate_operator.worker.__main__"),
)


class ForkedProcess:
    """A process, with the part of `subprocess.Popen` that tests use. Several threads may wait for its end.

    Args:
        command: a module of `PROGRAMS`, or the package whose `__main__` it is, and its arguments.
        environment: variables of the process; None for those of this one.
        output: whether its standard output is read.
        terminal: a descriptor that is its standard input, output and error; None for no input.

    Attributes:
        stdout: what the process writes there, as text, if it is read.
        stderr: what the process writes there, as text, unless it has a terminal.
    """

    def __init__(
        self,
        *command: str,
        environment: Mapping[str, str] | None = None,
        output: bool = False,
        terminal: int | None = None,
    ) -> None:
        names = {command[0], f"{command[0]}.__main__"}
        modules = next(modules for modules in PROGRAMS if names.intersection(modules))
        self.stdout: TextIO = io.StringIO()
        null = written = os.open(os.devnull, os.O_RDWR)
        if output:
            reading, written = os.pipe()
            self.stdout = os.fdopen(reading, encoding="utf-8")
        reading, errors = os.pipe()
        self.stderr: TextIO = os.fdopen(reading, encoding="utf-8")
        self._status, status = os.pipe()
        streams = [null, written, errors] if terminal is None else [terminal] * 3
        request = {
            "command": command,
            "environment": dict(os.environ if environment is None else environment),
            "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        }
        socket.send_fds(_fork_server(modules)[0], [json.dumps(request).encode()], [*streams, status])
        for descriptor in {null, written, errors, status}:
            os.close(descriptor)
        self._written = b""
        self.returncode: int | None = None
        self._lock = threading.Lock()
        while b"\n" not in self._written:
            self._read()
        self.pid = int(self._written.partition(b"\n")[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill()
        self.stdout.close()
        self.stderr.close()
        self.wait(PATIENCE_SECONDS)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end, and return what the process has written, which must fit into the pipes (64 KiB).

        Raises:
            subprocess.TimeoutExpired: the process still runs after so many seconds.
        """
        self.wait(timeout)
        return self.stdout.read(), self.stderr.read()

    def poll(self) -> int | None:
        """Return the exit status, as `Popen` has it; None as long as the process runs."""
        with self._lock:
            if self.returncode is None and select.select([self._status], [], [], 0)[0]:
                self._end()
            return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the end, and return the exit status.

        Raises:
            subprocess.TimeoutExpired: the process still runs after so many seconds.
        """
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            # Without the lock, so that another thread can kill the process, or read its status and close the pipe.
            with contextlib.suppress(OSError):
                select.select([self._status], [], [], min(left, _PAUSE_SECONDS))
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


#: The processes that fork, with the sockets that take requests, by the modules that they have imported.
_fork_servers: dict[tuple[str, ...], tuple[socket.socket, subprocess.Popen[bytes]]] = {}


def _fork_server(modules: tuple[str, ...]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Return the process that forks, which is started once for each process of tests."""
    if modules not in _fork_servers:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", FORK_SERVER, str(theirs.fileno()), *modules]
            # What it forks has streams of its own.
            null = subprocess.DEVNULL
            process = subprocess.Popen(command, cwd=ROOT, stdin=null, stdout=null, pass_fds=[theirs.fileno()])
        _fork_servers[modules] = ours, process
    return _fork_servers[modules]


def end_fork_servers() -> None:
    """End the processes that fork, if any has been started, once all that they have forked have ended."""
    while _fork_servers:
        _, (control, process) = _fork_servers.popitem()
        control.close()
        process.wait()
