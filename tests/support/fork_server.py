"""Forks processes that run a module: `python -m tests.support.fork_server DESCRIPTOR MODULE...`.

Imports the modules, then takes requests from the socket with that descriptor until it is closed (`forked_processes.py`
sends them). It has one thread, so that a fork copies nothing that is in progress.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import socket
import sys
from typing import Any

MAX_REQUEST_BYTES = 1 << 20


def main(descriptor: int, modules: list[str]) -> None:
    """Serve requests; return in every process that is to end."""
    for module in modules:
        importlib.import_module(module)
        # A process runs it again as `__main__`; what it has imported stays.
        del sys.modules[module]
    gc.freeze()
    control = socket.socket(fileno=descriptor)
    while True:
        message, (errors, status), _, _ = _receive(control)
        if not message:
            _reap(0)
            return
        if os.fork() == 0:
            control.close()
            _run(json.loads(message), errors, status)
            return
        os.close(errors)
        os.close(status)
        _reap(os.WNOHANG)


def _reap(options: int) -> None:
    """Reap the processes that have ended, or wait for the end of all."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, options) != (0, 0):
            pass


def _receive(control: socket.socket) -> tuple[bytes, tuple[int, int], int, object]:
    message, descriptors, flags, address = socket.recv_fds(control, MAX_REQUEST_BYTES, 2)
    errors, status = descriptors or (-1, -1)
    return message, (errors, status), flags, address


def _run(request: dict[str, Any], errors: int, status: int) -> None:
    """Start a process, and write its number and then its exit status."""
    child = os.fork()
    if child != 0:
        os.close(errors)
        os.write(status, b"%d\n" % child)
        _, ended = os.waitpid(child, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
        os._exit(0)
    os.close(status)
    os.dup2(errors, 2)
    os.close(errors)
    os.environ.clear()
    os.environ.update(request["environment"])
    resource.setrlimit(resource.RLIMIT_NOFILE, request["descriptors"])
    module, *arguments = request["command"]
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
