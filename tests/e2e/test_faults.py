"""Whatever ends, comes back by itself, keeps out what is unsigned meanwhile, and locks nobody out."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.admission_load import Witness
from tests.e2e.kube import apply, condition, eventually, get, kubectl
from tests.e2e.objects import authenticator, maker, pod, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.clusters import Machine
    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team

EVERYTHING = "e2e-everything"


def test_a_webhook_replica_that_is_told_to_end_is_missed_by_nobody(team: Team, shelf: Shelf) -> None:
    with Witness(team.name, shelf.signed.tagged) as witness:
        victim = release.pods("webhook")[0]["metadata"]["name"]
        kubectl("-n", NAMESPACE, "delete", "pod", victim).checked()
        release.settled()
    assert witness.calls > 0
    assert witness.failures == []


def test_webhook_replicas_that_are_killed_let_nothing_in(team: Team, shelf: Shelf) -> None:
    _kill("webhook")
    done = team.create(pod("app", shelf.unsigned.tagged))
    assert not done.ok
    release.settled()
    team.settle(shelf.signed.tagged, admitted=True)
    team.settle(shelf.unsigned.tagged, admitted=False)


def test_admission_needs_no_operator_and_the_operator_takes_up_its_work(
    new_team: Callable[[], Team], team: Team, shelf: Shelf
) -> None:
    kubectl("-n", NAMESPACE, "scale", "deployment/sealgate-operator", "--replicas=0").checked()
    eventually(lambda: not release.pods("operator"), "no operator")
    other = new_team()
    other.trust(shelf.key.entry, probe=shelf.unsigned.tagged)
    other.settle(shelf.signed.tagged, admitted=True)
    kubectl("-n", NAMESPACE, "scale", "deployment/sealgate-operator", "--replicas=2").checked()
    eventually(lambda: _ready(other.name), "its statuses are written")
    team.settle(shelf.signed.tagged, admitted=True)


def test_operators_that_are_killed_over_and_over_finish_their_work(new_team: Callable[[], Team], shelf: Shelf) -> None:
    team = new_team()
    secret = {"cosign.pub": base64.b64encode(shelf.key.pem.encode()).decode()}
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
            eventually(lambda attempt=attempt: _ready(f"{team.name}-{attempt}"), "ready in the end")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        release.settled()
    finally:
        kubectl("delete", "vpol,authn", *(f"{team.name}-{attempt}" for attempt in range(3)), "--ignore-not-found")
        kubectl("-n", NAMESPACE, "delete", "secret", team.name, "--ignore-not-found")


def test_the_api_server_comes_back_and_everything_goes_on(team: Team, shelf: Shelf, machine: Machine) -> None:
    restarts = _restarts("webhook")
    machine.restart_api_server()
    team.settle(shelf.signed.tagged, admitted=True)
    team.settle(shelf.unsigned.tagged, admitted=False)
    assert _restarts("webhook") == restarts
    # The watches go on: what changes now is noticed.
    apply(authenticator(team.name, shelf.stranger.entry)).checked()
    team.settle(shelf.signed.tagged, admitted=False)
    eventually(lambda: _observed(team.name), "the operator has noticed too")


@pytest.fixture
def _covered(shelf: Shelf) -> Iterator[None]:
    apply(authenticator(EVERYTHING, shelf.key.entry), policy(EVERYTHING, [EVERYTHING], None)).checked()
    yield
    kubectl("delete", "vpol,authn", EVERYTHING, "--ignore-not-found").checked()


@pytest.mark.usefixtures("_covered")
def test_after_a_power_failure_all_comes_back_and_unsigned_images_stay_out(
    new_team: Callable[[], Team], shelf: Shelf, machine: Machine
) -> None:
    team = new_team()
    team.settle(shelf.unsigned.tagged, admitted=False)
    team.create(maker("Deployment", "app", shelf.signed.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=60s").checked()
    machine.power_off()
    machine.power_on()
    done = team.create(pod("early", shelf.unsigned.tagged))
    assert not done.ok
    team.settle(shelf.signed.tagged, admitted=True)
    team.kubectl("rollout", "status", "deployment/app", "--timeout=120s").checked()
    release.settled()
    team.settle(shelf.unsigned.tagged, admitted=False)
    # What makes pods anew gets them too.
    team.kubectl("delete", "pods", "--all", "--wait=false").checked()
    team.kubectl("rollout", "status", "deployment/app", "--timeout=120s").checked()
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
