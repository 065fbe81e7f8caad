"""Registries that are signature stores as well, with policies over them, for tests from reference to verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.keys.resolvers import FileKeys
from sealgate.service_secrets import MappingServiceSecrets
from sealgate.verification.policy_sets import build_policy_set
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.environments.grafeas import key_entry
from tests.support.environments.oracle import trusted
from tests.support.environments.verifier import VerifierEnvironment
from tests.support.signers.private_keys import new_key
from tests.support.simulators.grafeas import NOTE, GrafeasSimulator, payload_of
from tests.support.simulators.ocir import COMPARTMENT, REGION, OCIRSimulator, message_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.policies.decisions import ImageVerdict
    from sealgate.references import Digest
    from sealgate.verification.policy_sets import PolicySet
    from tests.support.signers.private_keys import PrivateKey

GRAFEAS_KEY = new_key("RSA 2048", "grafeas world")
ORACLE_KEY = new_key("RSA 2048", "oracle world")
GRAFEAS_REPOSITORY = "ns/app"
ORACLE_REPOSITORY = "ansh81vru1zp/project01/acme-web-app"
PSS = "RSA_PSS_SHA_256"


def requiring(
    *specs: dict[str, Any], secrets: Mapping[str, Mapping[str, bytes]] | None = None, **fields: Any
) -> PolicySet:
    """Return a policy over every image that requires authenticators of those specs; `fields` are the policy's."""
    authenticators = [authenticator_model(f"a{number}", spec=spec) for number, spec in enumerate(specs)]
    names = [found.metadata.name for found in authenticators]
    keys = FileKeys({})
    return build_policy_set(
        authenticators,
        [policy_model("production", authenticators=names, **fields)],
        lambda _: keys,
        secrets=MappingServiceSecrets(secrets or {}),
    )


def grafeas_spec(server: GrafeasSimulator, *keys: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the spec of a `grafeas` authenticator that accepts GRAFEAS_KEY, unless other keys are given."""
    accepted = list(keys) or [key_entry(GRAFEAS_KEY, PSS)]
    return {"grafeas": {"server": server.url, "note": NOTE, "keys": accepted, **fields}}


def oracle_spec(server: OCIRSimulator, *keys: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the spec of an `oracle` authenticator that trusts ORACLE_KEY, unless other keys are given."""
    spec = {"region": REGION, "endpoint": server.url, "compartmentId": COMPARTMENT}
    return {"oracle": {**spec, "trustedKeys": list(keys) or [trusted(ORACLE_KEY)], **fields}}


class GrafeasVerifierEnvironment(VerifierEnvironment):
    """A registry that is a Grafeas server too, with a verifier in front of it."""

    def __init__(self, **environment: Any) -> None:
        self.server = GrafeasSimulator()
        super().__init__(registry=self.server, **environment)

    def push(self, tag: str = "v1") -> Digest:
        """Push an image without attestations."""
        return self.server.push_image(GRAFEAS_REPOSITORY, tag)

    def name(self) -> str:
        """Return the repository's name."""
        return f"{self.server.host}/{GRAFEAS_REPOSITORY}"

    def attest(self, digest: Digest, key: PrivateKey = GRAFEAS_KEY, **members: Any) -> dict[str, Any]:
        """Attest an image, PSS with RSA keys."""
        algorithm = members.pop("algorithm", PSS)
        payload = members.pop("payload", payload_of(digest, self.name()))
        uri = f"https://{self.name()}@{digest}"
        return self.server.attest(uri, payload, key, algorithm, **members)

    def verdict(self, policies: PolicySet | None = None, tag: str = "v1", **review: Any) -> ImageVerdict:
        """Verify an image."""
        chosen = policies or requiring(grafeas_spec(self.server))
        (verdict,) = self.verify(f"{self.name()}:{tag}", policies=chosen, **review)
        return verdict


class OracleVerifierEnvironment(VerifierEnvironment):
    """A registry that keeps Oracle's signature records too, with a verifier in front of it."""

    def __init__(self, **environment: Any) -> None:
        self.server = OCIRSimulator()
        super().__init__(registry=self.server, **environment)

    def push(self, tag: str = "v1") -> Digest:
        """Push an image without signatures."""
        return self.server.push_image(ORACLE_REPOSITORY, tag)

    def sign(self, digest: Digest, key: PrivateKey = ORACLE_KEY, **message: Any) -> dict[str, Any]:
        """Sign an image; `message` replaces members of the message."""
        return self.server.sign(message_of(digest, ORACLE_REPOSITORY.partition("/")[2], **message), key)

    def verdict(self, policies: PolicySet | None = None, tag: str = "v1", **review: Any) -> ImageVerdict:
        """Verify an image."""
        chosen = policies or requiring(oracle_spec(self.server))
        (verdict,) = self.verify(f"{self.server.host}/{ORACLE_REPOSITORY}:{tag}", policies=chosen, **review)
        return verdict
