"""A worker that is killed at any step, and one that does not know yet that it leads no more."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from sealgate.kubernetes.lease import Timing
from tests.operator.worker.environment import REQUESTS, later, running, settings
from tests.support.forked_processes import ForkedProcess
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.kubernetes import Fault as APIFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.operator.worker.environment import Shop
    from tests.support.simulators.http_messages import Answer

LEASE = "/apis/coordination.k8s.io/v1/namespaces/sealgate/leases/sealgate-signing"
#: Steps of signing one image: method and path of the request during which the worker is killed.
STEPS = [
    ("HEAD", "/v2/shop/web/manifests/v1"),
    ("POST", "/v2/shop/web/blobs/uploads"),
    ("PUT", "/v2/shop/web/blobs/uploads"),
    ("PUT", "/v2/shop/web/manifests/sha256-"),
    ("GET", "/v2/shop/web/manifests/sha256-.*sig"),
]


@contextmanager
def process(shop: Shop, folder: Path, name: str) -> Iterator[ForkedProcess]:
    (folder / "config.yaml").write_text(yaml.safe_dump(settings(shop.host)))
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": shop.cluster.url}}],
        "users": [{"name": "test", "user": {"token": "a-token"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    files = ["--config", str(folder / "config.yaml"), "--kubeconfig", str(folder / "kubeconfig")]
    environment = {**os.environ, "POD_NAME": name, "POD_NAMESPACE": "sealgate"}
    started = ForkedProcess("sealgate_operator.worker", *files, environment=environment)
    try:
        yield started
    finally:
        started.kill()
        started.wait(150)
        started.stderr.close()


@pytest.mark.parametrize(("method", "path"), STEPS)
def test_killed_worker_leaves_one_signature_and_no_request(shop: Shop, tmp_path: Path, method: str, path: str) -> None:
    shop.put_policy()
    with process(shop, tmp_path, "one") as one:
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")

        def kill(answer: Answer) -> Answer:
            one.send_signal(signal.SIGKILL)
            one.wait(150)
            return answer

        fault = shop.registry.faults.add(Fault(path, kill, times=1, method=method))
        request = shop.request("shop/web", "v1", digest, accepted=later())
        assert fault.hit.wait(150)
        assert one.wait(150) == -signal.SIGKILL
    # Another replica would wait until the Lease has expired.
    shop.cluster.delete(LEASE)
    with running(shop, "two"):
        shop.wait_until_signed(request)
    assert shop.signatures("shop/web", digest) == 1


def test_status_that_the_api_server_does_not_take_is_written_later(shop: Shop) -> None:
    shop.put_policy()
    with running(shop):
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")
        shop.cluster.faults.append(APIFault("PATCH", f"{REQUESTS}/.*/status", 500, times=2))
        shop.wait_for(shop.request("shop/web", "v1", digest, accepted=later()), "AlreadySigned")
    assert shop.signatures("shop/web", digest) == 1


@pytest.mark.long
def test_worker_that_lost_the_lease_writes_nothing_more(shop: Shop) -> None:
    shop.put_policy()
    gate = threading.Event()

    def wait(answer: Answer) -> Answer:
        gate.wait(150)
        return answer

    with running(shop, timing=Timing(duration=12, deadline=8, period=0.1)) as one:
        shop.wait_for_baseline()
        digest = shop.registry.push_image("shop/web", "v1")
        # What signs does, and a resync that looks for the image does not.
        fault = shop.registry.faults.add(Fault("/v2/shop/web/blobs/uploads", wait, times=1, method="POST"))
        request = shop.request("shop/web", "v1", digest, accepted=later())
        assert fault.hit.wait(150)
        shop.cluster.faults.append(APIFault("", "leases/sealgate-signing", 500))
        assert one.join() == 1
        before = len(shop.registry.requests)
        gate.set()
        shop.cluster.faults.clear()
        shop.cluster.delete(LEASE)
        with running(shop, "two"):
            shop.wait_until_signed(request)
    writes = [each for each in shop.registry.requests[before:] if each.method == "PUT" and "manifests" in each.path]
    assert len(writes) == 1
    assert shop.signatures("shop/web", digest) == 1
