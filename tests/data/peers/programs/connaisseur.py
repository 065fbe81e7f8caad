"""The webhook of Connaisseur, started anew for each policy and asked about Pods.

It must be built to read its configuration from folders below the one that it runs in: see README.md.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import trustme
import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.openshift import OpenShiftSimulator

#: Where it always listens.
_URL = "https://127.0.0.1:5000/"
#: The most seconds until it serves.
_START = 30


class Connaisseur:
    """A `Program`."""

    tls = True

    def __init__(self, path: str, folder: Path, registry: OpenShiftSimulator) -> None:
        self._path, self._folder = path, folder
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        for name in ("config", "certs", "alerts"):
            (folder / name).mkdir()
        (folder / "alerts" / "config.yaml").write_text("{}\n")
        certificate.private_key_pem.write_to_path(str(folder / "certs" / "tls.key"))
        certificate.cert_chain_pems[0].write_to_path(str(folder / "certs" / "tls.crt"))
        self._context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        (folder / "registry.pem").write_text(registry.ca_pem)
        self._environment = {
            "HOME": str(folder),
            "PATH": os.defpath,
            "SSL_CERT_FILE": str(folder / "registry.pem"),
            "CACHE_EXPIRY_SECONDS": "0",
            "AUTOMATIC_CHILD_APPROVAL": "false",
            "LOG_LEVEL": "error",
        }
        self._policies = ""
        self._process: subprocess.Popen[bytes] | None = None

    def denial(self, policies: Path, image: str) -> str:
        self._serve(policies.read_text())
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "shop", "namespace": "default"},
            "spec": {"containers": [{"name": "app", "image": image}]},
        }
        request = {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": "default",
            "operation": "CREATE",
            "object": pod,
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        response: dict[str, Any] = json.loads(self._send("mutate", json.dumps(review).encode()))["response"]
        if response["allowed"]:
            return ""
        return str(response["status"]["message"])

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _serve(self, policies: str) -> None:
        """Start it with these policies unless it runs with them."""
        if self._process is not None and policies == self._policies:
            return
        self.close()
        values = yaml.safe_load(policies)["application"]
        config = {"validators": values["validators"], "policy": values["policy"]}
        (self._folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
        self._policies = policies
        self._process = subprocess.Popen(
            [self._path], cwd=self._folder, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START
        while True:
            try:
                self._send("ready")
            except urllib.error.URLError as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"it does not serve: {error}") from error
                time.sleep(0.1)
            else:
                return

    def _send(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{_URL}{path}", body, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, context=self._context, timeout=60) as response:  # noqa: S310
            answer: bytes = response.read()
        return answer
