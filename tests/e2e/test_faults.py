"""Components that end come back by themselves, and meanwhile no unsigned image is admitted."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.admission_load import AdmissionLoad
from tests.e2e.kube import apply, condition, eventually, get, kubectl
from tests.e2e.objects import authenticator, pod, policy, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.clusters import Machine
    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

EVERYTHING = "e2e-everything"


def test_deleting_a_webhook_replica_fails_no_call(team: Team, samples: SampleImages) -> None:
    with AdmissionLoad(team.name, samples.signed.tagged) as load:
        victim = release.pods("webhook")[0]["metadata"]["name"]
        kubectl("-n", NAMESPACE, "delete", "pod", victim).checked()
        release.wait_until_ready()
    assert load.calls > 0
    assert load.failures == []


def test_killed_webhook_replicas_admit_nothing_unsigned(team: Team, samples: SampleImages) -> None:
    _kill("webhook")
    done = team.create(pod("app", samples.unsigned.tagged))
    assert not done.ok
    release.wait_until_ready()
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)


def test_admission_works_without_an_operator(new_team: Callable[[], Team], team: Team, samples: SampleImages) -> None:
    release.stop("operator")
    other = new_team()
    other.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    other.wait_for_decision(samples.signed.tagged, admitted=True)
    kubectl("-n", NAMESPACE, "scale", "deployment/sealgate-operator", "--replicas=2").checked()
    eventually(lambda: _ready(other.name), "the operator has written the conditions")
    team.wait_for_decision(samples.signed.tagged, admitted=True)


def test_repeatedly_killed_operators_finish_reconciling(new_team: Callable[[], Team], samples: SampleImages) -> None:
    team = new_team()
    secret = {"cosign.pub": base64.b64encode(samples.key.pem.encode()).decode()}
    try:
        for attempt in range(3):
            _kill("operator")
            name = f"{team.name}-{attempt}"
            entry = {"secretRef": {"name": team.name, "key": "cosign.pub"}}
            apply(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": team.name, "namespace": NAMESPACE},
                    "data": secret,
                },
                authenticator(name, entry),
                policy(name, [name], "nowhere"),
            ).checked()
        for attempt in range(3):
            eventually(lambda attempt=attempt: _ready(f"{team.name}-{attempt}"), "the objects are Ready")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        release.wait_until_ready()
    finally:
        kubectl("delete", "vpol,authn", *(f"{team.name}-{attempt}" for attempt in range(3)), "--ignore-not-found")
        kubectl("-n", NAMESPACE, "delete", "secret", team.name, "--ignore-not-found")


def test_api_server_restart_is_survived(team: Team, samples: SampleImages, machine: Machine) -> None:
    restarts = _restarts("webhook")
    machine.restart_api_server()
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    assert _restarts("webhook") == restarts
    # The watches have been restarted, so changes take effect.
    apply(authenticator(team.name, samples.untrusted_key.entry)).checked()
    team.wait_for_decision(samples.signed.tagged, admitted=False)
    eventually(lambda: _observed(team.name), "the operator has reconciled the change")


@pytest.fixture
def _covered(samples: SampleImages) -> Iterator[None]:
    apply(authenticator(EVERYTHING, samples.key.entry), policy(EVERYTHING, [EVERYTHING], None)).checked()
    yield
    kubectl("delete", "vpol,authn", EVERYTHING, "--ignore-not-found").checked()


@pytest.mark.usefixtures("_covered")
def test_power_failure_is_survived_and_admits_nothing_unsigned(
    new_team: Callable[[], Team], samples: SampleImages, machine: Machine
) -> None:
    team = new_team()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    team.create(workload("Deployment", "app", samples.signed.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    machine.power_off()
    machine.power_on()
    done = team.create(pod("early", samples.unsigned.tagged))
    assert not done.ok
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    release.wait_until_ready()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    # New pods of the Deployment are admitted too.
    team.kubectl("delete", "pods", "--all", "--wait=false").checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=150s").checked()
    eventually(lambda: _ready(EVERYTHING), "the operator is back")


def _kill(component: str) -> None:
    for found in release.pods(component):
        name = found["metadata"]["name"]
        kubectl("-n", NAMESPACE, "delete", "pod", name, "--force", "--grace-period=0").checked()


def _restarts(component: str) -> list[int]:
    return [found["status"]["containerStatuses"][0]["restartCount"] for found in release.pods(component)]


def _ready(name: str) -> bool:
    return all(condition(kind, name).get("status") == "True" for kind in ("authenticator", "verificationpolicy"))


def _observed(name: str) -> bool:
    generation = get("authenticator", name)["metadata"]["generation"]
    return bool(condition("authenticator", name).get("observedGeneration") == generation)
