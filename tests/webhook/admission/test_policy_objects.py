"""`/validate-policies`: refusals and warnings that kubectl shows when a policy is applied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.status import AuthenticatorStatus
from sealgate.clocks import Deadline
from sealgate.keys.status_keys import StatusKeys
from sealgate.verification.policy_sets import PolicySet, build_policy_set
from sealgate_webhook.admission.policy_objects import PolicyObjectAdmission
from sealgate_webhook.reviews.request import AdmissionRequest
from tests.support.builders.objects import authenticator, authenticator_model, policy
from tests.support.clocks import FakeClock
from tests.support.signers.private_keys import new_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.api.v1alpha1.authenticator import Authenticator

KEYS = {name: new_key("ECDSA P-256", name) for name in ("release", "security")}


def existing_authenticator(name: str, key: str = "release", **entry: Any) -> Authenticator:
    return authenticator_model(name, entry or KEYS[key])


@dataclass
class InForce:
    """The policies that a webhook has in force."""

    policies: PolicySet | None

    def current(self) -> PolicySet | None:
        return self.policies

    def problem(self) -> str:
        return ""

    def authenticator(self, name: str) -> None:
        """Return None: only SigningPolicies are judged by an Authenticator."""


EXISTING = [
    existing_authenticator("release-key"),
    existing_authenticator("release-copy"),
    existing_authenticator("security-team", "security"),
    existing_authenticator("unread", secretRef={"name": "keys", "key": "cosign.pub"}),
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
    outcome = PolicyObjectAdmission(InForce(in_force), clock, timedelta(hours=72), print).validate(
        request, Deadline.after(clock, 5)
    )
    assert outcome.response.allowed
    return list(outcome.response.warnings)


def test_a_policy_that_can_be_met_has_no_warning() -> None:
    assert warnings(policy("p", "**", authenticators=("release-key", "security-team"))) == []
    assert warnings(policy("p", "**", action="Exempt")) == []
    assert (
        warnings(
            policy("p", "**", authenticators=("unread", "release-key"), require=_require(1, "unread", "release-key"))
        )
        == []
    )


def _require(count: int, *names: str) -> dict[str, Any]:
    return {"count": count, "authenticators": list(names)}


def test_a_misspelt_authenticator_is_a_warning_with_the_nearest_name() -> None:
    (warning,) = warnings(policy("p", "**", authenticators=("relase-key",)))
    assert warning == "sealgate: there is no Authenticator relase-key yet: did you mean release-key?"
    (warning,) = warnings(policy("p", "**", authenticators=("something-else-altogether",)))
    assert warning == "sealgate: there is no Authenticator something-else-altogether yet"


def test_authenticators_without_keys_of_their_own_are_a_warning() -> None:
    (warning,) = warnings(policy("p", "**", authenticators=("release-key", "release-copy")))
    assert "no image can meet the policy: it needs 2 authenticators, each by a key of its own" in warning
    assert "have keys for 1" in warning


def test_an_authenticator_that_does_not_exist_yet_may_have_any_key() -> None:
    found = warnings(policy("p", "**", authenticators=("release-key", "not-applied-yet")))
    assert not [warning for warning in found if "no image can meet" in warning]


def test_too_few_usable_authenticators_are_a_warning() -> None:
    (warning,) = warnings(policy("p", "**", authenticators=("release-key", "unread")))
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
        policy("p", "quay.io/team/*", authenticators=("release-key",), **spec),
        policy("p", "quay.io/team/*", action="Exempt", **spec),
    ):
        (warning,) = warnings(value)
        assert warning.startswith("sealgate: the policy matches nothing: ")
        assert said in warning


def test_before_the_first_set_there_are_no_warnings() -> None:
    assert warnings(policy("p", "**", authenticators=("relase-key",)), existing=None) == []


def test_an_unchanged_spec_is_not_warned_about_again() -> None:
    value = policy("p", "**", authenticators=("relase-key",))
    assert warnings(value, spec=value["spec"]) == []


def test_warnings_stay_within_the_limits_of_kubernetes() -> None:
    found = warnings(policy("p", "**", authenticators=tuple(f"{'a' * 100}-{number}" for number in range(16))))
    assert len(found) == 10
    assert all(len(warning) <= 256 for warning in found)


def test_ignored_region_of_an_oracle_vault_is_a_warning() -> None:
    vault = {
        "keyId": "ocid1.key.oc1.phx.a",
        "endpoint": "https://vault-management.kms.us-phoenix-1.oraclecloud.com",
        "credentialsSecret": {"name": "oci"},
    }
    value = authenticator("a", KEYS["release"], {"kms": {"oracle": vault}})
    assert warnings(value) == []
    vault["region"] = "us-phoenix-1"
    (warning,) = warnings(value, existing=None)
    assert "spec.cosign.keys[1].kms.oracle.region is ignored" in warning
    assert "remove it" in warning
