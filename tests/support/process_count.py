"""Counts the Python processes that tests start: each costs as much as dozens of tests that call a function.

The time of a run says how busy the machine is; the number of processes is the same on every machine. It is without the
workers of pytest-xdist and the processes of each that fork others (`forked_processes.py`).
"""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import Any, Final

import pytest

from tests.support.forked_processes import FORK_SERVER

#: The most that a run of all tests starts. Before you raise it: see *Cheap tests* in CONTRIBUTING.md.
MAX_PYTHON_PROCESSES: Final = 120
_KEY: Final = "python_processes"


class PythonProcesses:
    """Plugin of pytest that counts Python processes, in all workers; a run that starts too many fails."""

    def __init__(self) -> None:
        self._started = 0
        self._collected = False
        sys.addaudithook(self._audit)

    def pytest_collection_finish(self) -> None:
        """Begin to count, where tests run."""
        self._collected = True

    def pytest_testnodedown(self, node: Any) -> None:
        """Add what a worker has counted; nothing of a worker that crashed."""
        self._started += getattr(node, "workeroutput", {}).get(_KEY, 0)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Report the count of a worker, or decide."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_KEY] = self._started
        elif self._started > MAX_PYTHON_PROCESSES and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was counted."""
        if self._started > MAX_PYTHON_PROCESSES:
            text = f"the tests started {self._started} Python processes, more than {MAX_PYTHON_PROCESSES}"
            terminalreporter.write_line(f"{text}: see Cheap tests in CONTRIBUTING.md", red=True)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and self._collected:
            program, command = PurePath(os.fsdecode(arguments[0])).name, arguments[1]
            self._started += program.startswith(("python", "sealgate")) and FORK_SERVER not in command
