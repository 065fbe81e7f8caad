"""What the measurements need around them: a real registry with signed images, the webhook, a policy."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"


def need(program: str, package: str) -> str:
    """Return the path of a program, or end with what to install."""
    found = shutil.which(program)
    if not found:
        sys.exit(f"{program} is missing; on Debian: apt install {package}")
    return found


def chart_memory_mib() -> float:
    """Return the memory limit that the chart gives the webhook, in MiB."""
    values = yaml.safe_load((Path(__file__).resolve().parents[1] / "charts/sealgate/values.yaml").read_text())
    return float(values["webhook"]["resources"]["limits"]["memory"].removesuffix("Mi"))


def free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(url: str, seconds: float = 120) -> None:
    """Return when the URL answers below 500; ends the program when it does not in time."""
    pool = urllib3.PoolManager(cert_reqs="CERT_NONE", retries=False, timeout=1.0)
    urllib3.disable_warnings()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if pool.request("GET", url).status < 500:
                return
        time.sleep(0.02)
    sys.exit(f"{url} did not come up within {seconds} s")


@dataclass(frozen=True, slots=True)
class Registry:
    """A docker-registry on loopback.

    Attributes:
        host: `127.0.0.1:port`.
        log: its access log.
    """

    host: str
    log: Path

    def requests(self) -> int:
        """Return how many requests it has answered."""
        return self.log.read_text().count('" 200 ') + self.log.read_text().count('" 404 ')


@contextlib.contextmanager
def docker_registry(folder: Path) -> Iterator[Registry]:
    """Run Debian's docker-registry with its storage in a folder."""
    port = free_port()
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: false}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/storage}}, cache: {{blobdescriptor: inmemory}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    log = folder / "access.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [need("docker-registry", "docker-registry"), "serve", str(config)], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/v2/")
            yield Registry(f"127.0.0.1:{port}", log)
        finally:
            process.terminate()
            process.wait()


def write_key(path: Path) -> Path:
    """Write a new private key, and return its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return a private key; ends the program if the file does not hold one of ECDSA."""
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        sys.exit(f"{path} does not hold an ECDSA key")
    return key


def public_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the public key of a private one."""
    public = key.public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


class Signer:
    """Pushes images and signs them the way cosign does: the classic `.sig` tag, ECDSA P-256.

    Args:
        registry: gets the images and signatures.
        key: PEM file of the private key.
    """

    def __init__(self, registry: Registry, key: Path) -> None:
        self._registry = registry
        self._key = read_key(key)
        self._http = urllib3.PoolManager(retries=False)

    def push_signed(self, repository: str, tag: str) -> str:
        """Push an image of its own under the tag, sign it, and return its digest."""
        config = self._blob(repository, json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode())
        layer = self._blob(repository, f"{repository}:{tag}".encode())
        digest = self._manifest(repository, tag, CONFIG, config, [layer])
        payload = json.dumps(
            {
                "critical": {
                    "identity": {"docker-reference": f"{self._registry.host}/{repository}"},
                    "image": {"docker-manifest-digest": digest},
                    "type": "cosign container image signature",
                },
                "optional": None,
            }
        ).encode()
        signature = base64.b64encode(self._key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
        blob = self._blob(repository, payload, PAYLOAD)
        blob["annotations"] = {"dev.cosignproject.cosign/signature": signature}
        self._manifest(repository, digest.replace(":", "-") + ".sig", CONFIG, config, [blob])
        return digest

    def _blob(self, repository: str, data: bytes, media_type: str = "application/octet-stream") -> dict[str, object]:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        start = self._http.request("POST", f"http://{self._registry.host}/v2/{repository}/blobs/uploads/")
        location = start.headers["Location"]
        join = "&" if "?" in location else "?"
        done = self._http.request("PUT", f"{location}{join}digest={digest}", body=data)
        if done.status != 201:
            sys.exit(f"the registry refused a blob: {done.status} {done.data[:200]!r}")
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _manifest(
        self, repository: str, tag: str, config_type: str, config: dict[str, object], layers: list[dict[str, object]]
    ) -> str:
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {**config, "mediaType": config_type},
                "layers": layers,
            }
        ).encode()
        done = self._http.request(
            "PUT",
            f"http://{self._registry.host}/v2/{repository}/manifests/{tag}",
            body=body,
            headers={"Content-Type": MANIFEST},
        )
        if done.status != 201:
            sys.exit(f"the registry refused a manifest: {done.status} {done.data[:200]!r}")
        return "sha256:" + hashlib.sha256(body).hexdigest()


def write_policies(folder: Path, pem: str, host: str, count: int = 1) -> None:
    """Write an authenticator and policies: one that covers the host, the others about other registries."""
    key = "".join(f"          {line}\n" for line in pem.strip().splitlines())
    documents = [
        (
            "apiVersion: sealgate.dev/v1alpha1\nkind: Authenticator\nmetadata: {name: release}\n"
            f"spec:\n  cosign:\n    keys:\n      - pem: |\n{key}"
        )
    ]
    for number in range(count):
        pattern = f"{host}/**" if number == 0 else f"registry-{number}.example.org/team-{number}/**"
        documents.append(
            "apiVersion: sealgate.dev/v1alpha1\nkind: VerificationPolicy\n"
            f"metadata: {{name: policy-{number}}}\n"
            f'spec:\n  images: [{{repository: "{pattern}"}}]\n  require: {{authenticators: [release]}}\n'
        )
    (folder / "policies.yaml").write_text("---\n".join(documents))


def pod_review(images: list[str], uid: str = "0d5f0a1e-0000-4000-8000-000000000000") -> bytes:
    """Return an AdmissionReview of about 5 KB that creates a pod with these images."""
    containers = [
        {
            "name": f"c{number}",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": f"VARIABLE_{i}", "value": "a value of some length " * 2} for i in range(8)],
            "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "50m"}},
            "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": True}],
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }
        for number, image in enumerate(images)
    ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "app",
            "namespace": "default",
            "labels": {"app": "app"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {f"f:field{i}": {} for i in range(40)}}}],
        },
        "spec": {"containers": containers, "serviceAccountName": "default", "restartPolicy": "Always"},
    }
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "app",
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["a", "b"]},
            "object": pod,
            "oldObject": None,
            "dryRun": False,
        },
    }
    return json.dumps(review).encode()
