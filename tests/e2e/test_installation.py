"""What `helm install --wait` has left is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.kube import get, helm, kubectl

if TYPE_CHECKING:
    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team


def test_helm_says_that_it_works() -> None:
    done = helm("test", release.NAME, "--namespace", NAMESPACE, "--logs").checked()
    assert "Succeeded" in done.out
    assert "The webhook is ready and answers reviews." in done.out


def test_two_replicas_of_each_run_and_none_was_restarted() -> None:
    for component in ("webhook", "operator"):
        pods = release.pods(component)
        assert len(pods) == 2
        for pod in pods:
            (status,) = pod["status"]["containerStatuses"]
            assert status["ready"]
            assert status["restartCount"] == 0


def test_one_operator_works() -> None:
    lease = get("lease", f"{release.NAME}-leader", "-n", NAMESPACE)
    holder = lease["spec"]["holderIdentity"].partition("_")[0]
    assert holder in {pod["metadata"]["name"] for pod in release.pods("operator")}


def test_the_api_server_trusts_the_webhook_by_one_authority() -> None:
    bundles = {hook["clientConfig"]["caBundle"] for hook in release.webhooks()}
    assert len(bundles) == 1


def test_rules_are_in_place_as_soon_as_helm_is_satisfied() -> None:
    assert all(hook.get("rules") for hook in release.webhooks())


def test_a_namespace_without_a_policy_is_left_alone(team: Team, shelf: Shelf) -> None:
    kubectl("delete", "vpol", team.name).checked()
    team.settle(shelf.unsigned.tagged, admitted=True)
