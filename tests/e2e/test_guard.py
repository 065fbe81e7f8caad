"""The guard names every kind of tampering with the webhook configurations; the canary proves whether images are denied.

Each change is reported in four ways: the metrics of every replica, an Event about the webhook configuration, the
condition `Enforced` of every policy, and `Ready`. The canary is enabled for this module.
"""

from __future__ import annotations

import base64
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tests.chart.rendering import NAMESPACE, ROOT
from tests.e2e import release
from tests.e2e.documentation import Page
from tests.e2e.kube import api, apply, condition, eventually, get, kubectl
from tests.e2e.objects import authenticator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

CONFIGURATION = f"{release.NAME}-workloads"
PATH = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{CONFIGURATION}"
#: Seconds between two writes of what the operator may have repaired.
WRITE_SECONDS = 0.2
#: Seconds in which the canary has sent a dry run, one that failed included: it sends one a minute.
CANARY_SECONDS = 240.0
ENFORCING, CANARY = "sealgate_enforcing", "sealgate_canary_denied"
CRD = "authenticators.sealgate.dev"
OTHER_CA = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()
EXCLUDED = {
    "key": "kubernetes.io/metadata.name",
    "operator": "NotIn",
    "values": ["kube-system", "kube-public", "kube-node-lease", NAMESPACE, "e2e-excluded"],
}
#: What another client writes: the member of the webhook, its value, and how the guard names that. The operator repairs
#: the last two; the client writes them again.
TAMPERING: dict[str, tuple[str, object, str]] = {
    "failure policy": ("failurePolicy", "Ignore", "FailurePolicyChanged"),
    "match conditions": ("matchConditions", [{"name": "none", "expression": "false"}], "MatchConditionsAdded"),
    "namespace": ("namespaceSelector", {"matchExpressions": [EXCLUDED]}, "NamespacesExcluded"),
    "objects": ("objectSelector", {"matchLabels": {"e2e": "none"}}, "ObjectsExcluded"),
    "another field": ("matchPolicy", "Exact", "WebhookConfigurationAltered"),
    "another service": ("clientConfig/service/name", "elsewhere", "PointsElsewhere"),
    "CA bundle": ("clientConfig/caBundle", OTHER_CA, "CABundleWrong"),
    "rules": ("rules", [], "RulesNotInPlace"),
}


@pytest.fixture(scope="module", autouse=True)
def _canary() -> Iterator[None]:
    """Enable the canary; afterwards disable it and have Helm make the configuration anew, without other owners."""
    release.upgrade({"canary": {"enabled": True}})
    yield
    kubectl("delete", "validatingwebhookconfiguration", CONFIGURATION, "--ignore-not-found").checked()
    release.upgrade({"canary": {"enabled": False}})
    eventually(lambda: all(hook.get("rules") for hook in release.webhooks()), "the rules are in place")


@pytest.fixture(scope="module")
def team(new_module_team: Callable[[], Team], samples: SampleImages) -> Team:
    team = new_module_team()
    team.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    return team


@pytest.fixture
def _webhook() -> Iterator[None]:
    """Put the webhook of the configuration back after the test."""
    (before,) = get("validatingwebhookconfiguration", CONFIGURATION)["webhooks"]
    yield
    restored = {"op": "replace", "path": "/webhooks/0", "value": before}
    eventually(lambda: api().patch(PATH, restored).ok, "the webhook is put back")


@pytest.mark.parametrize("what", TAMPERING)
@pytest.mark.usefixtures("_webhook")
def test_attack_108_tampering_is_reported(team: Team, what: str) -> None:
    member, value, problem = TAMPERING[what]
    _forget_events(problem)
    with _tampering(f"/webhooks/0/{member}", value):
        eventually(lambda: _reported(team, problem), f"{problem} is reported")


def test_policies_are_ready_when_the_tampering_is_undone(team: Team, samples: SampleImages) -> None:
    _expect_enforced(team, samples)


def test_webhook_without_endpoint_is_reported(team: Team, samples: SampleImages) -> None:
    _forget_events("NoEndpoint")
    _scale("webhook", 0)
    try:
        eventually(lambda: _reported(team, "NoEndpoint"), "the missing endpoint is reported")
    finally:
        _scale("webhook", 2)
        release.wait_until_ready()
    _expect_enforced(team, samples)


@pytest.mark.parametrize("crd", [CRD, "verificationexceptions.sealgate.dev"])
def test_removed_kind_is_reported(team: Team, samples: SampleImages, crd: str) -> None:
    _forget_events("CRDMissing")
    kubectl("delete", "crd", crd).checked()
    try:
        eventually(lambda: _reported(team, "CRDMissing"), "the missing kind is reported")
    finally:
        # As Helm installs it, or its next installation would be in conflict with this test.
        options = ("--server-side", "--field-manager=helm", "--force-conflicts")
        kubectl("apply", *options, "-f", str(ROOT / "charts/sealgate/crds")).checked()
        kubectl("wait", "--for=condition=Established", "--timeout=150s", f"crd/{crd}").checked()
    # The API server may need a moment to serve a kind whose definition is established.
    eventually(lambda: apply(authenticator(team.name, samples.key.entry)).ok, "the kind is served")
    _expect_enforced(team, samples)


