"""Every command of docs/runbook.md does what the page says, and every change can be undone."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import NAMESPACE, ROOT
from tests.e2e import release
from tests.e2e.documentation import Page
from tests.e2e.kube import apply, condition, eventually, get, kubectl, run
from tests.e2e.objects import pod, policy, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.clusters import Machine
    from tests.e2e.conftest import SampleImages
    from tests.e2e.images import ImageBuilder
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

WARN = "The policy warns instead of refusing"
EXCLUDE = "The policy leaves one repository out"
LOST = "Every node was lost, and pods of the network cannot be created"
RESTORE = "Restoring etcd, and restarting the API server"
ONE_IMAGE, ONE_POLICY, NO_RESPONSE, EXIT = (
    "2. One image must run now",
    "3. One policy is in the way",
    "4. The API server gets no answer",
    "5. The emergency exit",
)
REPOSITORY = "registry.example.org/shop/web"
TAINT = "e2e.sealgate.dev/network-not-ready"


@pytest.fixture(scope="module")
def runbook() -> Page:
    return Page(ROOT / "docs" / "runbook.md")


@pytest.fixture(scope="module")
def network_namespace(samples: SampleImages) -> Iterator[str]:
    """A namespace with a DaemonSet that stands for a network plugin: its pods tolerate every taint.

    The operator lists DaemonSets once a minute. The first test of this module requests the fixture, so that the
    operator has listed this one by the time that a test needs it.
    """
    name = f"e2e-network-{secrets.token_hex(3)}"
    daemon_set = workload("DaemonSet", "network", samples.signed.tagged)
    daemon_set["spec"]["template"]["spec"] |= {
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
    }
    daemon_set["metadata"]["namespace"] = name
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, daemon_set).checked()
    # Replicas of the webhook may have been replaced a moment ago: a refused pod is tried again ever more rarely.
    kubectl("-n", name, "rollout", "status", "daemonset/network", "--timeout=180s").checked()
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.usefixtures("network_namespace")
def test_diagnosis_commands_work(runbook: Page, team: Team, samples: SampleImages) -> None:
    assert not team.create(pod("app", samples.unsigned.tagged)).ok
    section = "1. What is it? (30 seconds)"
    assert "sealgate-webhook" in runbook.run(section, "kubectl -n sealgate-system get pods").checked().out
    assert team.name in runbook.run(section, "kubectl get vpol,authn").checked().out
    events = "kubectl -n YOURS get events"
    command = runbook.take(section, events)
    assert command.removeprefix("kubectl -n YOURS ").startswith("get events --field-selector")
    eventually(
        lambda: "ImageDenied" in team.kubectl(*command.removeprefix("kubectl -n YOURS ").split()).checked().out,
        "the Event of the denial",
    )


def test_commands_of_alerts_work(runbook: Page, team: Team) -> None:
    eventually(
        lambda: condition("verificationpolicy", team.name, "Enforced").get("status") == "True", "the policy is enforced"
    )
    assert "asks the webhook" in runbook.run("SealgateNotEnforcing", "kubectl get vpol").checked().out
    section = "SealgateCanaryAdmitted"
    assert "failurePolicy: Fail" in runbook.run(section, "kubectl get validating").checked().out
    assert "sealgate-webhook" in runbook.run(section, "kubectl -n sealgate-system get pods").checked().out
    assert runbook.run("SealgateTrustedRootStale", "kubectl get authenticators").checked().err == ""
    # Only where the canary is enabled.
    assert runbook.take(section, "kubectl").endswith("logs deployment/sealgate-canary --tail=3")
    # Only where reports are enabled: test_reports runs them.
    for section in ("SealgateReportsStalled", "SealgateReportsStalled", "SealgateRunningImageFails"):
        runbook.take(section, "kubectl")


def test_one_image_runs_by_an_exception(runbook: Page, team: Team, samples: SampleImages) -> None:
    names = {"YOURS": team.name, REPOSITORY: samples.unsigned.name, "WHY": "a test"}
    runbook.run(ONE_IMAGE, "printf", names).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True, warned=True)
    team.create(pod("urgent", samples.unsigned.tagged)).checked()
    eventually(lambda: team.events("ExceptionUsed"), "the Event of the use")
    section = "SealgateExceptionOpen"
    assert team.name in runbook.run(section, "kubectl get vexc").checked().out
    assert "admitted by exception urgent" in runbook.run(section, "kubectl get events").checked().out
    runbook.run(ONE_IMAGE, "kubectl delete vexc").checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)


def test_image_signed_late_is_admitted(
    runbook: Page, image_builder: ImageBuilder, repository: str, team: Team, samples: SampleImages
) -> None:
    image = image_builder.push(f"{repository}/late:1", "late")
    # The documented command uses the public transparency log; the test signs without it.
    command = runbook.take(ONE_POLICY, "cosign")
    assert command == f"cosign sign --key cosign.key {REPOSITORY}@sha256:..."
    image_builder.sign(image, samples.key.name)
    team.wait_for_decision(image.tagged, admitted=True)


def test_policy_set_to_warn_and_back(runbook: Page, team: Team, samples: SampleImages) -> None:
    name = {"vpol P": f"vpol {team.name}"}
    runbook.run(WARN, "kubectl patch", name).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True, warned=True)
    runbook.run(WARN, "kubectl patch", name).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)


def test_repository_excluded_and_covered_again(runbook: Page, team: Team, samples: SampleImages) -> None:
    name = {"vpol P": f"vpol {team.name}"}
    names = {**name, REPOSITORY: samples.unsigned.name}
    assert runbook.run(EXCLUDE, "kubectl get", name).checked().out == ""
    runbook.run(EXCLUDE, "kubectl patch", names).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True)
    _apply_again_in_every_way(policy(team.name, [team.name], team.name))
    team.wait_for_decision(samples.unsigned.tagged, admitted=True)
    runbook.run(EXCLUDE, "kubectl patch", name).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)


def test_repository_added_to_exclusions_and_removed(runbook: Page, team: Team, samples: SampleImages) -> None:
    obj = policy(team.name, [team.name], team.name)
    obj["spec"]["excludeImages"] = [{"repository": "registry.test/other"}]
    apply(obj).checked()
    names = {"vpol P": f"vpol {team.name}", REPOSITORY: samples.unsigned.name}
    runbook.run(EXCLUDE, "kubectl patch", names).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True)
    runbook.run(EXCLUDE, "kubectl patch", names).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    shown = runbook.run(EXCLUDE, "kubectl get", {"vpol P": f"vpol {team.name}"}).checked().out
    assert shown == 'Enforce [{"repository":"registry.test/other"}]'


def _apply_again_in_every_way(obj: Object) -> None:
    text = json.dumps(obj)
    assert kubectl("diff", "-f", "-", text=text).code == 0
    apply(obj).checked()
    kubectl("apply", "--server-side", "--field-manager=e2e", "--force-conflicts", "-f", "-", text=text).checked()
    assert kubectl("diff", "--server-side", "--field-manager=e2e", "--force-conflicts", "-f", "-", text=text).code == 0


def test_unresponsive_webhook_is_inspected_and_restarted(runbook: Page) -> None:
    for command in (*["kubectl -n sealgate-system logs"] * 2, "kubectl -n sealgate-system describe"):
        runbook.run(NO_RESPONSE, command).checked()
    runbook.run(NO_RESPONSE, "kubectl -n sealgate-system rollout restart").checked()
    release.wait_until_ready()


def test_emergency_exit_opens_and_closes(runbook: Page, team: Team, samples: SampleImages) -> None:
    runbook.run(EXIT, "kubectl delete").checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True)
    team.create(pod("meanwhile", samples.unsigned.tagged)).checked()
    runbook.run(EXIT, "helm upgrade").checked()
    command = runbook.take(EXIT, "kubectl get validatingwebhookconfiguration")
    eventually(lambda: "<none>" not in run("bash", "-c", command).checked().out, "the rules are back")
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    assert f"{team.name}/meanwhile {samples.unsigned.tagged}" in runbook.run(EXIT, "kubectl get pods -A").checked().out


@pytest.fixture
def _exclusions() -> Iterator[None]:
    """Remove the taint and restore the excluded namespaces after the test."""
    yield
    kubectl("taint", "nodes", "--all", f"{TAINT}-")
    release.upgrade({"webhook": {"excludedNamespaces": ["kube-system", "kube-public", "kube-node-lease"]}})


@pytest.mark.usefixtures("_exclusions")
def test_cluster_recovers_after_losing_every_node(
    runbook: Page, network_namespace: str, team: Team, samples: SampleImages
) -> None:
    node_critical = {"calico-system": network_namespace}
    eventually(
        lambda: network_namespace in _restart_safe(team.name)["message"], "the condition names the DaemonSet", 240
    )
    assert f"{network_namespace}/network" in runbook.run(LOST, "kubectl get daemonsets").checked().out
    assert f"  {network_namespace}/network\n" in release.notes()

    # No node has a network: pods that do not tolerate that are evicted, and the network's own pods are lost as well.
    kubectl("taint", "nodes", "--all", f"{TAINT}=:NoExecute").checked()
    eventually(lambda: not release.pods("webhook") or not _running("webhook"), "no webhook")
    for component in ("webhook", "operator"):
        select = ("-l", f"app.kubernetes.io/component={component}")
        kubectl("-n", NAMESPACE, "delete", "pods", *select, "--force", "--grace-period=0").checked()
    # The processes outlive their pods and answer on connections that the API server still has.
    eventually(lambda: _unanswered(network_namespace, samples), "the API server gets no response")
    kubectl("-n", network_namespace, "delete", "pods", "--all", "--force", "--grace-period=0").checked()
    eventually(lambda: "failed calling webhook" in _events(network_namespace), "the DaemonSet's pod is refused")
    assert get("-n", network_namespace, "pods")["items"] == []

    runbook.run(LOST, "helm upgrade", node_critical).checked()
    eventually(lambda: get("-n", network_namespace, "pods")["items"], "the DaemonSet's pod is created", 300)
    kubectl("-n", network_namespace, "rollout", "status", "daemonset/network", "--timeout=150s").checked()
    assert not team.create(pod("early", samples.unsigned.tagged)).ok
    kubectl("taint", "nodes", "--all", f"{TAINT}-").checked()
    release.wait_until_ready()
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    # The operator, which was killed with its Lease, lists DaemonSets once a minute.
    eventually(lambda: _restart_safe(team.name)["status"] == "True", "the condition is met", 240)


def _unanswered(namespace: str, samples: SampleImages) -> bool:
    """Return whether the API server gets no response from the webhook, on any of its connections."""
    text = json.dumps(pod("probe", samples.signed.tagged))
    tries = (kubectl("-n", namespace, "create", "--dry-run=server", "-f", "-", text=text) for _ in range(6))
    return all("failed calling webhook" in done.err for done in tries)


def _restart_safe(name: str) -> Any:  # noqa: ANN401 - any JSON
    return condition("verificationpolicy", name, "ClusterRestartSafe") or {"status": "", "message": ""}


def _running(component: str) -> list[Any]:
    return [found for found in release.pods(component) if found["status"]["phase"] == "Running"]


def _events(namespace: str) -> str:
    return json.dumps(get("-n", namespace, "events", "--field-selector=reason=FailedCreate")["items"])


def test_restored_etcd_state_is_adopted(
    runbook: Page, new_team: Callable[[], Team], samples: SampleImages, machine: Machine, tmp_path: Path
) -> None:
    old = new_team()
    old.require_signature(samples.key.entry, probe=samples.unsigned.tagged)
    machine.back_up_etcd()
    old.wait_for_decision(samples.unsigned.tagged, admitted=False)
    kubectl("delete", "vpol", old.name).checked()
    old.wait_for_decision(samples.unsigned.tagged, admitted=True)
    new = new_team()
    new.require_signature(samples.key.entry, probe=samples.unsigned.tagged)

    machine.restore_etcd()
    # Without a restart, the policy deleted after the backup is enforced again, and the one added after it is not.
    old.wait_for_decision(samples.unsigned.tagged, admitted=False)
    old.wait_for_decision(samples.signed.tagged, admitted=True)
    assert not kubectl("get", "vpol", new.name).ok

    runbook.run(RESTORE, "kubectl -n sealgate-system rollout restart").checked()
    release.wait_until_ready()
    old.wait_for_decision(samples.unsigned.tagged, admitted=False)
    assert old.name in runbook.run(RESTORE, "kubectl get vpol,authn").checked().out
    (tmp_path / "policy.json").write_text(json.dumps(policy(new.name, [new.name], new.name)))
    # Exit status 1: there is a difference, the missing policy.
    assert runbook.run(RESTORE, "kubectl diff", {"policies/": str(tmp_path)}).code == 1
    assert "keyRefreshSeconds" in runbook.run(RESTORE, "helm get values").checked().out


def test_every_command_was_run(runbook: Page, request: pytest.FixtureRequest) -> None:
    here = {item.name for item in request.session.items if item.path == request.path}
    if here != {name for name in globals() if name.startswith("test_")}:
        pytest.skip("only some of the tests of this module are run")
    assert runbook.remaining == []
