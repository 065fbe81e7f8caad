"""Reports about 5,000 Pods in one namespace: memory, API calls and time of the process, over a simulated API server.

python bench/reports.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import urllib3
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.builders.objects import authenticator, policy
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator

PODS = 5_000
IMAGES = 40
INTERVAL = 60
PORT = 18097
KEY = new_key("ECDSA P-256", "release")
SEALGATE = "/apis/sealgate.dev/v1alpha1"
#: What a Pod of a real cluster has besides what is read: volumes, probes, managed fields.
PADDING = {"example.org/padding": "x" * 3_500}


def main() -> None:
    """Measure Pods that are workloads of their own, then the same Pods as those of 50 Deployments."""
    for deployments in (0, 50):
        with RegistrySimulator() as registry, KubernetesSimulator() as cluster, tempfile.TemporaryDirectory() as folder:
            _fill(cluster, _push(registry), deployments)
            title = f"of {deployments} Deployments" if deployments else "without an owner"
            print(f"{PODS} Pods {title}, {IMAGES} images")
            _measure(cluster, registry, Path(folder))


def _push(registry: RegistrySimulator) -> list[str]:
    images = []
    for number in range(IMAGES):
        digest = registry.push_image(f"shop/app-{number}", "1", content=str(number).encode())
        push_classic(registry, f"shop/app-{number}", Classic(digest, KEY))
        images.append(f"{registry.host}/shop/app-{number}@{digest}")
    return images


def _fill(cluster: KubernetesSimulator, images: list[str], deployments: int) -> None:
    cluster.put("/api/v1/namespaces", {"metadata": {"name": "shop", "labels": {}}})
    cluster.put("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "sealgate-reports"}})
    cluster.put("/apis/coordination.k8s.io/v1/namespaces/sealgate/leases", {"metadata": {"name": "sealgate-reports"}})
    cluster.put(f"{SEALGATE}/authenticators", authenticator("release", public_pem(KEY)))
    cluster.put(f"{SEALGATE}/verificationpolicies", policy("production", "**"))
    owners = [_object(f"web-{number}", images[number % IMAGES]) for number in range(deployments)]
    cluster.fill("/apis/apps/v1/namespaces/shop/deployments", owners)
    pods = []
    for number in range(PODS):
        pod = _object(f"pod-{number}", images[number % IMAGES])
        pod["spec"] = pod["spec"]["template"]["spec"]
        pod["status"] = {"containerStatuses": [{"name": "app", "imageID": images[number % IMAGES]}]}
        if owners:
            owner = owners[number % deployments]["metadata"]
            reference = {"apiVersion": "apps/v1", "kind": "Deployment", "controller": True}
            pod["metadata"]["ownerReferences"] = [{**reference, "name": owner["name"], "uid": owner["uid"]}]
        pods.append(pod)
    cluster.fill("/api/v1/namespaces/shop/pods", pods)


def _object(name: str, image: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": str(uuid.uuid4()), "annotations": PADDING}
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}


def _measure(cluster: KubernetesSimulator, registry: RegistrySimulator, folder: Path) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(_settings(registry)))
    (folder / "kubeconfig").write_text(yaml.safe_dump(_kubeconfig(cluster)))
    command = [sys.executable, "-m", "sealgate_webhook.reports", "--config", str(folder / "config.yaml")]
    with subprocess.Popen([*command, "--kubeconfig", str(folder / "kubeconfig")], stderr=subprocess.DEVNULL) as process:
        try:
            last, seen = 0.0, 0
            for name in ("first round", "second round"):
                last = _wait_for_round(last)
                requests = Counter(one.method for one in cluster.requests[seen:])
                seen = len(cluster.requests)
                rss, peak = _memory(process.pid)
                print(
                    f"  {name}: {_sample('round_duration_seconds'):.1f} s, {dict(requests)}, "
                    f"registry {len(registry.paths)}, memory {rss:.0f} MiB, peak {peak:.0f} MiB, "
                    f"reports {len(cluster.find('reports'))}, CPU {_cpu(process.pid):.1f} s"
                )
        finally:
            process.terminate()


def _settings(registry: RegistrySimulator) -> dict[str, Any]:
    names = {"owner": "sealgate-reports", "lease": "sealgate-reports"}
    registries = {"insecure": [registry.host]}
    return {"metricsListen": f"127.0.0.1:{PORT}", "intervalSeconds": INTERVAL, "registries": registries, **names}


def _kubeconfig(cluster: KubernetesSimulator) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": cluster.url}}],
        "users": [{"name": "x", "user": {"token": "x"}}],
    }


def _wait_for_round(last: float) -> float:
    while True:
        time.sleep(0.2)
        try:
            ended = _sample("last_round_timestamp_seconds")
        except urllib3.exceptions.HTTPError:
            continue
        if ended > last:
            return ended


def _sample(name: str) -> float:
    text = urllib3.request("GET", f"http://127.0.0.1:{PORT}/metrics", retries=False).data.decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"sealgate_report_{name} "))


def _memory(pid: int) -> tuple[float, float]:
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["VmHWM"].split()[0]) / 1024


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
