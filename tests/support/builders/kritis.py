"""kritis's objects, as short as they can be written."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from tests.support.signers.private_keys import new_key, public_pem

EC_PEM = public_pem(new_key("ECDSA P-256", "kritis"))
RSA_PEM = public_pem(new_key("RSA 2048", "kritis"))


def kritis(kind: str, name: str, spec: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": "kritis.grafeas.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def authority(name: str = "qa", pem: str = EC_PEM, namespace: str | None = None, **spec: Any) -> dict[str, Any]:
    """Return an AttestationAuthority as Alibaba Cloud documents it; `spec` replaces, adds or (None) removes fields."""
    written = {
        "noteReference": "projects/prod/notes/qa",
        "publicKeyId": f"{name}-kms-key",
        "publicKeyData": b64encode(pem.encode()).decode(),
        **spec,
    }
    fields = {field: value for field, value in written.items() if value is not None}
    return kritis("AttestationAuthority", name, fields, namespace)


def attestation_policy(name: str, *authorities: str, namespace: str | None = None) -> dict[str, Any]:
    return kritis("GenericAttestationPolicy", name, {"attestationAuthorityNames": list(authorities)}, namespace)


def allowlist(*patterns: str | tuple[str, str]) -> dict[str, Any]:
    """Return an allowlist; a pattern for one namespace is a pair of both."""
    entries = [
        {"namePattern": pattern} if isinstance(pattern, str) else {"namePattern": pattern[0], "namespace": pattern[1]}
        for pattern in patterns
    ]
    return kritis("AdmissionAllowlist", "allowlist", {"patterns": entries})
