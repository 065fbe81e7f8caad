"""Uninstalled, nothing blocks anybody; installed anew on a cluster at work, with certificates that live for minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.admission_load import Witness
from tests.e2e.kube import apply, eventually, get, kubectl
from tests.e2e.objects import authenticator, maker, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Shelf
    from tests.e2e.teams import Team

STAYS = "e2e-stays"
#: A leaf is renewed after 50 s, an authority replaced from 70 s on; each change has 7.5 s to settle.
LIFETIMES = {"caLifetimeHours": 105 / 3600, "leafLifetimeHours": 75 / 3600}


@pytest.fixture(scope="module")
def _stays(shelf: Shelf) -> Iterator[None]:
    apply(authenticator(STAYS, shelf.key.entry), policy(STAYS, [STAYS], None)).checked()
    yield
    kubectl("delete", "vpol,authn", STAYS, "--ignore-not-found")


@pytest.mark.usefixtures("_stays")
@pytest.mark.timeout(400)
def test_uninstalling_blocks_nobody_and_installing_anew_disturbs_nothing(
    new_team: Callable[[], Team], shelf: Shelf
) -> None:
    release.uninstall()
    assert get("validatingwebhookconfigurations")["items"] == []
    assert get("mutatingwebhookconfigurations")["items"] == []
    assert kubectl("get", "crd", "authenticators.sealgate.dev", "verificationpolicies.sealgate.dev").ok
    assert kubectl("get", "vpol,authn", STAYS).ok
    assert "deleted" in kubectl("delete", "authn", "--all", "--dry-run=server").out
    team = new_team()
    team.create(maker("Deployment", "old", shelf.unsigned.tagged)).checked()
    team.kubectl("rollout", "status", "deployment/old", "--timeout=60s").checked()
    (before,) = team.get("pods")["items"]

    seconds = release.install({"certificates": LIFETIMES})
    print(f"\nhelm install --wait on a cluster at work took {seconds:.1f} s")  # noqa: T201 - a figure for the log
    (after,) = team.get("pods")["items"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    team.settle(shelf.unsigned.tagged, admitted=False)
    team.settle(shelf.signed.tagged, admitted=True)


@pytest.mark.timeout(400)
def test_certificates_and_authorities_change_under_load_without_one_failed_call(team: Team, shelf: Shelf) -> None:
    leaves, bundles = {_leaf()}, {_bundle()}

    def rotated() -> bool:
        leaves.add(_leaf())
        bundles.add(_bundle())
        # A leaf renewed, and one of another authority; one authority, two while it is replaced, and one again.
        return len(leaves) >= 3 and len(bundles) >= 3  # noqa: PLR2004 - see above

    # Kubelets alone take up to 90 s, which is why certificates that live for less than 15 minutes are for tests only.
    with release.frequent_pod_syncs(), Witness(team.name, shelf.signed.tagged) as witness:
        eventually(rotated, "certificates and authorities were replaced", 300)
    print(f"\n{len(leaves)} certificates, {len(bundles)} bundles, {witness.calls} calls")  # noqa: T201 - a figure for the log
    assert witness.failures == []


def _leaf() -> str:
    return str(get("secret", "sealgate-webhook-tls", "-n", NAMESPACE)["data"]["tls.crt"])


def _bundle() -> str:
    hooks = get("validatingwebhookconfiguration", f"{release.NAME}-workloads")["webhooks"]
    return str(hooks[0]["clientConfig"]["caBundle"])
