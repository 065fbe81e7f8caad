"""Tools that wait for objects (Flux, kpt, Argo CD) see them as Current, InProgress or Failed, by kstatus' own rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.status import Status
from sealgate_operator.keys.secrets import SecretKeys
from sealgate_operator.status.authenticators import assess
from sealgate_operator.status.conditions import READY, ConditionUpdate, conditions_of
from sealgate_operator.status.verification_policies import policy_status
from tests.operator.objects import authenticator, cosign, inline, pem, policy, secret_ref
from tests.support.clocks import NOW
from tests.support.kstatus import kstatus, legacy_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate_operator.status.authenticators import Assessment

GOOD = authenticator("good", cosign(inline("one")))
WAITING = authenticator("waiting", cosign(secret_ref("later")))
DAMAGED = authenticator("damaged", cosign({"pem": "-----BEGIN PUBLIC KEY-----"}))


def written(obj: dict[str, Any], status: Status) -> dict[str, Any]:
    return obj | {"status": status.model_dump(mode="json", by_alias=True)}


def assessed(obj: dict[str, Any], **secrets: Mapping[str, bytes]) -> Assessment:
    return assess(obj, SecretKeys(secrets.get, set()), (), NOW)


def of_authenticator(obj: dict[str, Any], **secrets: Mapping[str, bytes]) -> str:
    return kstatus(written(obj, assessed(obj, **secrets).status))


def of_policy(obj: dict[str, Any], *authenticators: dict[str, Any]) -> str:
    known = {found["metadata"]["name"]: assessed(found) for found in authenticators}
    result = written(obj, policy_status(obj, known, NOW))
    assert (legacy_status(result) == "Current") == (kstatus(result) == "Current")
    return kstatus(result)


def test_ready_authenticator_is_current() -> None:
    assert of_authenticator(GOOD) == "Current"
    assert of_authenticator(WAITING, later={"cosign.pub": pem("one").encode()}) == "Current"


def test_authenticator_that_waits_for_a_secret_is_in_progress() -> None:
    assert of_authenticator(WAITING) == "InProgress"
    assert of_authenticator(WAITING, later={}) == "InProgress"


@pytest.mark.parametrize("data", [{"cosign.pub": b"no key"}, {"cosign.pub": b""}])
def test_authenticator_with_a_damaged_key_has_failed(data: dict[str, bytes]) -> None:
    assert of_authenticator(WAITING, later=data) == "Failed"


def test_invalid_authenticator_has_failed() -> None:
    assert of_authenticator(DAMAGED) == "Failed"
    assert of_authenticator(authenticator("none", {})) == "Failed"


def test_one_key_that_may_come_keeps_the_others_from_failing() -> None:
    obj = authenticator("a", cosign(secret_ref("later"), secret_ref("damaged")))
    assert of_authenticator(obj, damaged={"cosign.pub": b"no key"}) == "InProgress"


def test_policy_is_current_once_its_authenticators_are_ready() -> None:
    assert of_policy(policy("p", "good")) == "InProgress"
    assert of_policy(policy("p", "waiting"), WAITING) == "InProgress"
    assert of_policy(policy("p", "good"), GOOD) == "Current"


@pytest.mark.parametrize(
    "obj",
    [
        policy("p", "good", action="Explode"),
        policy("p", "good", images=[{"repository": "registry.example.org/{a"}]),
        policy("p", "good", excludeImages=[{"repository": "**"}]),
        policy("p", "good", "twin"),
        policy("p", "damaged"),
    ],
)
def test_policy_that_only_a_change_can_help_has_failed(obj: dict[str, Any]) -> None:
    twin = authenticator("twin", GOOD["spec"])
    assert of_policy(obj, GOOD, twin, DAMAGED) == "Failed"


def test_a_missing_authenticator_may_come_beside_a_damaged_one() -> None:
    assert of_policy(policy("p", "damaged", "good"), DAMAGED) == "InProgress"


def test_changed_object_is_in_progress_until_it_is_reconciled() -> None:
    obj = written(GOOD, assessed(GOOD).status)
    changed = obj | {"metadata": {**obj["metadata"], "generation": 2}}
    assert (kstatus(obj), kstatus(changed)) == ("Current", "InProgress")


def test_object_that_was_never_reconciled_is_in_progress() -> None:
    # The default of the CRD; see tests/api/test_crds.py.
    assert kstatus(GOOD | {"status": {"observedGeneration": -1}}) == "InProgress"


def test_unknown_is_in_progress() -> None:
    pending = ConditionUpdate(READY, None, "Pending", "the key has not been read yet")
    status = Status(observed_generation=1, conditions=conditions_of([pending], Status(), 1, NOW))
    assert kstatus(written(GOOD, status)) == "InProgress"


def test_conditions_of_kstatus_go_when_the_object_is_ready() -> None:
    before = assessed(WAITING).status
    assert [found.type for found in before.conditions] == ["Ready", "Reconciling"]
    obj = written(WAITING, before)
    after = assessed(obj, later={"cosign.pub": pem("one").encode()}).status
    assert [found.type for found in after.conditions] == ["Ready"]
