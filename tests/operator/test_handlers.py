from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sealgate_operator.handlers import Watcher
from tests.operator.worlds import api_of, log
from tests.support.kubernetes_simulator import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubernetes_simulator import KubernetesSimulator


OURS, CORE = "/apis/sealgate.dev/v1alpha1$", "/api/v1$"
NOTHING = {"kind": "APIResourceList", "resources": []}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/api$", 404, times=1),
        Fault("GET", "/apis$", 404, times=1),
        # Of several API servers one does not know the CRDs yet.
        Fault("GET", "/apis$", 200, times=2, document={"kind": "APIGroupList", "groups": []}),
        Fault("GET", OURS, 404, times=2),
        Fault("GET", OURS, 200, times=1, document=NOTHING),
        Fault("GET", CORE, 200, times=1, document=NOTHING),
        Fault("GET", "authenticators[?]", 404, times=1),
        Fault("GET", "secrets[?].*watch", 401, times=1),
        Fault("GET", "secrets[?].*watch", 200, times=1, document={"type": "ERROR", "object": {"code": 500}}),
    ],
    ids=lambda fault: f"{fault.path} {fault.status}",
)
def test_watches_that_kopf_gives_up_or_does_not_begin_are_started_again(
    cluster: KubernetesSimulator, fault: Fault
) -> None:
    cluster.faults.append(replace(fault))
    with watching(cluster):
        cluster.wait_for(lambda c: c.faults[0].times == 0 and len(watched(c)) == 3)


def test_watches_that_are_doubted_are_started_again(cluster: KubernetesSimulator) -> None:
    with watching(cluster) as watcher:
        cluster.wait_for(lambda c: len(watched(c)) == 3)
        begun = cluster.watches_begun
        watcher.doubt()
        cluster.wait_for(lambda c: c.watches_begun >= begun + 3)


@contextmanager
def watching(cluster: KubernetesSimulator) -> Iterator[Watcher]:
    """Run a watcher; at the end it is told to stop."""
    stop = threading.Event()
    watcher = Watcher(api_of(cluster).configuration, "sealgate", lambda *_, **__: None, log())
    thread = threading.Thread(target=watcher.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        stop.set()
        thread.join(60.0)
    assert not thread.is_alive()


def watched(cluster: KubernetesSimulator) -> set[str]:
    """Return the collections that watches were asked for."""
    return {request.path.partition("?")[0] for request in cluster.requests if "watch=true" in request.path}
