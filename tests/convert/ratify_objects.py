"""Objects of Ratify 1 and of Gatekeeper, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.builders.cluster_image_policies import PEM
from tests.support.signers.notation import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parents[1] / "data" / "convert" / "ratify" / "ratify-1.yaml"
CA = Authority("notation").pem
COSIGN, NOTATION = "application/vnd.dev.cosign.artifact.sig.v1+json", "application/vnd.cncf.notary.signature"
KEYED: Mapping[str, Any] = {"keys": [{"provider": "key"}], "tLogVerify": False}


def ratify(kind: str, name: str, spec: Mapping[str, Any], namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": "config.ratify.deislabs.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def provider(name: str, value: str, content: str, **spec: Any) -> dict[str, Any]:
    parameters = {"contentType": content, "value": value}
    return ratify("KeyManagementProvider", name, {"type": "inline", "parameters": parameters, **spec})


def cosign(*policies: Mapping[str, Any], name: str = "cosign", **spec: Any) -> dict[str, Any]:
    """Return a verifier with a key, or trust policies."""
    given = [{"name": f"p{index}", "scopes": ["*"], **policy} for index, policy in enumerate(policies or (KEYED,))]
    return ratify(
        "Verifier",
        name,
        {"name": "cosign", "artifactTypes": COSIGN, "parameters": {"trustPolicies": given}, **spec},
    )


def notation(*policies: Mapping[str, Any], name: str = "notation", **parameters: Any) -> dict[str, Any]:
    """Return a verifier with a CA, or with trust policies that name it."""
    given = [
        {
            "name": f"p{index}",
            "registryScopes": ["*"],
            "signatureVerification": {"level": "strict"},
            "trustStores": ["ca:company"],
            "trustedIdentities": ["*"],
            **policy,
        }
        for index, policy in enumerate(policies or ({},))
    ]
    stores = {"ca": {"company": ["ca"]}, "tsa": {"company": ["ca"]}}
    spec = {"verificationCertStores": stores, "trustPolicyDoc": {"version": "1.0", "trustPolicies": given}}
    return ratify(
        "Verifier", name, {"name": "notation", "artifactTypes": NOTATION, "parameters": {**spec, **parameters}}
    )


def config_policy(asked: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    parameters = {"artifactVerificationPolicies": {"default": "any"} if asked is None else asked}
    return ratify("Policy", "ratify-policy", {"type": "config-policy", "parameters": parameters, **spec})


def store(**parameters: Any) -> dict[str, Any]:
    return ratify("Store", "store-oras", {"name": "oras", "parameters": {"cosignEnabled": True, **parameters}})


def template(rego: str | None = None) -> dict[str, Any]:
    """Return the template of the example, with other rego if it is given."""
    found = next(one for one in yaml.safe_load_all(EXAMPLE.read_text()) if one["kind"] == "ConstraintTemplate")
    target = found["spec"]["targets"][0]
    if rego is not None:
        target["rego"] = f"{target['rego']}\n{rego}"
    return found  # type: ignore[no-any-return]


def constraint(name: str = "trusted", action: str | None = None, **match: Any) -> dict[str, Any]:
    spec = {"match": match, **({"enforcementAction": action} if action else {})}
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": "RatifyVerification",
        "metadata": {"name": name},
        "spec": spec,
    }


#: What every conversion needs beside its verifiers.
KEY, CERTIFICATE = provider("key", PEM, "key"), provider("ca", CA, "certificate")
BESIDE = (KEY, CERTIFICATE, store())
