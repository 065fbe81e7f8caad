from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sealgate_operator.handlers import Watcher
from tests.operator.worlds import api_of, log
from tests.support.kubernetes_simulator import Fault

if TYPE_CHECKING:
    from tests.support.kubernetes_simulator import KubernetesSimulator


@pytest.mark.parametrize("path", ["/api$", "/apis$"])
def test_watches_that_kopf_gives_up_are_started_again(cluster: KubernetesSimulator, path: str) -> None:
    cluster.faults.append(Fault("GET", path, 404, times=1))
    stop = threading.Event()
    watcher = Watcher(api_of(cluster).configuration, "sealgate", lambda *_, **__: None, log())
    watching = threading.Thread(target=watcher.run, args=(stop,), daemon=True)
    watching.start()
    try:
        cluster.wait_for(lambda c: len(watched(c)) == 3)
    finally:
        stop.set()
        watching.join(60.0)
    assert not watching.is_alive()


def watched(cluster: KubernetesSimulator) -> set[str]:
    """Return the collections that watches were asked for."""
    return {request.path.partition("?")[0] for request in cluster.requests if "watch=true" in request.path}
