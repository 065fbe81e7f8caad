from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from kubernetes.client.configuration import Configuration

from sealgate.kubernetes.client import KubernetesAPI
from sealgate.process.logs import configure_logs
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from structlog.typing import FilteringBoundLogger


@pytest.fixture
def cluster() -> Iterator[KubernetesSimulator]:
    with KubernetesSimulator() as cluster:
        yield cluster


@pytest.fixture
def api(cluster: KubernetesSimulator) -> KubernetesAPI:
    configuration = Configuration(host=cluster.url)
    return KubernetesAPI(configuration)


@pytest.fixture
def output() -> io.StringIO:
    """The log, with one JSON object per line."""
    return io.StringIO()


@pytest.fixture
def log(output: io.StringIO) -> FilteringBoundLogger:
    return configure_logs("json", output)


@contextmanager
def running(tasks: Iterable[Callable[[threading.Event], None]], cluster: KubernetesSimulator) -> Iterator[None]:
    """Run tasks in threads; at the end the API server is stopped, so that no watch delays them."""
    stop = threading.Event()
    threads = [threading.Thread(target=task, args=(stop,), daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        cluster.close()
        for thread in threads:
            thread.join(150)
        assert not any(thread.is_alive() for thread in threads)
