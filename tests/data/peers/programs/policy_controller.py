"""`policy-tester` of sigstore's policy-controller: the verification of its webhook on the command line."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509 import load_der_x509_certificate
from tests.support.builders.peers import TRUSTED_ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.openshift import OpenShiftSimulator


class PolicyTester:
    """A `Program`."""

    tls = False

    def __init__(self, path: str, folder: Path, registry: OpenShiftSimulator) -> None:
        del registry
        self._path, self._home = path, folder
        self._root = folder / "trustroot"
        self._root.write_text(json.dumps(trust_root("sigstore-root")))

    def denial(self, policies: Path, image: str) -> str:
        command = [self._path, f"-policy={policies}", f"-image={image}", f"-trustroot={self._root}", "-log-level=error"]
        environment = {"HOME": str(self._home), "PATH": os.defpath}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode == 0:
            return ""
        if not done.stdout.startswith("{"):
            raise RuntimeError(done.stderr)
        answer: dict[str, Any] = json.loads(done.stdout)
        return "; ".join(answer["errors"])

    def close(self) -> None:
        pass


def trust_root(name: str) -> dict[str, Any]:
    """Return the TrustRoot with what the trusted root of the recorded sigstore has."""
    root = json.loads(TRUSTED_ROOT.read_text())
    return {
        "apiVersion": "policy.sigstore.dev/v1alpha1",
        "kind": "TrustRoot",
        "metadata": {"name": name},
        "spec": {
            "sigstoreKeys": {
                "certificateAuthorities": [_ca(one) for one in root["certificateAuthorities"]],
                # It cannot read a trust root with the Ed25519 key of Rekor 2.
                "tLogs": [_log(one) for one in root["tlogs"] if "ECDSA" in one["publicKey"]["keyDetails"]],
                "ctLogs": [_log(one) for one in root["ctlogs"]],
                "timestampAuthorities": [_ca(one) for one in root["timestampAuthorities"]],
            }
        },
    }


def _ca(ca: dict[str, Any]) -> dict[str, Any]:
    chain = [
        load_der_x509_certificate(base64.b64decode(one["rawBytes"])).public_bytes(Encoding.PEM)
        for one in ca["certChain"]["certificates"]
    ]
    subject = {"organization": "sigstore", "commonName": "sigstore"}
    return {"subject": subject, "uri": ca.get("uri", ""), "certChain": base64.b64encode(b"".join(chain)).decode()}


def _log(log: dict[str, Any]) -> dict[str, Any]:
    key = load_der_public_key(base64.b64decode(log["publicKey"]["rawBytes"]))
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"baseURL": log["baseUrl"], "hashAlgorithm": "sha-256", "publicKey": base64.b64encode(pem).decode()}
