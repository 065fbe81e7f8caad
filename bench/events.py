"""How soon push events are answered at 100 a second while 1,000 requests wait to be signed.

The endpoint is a process of its own, the API server a simulator in another. Events come at fixed times, whatever the
answers take, and each is of another tag.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3
import yaml
from environment import free_port, wait_for

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 100
SECONDS = 10
WAITING = 1000
TOKEN = "a-token-of-a-registry"  # noqa: S105 - of a measurement
_GROUP = "/apis/sealgate.dev/v1alpha1"
_DIGEST = "sha256:" + "4a" * 32


def measure(folder: Path) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum of the answers' times in ms, and how many were refused."""
    with _api_server() as url, _endpoint(folder, url) as endpoint, ThreadPoolExecutor(32) as pool:
        connections = urllib3.PoolManager(maxsize=32, retries=False, timeout=5.0)
        begin = time.monotonic() + 0.5
        answers = [
            pool.submit(_send, connections, endpoint, begin + number / RATE, number) for number in range(RATE * SECONDS)
        ]
        times = sorted(answer.result()[0] for answer in answers)
        refused = sum(answer.result()[1] != 200 for answer in answers)
    return {
        "p50_ms": statistics.median(times) * 1e3,
        "p99_ms": times[len(times) * 99 // 100] * 1e3,
        "max_ms": times[-1] * 1e3,
        "refused": refused,
    }


def _send(connections: urllib3.PoolManager, endpoint: str, due: float, number: int) -> tuple[float, int]:
    """Send an event when it is due, and return the seconds from then until the answer, and its status."""
    time.sleep(max(due - time.monotonic(), 0))
    target = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": _DIGEST,
        "repository": f"shop/app-{number % 50}",
        "url": f"https://registry.example.com/v2/shop/app/manifests/{_DIGEST}",
        "tag": f"v{number}",
    }
    body = json.dumps({"events": [{"action": "push", "target": target}]})
    headers = {"Authorization": f"Bearer {TOKEN}"}
    status = connections.request("POST", f"{endpoint}/events/shop", body=body, headers=headers).status
    return time.monotonic() - due, status


@contextlib.contextmanager
def _api_server() -> Iterator[str]:
    """Run the simulator in a process of its own, which ends with its standard input."""
    process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is not None:
            yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def _serve_api() -> None:
    with KubernetesSimulator() as cluster:
        policy = cluster.put(
            f"{_GROUP}/signingpolicies",
            {
                "apiVersion": "sealgate.dev/v1alpha1",
                "kind": "SigningPolicy",
                "metadata": {"name": "shop"},
                "spec": {
                    "images": [{"repository": "registry.example.com/shop/*"}],
                    "cosign": {},
                    "key": {"secretRef": {"name": "key", "key": "key.pem"}},
                },
            },
        )
        for number in range(WAITING):
            spec = {
                "policy": {"name": "shop", "uid": policy["metadata"]["uid"], "generation": 1},
                "repository": f"registry.example.com/shop/waiting-{number}",
                "tag": "v1",
                "digest": _DIGEST,
                "acceptedAt": "2026-11-29T00:00:00Z",
            }
            path = f"{_GROUP}/namespaces/sealgate/signingrequests"
            cluster.put(path, {"metadata": {"name": f"push-{number}"}, "spec": spec})
        print(cluster.url, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def _endpoint(folder: Path, api_server: str) -> Iterator[str]:
    """Run the endpoint over plain HTTP, as behind an Ingress, and yield its URL when it is ready."""
    secret, port = folder / "shop", free_port()
    secret.mkdir()
    (secret / "token").write_text(TOKEN)
    source = {"name": "shop", "kind": "docker", "registry": "registry.example.com", "auth": "bearer"}
    config = {
        "listen": f"127.0.0.1:{port}",
        "metricsListen": "127.0.0.1:0",
        "sources": [{**source, "secretDirectory": str(secret)}],
    }
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": api_server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "events.yaml").write_text(yaml.safe_dump(config))
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    command = [sys.executable, "-m", "sealgate_webhook.events", "--config", str(folder / "events.yaml")]
    with (folder / "events.log").open("w") as output:
        process = subprocess.Popen([*command, "--kubeconfig", str(folder / "kubeconfig")], stderr=output)
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    _serve_api()
