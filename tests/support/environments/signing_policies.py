"""Specs of signing policies, as short as they can be written, and what their signers are opened with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
from sealgate.budgets import Budgets
from sealgate.clocks import SystemClock
from sealgate.http.services import ServiceClient
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.service_secrets import MappingServiceSecrets
from sealgate.signing.access import SigningAccess
from tests.support.builders.objects import api_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.clocks import Clock

#: The key of a policy in the Secret `release`, under `key.pem`.
IN_SECRET = {"secretRef": {"name": "release", "key": "key.pem"}}


def signing_spec(key: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the spec of a SigningPolicy, as YAML has it; cosign by default.

    Args:
        key: where the key is; None for `IN_SECRET`.
        fields: further fields of the spec, or others instead of these; None leaves one out.
    """
    images = [{"repository": "registry.example.org/shop/*"}]
    spec = {"images": images, "key": dict(key or IN_SECRET), "cosign": {}, **fields}
    return {name: value for name, value in spec.items() if value is not None}


def signing_policy(name: str = "release", key: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a SigningPolicy as the API server sends it; see `signing_spec`."""
    return api_object("SigningPolicy", name, signing_spec(key, **fields))


def spec_model(key: Mapping[str, Any] | None = None, **fields: Any) -> SigningPolicySpec:
    """Return a validated spec; see `signing_spec`."""
    return SigningPolicySpec.model_validate(signing_spec(key, **fields))


def access_to(
    secrets: Mapping[str, Mapping[str, bytes]],
    *authenticators: Authenticator,
    network: ServiceClient | None = None,
    clock: Clock | None = None,
    folders: bool = False,
) -> SigningAccess:
    """Return access to these Secrets and Authenticators; without `network`, no simulator is reached."""
    time = clock or SystemClock()
    specs = {each.metadata.name: each.spec for each in authenticators}
    return SigningAccess(
        network=network or ServiceClient(clock=time),
        secrets=MappingServiceSecrets(secrets),
        clock=time,
        budgets=Budgets(REQUESTS_PER_MINUTE, BURST, time),
        authenticators=specs.get,
        folders=folders,
    )
