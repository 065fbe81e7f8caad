"""Reports for other programs: names of images and objects that are to be read as markup, links or terminal escapes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.clusters import Cluster, kubeconfig
from tests.cli.objects import dump, write
from tests.cli.running import sealgate
from tests.cli.shop import open_shop
from tests.support.builders.objects import authenticator, policy
from tests.support.reports import read_junit, read_sarif
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from pathlib import Path

KEY = new_key("ECDSA P-256", "release")
HOSTILE = [
    "]]><failure/>",
    "\x1b[2J\x1b[32mADMIT\x07",
    "\x00\x0b\x7f\x85\ufffe\udc80",
    "\u202etxet desrever\u2066",
    '"/><testcase name="forged"/>',
    "[ADMITTED](https://evil.example/)",
    "{0} {1}",
    "../../../../etc/passwd",
    "javascript:alert(1)",
    "//evil.example/x",
    "x" * 100_000,
    "<!ENTITY a SYSTEM 'file:///etc/passwd'>&a;",
]


@pytest.fixture
def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    everything = policy("everything", "**", authenticators=["release-key"])
    return write(tmp_path / "policies.yaml", authenticator("release-key", public_pem(KEY)), everything)


def hostile_pod(text: str) -> dict[str, Any]:
    containers = [{"name": text, "image": text}]
    metadata = {"name": text, "namespace": text}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_attack_96_names_stay_text_in_sarif_and_junit(policies: Path, text: str) -> None:
    manifest = json.dumps(hostile_pod(text))
    arguments = ("verify", "-f", "-", "--policies", policies, "--timeout", 1)

    sarif = sealgate(*arguments, "-o", "sarif", stdin=manifest)
    (result,) = read_sarif(sarif.stdout)["results"]
    assert result["level"] == "error"
    assert len(result["message"]["text"]) <= 4096

    junit = sealgate(*arguments, "-o", "junit", stdin=manifest)
    root = read_junit(junit.stdout)
    assert (root.get("tests"), root.get("failures")) == ("1", "1")
    assert len(root.findall(".//testcase")) == 1

    for ran in (sarif, junit):
        assert ran.exit_code == 1
        assert ran.stdout.isascii()
        assert all(character.isprintable() or character == "\n" for character in ran.stdout + ran.stderr)


def test_attack_96_location_of_an_object_leads_nowhere_else(policies: Path) -> None:
    """Code scanning services open the locations of a result in the repository that was scanned."""
    manifest = dump(hostile_pod("../../README.md"))
    run = read_sarif(sealgate("verify", "-f", "-", "--policies", policies, "-o", "sarif", stdin=manifest).stdout)
    locations = [location for result in run["results"] for location in result["locations"]]
    assert [at["physicalLocation"]["artifactLocation"]["uri"] for at in locations] == ["standard-input"]


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit"])
def test_attack_96_a_scan_shows_names_and_image_ids_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """An API server checks the names of objects, but neither images nor the status of a Pod."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with KubernetesSimulator() as api, RegistrySimulator() as registry:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, api.url)))
        cluster = Cluster(api, open_shop(registry, tmp_path))
        for number, text in enumerate(HOSTILE):
            cluster.run_pod(f"image-{number}", text, text)
            cluster.run_pod(f"status-{number}", cluster.shop.image("signed"), text)
        ran = cluster.scan("-o", form)
    assert ran.exit_code == 1, ran.output
    shown = ran.stdout + ran.stderr
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\u202e" not in shown
    assert len(shown) < 300_000
    if form == "sarif":
        assert len(read_sarif(ran.stdout)["results"]) == len(HOSTILE)
    elif form == "junit":
        assert read_junit(ran.stdout).get("tests") == str(len(HOSTILE) + 1)
