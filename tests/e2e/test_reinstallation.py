"""Uninstallation, reinstallation on a running cluster, and rotation of certificates that live for minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.admission_load import AdmissionLoad
from tests.e2e.kube import apply, eventually, get, helm, kubectl
from tests.e2e.objects import authenticator, policy, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

KEPT = "e2e-kept"
#: The leaf certificate is renewed after 80 s, the CA from 110 s on; each change has 12 s to propagate.
LIFETIMES = {"caLifetimeHours": 165 / 3600, "leafLifetimeHours": 120 / 3600}


@pytest.fixture(scope="module")
def _kept(samples: SampleImages) -> Iterator[None]:
    apply(authenticator(KEPT, samples.key.entry), policy(KEPT, [KEPT], None)).checked()
    yield
    kubectl("delete", "vpol,authn", KEPT, "--ignore-not-found")


@pytest.mark.usefixtures("_kept")
def test_uninstall_unblocks_and_reinstall_keeps_pods_running(
    new_team: Callable[[], Team], samples: SampleImages
) -> None:
    release.uninstall()
    assert get("validatingwebhookconfigurations")["items"] == []
    assert get("mutatingwebhookconfigurations")["items"] == []
    assert kubectl("get", "crd", "authenticators.sealgate.dev", "verificationpolicies.sealgate.dev").ok
    assert kubectl("get", "vpol,authn", KEPT).ok
    assert "deleted" in kubectl("delete", "authn", "--all", "--dry-run=server").out
    team = new_team()
    team.create(workload("Deployment", "old", samples.unsigned.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/old", "--timeout=150s").checked()
    (before,) = team.get("pods")["items"]

    release.delete_lease()
    seconds = release.install({"certificates": LIFETIMES})
    print(f"\nhelm install --wait on a running cluster took {seconds:.1f} s")  # noqa: T201 - a figure for the log
    (after,) = team.get("pods")["items"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    team.wait_for_decision(samples.signed.tagged, admitted=True)


@pytest.fixture
def _short_lifetimes() -> None:
    """Install sealgate with certificates that live for minutes, unless the previous test has."""
    if "caLifetimeHours" not in helm("get", "values", release.NAME, "--namespace", NAMESPACE).checked().out:
        release.uninstall()
        release.delete_lease()
        release.install({"certificates": LIFETIMES})


@pytest.mark.usefixtures("_short_lifetimes")
def test_certificate_and_ca_rotation_fails_no_call_under_load(team: Team, samples: SampleImages) -> None:
    leaves, bundles = {_leaf()}, {_bundle()}

    def rotated() -> bool:
        leaves.add(_leaf())
        bundles.add(_bundle())
        # Certificates: initial, renewed, of the new CA. Bundles: old CA, both CAs, new CA.
        return len(leaves) >= 3 and len(bundles) >= 3  # noqa: PLR2004 - see above

    # Kubelets alone take up to 90 s, which is why certificates that live for less than 15 minutes are for tests only.
    with release.frequent_pod_syncs(), AdmissionLoad(team.name, samples.signed.tagged) as load:
        eventually(rotated, "certificates and CAs were replaced", 400)
    print(f"\n{len(leaves)} certificates, {len(bundles)} bundles, {load.calls} calls")  # noqa: T201 - a figure for the log
    assert load.failures == []


def _leaf() -> str:
    return str(get("secret", "sealgate-webhook-tls", "-n", NAMESPACE)["data"]["tls.crt"])


def _bundle() -> str:
    hooks = get("validatingwebhookconfiguration", f"{release.NAME}-workloads")["webhooks"]
    return str(hooks[0]["clientConfig"]["caBundle"])
