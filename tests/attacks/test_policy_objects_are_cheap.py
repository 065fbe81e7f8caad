"""Policy objects that are small and dear to validate are refused, everywhere with the same words."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.clocks import Deadline
from sealgate.errors import PolicyError
from sealgate.manifests.policies import load_standalone, object_problems
from sealgate.patterns import GLOB_STEPS
from sealgate.policies.limits import MAX_PATTERN_STEPS
from sealgate_operator.status.verification_policies import policy_status
from sealgate_webhook.admission.policy_objects import PolicyObjectAdmission
from sealgate_webhook.backends.cluster.policies import read_policy
from sealgate_webhook.reviews.request import UnusableReviewError, decode_review
from tests.support.builders.objects import api_object, authenticator, policy
from tests.support.clocks import FakeClock
from tests.webhook.objects import encode, review

if TYPE_CHECKING:
    from pathlib import Path

#: 128 globs each.
BRACES = "{a,b}" * 7
SELECTORS = [{"repository": f"r{number}.example.org/{BRACES}"} for number in range(256)]
TAGS = [{"repository": "r.example.org/*", "tags": [f"{BRACES}{number}" for number in range(64)]}]
PATTERNS = "the patterns are too large together"
OBJECT = "the object is too large"


class NoPolicies:
    """The policies of a cluster that has none."""

    def current(self) -> None:
        """Return None."""

    def problem(self) -> str:
        return "there are none"

    def authenticator(self, name: str) -> None:
        """Return None."""


def applied(value: dict[str, Any]) -> str:
    """Return the message of the denial of an object that is applied."""
    clock = FakeClock()
    try:
        request = decode_review(encode(review(value)), None)
    except UnusableReviewError as error:
        return error.message
    outcome = PolicyObjectAdmission(NoPolicies(), clock, timedelta(hours=72), print).validate(
        request, Deadline.after(clock, 5)
    )
    assert not outcome.response.allowed
    return outcome.response.message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (policy("p", images=SELECTORS), PATTERNS),
        (policy("p", images=TAGS), PATTERNS),
        (policy("p", "r.example.org/*", excludeImages=SELECTORS), PATTERNS),
        (policy("p", images=[{"repository": "r.example.org/*", "tags": ["v*"] * 64}] * 256), OBJECT),
        (api_object("VerificationPolicy", "p", dict.fromkeys(map(str, range(20_000)), 1)), OBJECT),
        (policy("p", "**", namespaceSelector={"matchLabels": {f"k{n}": "v" for n in range(20_000)}}), OBJECT),
        (api_object("SigningPolicy", "s", {"images": SELECTORS[:64], "cosign": {}, "key": {}}), PATTERNS),
        (authenticator("a", *[{"pem": "x" * 65_000}] * 64), OBJECT),
        (authenticator("a", annotations={f"a{number}": "b" for number in range(20_000)}), OBJECT),
    ],
    ids=["braces", "tags", "exclusions", "many tags", "fields", "labels", "signing", "keys", "annotations"],
)
def test_attack_54_dear_objects_are_refused_when_they_are_applied_and_in_files(
    tmp_path: Path, value: dict[str, Any], said: str
) -> None:
    assert said in applied(value)
    (problem,) = [problem for problem in object_problems(value) if said in problem.message]
    assert problem.field == "spec"
    (tmp_path / "policies.json").write_text(json.dumps(value))
    with pytest.raises(PolicyError) as caught:
        load_standalone([tmp_path])
    assert problem.message in {found.message for found in caught.value.problems}


@pytest.mark.parametrize("selectors", [SELECTORS, TAGS])
def test_attack_54_dear_policies_are_refused_by_the_operator_and_the_webhook(selectors: list[dict[str, Any]]) -> None:
    value = policy("p", images=selectors)
    status = policy_status(value, {}, FakeClock().now())
    assert any(PATTERNS in condition.message for condition in status.conditions)
    read = read_policy(value)
    assert read.object is None
    assert PATTERNS in read.problem


def test_attack_54_unreadable_policy_compiles_no_more_than_a_readable_one() -> None:
    """What does not fit counts as every image, so that the policy still covers what it names."""
    read = read_policy(policy("p", images=SELECTORS, unknown=1))
    globs = {glob for selector in read.compiled.images for glob in selector.repository.globs}
    assert len(globs) * GLOB_STEPS <= MAX_PATTERN_STEPS
    assert len(read.compiled.images) == len(SELECTORS)
    assert read.compiled.images[-1].repository.matches("any.example.org/app")


def test_attack_36_largest_overlap_is_compared() -> None:
    """Each of 256 images with each of 256 exclusions."""
    images = [{"repository": f"r.example.org/team-{number}/app"} for number in range(256)]
    excluded = [{"repository": f"r.example.org/team-{number}/*"} for number in range(256)]
    value = policy("p", images=images, excludeImages=excluded)
    assert object_problems(value) == ()
    status = policy_status(value, {}, FakeClock().now())
    assert "the policy covers no image: images[0]" in " ".join(condition.message for condition in status.conditions)


def test_attack_36_overlaps_that_take_too_long_are_not_compared() -> None:
    """They are accepted: nothing depends on the comparison but a warning."""
    images = [{"repository": f"r.example.org/{'a' * 100}{number}"} for number in range(80)]
    excluded = [{"repository": f"r.example.org/{'a*' * 5}x{number}*"} for number in range(80)]
    value = policy("p", images=images, excludeImages=excluded)
    assert object_problems(value) == ()
    VerificationPolicy.model_validate(value)
    assert not any("excluded" in found.message for found in policy_status(value, {}, FakeClock().now()).conditions)


def test_attack_23_many_problems_of_one_object_are_counted() -> None:
    """Each is compared with the names of the fields."""
    fields = {f"actions{number}": 1 for number in range(2000)}
    problems = object_problems(api_object("VerificationPolicy", "p", {"images": [{"repository": "**"}], **fields}))
    assert len(problems) == 65
    assert any(problem.message == "1937 more problems" for problem in problems)
