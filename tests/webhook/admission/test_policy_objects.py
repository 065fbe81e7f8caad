"""`/validate-policies`: refusals and warnings that kubectl shows when a policy is applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.status import AuthenticatorStatus
from sealgate.clocks import Deadline
from sealgate.keys.status_keys import StatusKeys
from sealgate.verification.policy_sets import PolicySet, build_policy_set
from sealgate_webhook.admission.policy_objects import PolicyObjectAdmission
from sealgate_webhook.reviews.request import AdmissionRequest
from tests.support.clocks import FakeClock
from tests.support.signers.private_keys import new_key, public_pem
from tests.webhook.environment import exemption, policy

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS = {name: new_key("ECDSA P-256", name) for name in ("release", "security")}


def authenticator(name: str, key: str = "release", **entry: Any) -> Authenticator:
    spec = {"cosign": {"keys": [entry or {"pem": public_pem(KEYS[key])}]}}
    value = {"apiVersion": "sealgate.dev/v1alpha1", "kind": "Authenticator", "metadata": {"name": name}, "spec": spec}
    return Authenticator.model_validate(value)


@dataclass
class InForce:
    """The policies that a webhook has in force."""

    policies: PolicySet | None

    def current(self) -> PolicySet | None:
        return self.policies

    def problem(self) -> str:
        return ""


EXISTING = [
    authenticator("release-key"),
    authenticator("release-copy"),
    authenticator("security-team", "security"),
    authenticator("unread", secretRef={"name": "keys", "key": "cosign.pub"}),
]


def warnings(value: dict[str, Any], existing: Sequence[Authenticator] | None = EXISTING, **old: Any) -> list[str]:
    clock = FakeClock()
    keys = StatusKeys(AuthenticatorStatus(), clock.now())
    in_force = None if existing is None else build_policy_set(existing, [], lambda _: keys)
    request = AdmissionRequest(
        uid="1",
        operation="CREATE",
        kind=value["kind"],
        group="sealgate.dev",
        namespace="",
        name=value["metadata"]["name"],
        subresource="",
        object=value,
        old_object=old or None,
    )
    outcome = PolicyObjectAdmission(InForce(in_force), clock).validate(request, Deadline.after(clock, 5))
    assert outcome.response.allowed
    return list(outcome.response.warnings)


def test_a_policy_that_can_be_met_has_no_warning() -> None:
    assert warnings(policy("p", "**", need=("release-key", "security-team"))) == []
    assert warnings(exemption("p", "**")) == []
    assert (
        warnings(policy("p", "**", need=("unread", "release-key"), require=_require(1, "unread", "release-key"))) == []
    )


def _require(count: int, *names: str) -> dict[str, Any]:
    return {"count": count, "authenticators": list(names)}


def test_a_misspelt_authenticator_is_a_warning_with_the_nearest_name() -> None:
    (warning,) = warnings(policy("p", "**", need=("relase-key",)))
    assert warning == "sealgate: there is no Authenticator relase-key yet: did you mean release-key?"
    (warning,) = warnings(policy("p", "**", need=("something-else-altogether",)))
    assert warning == "sealgate: there is no Authenticator something-else-altogether yet"


def test_authenticators_without_keys_of_their_own_are_a_warning() -> None:
    (warning,) = warnings(policy("p", "**", need=("release-key", "release-copy")))
    assert "no image can meet the policy: it needs 2 authenticators, each by a key of its own" in warning
    assert "have keys for 1" in warning


def test_an_authenticator_that_does_not_exist_yet_may_have_any_key() -> None:
    found = warnings(policy("p", "**", need=("release-key", "not-applied-yet")))
    assert not [warning for warning in found if "no image can meet" in warning]


def test_too_few_usable_authenticators_are_a_warning() -> None:
    (warning,) = warnings(policy("p", "**", need=("release-key", "unread")))
    assert "no image can meet the policy" in warning
    assert "unread cannot be used now" in warning


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"excludeImages": [{"repository": "**"}]}, "the policy covers no image: images[0]"),
        (
            {
                "namespaceSelector": {
                    "matchLabels": {"a": "b"},
                    "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}],
                }
            },
            "no namespace can have labels",
        ),
    ],
)
def test_a_policy_that_matches_nothing_is_a_warning(spec: dict[str, Any], said: str) -> None:
    for value in (
        policy("p", "quay.io/team/*", need=("release-key",), **spec),
        exemption("p", "quay.io/team/*", **spec),
    ):
        (warning,) = warnings(value)
        assert warning.startswith("sealgate: the policy matches nothing: ")
        assert said in warning


def test_before_the_first_set_there_are_no_warnings() -> None:
    assert warnings(policy("p", "**", need=("relase-key",)), existing=None) == []


def test_an_unchanged_spec_is_not_warned_about_again() -> None:
    value = policy("p", "**", need=("relase-key",))
    assert warnings(value, spec=value["spec"]) == []


def test_warnings_stay_within_the_limits_of_kubernetes() -> None:
    found = warnings(policy("p", "**", need=tuple(f"{'a' * 100}-{number}" for number in range(16))))
    assert len(found) == 10
    assert all(len(warning) <= 256 for warning in found)


def test_ignored_region_of_an_oracle_vault_is_a_warning() -> None:
    vault = {
        "keyId": "ocid1.key.oc1.phx.a",
        "endpoint": "https://vault-management.kms.us-phoenix-1.oraclecloud.com",
        "credentialsSecret": {"name": "oci"},
    }
    value = {
        "apiVersion": "sealgate.dev/v1alpha1",
        "kind": "Authenticator",
        "metadata": {"name": "a"},
        "spec": {"cosign": {"keys": [{"pem": public_pem(KEYS["release"])}, {"kms": {"oracle": vault}}]}},
    }
    assert warnings(value) == []
    vault["region"] = "us-phoenix-1"
    (warning,) = warnings(value, existing=None)
    assert "spec.cosign.keys[1].kms.oracle.region is ignored" in warning
    assert "remove it" in warning
