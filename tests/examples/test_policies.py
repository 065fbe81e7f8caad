from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.cli.running import sealgate

ROOT = Path(__file__).parents[2]
POLICIES = sorted((ROOT / "examples/policies").iterdir())
README = (ROOT / "examples/README.md").read_text()


@pytest.mark.parametrize("path", [*POLICIES, ROOT / "examples/demo/policies"], ids=lambda path: path.name)
def test_every_example_is_valid_alone(path: Path) -> None:
    checked = sealgate("policy", "check", path)
    assert checked.exit_code == 0, checked.output


def test_all_examples_are_valid_together() -> None:
    checked = sealgate("policy", "check", ROOT / "examples/policies")
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_every_example_starts_with_its_purpose(path: Path) -> None:
    assert path.read_text().startswith("# ")


def test_no_private_key_is_among_the_examples() -> None:
    for path in (ROOT / "examples").rglob("*"):
        if path.is_file() and path.suffix != ".pyc":
            assert "PRIVATE KEY" not in path.read_text()


@pytest.mark.parametrize("command", re.findall(r"^\$ (.*)$", README, re.MULTILINE))
def test_every_command_of_the_readme_works(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    ran = sealgate(*shlex.split(command)[1:])
    assert ran.exit_code == 0, ran.output


def test_the_readme_names_every_folder() -> None:
    folders = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()}
    assert folders == set(re.findall(r"^\| `([\w-]+)/` ", README, re.MULTILINE))


@pytest.mark.parametrize(
    ("image", "labels", "covering"),
    [
        ("registry.example.org/shop/web:1", [], {"shop", "everywhere"}),
        ("registry.example.org/payments/api", [], {"payments", "everywhere"}),
        ("registry.example.org/payments/api/deep", [], {"everywhere"}),
        ("registry.example.org/vendor/queue", [], {"vendor-images", "everywhere"}),
        ("registry.example.org/x:v1", ["env=production"], {"production", "everywhere"}),
        ("registry.example.org/x:latest", ["env=production"], {"everywhere"}),
        ("registry.example.org/x:v1", ["env=production", "sealgate.dev/exempt=yes"], {"everywhere"}),
        ("registry.example.org/tools/x:v1", ["env=production"], {"everywhere"}),
        ("nginx", ["env=production"], {"everywhere"}),
        ("swr.example.org/library/repo2:1", [], {"swr", "everywhere"}),
        ("swr.example.org/library/nginx-web:v1.2", [], {"swr", "everywhere"}),
        ("swr.example.org/library/nginx-web:latest", [], {"everywhere"}),
        ("phx.ocir.io/ansh81vru1zp/project01/acme-web-app:v2.0.test", [], {"ocir", "everywhere"}),
        ("docker-registry.example.org/dev/app:1", [], {"openshift", "everywhere"}),
        ("mirror.example.org/openshift/dev/app:1", [], {"openshift-mirror", "everywhere"}),
        ("dtr.example.org/dev/nginx:1", [], {"dtr", "everywhere"}),
        ("registry.example.org/keyless/web:1", [], {"keyless", "everywhere"}),
    ],
)
def test_examples_match_the_images_in_their_comments(image: str, labels: list[str], covering: set[str]) -> None:
    options = [part for label in labels for part in ("--namespace-label", label)]
    options += ["--namespace", "default"]
    matched = sealgate("policy", "match", image, "--policies", ROOT / "examples/policies", "-o", "json", *options)
    assert {entry["name"] for entry in json.loads(matched.stdout)["policies"] if entry["matches"]} == covering


@pytest.mark.parametrize(
    ("image", "namespace", "covered"),
    [
        ("registry.example.org/x:v1", "payments", True),
        ("registry-vpc.cn-hongkong.aliyuncs.com/acs/agent:v1", "payments", False),
        ("registry.example.org/x:v1", "kube-system", False),
    ],
)
def test_namespaced_policy_applies_only_in_its_namespaces(image: str, namespace: str, *, covered: bool) -> None:
    path = ROOT / "examples/policies/6-alibaba-acr.yaml"
    matched = sealgate("policy", "match", image, "--policies", path, "-o", "json", "--namespace", namespace)
    assert [entry["matches"] for entry in json.loads(matched.stdout)["policies"]] == [covered]


def test_demo_reviews_have_the_shape_of_api_server_reviews() -> None:
    for path in (ROOT / "examples/demo/reviews").iterdir():
        review = yaml.safe_load(path.read_text())
        assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        assert {"uid", "kind", "resource", "operation", "object", "userInfo"} <= set(review["request"])