def test_deleted_configuration_is_reported_and_helm_restores_it(team: Team, samples: SampleImages) -> None:
    problem = "WebhookConfigurationMissing"
    _forget_events(problem)
    eventually(lambda: _canary_proves() == 1, "the canary is denied", CANARY_SECONDS)
    kubectl("delete", "validatingwebhookconfiguration", CONFIGURATION).checked()
    eventually(lambda: _reported(team, problem), "the missing configuration is reported")
    _run_canary_again()
    eventually(lambda: _canary_proves() == 0, "the canary is admitted", CANARY_SECONDS)
    Page(ROOT / "docs" / "runbook.md").run("5. The emergency exit", "helm upgrade").checked()
    _expect_enforced(team, samples)


def test_canary_may_create_pods_in_its_own_namespace_only() -> None:
    account, own = f"{release.NAME}-canary", f"{NAMESPACE}-canary"
    assert release.may(account, "create", "pods", own)
    assert not release.may(account, "create", "pods", NAMESPACE)
    # A ServiceAccount without a role of its own has the rights that all have.
    assert release.rights(account, own) - release.rights("none", own) == {("pods", "[]", "[]", "[create]")}
    assert release.rights(account, NAMESPACE) == release.rights("none", NAMESPACE)


@pytest.fixture
def _no_operator() -> Iterator[None]:
    release.stop("operator")
    yield
    _scale("operator", 2)
    release.wait_until_ready()


@pytest.mark.usefixtures("_no_operator")
def test_canary_is_denied_without_an_operator() -> None:
    _run_canary_again()
    eventually(lambda: _canary_proves() == 1, "the canary is denied", CANARY_SECONDS)


@contextmanager
def _tampering(path: str, value: object) -> Iterator[None]:
    """Write a member of the webhook, and write it again soon after each repair, as another client does.

    A replica reports what is repaired only if it finds it twice, at intervals of two seconds.
    """
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(WRITE_SECONDS):
            # It may be in conflict with a repair; the next one follows.
            api().patch(PATH, {"op": "add", "path": path, "value": value})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _reported(team: Team, problem: str) -> bool:
    """Return whether the metrics of both replicas, an Event and the policy's conditions name a problem."""
    enforced = condition("verificationpolicy", team.name, "Enforced")
    replicas = release.metrics("operator")
    sample = f'sealgate_enforcement_problems{{problem="{problem}"}}'
    return (
        len(replicas) == 2
        and all(samples.get(ENFORCING) == 0 and samples.get(sample) == 1 for samples in replicas)
        and (enforced.get("status"), enforced.get("reason")) == ("False", problem)
        and condition("verificationpolicy", team.name).get("status") == "False"
        and any(event["involvedObject"]["name"] == CONFIGURATION for event in _events(problem))
    )


def _expect_enforced(team: Team, samples: SampleImages) -> None:
    """Expect that policies become Ready, that the metrics say so, and that unsigned images are denied."""

    def enforced() -> bool:
        replicas = release.metrics("operator")
        types = ("Enforced", "Ready")
        return (
            len(replicas) == 2
            and all(found.get(ENFORCING) == 1 for found in replicas)
            and all(condition("verificationpolicy", team.name, one).get("status") == "True" for one in types)
        )

    eventually(enforced, "the policy is enforced")
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)


def _events(reason: str) -> list[Any]:
    path = f"/api/v1/namespaces/default/events?fieldSelector=reason%3D{reason}"
    found: list[Any] = api().send("GET", path).checked().document["items"]
    return found


def _forget_events(reason: str) -> None:
    """Delete Events of other tests, so that the next one is of this test."""
    kubectl("-n", "default", "delete", "events", f"--field-selector=reason={reason}").checked()


def _scale(component: str, replicas: int) -> None:
    kubectl("-n", NAMESPACE, "scale", f"deployment/{release.NAME}-{component}", f"--replicas={replicas}").checked()


def _run_canary_again() -> None:
    """Replace the canary's pod: a new one sends a dry run at once, another only after a minute."""
    for found in release.pods("canary"):
        kubectl("-n", NAMESPACE, "delete", "pod", found["metadata"]["name"], "--wait=false").checked()


def _canary_proves() -> float | None:
    """Return what the canary's last dry run proved: 1 denied, 0 admitted, NaN unknown; None while none runs."""
    return next((samples[CANARY] for samples in release.metrics("canary") if CANARY in samples), None)
