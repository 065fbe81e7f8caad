"""ClusterImagePolicies of policy-controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Mapping

PEM = public_pem(new_key("ECDSA P-256"))
#: An authority with a key.
KEY = {"key": {"data": PEM}}


def cluster_image_policy(
    *authorities: Mapping[str, Any], name: str = "shop", glob: str = "ghcr.io/shop/**", **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "policy.sigstore.dev/v1beta1",
        "kind": "ClusterImagePolicy",
        "metadata": {"name": name},
        "spec": {"images": [{"glob": glob}], "authorities": list(authorities), **spec},
    }
