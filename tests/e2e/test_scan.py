"""`sealgate scan` of a real cluster, as a ServiceAccount that has only the rights of docs/scan.md."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealgate.keys.public_keys import load_public_key
from tests.chart.rendering import ROOT
from tests.e2e.kube import Done, apply, get, kubectl, run, wait_for_right
from tests.e2e.objects import pod, workload
from tests.e2e.release import REGISTRY
from tests.support.reports import read_junit, read_sarif

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import SampleImages
    from tests.e2e.kube import Object
    from tests.e2e.teams import Team

ACCOUNTS = "default"
POLICIES, WORKLOADS = "sealgate-scan-policies", "sealgate-scan-workloads"


class Scanner:
    """A ServiceAccount that scans.

    Args:
        name: name of the account and of its bindings.
        folder: folder for its kubeconfig.
        team: the only namespace whose workloads it may list; None for all.
    """

    def __init__(self, name: str, folder: Path, team: Team | None = None) -> None:
        self._name = name
        account = {"kind": "ServiceAccount", "name": name, "namespace": ACCOUNTS}
        apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": ACCOUNTS}},
            binding(f"{name}-policies", POLICIES, account),
            binding(f"{name}-workloads", WORKLOADS, account, namespace=None if team is None else team.name),
        ).checked()
        for kind in ("verificationpolicies", "pods"):
            options = ("--all-namespaces",) if team is None or kind != "pods" else ("--namespace", team.name)
            wait_for_right(f"system:serviceaccount:{ACCOUNTS}:{name}", "list", kind, *options)
        token = kubectl("create", "token", name, "-n", ACCOUNTS).checked().out.strip()
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json").checked().out)
        config["users"][0]["user"] = {"token": token}
        self._kubeconfig = folder / f"{name}.json"
        self._kubeconfig.write_text(json.dumps(config))

    def scan(self, *arguments: object) -> Done:
        """Run `sealgate scan`."""
        registry = ("--insecure-registry", REGISTRY, "--private-registry", REGISTRY)
        command = (str(Path(sys.executable).with_name("sealgate")), "scan", *map(str, arguments), *registry)
        return run(*command, environment={"KUBECONFIG": str(self._kubeconfig)})

    def verdicts(self, *arguments: object) -> tuple[int, dict[str, Any]]:
        """Return the exit code of a scan, and the entry of each image by its name."""
        done = self.scan(*arguments, "-o", "json")
        document = json.loads(done.out)
        assert document["problems"] == [], done.err
        return done.code, {entry["image"]: entry for entry in document["images"]}

    def delete(self) -> None:
        """Delete the account and its bindings for the whole cluster."""
        kubectl("delete", "clusterrolebinding", f"{self._name}-policies", f"{self._name}-workloads")
        kubectl("delete", "serviceaccount", self._name, "-n", ACCOUNTS)


def binding(name: str, role: str, account: Object, namespace: str | None = None) -> Object:
    """Return a ClusterRoleBinding, or a RoleBinding in a namespace, of a ClusterRole."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    kind = "ClusterRoleBinding" if namespace is None else "RoleBinding"
    api = "rbac.authorization.k8s.io/v1"
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "roleRef": reference, "subjects": [account]}


