"""Decisions stay visible, even where denied users write hostile text, and often."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sealgate.decision_ids import new_decision_id
from sealgate.kubernetes.events import EventWriter
from sealgate.policies.decisions import Workloads
from sealgate_webhook.admission.workloads import AdmissionRules
from sealgate_webhook.backends.cluster.decision_events import BURST, DENIED, WOULD_BE_DENIED, DecisionEvents
from sealgate_webhook.metrics import Metrics
from sealgate_webhook.policy_metrics import MAX_NAMESPACES
from sealgate_webhook.reviews.request import AdmissionRequest
from tests.cli.running import sealgate
from tests.kubernetes.conftest import api, cluster, log, output, running
from tests.support.builders.objects import policy
from tests.support.clocks import FakeClock
from tests.webhook.objects import pod, review, workload

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from tests.support.simulators.kubernetes import KubernetesSimulator
    from tests.webhook.environment import WebhookEnvironment

__all__ = ["api", "cluster", "log", "output"]

NASTY = 'x"\n{"msg": "review", "decision_id": "aaaaaaaa-aaaaaaaa"}\r\n\x1b[2J\x1b]0;owned\x07\u202e\u2028\x00'
ID = "aaaaaaaa-22222222"


def test_attack_88_flood_of_would_be_denials_hides_no_denial(
    cluster: KubernetesSimulator, api: KubernetesAPI, log: FilteringBoundLogger
) -> None:
    clock = FakeClock()
    writer = EventWriter(api, "sealgate", "sealgate-webhook-0", clock)
    would_be, denials = (
        DecisionEvents(writer, kind, lambda _: True, clock, Metrics(log), log) for kind in (WOULD_BE_DENIED, DENIED)
    )
    for number in range(10_000):
        flood = AdmissionRequest("1", "", "Pod", "", "tenant", f"app-{number}", "CREATE", {}, None)
        would_be.decided(flood, "would be denied", new_decision_id())
    for namespace in ("tenant", "other"):
        denials.decided(AdmissionRequest("1", "", "Pod", "", namespace, "app", "CREATE", {}, None), "denied", ID)
    other = AdmissionRequest("1", "", "Pod", "", "other", "app", "CREATE", {}, None)
    would_be.decided(other, "would be denied", ID)
    with running([would_be.run, denials.run], cluster):
        cluster.wait_for(lambda cluster: len(cluster.find("events")) == BURST + 3)
    found = {(event["metadata"]["namespace"], event["reason"]) for event in cluster.find("events")}
    assert found == {(name, kind.reason) for name in ("tenant", "other") for kind in (DENIED, WOULD_BE_DENIED)}


@pytest.mark.parametrize("image", [NASTY, f"app:{NASTY}", "x" * 5000, "\\" * 5000])
def test_attack_89_hostile_image_pushes_neither_policy_nor_id_out_of_a_warning(
    environment: WebhookEnvironment, image: str
) -> None:
    environment.rules = AdmissionRules(workloads=Workloads.WARN)
    answer = environment.validate(review(workload("Deployment", image)))
    assert answer.allowed
    (warning,) = answer.response["warnings"]
    assert warning.startswith("sealgate: all policies: InvalidReference: spec.template.spec.containers[0]: ")
    (event,) = environment.would_be_denials
    for text in (warning, event):
        assert text.isascii()
        assert text.isprintable()
    (line,) = environment.lines("review")
    assert line["decision_id"] == answer.decision_id


def test_attack_89_long_names_push_no_reason_out_of_a_warning(environment: WebhookEnvironment) -> None:
    host = environment.registry.host
    environment.write(*(policy("p" * 250 + str(number), f"{host}/**", action="Warn") for number in range(3)))
    (warning,) = environment.validate(review(pod(environment.push("x/" * 100 + "app", "v1")))).response["warnings"]
    assert warning.startswith(f"sealgate: {'p' * 77}... and 2 more: NoSignature: spec.containers[0]: ")


def test_attack_90_invented_namespaces_are_no_labels(environment: WebhookEnvironment) -> None:
    environment.metrics.policy_results.is_namespace = lambda name: name.startswith("mine-")
    image = environment.push("team/app", "v1")
    for number in range(MAX_NAMESPACES + 20):
        environment.validate(review(pod(image), namespace=f"mine-{number}"))
        environment.validate(review(pod(image), namespace=f"invented-{number}"))
    (family,) = environment.metrics.policy_results.collect()
    named = {sample.labels["namespace"] for sample in family.samples}
    assert len(named) == MAX_NAMESPACES + 1
    assert not any(name.startswith("invented") for name in named)
    assert sum(sample.value for sample in family.samples) == 2 * (MAX_NAMESPACES + 20)


def test_attack_91_hostile_lines_hide_no_decision_and_control_no_terminal(
    environment: WebhookEnvironment, tmp_path: Path
) -> None:
    answer = environment.validate(review(pod(environment.push("team/app", "v1")), userInfo={"username": NASTY}))
    forged = {"decision_id": ID, "decision_version": 1, "namespace": NASTY, "message": NASTY, "images": [NASTY, {}]}
    hostile = [
        b'{"decision_id": "' + b"x" * (1 << 20),
        b'{"decision_id": ' * 20_000,
        b'{"decision_id": ' + b"[" * 60_000,
        b'{"decision_id": NaN, "decision_id": 1}',
        b'\xff\xfe{"decision_id": 1e999}',
        json.dumps(forged).encode(),
        json.dumps(forged | {"policies": {"policy": 1}, "message": ["x"], "time": 7}).encode(),
    ]
    path = tmp_path / "webhook.log"
    path.write_bytes(b"\n".join([*hostile, environment.log.getvalue().encode(), *hostile]))
    ran = sealgate("explain", answer.decision_id, "--log", path)
    assert ran.exit_code == 0
    assert answer.decision_id in ran.stdout
    assert "lines that mention a decision could not be read" in ran.stderr
    shown = sealgate("explain", ID, "--log", path)
    assert shown.exit_code == 0
    assert all(line.isprintable() for line in (ran.stdout + shown.stdout).splitlines())
    assert json.loads(sealgate("explain", answer.decision_id, "--log", path, "-o", "json").stdout)[0]["name"] == "web"
