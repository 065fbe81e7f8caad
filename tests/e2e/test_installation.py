"""State of a cluster after `helm install --wait`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.kube import eventually, get, helm, kubectl

if TYPE_CHECKING:
    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team


def test_helm_test_succeeds() -> None:
    done = helm("test", release.NAME, "--namespace", NAMESPACE, "--logs").checked()
    assert "Succeeded" in done.out
    assert "The webhook is ready and answers reviews." in done.out


def test_two_replicas_of_each_run_without_restarts() -> None:
    release.wait_until_ready()
    for component in ("webhook", "operator"):
        pods = release.pods(component)
        assert len(pods) == 2
        for pod in pods:
            (status,) = pod["status"]["containerStatuses"]
            assert status["ready"]
            assert status["restartCount"] == 0 or _lost_its_lease(pod["metadata"]["name"])


def _lost_its_lease(pod: str) -> bool:
    """Return whether a replica of the operator ended because the API server was too slow for its Lease."""
    return "stopped leading" in kubectl("-n", NAMESPACE, "logs", pod, "--previous").checked().out


def test_lease_names_a_running_operator() -> None:
    def leads() -> bool:
        lease = get("lease", f"{release.NAME}-leader", "-n", NAMESPACE)
        holder = lease["spec"]["holderIdentity"].partition("_")[0]
        return holder in {pod["metadata"]["name"] for pod in release.pods("operator")}

    eventually(leads, "a running operator leads")


def test_all_webhooks_have_the_same_ca_bundle() -> None:
    bundles = {hook["clientConfig"]["caBundle"] for hook in release.webhooks()}
    assert len(bundles) == 1


def test_rules_are_in_place_when_helm_returns() -> None:
    assert all(hook.get("rules") for hook in release.webhooks())


def test_namespace_without_policy_is_not_enforced(team: Team, samples: SampleImages) -> None:
    kubectl("delete", "vpol", team.name).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=True)
