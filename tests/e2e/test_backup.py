"""Every command of docs/backup.md does what the page says: what was backed up is in force after a restore, and a move.

A second cluster is what is left of the first one when the release, its kinds, its Secrets and the team's namespace are
deleted: sealgate's objects are cluster-scoped, so nothing less would be one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.chart.rendering import NAMESPACE, ROOT
from tests.cli.running import SEALGATE
from tests.e2e import release
from tests.e2e.documentation import Page
from tests.e2e.kube import api, apply, eventually, get, kubectl
from tests.e2e.objects import pod, policy, secret, workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.e2e.conftest import SampleImages
    from tests.e2e.teams import Team

BACK_UP, RESTORE, MOVE = "Back up", "Restore", "Moving to a new cluster without a gap"
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


def back_up(page: Page, folder: Mapping[str, str]) -> None:
    """Run the commands of the section."""
    page.run(BACK_UP, "mkdir", folder).checked()
    page.run(BACK_UP, "echo", folder).checked()
    page.run(BACK_UP, "kubectl get authenticators", folder).checked()
    names = {"release-keys kms-credentials": SECRET}
    page.run(BACK_UP, "kubectl -n sealgate-system get secret", {**folder, **names}).checked()
    page.run(BACK_UP, "helm get values", folder).checked()
    page.run(BACK_UP, "kubectl -n sealgate-system get configmaps", folder).checked()


def empty_the_cluster(team: Team, samples: SampleImages) -> None:
    """Leave nothing of sealgate, as in a new cluster."""
    release.uninstall()
    release.delete_lease()
    kubectl("delete", "-f", str(ROOT / "charts/sealgate/crds")).checked()
    kubectl("-n", NAMESPACE, "delete", "secret", SECRET).checked()
    eventually(lambda: team.create(pod("app", samples.unsigned.tagged), dry_run=True).ok, "nothing is verified")


def restore(page: Page, folder: Mapping[str, str], team: Team, samples: SampleImages) -> None:
    """Run the commands of the section; fail unless the policies are in force from the first pod on that is verified."""
    page.run(RESTORE, "kubectl create namespace").checked()
    for _ in ("secrets", "trusted state"):
        page.run(RESTORE, "kubectl apply --server-side -f", folder).checked()
    page.run(RESTORE, "kubectl apply --server-side --field-manager=helm").checked()
    page.run(RESTORE, "kubectl wait --for=condition=Established").checked()
    page.run(RESTORE, "sealgate policy check", {**folder, "sealgate policy": f"{SEALGATE} policy"}).checked()
    page.run(RESTORE, "kubectl apply -f", folder).checked()
    page.run(RESTORE, "helm install", folder).checked()
    assert not team.create(pod("app", samples.unsigned.tagged), dry_run=True).ok
    page.run(RESTORE, "kubectl wait --for=condition=Ready").checked()
    image = {"-n shop": f"-n {team.name}", "registry.example.org/shop/unsigned:1": samples.unsigned.tagged}
    assert "denied the request" in page.run(RESTORE, "kubectl -n shop run proof", image).err
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    team.wait_for_decision(samples.signed.tagged, admitted=True)


def test_backup_is_restored_into_an_empty_cluster(backed_up: Team, samples: SampleImages, tmp_path: Path) -> None:
    team, page, folder = backed_up, Page(ROOT / "docs" / "backup.md"), {"backup/": f"{tmp_path / 'backup'}/"}
    records = _records()
    back_up(page, folder)
    empty_the_cluster(team, samples)
    restore(page, folder, team, samples)
    assert _records() == records
    assert {section for section, _ in page.remaining} == {MOVE}
    # What was restored is the release's own again: it upgrades without a conflict.
    release.upgrade({})


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig with the contexts `old` and `new`, of this cluster before and after it was emptied."""
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").checked().out)
    config["contexts"] = [{**config["contexts"][0], "name": name} for name in ("old", "new")]
    path = tmp_path / "kubeconfig.json"
    path.write_text(json.dumps({**config, "current-context": "new"}))
    monkeypatch.setenv("KUBECONFIG", str(path))


@pytest.mark.usefixtures("contexts")
def test_workloads_move_without_a_gap(backed_up: Team, samples: SampleImages, tmp_path: Path) -> None:
    team, page, folder = backed_up, Page(ROOT / "docs" / "backup.md"), {"backup/": f"{tmp_path / 'backup'}/"}
    kubectl("label", "namespace", team.name, "tier=production").checked()
    changed = policy(team.name, team.authenticators, None)
    changed["spec"]["namespaceSelector"] = {"matchLabels": {"tier": "production"}}
    apply(changed).checked()
    team.wait_for_decision(samples.unsigned.tagged, admitted=False)
    page.run(MOVE, "kubectl config use-context old").checked()
    back_up(page, folder)
    page.run(MOVE, "kubectl get namespace", {**folder, "namespace shop": f"namespace {team.name}"}).checked()
    empty_the_cluster(team, samples)
    kubectl("delete", "namespace", team.name, "--wait", "--timeout=5m").checked()

    page.run(MOVE, "kubectl config use-context new").checked()
    page.run(MOVE, "kubectl apply -f", folder).checked()
    account = f"/api/v1/namespaces/{team.name}/serviceaccounts/default"
    eventually(lambda: api().send("GET", account).ok, "the namespace's ServiceAccount")
    restore(page, folder, team, samples)
    examined = page.run(MOVE, "sealgate doctor", {"sealgate doctor": f"{SEALGATE} doctor"})
    assert examined.code in (0, 3), examined.out
    workloads = {"workloads/": f"{tmp_path / 'workloads'}/"}
    _write_workloads(tmp_path / "workloads", team, samples)
    tried = page.run(MOVE, "kubectl apply --dry-run=server", workloads)
    assert "deployment.apps/signed created (server dry run)" in tried.out
    assert samples.unsigned.tagged in tried.err
    page.run(MOVE, "kubectl apply -f", workloads)
    team.wait("condition=Available", "deployment/signed")
    options = f"--insecure-registry {release.REGISTRY} --private-registry {release.REGISTRY}"
    page.run(MOVE, "sealgate scan", {"sealgate scan": f"{SEALGATE} scan {options}", "shop": team.name}).checked()
    assert {section for section, _ in page.remaining} == set()


def _write_workloads(folder: Path, team: Team, samples: SampleImages) -> None:
    folder.mkdir()
    for name, image in (("signed", samples.signed), ("unsigned", samples.unsigned)):
        obj = workload("Deployment", name, image.tagged)
        obj["metadata"]["namespace"] = team.name
        (folder / f"{name}.json").write_text(json.dumps(obj))


def _records() -> dict[str, str]:
    found: dict[str, str] = get("configmap", CONFIG_MAP, "-n", NAMESPACE)["data"]
    return found
