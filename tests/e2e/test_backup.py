"""Every command of docs/backup.md does what the page says: what was backed up is in force after a restore."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE, ROOT
from tests.cli.running import SEALGATE
from tests.e2e import release
from tests.e2e.documentation import Page
from tests.e2e.kube import apply, eventually, get, kubectl
from tests.e2e.objects import pod, secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

BACK_UP, RESTORE = "Back up", "Restore"
SECRET = "e2e-backup"  # noqa: S105 - its name
#: A record of Notary's trusted state that no repository has.
CONFIG_MAP, RECORD = f"{release.NAME}-trusted-state-0", {"0" * 64: "e2e"}


@pytest.fixture
def backed_up(new_team: Callable[[], Team], samples: SampleImages) -> Iterator[Team]:
    """A namespace whose policy has a key from a Secret; there is trusted state too."""
    team = new_team()
    apply(secret(SECRET, {"cosign.pub": samples.key.pem.encode()})).checked()
    kubectl("-n", NAMESPACE, "patch", "configmap", CONFIG_MAP, "-p", json.dumps({"data": RECORD})).checked()
    team.require_signature({"secretRef": {"name": SECRET, "key": "cosign.pub"}}, probe=samples.unsigned.tagged)
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    yield team
    kubectl("-n", NAMESPACE, "delete", "secret", SECRET, "--ignore-not-found")
    remove = json.dumps({"data": dict.fromkeys(RECORD)})
    kubectl("-n", NAMESPACE, "patch", "configmap", CONFIG_MAP, "-p", remove)
    if not release.installed():
        kubectl("-n", NAMESPACE, "delete", "configmap", CONFIG_MAP, "--ignore-not-found")
        release.install()


def test_backup_is_restored_into_an_empty_cluster(backed_up: Team, samples: SampleImages, tmp_path: Path) -> None:
    team, page, folder = backed_up, Page(ROOT / "docs" / "backup.md"), {"backup/": f"{tmp_path / 'backup'}/"}
    records = _records()
    page.run(BACK_UP, "mkdir", folder).checked()
    page.run(BACK_UP, "echo", folder).checked()
    page.run(BACK_UP, "kubectl get authenticators", folder).checked()
    names = {"release-keys kms-credentials": SECRET}
    page.run(BACK_UP, "kubectl -n sealgate-system get secret", folder | names).checked()
    page.run(BACK_UP, "helm get values", folder).checked()
    page.run(BACK_UP, "kubectl -n sealgate-system get configmaps", folder).checked()

    # As in a new cluster, nothing is left.
    release.uninstall()
    release.delete_lease()
    kubectl("delete", "-f", str(ROOT / "charts/sealgate/crds")).checked()
    kubectl("-n", NAMESPACE, "delete", "secret", SECRET).checked()
    eventually(lambda: team.create(pod("app", samples.unsigned.tagged), dry_run=True).ok, "nothing is verified")

    page.run(RESTORE, "kubectl create namespace").checked()
    for _ in ("secrets", "trusted state"):
        page.run(RESTORE, "kubectl apply --server-side -f", folder).checked()
    page.run(RESTORE, "kubectl apply --server-side --field-manager=helm").checked()
    page.run(RESTORE, "kubectl wait --for=condition=Established").checked()
    page.run(RESTORE, "sealgate policy check", folder | {"sealgate policy": f"{SEALGATE} policy"}).checked()
    page.run(RESTORE, "kubectl apply -f", folder).checked()
    page.run(RESTORE, "helm install", folder).checked()
    # From the first pod on that is verified, the policies are in force.
    assert not team.create(pod("app", samples.unsigned.tagged), dry_run=True).ok

    page.run(RESTORE, "kubectl wait --for=condition=Ready").checked()
    image = {"-n shop": f"-n {team.name}", "registry.example.org/shop/unsigned:1": samples.unsigned.tagged}
    assert "denied the request" in page.run(RESTORE, "kubectl -n shop run proof", image).err
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    team.wait_for_decision(samples.signed.tagged, admitted=True)
    assert _records() == records
    assert page.remaining == []
    # What was restored is the release's own again: it upgrades without a conflict.
    release.upgrade({})


def _records() -> dict[str, str]:
    found: dict[str, str] = get("configmap", CONFIG_MAP, "-n", NAMESPACE)["data"]
    return found
