"""`/validate-policies` for SigningPolicies: what the Authenticator that they name says against their key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.status import AuthenticatorStatus
from sealgate.clocks import Deadline
from sealgate.keys.status_keys import StatusKeys
from sealgate.verification.policy_sets import PolicySet, build_policy_set
from sealgate_webhook.admission.policy_objects import PolicyObjectAdmission
from sealgate_webhook.admission.sources import KnownAuthenticator
from sealgate_webhook.reviews.request import AdmissionRequest
from tests.support.builders.objects import api_object, authenticator_model
from tests.support.clocks import FakeClock
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from sealgate_webhook.admission.outcome import AdmissionOutcome

PEM = public_pem(new_key("ECDSA P-256"))
HUAWEI = {"region": "cn-north-4", "projectId": "0a1b", "keyId": "b1c2", "credentialsSecret": {"name": "dew"}}
SOURCE = "kms huawei cn-north-4/0a1b/b1c2"
ACCEPTED = {"source": SOURCE, "state": "Accepted", "pem": PEM, "algorithm": "ECDSA_SHA_256"}


@dataclass
class InForce:
    """The Authenticators that a webhook knows."""

    known: dict[str, KnownAuthenticator] = field(default_factory=dict)

    def current(self) -> PolicySet | None:
        keys = StatusKeys(AuthenticatorStatus(), FakeClock().now())
        return build_policy_set([one.object for one in self.known.values()], [], lambda _: keys)

    def problem(self) -> str:
        return ""

    def authenticator(self, name: str) -> KnownAuthenticator | None:
        return self.known.get(name)


def known(*keys: Any, status: dict[str, Any] | None = None) -> InForce:
    """Return what a webhook knows where there is one Authenticator, `release-key`, with these key entries."""
    statuses = AuthenticatorStatus.model_validate({"keys": [] if status is None else [status]})
    return InForce({"release-key": KnownAuthenticator(authenticator_model("release-key", *keys), statuses)})


def apply(in_force: InForce, old: dict[str, Any] | None = None, **spec: Any) -> AdmissionOutcome:
    """Return the outcome for a SigningPolicy whose key is that of the Authenticator release-key."""
    named = {"authenticator": "release-key", "credentialsSecret": {"name": "dew-sign"}}
    images = [{"repository": "registry.example.org/shop/*"}]
    value = api_object("SigningPolicy", "release", {"images": images, "cosign": {}, "key": named, **spec})
    clock = FakeClock()
    request = AdmissionRequest(
        uid="1",
        operation="CREATE",
        kind="SigningPolicy",
        group="sealgate.dev",
        namespace="",
        name="release",
        subresource="",
        object=value,
        old_object=None if old is None else value,
    )
    return PolicyObjectAdmission(in_force, clock, timedelta(hours=72), print).validate(
        request, Deadline.after(clock, 5)
    )


def refusal(in_force: InForce, **spec: Any) -> str:
    response = apply(in_force, **spec).response
    assert not response.allowed
    assert response.message.startswith("SigningPolicy release: ")
    return response.message


def test_the_only_key_of_an_authenticator_signs() -> None:
    response = apply(known({"kms": {"huawei": HUAWEI}}, status=ACCEPTED), algorithm="ECDSA_SHA_256").response
    assert (response.allowed, response.warnings) == (True, ())


def test_a_key_that_the_operator_has_not_read_yet_may_turn_out_to_sign() -> None:
    assert apply(known({"kms": {"huawei": HUAWEI}}), algorithm="RSA_PSS_SHA_256").response.allowed
    unread = {"source": SOURCE, "state": "Refused", "reason": "RegistryUnavailable", "message": "no answer"}
    assert apply(known({"kms": {"huawei": HUAWEI}}, status=unread)).response.allowed


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (({"kms": {"huawei": HUAWEI}}, {"pem": PEM}), "has 2 keys and not one"),
        (({"pem": PEM},), "does not have a key in a key management service"),
        (({"secretRef": {"name": "keys", "key": "cosign.pub"}},), "does not have a key in a key management service"),
    ],
)
def test_an_authenticator_without_exactly_one_key_in_a_kms_is_refused(keys: tuple[Any, ...], said: str) -> None:
    message = refusal(known(*keys))
    assert said in message
    assert "release-key" in message
    assert "name the key in key.kms" in message


@pytest.mark.parametrize("reason", ["Disabled", "PendingDeletion", "WrongUsage", "UnsupportedAlgorithm"])
def test_a_key_that_its_service_refuses_is_refused(reason: str) -> None:
    status = {"source": SOURCE, "state": "Refused", "reason": reason, "message": "key b1c2 must not be used"}
    message = refusal(known({"kms": {"huawei": HUAWEI}}, status=status))
    assert "the key of Authenticator release-key cannot sign" in message
    assert "key b1c2 must not be used" in message


def test_an_algorithm_that_the_key_cannot_do_is_refused() -> None:
    message = refusal(known({"kms": {"huawei": HUAWEI}}, status=ACCEPTED), algorithm="RSA_PSS_SHA_256")
    assert "RSA_PSS_SHA_256" in message


def test_an_algorithm_that_the_authenticator_does_not_accept_is_refused() -> None:
    entry = {"kms": {"huawei": HUAWEI}, "algorithm": "ECDSA_SHA_256"}
    message = refusal(known(entry, status=ACCEPTED), algorithm="ECDSA_SHA_384")
    assert "accepts ECDSA_SHA_256, and not ECDSA_SHA_384" in message


def test_a_registry_with_a_wildcard_is_refused() -> None:
    message = refusal(known({"kms": {"huawei": HUAWEI}}), images=[{"repository": "*/shop/*"}])
    assert "names its registry with a wildcard" in message


def test_a_missing_authenticator_is_a_warning_with_the_nearest_name() -> None:
    named = {"authenticator": "relase-key", "credentialsSecret": {"name": "dew-sign"}}
    response = apply(known({"kms": {"huawei": HUAWEI}}, status=ACCEPTED), key=named).response
    assert response.allowed
    assert response.warnings == ("sealgate: there is no Authenticator relase-key yet: did you mean release-key?",)


def test_an_update_that_leaves_the_spec_alone_is_admitted() -> None:
    """Such as the annotation that starts a manual run, while the key is disabled."""
    assert apply(known({"pem": PEM}), old={}).response.allowed
