"""The decision log keeps to its published schema, and its lines are bounded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from sealgate.policies.decisions import UnmatchedImages, Workloads
from sealgate_webhook.admission.workloads import AdmissionRules
from tests.support.builders.objects import policy
from tests.webhook.environment import UNKNOWN_NAMESPACES
from tests.webhook.objects import encode, pod, review, workload

if TYPE_CHECKING:
    from tests.webhook.environment import WebhookEnvironment

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/decision-log.schema.json").read_text())
MAX_LINE = 48 << 10
USER: dict[str, Any] = {"userInfo": {"username": "jane@example.com", "groups": ["dev"]}}


def decisions(environment: WebhookEnvironment) -> list[dict[str, Any]]:
    """Return the decisions in the log, each checked against the schema."""
    found = [line for line in environment.lines("review") if "decision_id" in line]
    for line in found:
        jsonschema.Draft202012Validator(SCHEMA).validate(line)
    return found


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("action", "result"), [("Enforce", "denied"), ("Warn", "allowed"), ("Audit", "allowed")])
def test_decision_says_who_what_and_why(environment: WebhookEnvironment, action: str, result: str) -> None:
    environment.write(policy("p", f"{environment.registry.host}/**", action=action))
    image = environment.push("team/bad", "v1")
    answer = environment.validate(review(pod(image), namespace="shop", dryRun=True, **USER))
    (line,) = decisions(environment)
    assert line["decision_id"] == answer.decision_id
    assert (line["action"], line["result"], line["user"], line["dry_run"]) == (action, result, "jane@example.com", True)
    assert (line["namespace"], line["kind"], line["name"]) == ("shop", "Pod", "web")
    assert line["policies"] == [{"policy": "p", "action": action, "verdict": "deny", "reason": "NoSignature"}]
    assert line["images"][0]["digest"] == environment.digest("team/bad", "v1")
    assert line["message"].startswith(f"spec.containers[0]: {image}: ")
    assert "release" in line["message"]


def test_every_kind_of_decision_keeps_to_the_schema(environment: WebhookEnvironment) -> None:
    environment.unmatched = UnmatchedImages.WARN
    environment.rules = AdmissionRules(workloads=Workloads.WARN)
    environment.validate(review(pod("docker.io/library/nginx:1")))
    environment.validate(review(pod("UPPER/case")))
    environment.validate(review(workload("Deployment", environment.push("team/bad", "v1"))))
    environment.validate(review(workload("Deployment", *(f"docker.io/library/nginx:{n}" for n in range(300)))))
    environment.post("/validate", encode(review({"kind": "Pod"}, operation="PATCH")))
    environment.post("/validate?timeout=1ms", encode(review(pod(environment.push("team/slow", "v1")))))
    assert len(decisions(environment)) == 6


def test_whole_object_that_cannot_be_verified_is_a_decision(environment: WebhookEnvironment) -> None:
    environment.namespaces = UNKNOWN_NAMESPACES
    environment.validate(review(pod("docker.io/library/nginx:1")))
    (line,) = decisions(environment)
    assert "labels of namespace" in line["message"]


def test_the_largest_line_is_bounded(environment: WebhookEnvironment) -> None:
    host = environment.registry.host
    environment.write(*(policy(f"{'p' * 240}-{n}", f"{host}/**", action="Audit") for n in range(20)))
    images = [environment.push(f"team/{'x' * 200}/app-{n}", "v1") for n in range(5)]
    obj = pod(*(f"{number}" + "\\" * 2000 for number in range(20)), *images)
    environment.validate(review(obj, name="\\" * 5000, userInfo={"username": "\\" * 5000}))
    (line,) = decisions(environment)
    assert len(line["images"]) == 20
    assert (len(line["policies"]), line["policy_count"]) == (10, 20)
    longest = max(environment.log.getvalue().splitlines(), key=len)
    assert len(longest) < MAX_LINE
