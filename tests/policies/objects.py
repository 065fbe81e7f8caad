"""Policy objects, as short as they can be written."""

from __future__ import annotations

from typing import Any

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy


def policy_object(name: str, *repositories: str, **spec: Any) -> dict[str, Any]:
    """Return a verification policy as YAML has it; `spec` holds further fields, spelt as there."""
    return {
        "apiVersion": API_VERSION,
        "kind": "VerificationPolicy",
        "metadata": {"name": name},
        "spec": {
            "images": [{"repository": repository} for repository in repositories or ("**",)],
            "require": {"authenticators": ["release-key"]},
            **spec,
        },
    }


def policy(name: str, *repositories: str, **spec: Any) -> VerificationPolicy:
    return VerificationPolicy.model_validate(policy_object(name, *repositories, **spec))


def authenticator_object(name: str = "release-key", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Authenticator",
        "metadata": {"name": name},
        "spec": spec or {"cosign": {"keys": [{"pem": "-----BEGIN PUBLIC KEY-----"}]}},
    }
