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
        message, descriptors, _, _ = socket.recv_fds(control, MAX_REQUEST_BYTES, 4)
        if not message:
            _reap(0)
            return
        if os.fork() == 0:
            control.close()
            _run(json.loads(message), *descriptors)
            return
        for received in descriptors:
            os.close(received)
        _reap(os.WNOHANG)


def _reap(options: int) -> None:
    """Reap the processes that have ended, or wait for the end of all."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, options) != (0, 0):
            pass


def _run(request: dict[str, Any], stdin: int, stdout: int, stderr: int, status: int) -> None:
    """Start a process with these streams, and write its number and then its exit status."""
    streams = (stdin, stdout, stderr)
    child = os.fork()
    if child != 0:
        for descriptor in streams:
            os.close(descriptor)
        os.write(status, b"%d\n" % child)
        _, ended = os.waitpid(child, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
        os._exit(0)
    os.close(status)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    resource.setrlimit(resource.RLIMIT_NOFILE, request["descriptors"])
    module, *arguments = request["command"]
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
