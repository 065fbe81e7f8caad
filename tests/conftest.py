"""What all tests share."""

from __future__ import annotations

import gc
import logging
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.examples import FULL, QUICK
from tests.support.forked_processes import end_fork_servers
from tests.support.order import long_ones_first
from tests.support.process_count import PythonProcesses
from tests.support.worker_reports import WorkerReports

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# How long an example takes says how busy the machine is, and nothing about the code.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What make coverage chooses, and what every other run has. Both run every property test.
settings.register_profile("full", PATIENT, max_examples=FULL)
settings.register_profile("quick", PATIENT, max_examples=QUICK)
settings.load_profile("quick")

# Shells let background jobs ignore Ctrl-C; whatever is started here would go on ignoring it, and some of it must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test trusts a CA of this machine, and OpenSSL needs 50 ms for each context to parse the bundle of all of them.
# Processes that tests start inherit this. Tests on a cluster start tools that may download.
if not os.environ.get("SEALGATE_E2E"):
    os.environ["SSL_CERT_FILE"] = os.devnull

# Tests start hundreds of short processes of tools in Go, which spend a fifth of their CPU time on garbage collection.
os.environ.setdefault("GOGC", "400")

#: Longer texts are keys, signatures and documents, and not what anybody calls a test.
MAX_TEXT = 100


def pytest_configure(config: pytest.Config) -> None:
    """Count the processes of tests, except on a cluster, and let workers report what says something."""
    if not os.environ.get("SEALGATE_E2E"):
        config.pluginmanager.register(PythonProcesses())
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(WorkerReports())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exempt all tests, and the modules that they import, from garbage collection: they stay until the end.

    Otherwise it would search them again and again while they are collected, and in each of its full collections later.
    The rest it searches less often than in short-lived programs: thousands of tests leave little behind.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        gc.enable()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Run more workers than there are cores: half of the time a test waits, for timeouts, leases or processes."""
    return (yield) + 3


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin long tests first, after the order of all others has been chosen at random."""
    items[:] = long_ones_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name tests after their arguments only where those are the same in every run and every process."""
    if isinstance(val, bytes | bytearray) or (isinstance(val, str) and len(val) > MAX_TEXT):
        return argname
    return None


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Programs set up logging for their process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def _fork_servers_end() -> Iterator[None]:
    """End the processes that fork before coverage combines what all processes have measured."""
    yield
    end_fork_servers()
