"""Every command of the runbook does what the page says, and every way back leads back."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.rendering import NAMESPACE, ROOT
from tests.e2e import release
from tests.e2e.documentation import Page
from tests.e2e.kube import apply, condition_of, eventually, get, kubectl, run
from tests.e2e.objects import maker, pod, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.clusters import Machine
    from tests.e2e.conftest import Shelf
    from tests.e2e.images import Workshop
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

WARN = "The policy warns instead of refusing"
LEAVE_OUT = "The policy leaves one repository out"
LOST = "Every node was lost, and pods of the network cannot be created"
RESTORE = "Restoring etcd, and restarting the API server"
ONE_POLICY, NO_ANSWER, EXIT = "2. One policy is in the way", "3. The API server gets no answer", "4. The emergency exit"
REPOSITORY = "registry.example.org/shop/web"
TAINT = "e2e.sealgate.dev/network-not-ready"


@pytest.fixture(scope="module")
def runbook() -> Page:
    return Page(ROOT / "docs" / "runbook.md")


@pytest.fixture(scope="module")
def network_namespace(shelf: Shelf) -> Iterator[str]:
    """A namespace with a DaemonSet that stands for a network plugin: it runs where nothing else can yet.

    The operator lists DaemonSets once a minute. The first test of this module requests the fixture, so that the
    operator has listed this one by the time that a test needs it.
    """
    name = f"e2e-network-{secrets.token_hex(3)}"
    daemon_set = maker("DaemonSet", "network", shelf.signed.tagged)
    daemon_set["spec"]["template"]["spec"] |= {
        "priorityClassName": "system-node-critical",
        "tolerations": [{"operator": "Exists"}],
    }
    daemon_set["metadata"]["namespace"] = name
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, daemon_set).checked()
    kubectl("-n", name, "rollout", "status", "daemonset/network", "--timeout=60s").checked()
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.usefixtures("network_namespace")
def test_what_it_is_can_be_told(runbook: Page, team: Team, shelf: Shelf) -> None:
    assert not team.create(pod("app", shelf.unsigned.tagged)).ok
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


def test_an_image_that_is_signed_is_admitted(
    runbook: Page, workshop: Workshop, repository: str, team: Team, shelf: Shelf
) -> None:
    image = workshop.push(f"{repository}/late:1", "late")
    # As it stands there it wants the transparency log of the world; the workshop signs without.
    command = runbook.take(ONE_POLICY, "cosign")
    assert command == f"cosign sign --key cosign.key {REPOSITORY}@sha256:..."
    workshop.sign(image, shelf.key.name)
    team.settle(image.tagged, admitted=True)


def test_a_policy_that_warns_enforces_again(runbook: Page, team: Team, shelf: Shelf) -> None:
    name = {"vpol P": f"vpol {team.name}"}
    runbook.run(WARN, "kubectl patch", name).checked()
    team.settle(shelf.unsigned.tagged, admitted=True, warned=True)
    runbook.run(WARN, "kubectl patch", name).checked()
    team.settle(shelf.unsigned.tagged, admitted=False)


def test_a_repository_that_was_left_out_is_covered_again(runbook: Page, team: Team, shelf: Shelf) -> None:
    name = {"vpol P": f"vpol {team.name}"}
    names = {**name, REPOSITORY: shelf.unsigned.name}
    assert runbook.run(LEAVE_OUT, "kubectl get", name).checked().out == ""
    runbook.run(LEAVE_OUT, "kubectl patch", names).checked()
    team.settle(shelf.unsigned.tagged, admitted=True)
    _apply_again_in_every_way(policy(team.name, [team.name], team.name))
    team.settle(shelf.unsigned.tagged, admitted=True)
    runbook.run(LEAVE_OUT, "kubectl patch", name).checked()
    team.settle(shelf.unsigned.tagged, admitted=False)


def test_a_repository_that_was_added_to_a_list_is_taken_out_again(runbook: Page, team: Team, shelf: Shelf) -> None:
    obj = policy(team.name, [team.name], team.name)
    obj["spec"]["excludeImages"] = [{"repository": "registry.test/other"}]
    apply(obj).checked()
    names = {"vpol P": f"vpol {team.name}", REPOSITORY: shelf.unsigned.name}
    runbook.run(LEAVE_OUT, "kubectl patch", names).checked()
    team.settle(shelf.unsigned.tagged, admitted=True)
    runbook.run(LEAVE_OUT, "kubectl patch", names).checked()
    team.settle(shelf.unsigned.tagged, admitted=False)
    shown = runbook.run(LEAVE_OUT, "kubectl get", {"vpol P": f"vpol {team.name}"}).checked().out
    assert shown == 'Enforce [{"repository":"registry.test/other"}]'


def _apply_again_in_every_way(obj: Object) -> None:
    text = json.dumps(obj)
    assert kubectl("diff", "-f", "-", text=text).code == 0
    apply(obj).checked()
    kubectl("apply", "--server-side", "--field-manager=e2e", "--force-conflicts", "-f", "-", text=text).checked()
    assert kubectl("diff", "--server-side", "--field-manager=e2e", "--force-conflicts", "-f", "-", text=text).code == 0


def test_a_webhook_that_gives_no_answer_is_looked_into_and_restarted(runbook: Page) -> None:
    for command in (*["kubectl -n sealgate-system logs"] * 2, "kubectl -n sealgate-system describe"):
        runbook.run(NO_ANSWER, command).checked()
    runbook.run(NO_ANSWER, "kubectl -n sealgate-system rollout restart").checked()
    release.settled()


def test_the_emergency_exit_opens_and_closes(runbook: Page, team: Team, shelf: Shelf) -> None:
    runbook.run(EXIT, "kubectl delete").checked()
    team.settle(shelf.unsigned.tagged, admitted=True)
    team.create(pod("meanwhile", shelf.unsigned.tagged)).checked()
    runbook.run(EXIT, "helm upgrade").checked()
    command = runbook.take(EXIT, "kubectl get validatingwebhookconfiguration")
    eventually(lambda: "<none>" not in run("bash", "-c", command).checked().out, "the rules are back")
    team.settle(shelf.unsigned.tagged, admitted=False)
    assert f"{team.name}/meanwhile {shelf.unsigned.tagged}" in runbook.run(EXIT, "kubectl get pods -A").checked().out


@pytest.fixture
def _exclusions() -> Iterator[None]:
    """Undo what the test changes on the nodes and in the release."""
    yield
    kubectl("taint", "nodes", "--all", f"{TAINT}-")
    release.upgrade({"webhook": {"excludedNamespaces": ["kube-system", "kube-public", "kube-node-lease"]}})


@pytest.mark.usefixtures("_exclusions")
def test_a_cluster_that_lost_every_node_is_brought_back(
    runbook: Page, network_namespace: str, team: Team, shelf: Shelf
) -> None:
    node_critical = {"calico-system": network_namespace}
    eventually(
        lambda: network_namespace in _restart_safe(team.name)["message"], "the condition names the DaemonSet", 120
    )
    assert f"{network_namespace}/network" in runbook.run(LOST, "kubectl get daemonsets").checked().out
    assert f"  {network_namespace}/network\n" in release.notes()

    # No node has a network: what does not tolerate that is evicted, and the network's own pods are lost as well.
    kubectl("taint", "nodes", "--all", f"{TAINT}=:NoExecute").checked()
    eventually(lambda: not release.pods("webhook") or not _running("webhook"), "no webhook")
    for component in ("webhook", "operator"):
        select = ("-l", f"app.kubernetes.io/component={component}")
        kubectl("-n", NAMESPACE, "delete", "pods", *select, "--force", "--grace-period=0").checked()
    # The processes outlive their pods, and answer on connections that the API server has kept.
    eventually(lambda: _unanswered(network_namespace, shelf), "the API server gets no answer")
    kubectl("-n", network_namespace, "delete", "pods", "--all", "--force", "--grace-period=0").checked()
    eventually(lambda: "failed calling webhook" in _events(network_namespace), "the DaemonSet's pod is refused")
    assert get("-n", network_namespace, "pods")["items"] == []

    runbook.run(LOST, "helm upgrade", node_critical).checked()
    eventually(lambda: get("-n", network_namespace, "pods")["items"], "the DaemonSet's pod is created", 150)
    kubectl("-n", network_namespace, "rollout", "status", "daemonset/network", "--timeout=60s").checked()
    assert not team.create(pod("early", shelf.unsigned.tagged)).ok
    kubectl("taint", "nodes", "--all", f"{TAINT}-").checked()
    release.settled()
    team.settle(shelf.signed.tagged, admitted=True)
    team.settle(shelf.unsigned.tagged, admitted=False)
    eventually(lambda: _restart_safe(team.name)["status"] == "True", "nothing is left to be excluded", 120)


def _unanswered(namespace: str, shelf: Shelf) -> bool:
    """Whether the API server gets no answer from the webhook, on any of its connections."""
    text = json.dumps(pod("probe", shelf.signed.tagged))
    tries = (kubectl("-n", namespace, "create", "--dry-run=server", "-f", "-", text=text) for _ in range(6))
    return all("failed calling webhook" in done.err for done in tries)


def _restart_safe(name: str) -> Any:  # noqa: ANN401 - any JSON
    return condition_of("verificationpolicy", name, "ClusterRestartSafe") or {"status": "", "message": ""}


def _running(component: str) -> list[Any]:
    return [found for found in release.pods(component) if found["status"]["phase"] == "Running"]


def _events(namespace: str) -> str:
    return json.dumps(get("-n", namespace, "events", "--field-selector=reason=FailedCreate")["items"])


@pytest.mark.timeout(400)
def test_a_restored_etcd_is_believed(
    runbook: Page, new_team: Callable[[], Team], shelf: Shelf, machine: Machine, tmp_path: Path
) -> None:
    old = new_team()
    old.trust(shelf.key.entry, probe=shelf.unsigned.tagged)
    machine.back_up_etcd()
    old.settle(shelf.unsigned.tagged, admitted=False)
    kubectl("delete", "vpol", old.name).checked()
    old.settle(shelf.unsigned.tagged, admitted=True)
    new = new_team()
    new.trust(shelf.key.entry, probe=shelf.unsigned.tagged)

    machine.restore_etcd()
    # The policy that had been deleted is back, and the one that came later is gone, without help.
    old.settle(shelf.unsigned.tagged, admitted=False)
    old.settle(shelf.signed.tagged, admitted=True)
    assert not kubectl("get", "vpol", new.name).ok

    runbook.run(RESTORE, "kubectl -n sealgate-system rollout restart").checked()
    release.settled()
    old.settle(shelf.unsigned.tagged, admitted=False)
    assert old.name in runbook.run(RESTORE, "kubectl get vpol,authn").checked().out
    (tmp_path / "policy.json").write_text(json.dumps(policy(new.name, [new.name], new.name)))
    # 1: there are differences, namely the policy that is missing.
    assert runbook.run(RESTORE, "kubectl diff", {"policies/": str(tmp_path)}).code == 1
    assert "keyRefreshSeconds" in runbook.run(RESTORE, "helm get values").checked().out


def test_every_command_of_the_runbook_was_run(runbook: Page, request: pytest.FixtureRequest) -> None:
    here = {item.name for item in request.session.items if item.path == request.path}
    if here != {name for name in globals() if name.startswith("test_")}:
        pytest.skip("only some of the tests of this module are run")
    assert runbook.left == []
