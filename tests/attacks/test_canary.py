"""The canary's proof: nothing admits its image, and nothing but the webhook's denial counts as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate import canary
from sealgate.policies.decisions import UnmatchedImages, Workloads
from sealgate_webhook.admission.workloads import AdmissionRules
from tests.support.builders.objects import policy
from tests.webhook.objects import pod, review, workload

if TYPE_CHECKING:
    from tests.webhook.environment import WebhookEnvironment

IMAGE = "sealgate.invalid/canary:dry-run"
WEBHOOK = "workloads.sealgate.dev"
DENIED = f'admission webhook "{WEBHOOK}" denied the request: {canary.TEXT}'


@pytest.mark.parametrize(
    "policies", [(), (policy("everything", "**", action="Exempt"),), (policy("a", "nowhere.test/**"),)]
)
@pytest.mark.parametrize("unmatched", UnmatchedImages)
def test_attack_106_no_policy_admits_the_canary(
    environment: WebhookEnvironment, policies: tuple[dict[str, Any], ...], unmatched: UnmatchedImages
) -> None:
    environment.unmatched = unmatched
    environment.write(*policies)
    answer = environment.validate(review(pod(IMAGE)))
    assert not answer.allowed
    assert canary.TEXT in answer.message


@pytest.mark.parametrize("action", ["Audit", "Warn"])
def test_attack_106_lenient_policies_deny_the_canary(environment: WebhookEnvironment, action: str) -> None:
    environment.write(policy("inform", "**", action=action))
    # Also once the answer to another image is in memory.
    environment.validate(review(pod(environment.push("team/app", "v1"))))
    answer = environment.validate(review(pod(IMAGE)))
    assert not answer.allowed
    assert "warnings" not in answer.response


@pytest.mark.parametrize(
    "image",
    [
        "sealgate.invalid/canary",
        "SEALGATE.invalid:443/canary@sha256:" + "0" * 64,
        "sealgate.invalid/canary:v1@sha256:" + "0" * 64,
    ],
)
def test_attack_106_every_spelling_of_the_canary_is_denied(environment: WebhookEnvironment, image: str) -> None:
    environment.write(policy("everything", "**", action="Exempt"))
    for document in (pod(environment.push("team/app", "v1"), image), workload("Deployment", image)):
        assert canary.TEXT in environment.validate(review(document)).message


def test_attack_106_templates_with_the_canary_follow_the_rules_of_templates(environment: WebhookEnvironment) -> None:
    environment.rules = AdmissionRules(workloads=Workloads.WARN)
    environment.write(policy("everything", "**", action="Exempt"))
    answer = environment.validate(review(workload("Deployment", IMAGE)))
    assert answer.allowed
    assert canary.TEXT in answer.response["warnings"][0]
    assert not environment.validate(review(pod(IMAGE))).allowed


@pytest.mark.parametrize("image", ["sealgate.invalid/canary2", "sealgate.invalid/a/canary", "other.invalid/canary"])
def test_only_the_reserved_repository_is_the_canary_s(environment: WebhookEnvironment, image: str) -> None:
    environment.write(policy("everything", "**", action="Exempt"))
    assert environment.validate(review(pod(image))).allowed


def test_the_canary_asks_no_registry(environment: WebhookEnvironment) -> None:
    environment.write(policy("everything", "**"))
    assert environment.mutate(review(pod(IMAGE))).allowed
    assert canary.TEXT in environment.validate(review(pod(IMAGE))).message
    assert environment.metric("sealgate_registry_requests_total", host="other", code="RegistryUnavailable") == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        canary.TEXT,
        f'admission webhook "other.example.org" denied the request: {canary.TEXT}',
        f'x admission webhook "{WEBHOOK}" denied the request: {canary.TEXT}',
        f'admission webhook "{WEBHOOK}" denied the request: policy all: no signature',
        f'Internal error occurred: failed calling webhook "{WEBHOOK}": connection refused',
        'pods "sealgate-canary" is forbidden: violates PodSecurity "restricted:latest"',
    ],
)
def test_attack_107_only_the_webhook_s_own_denial_is_a_proof(answer: str) -> None:
    assert canary.judge(answer, WEBHOOK) == "unknown"


@pytest.mark.parametrize("answer", ["", 'pods "sealgate-canary" is forbidden: exceeded quota: sealgate-canary, pods=1'])
def test_attack_107_a_webhook_that_is_not_asked_is_seen(answer: str) -> None:
    assert canary.judge(answer, WEBHOOK) == "admitted"


@pytest.mark.parametrize("answer", [DENIED, f"{DENIED} (id 0-abc)"])
def test_the_webhook_s_denial_is_a_proof(answer: str) -> None:
    assert canary.judge(answer, WEBHOOK) == "denied"