@pytest.fixture(scope="module")
def documented_roles() -> Iterator[None]:
    """Create the ClusterRoles of docs/scan.md as they are written there."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/scan.md").read_text(encoding="utf-8"), re.DOTALL)
    roles = list(yaml.safe_load_all(block))
    apply(*roles).checked()
    yield
    kubectl("delete", "clusterrole", *(role["metadata"]["name"] for role in roles))


@pytest.fixture(scope="module")
def busy(new_module_team: Callable[[], Team], samples: SampleImages) -> Team:
    """A namespace in which a signed and an unsigned Pod ran before its policy, and a Deployment is declared."""
    team = new_module_team()
    team.create(pod("good", samples.signed.tagged)).checked()
    team.create(pod("bad", samples.unsigned.tagged)).checked()
    team.create(workload("Deployment", "more", samples.signed.tagged)).checked()
    team.wait("condition=Ready", "pod/good", "pod/bad")
    # Its pod must be older than the policy too: newer ones are pinned, and so have another image.
    team.wait("condition=Available", "deployment/more")
    team.require_signature(samples.key.entry, probe=samples.untrusted.tagged)
    return team


@pytest.fixture(scope="module")
def scanner(
    documented_roles: None,  # noqa: ARG001 - its roles exist
    busy: Team,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scanner]:
    """An account that may scan the namespace of the team."""
    made = Scanner(f"scan-{busy.name}", tmp_path_factory.mktemp("scanner"), busy)
    yield made
    made.delete()


def test_signed_and_unsigned_pods_are_told_apart(busy: Team, samples: SampleImages, scanner: Scanner) -> None:
    code, found = scanner.verdicts("--namespace", busy.name)
    assert code == 1
    signed, unsigned = found[samples.signed.tagged], found[samples.unsigned.tagged]
    assert (signed["verdict"], unsigned["verdict"]) == ("admit", "deny")
    assert {used["kind"] for used in signed["objects"]} >= {"Pod", "Deployment", "ReplicaSet"}
    assert [running["result"] for running in signed["running"]] == ["match"]
    done = scanner.scan("--namespace", busy.name)
    assert f"{busy.name} │" in done.out
    assert "denied" in done.out.splitlines()[-1]


def test_reports_are_valid(busy: Team, samples: SampleImages, scanner: Scanner) -> None:
    run_of_tool = read_sarif(scanner.scan("--namespace", busy.name, "-o", "sarif").out)
    assert {result["properties"]["image"] for result in run_of_tool["results"]} == {samples.unsigned.tagged}
    root = read_junit(scanner.scan("--namespace", busy.name, "-o", "junit").out)
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")


def test_what_if_other_policies_were_in_force(
    busy: Team, samples: SampleImages, scanner: Scanner, tmp_path: Path
) -> None:
    objects = [get("authenticator", busy.name), get("verificationpolicy", busy.name)]
    objects[0]["spec"]["cosign"]["keys"] = [samples.untrusted_key.entry]
    kept = (
        {"apiVersion": o["apiVersion"], "kind": o["kind"], "spec": o["spec"], "metadata": {"name": busy.name}}
        for o in objects
    )
    (tmp_path / "other.yaml").write_text(yaml.safe_dump_all(kept))
    code, found = scanner.verdicts("--namespace", busy.name, "--policies", tmp_path / "other.yaml")
    assert code == 1
    assert found[samples.signed.tagged]["verdict"] == "deny"


def test_what_stops_passing_without_a_key(busy: Team, samples: SampleImages, scanner: Scanner) -> None:
    fingerprint = load_public_key(samples.key.pem, None, None).fingerprint
    code, found = scanner.verdicts("--namespace", busy.name, "--without-key", fingerprint)
    assert code == 1
    assert list(found) == [samples.signed.tagged]
    assert (found[samples.signed.tagged]["verdictWithKey"], found[samples.signed.tagged]["verdict"]) == (
        "admit",
        "deny",
    )


def test_rights_in_one_namespace_do_not_scan_others(busy: Team, scanner: Scanner) -> None:
    assert scanner.scan("--namespace", busy.name).code == 1
    done = scanner.scan()
    assert done.code == 3
    assert "Pod objects cannot be listed: the API server answered 403" in done.err
    assert (
        kubectl("auth", "can-i", "get", "secrets", f"--as=system:serviceaccount:{ACCOUNTS}:{scanner._name}").out.strip()
        == "no"
    )


@pytest.mark.usefixtures("documented_roles")
def test_rights_in_the_cluster_scan_all_of_it(busy: Team, samples: SampleImages, tmp_path: Path) -> None:
    made = Scanner(f"scan-all-{busy.name}", tmp_path)
    try:
        done = made.scan("-o", "json")
        document = json.loads(done.out)
        assert document["problems"] == [], done.err
        found = {(each["namespace"], each["image"]): each["verdict"] for each in document["images"]}
        assert found[busy.name, samples.unsigned.tagged] == "deny"
    finally:
        made.delete()
