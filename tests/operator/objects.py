"""Objects for the operator to reconcile."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from tests.support.signers.private_keys import fingerprint, new_key, public_pem

API = "sealgate.dev/v1alpha1"


@cache
def pem(name: str, kind: str = "ECDSA P-256") -> str:
    """Return the public key of that name, the same one within a run."""
    return public_pem(new_key(kind, name))


@cache
def fingerprint_of(name: str, kind: str = "ECDSA P-256") -> str:
    return fingerprint(new_key(kind, name))


def authenticator(name: str, spec: dict[str, Any], **members: Any) -> dict[str, Any]:
    metadata = {"name": name, "generation": 1, "resourceVersion": "1", "uid": f"uid-of-{name}"}
    return {"apiVersion": API, "kind": "Authenticator", "metadata": metadata, "spec": spec, **members}


def cosign(*keys: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"cosign": {"keys": list(keys), **options}}


def inline(name: str, **options: Any) -> dict[str, Any]:
    return {"pem": pem(name), **options}


def secret_ref(name: str, key: str = "cosign.pub", **options: Any) -> dict[str, Any]:
    return {"secretRef": {"name": name, "key": key}, **options}


def policy(name: str, *authenticators: str, **spec: Any) -> dict[str, Any]:
    count = spec.pop("count", None)
    require: dict[str, Any] = {"authenticators": list(authenticators)} | ({} if count is None else {"count": count})
    return {
        "apiVersion": API,
        "kind": "VerificationPolicy",
        "metadata": {"name": name, "generation": 1, "resourceVersion": "1", "uid": f"uid-of-{name}"},
        "spec": {"images": [{"repository": "registry.example.org/**"}], "require": require, **spec},
    }


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
