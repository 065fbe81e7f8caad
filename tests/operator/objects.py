"""Objects for the operator to reconcile."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from tests.support.builders import objects as builders
from tests.support.signers.private_keys import fingerprint, new_key, public_pem


@cache
def pem(name: str, kind: str = "ECDSA P-256") -> str:
    """Return the public key of that name, the same one within a run."""
    return public_pem(new_key(kind, name))


@cache
def fingerprint_of(name: str, kind: str = "ECDSA P-256") -> str:
    return fingerprint(new_key(kind, name))


def authenticator(name: str, spec: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return an Authenticator as the API server stores it."""
    return _stored(builders.authenticator(name, spec=spec)) | members


def cosign(*keys: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"cosign": {"keys": list(keys), **options}}


def inline(name: str, **options: Any) -> dict[str, Any]:
    return {"pem": pem(name), **options}


def secret_ref(name: str, key: str = "cosign.pub", **options: Any) -> dict[str, Any]:
    return {"secretRef": {"name": name, "key": key}, **options}


def policy(name: str, *authenticators: str, **spec: Any) -> dict[str, Any]:
    """Return a VerificationPolicy as the API server stores it."""
    return _stored(builders.policy(name, "registry.example.org/**", authenticators=authenticators, **spec))


def _stored(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {"generation": 1, "resourceVersion": "1", "uid": f"uid-of-{obj['metadata']['name']}"}
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


def secret(name: str, **data: bytes | str) -> dict[str, Any]:
    """Return a Secret; underscores in keys become dots."""
    encoded = {
        key.replace("_", "."): base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
        for key, value in data.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "data": encoded}


def settings(**members: Any) -> dict[str, Any]:
    """Return the operator's settings as the chart writes them."""
    return {
        "metricsListen": "127.0.0.1:0",
        "lease": "sealgate-leader",
        "webhooks": "sealgate-operator",
        "webhookService": {"name": "sealgate-webhook"},
        "tlsSecret": "sealgate-webhook-tls",
        "caSecret": "sealgate-webhook-ca",
        "certificates": {"managed": True, "caLifetimeHours": 8760, "leafLifetimeHours": 720},
        "keyRefreshSeconds": 300,
        "failurePolicy": "Fail",
        "excludedNamespaces": ["kube-system", "sealgate"],
        "registries": {"insecure": [], "mirrors": {}, "ca": {}, "dockerConfigSecret": "", "burst": 100},
        "logLevel": "info",
        **members,
    }


def ready(status: dict[str, Any]) -> dict[str, Any]:
    """Return the Ready condition of a status."""
    found: dict[str, Any] = next(one for one in status.get("conditions", ()) if one["type"] == "Ready")
    return found
