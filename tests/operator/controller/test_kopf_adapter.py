from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sealgate_operator.controller.kopf_adapter import Watcher
from sealgate_operator.controller.resources import OPERATOR_RESOURCES
from tests.operator.environment import SECRETS, api_of, eventually, log
from tests.operator.objects import pem, secret
from tests.support.simulators.kubernetes import Fault
from tests.support.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate_operator.controller.kopf_adapter import EventHandler
    from tests.support.simulators.kubernetes import KubernetesSimulator


OURS, CORE = "/apis/sealgate.dev/v1alpha1$", "/api/v1$"
NOTHING = {"kind": "APIResourceList", "resources": []}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/api$", 404, times=1),
        Fault("GET", "/apis$", 404, times=1),
        # One of several API servers does not serve the CRDs yet.
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
def test_watches_that_fail_or_never_begin_are_restarted(cluster: KubernetesSimulator, fault: Fault) -> None:
    cluster.faults.append(replace(fault))
    with watching(cluster):
        cluster.wait_for(lambda c: c.faults[0].times == 0 and len(watched(c)) == 3)


def test_watches_are_restarted_on_request(cluster: KubernetesSimulator) -> None:
    with watching(cluster) as watcher:
        cluster.wait_for(lambda c: len(watched(c)) == 3)
        begun = cluster.watches_begun
        watcher.restart()
        cluster.wait_for(lambda c: c.watches_begun >= begun + 3)


def test_a_task_that_ignores_cancellation_does_not_stop_a_restart(cluster: KubernetesSimulator) -> None:
    """Kopf's own requests sometimes ignore a cancellation; here a task in its loop ignores three."""
    begun: list[asyncio.Task[None]] = []

    async def stubborn() -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    def on_event(kind: str, obj: dict[str, Any], *, gone: bool = False) -> None:
        del kind, obj, gone
        begun.append(asyncio.get_running_loop().create_task(stubborn()))

    with watching(cluster, on_event, shutdown_seconds=0.1) as watcher:
        cluster.wait_for(lambda c: len(watched(c)) == 3)
        cluster.put(SECRETS, secret("keys", cosign_pub=pem("one")))
        eventually(lambda: bool(begun))
        watches = cluster.watches_begun
        watcher.restart()
        cluster.wait_for(lambda c: c.watches_begun >= watches + 3)
    assert all(task.done() for task in begun)


def ignore(kind: str, obj: dict[str, Any], *, gone: bool = False) -> None:
    """Ignore an event."""
    del kind, obj, gone


@contextmanager
def watching(cluster: KubernetesSimulator, on_event: EventHandler = ignore, **options: float) -> Iterator[Watcher]:
    """Run a watcher, and stop it at the end."""
    watcher = Watcher(api_of(cluster).configuration, OPERATOR_RESOURCES, "sealgate", on_event, log(), **options)
    with in_thread(watcher.run):
        yield watcher


def watched(cluster: KubernetesSimulator) -> set[str]:
    """Return the collections that are watched."""
    return {request.path.partition("?")[0] for request in cluster.requests if "watch=true" in request.path}
