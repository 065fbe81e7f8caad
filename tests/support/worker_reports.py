"""Reports of pytest-xdist's workers: without those that say nothing.

A worker sends six messages for each test. That a setup or a teardown passed changes nothing in what is printed, and
each message takes a tenth of a millisecond in the worker and again in the process that prints, which all workers share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    import pytest

#: Seconds that a setup or a teardown takes at most to be left out; `--durations` shows what takes longer.
SHORT: Final = 0.02


class WorkerReports:
    """Plugin of pytest for workers, which logs fewer reports than pytest's own runner."""

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test, then log what its reports say."""
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if not _says_nothing(report):
                item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True


def _says_nothing(report: pytest.TestReport) -> bool:
    silent = not report.sections and not report.user_properties
    return report.when != "call" and report.passed and silent and report.duration < SHORT
