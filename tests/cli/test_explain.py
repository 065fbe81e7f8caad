"""`sealgate explain` answers from the webhook's log why an image was denied."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.running import sealgate
from tests.support.builders.objects import exception, policy
from tests.support.clocks import FakeClock
from tests.webhook.conftest import environment, way
from tests.webhook.excepted import ExceptedPolicies, stored
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from pathlib import Path

    from tests.webhook.environment import ReviewAnswer, WebhookEnvironment

__all__ = ["environment", "way"]

pytestmark = pytest.mark.parametrize("way", ["flask"])


@pytest.fixture
def answers(environment: WebhookEnvironment) -> list[ReviewAnswer]:
    """Return the answers to a denied and a silently admitted request, which the log has between others."""
    host = environment.registry.host
    environment.write(policy("strict", f"{host}/shop/**"), policy("soft", f"{host}/team/**", action="Audit"))
    environment.validate(review(pod(environment.sign("shop/good", "v1"))))
    denied = environment.validate(review(pod(environment.push("shop/bad", "v1")), namespace="shop"))
    audited = environment.validate(review(pod(environment.push("team/bad", "v1")), namespace="team", dryRun=True))
    return [denied, audited]


@pytest.fixture
def log(environment: WebhookEnvironment, answers: list[ReviewAnswer], tmp_path: Path) -> Path:
    assert len(answers) == 2
    path = tmp_path / "webhook.log"
    path.write_text(environment.log.getvalue())
    return path


def found(*question: Any) -> list[str]:
    ran = sealgate("explain", *question, "-o", "json")
    return [decision["decision_id"] for decision in json.loads(ran.stdout)]


def test_an_exception_is_part_of_the_explanation(environment: WebhookEnvironment, tmp_path: Path) -> None:
    environment.clock = FakeClock()
    ExceptedPolicies(environment, stored(exception("urgent")))
    answer = environment.validate(review(pod(environment.push("shop/bad", "v1"))))
    path = tmp_path / "webhook.log"
    path.write_text(environment.log.getvalue())
    shown = sealgate("explain", answer.decision_id, "--log", path).stdout
    assert ["exception", "urgent"] in [line.split() for line in shown.splitlines()]
    assert "warn, NoSignature, lifted by exception urgent" in shown


def test_denial_is_explained_for_a_person(log: Path, answers: list[ReviewAnswer]) -> None:
    ran = sealgate("explain", answers[0].decision_id, "--log", log)
    assert ran.exit_code == 0
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert lines[0] == [answers[0].decision_id, "denied"]
    assert ["user", "alice"] in lines
    assert ["object", "CREATE", "Pod", "web"] in lines
    assert ["namespace", "shop"] in lines
    assert ["policy", "strict", "(Enforce):", "deny,", "NoSignature"] in lines
    assert answers[0].message in ran.stdout


def test_would_be_denial_of_a_dry_run_says_so(log: Path, answers: list[ReviewAnswer]) -> None:
    shown = sealgate("explain", answers[1].decision_id, "--log", log).stdout
    assert "admitted; would be denied" in shown
    assert "(dry run)" in shown


def test_decisions_are_found_by_id_image_and_namespace(log: Path, answers: list[ReviewAnswer]) -> None:
    denied, audited = (answer.decision_id for answer in answers)
    assert found("--image", "shop/bad", "--log", log) == [denied]
    assert found("--image", "/bad:v1", "--log", log) == [denied, audited]
    assert found("--namespace", "team", "--log", log) == [audited]
    assert found("--namespace", "team", "--image", "shop/bad", "--log", log) == []
    assert found(denied, "--log", log, "--log", log) == [denied, denied]


def test_log_is_read_from_standard_input_with_prefixes(log: Path, answers: list[ReviewAnswer]) -> None:
    text = "".join(f"[pod/sealgate-webhook-0/webhook] {line}\n" for line in log.read_text().splitlines())
    ran = sealgate("explain", answers[0].decision_id, "--log", "-", stdin=text)
    assert ran.exit_code == 0
    assert ran.stdout.startswith(answers[0].decision_id)


def test_decision_that_the_log_does_not_have_is_undetermined(log: Path) -> None:
    ran = sealgate("explain", "aaaaaaaa-aaaaaaaa", "--log", log)
    assert ran.exit_code == 3
    assert "no such decision" in ran.stderr


@pytest.mark.parametrize("question", [[], ["not-an-id"], ["AAAAAAAA-AAAAAAAA"]])
def test_question_without_an_answer_is_a_usage_error(log: Path, question: list[str]) -> None:
    assert sealgate("explain", *question, "--log", log).exit_code == 2


def test_file_that_cannot_be_read_is_an_error(log: Path) -> None:
    ran = sealgate("explain", "--namespace", "shop", "--log", log.with_name("missing"))
    assert ran.exit_code == 2
    assert "cannot read" in ran.stderr


def test_decision_of_another_version_is_counted(log: Path, answers: list[ReviewAnswer]) -> None:
    log.write_text(log.read_text().replace('"decision_version": 1', '"decision_version": 2'))
    ran = sealgate("explain", answers[0].decision_id, "--log", log)
    assert ran.exit_code == 3
    assert "another version of sealgate" in ran.stderr
