from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cli.objects import namespace, write
from tests.cli.running import sealgate
from tests.support.builders.objects import authenticator, policy
from tests.support.signers.private_keys import public_pem

if TYPE_CHECKING:
    from pathlib import Path

KEY = public_pem(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return write(
        tmp_path / "policies.yaml",
        authenticator("release-key", KEY),
        authenticator("qa-key", KEY),
        policy("everything", "**", authenticators=["release-key"], action="Warn"),
        policy(
            "production",
            "registry.example.org/shop/*",
            authenticators=["release-key", "qa-key"],
            namespaceSelector={"matchLabels": {"env": "production"}},
            excludeImages=[{"repository": "registry.example.org/shop/dev"}],
        ),
        policy(
            "hub",
            "docker.io/library/*",
            authenticators=["qa-key"],
            images=[{"repository": "docker.io/**", "tags": ["v*"]}],
        ),
        namespace("shop", env="production"),
        namespace("lab", env="test"),
    )


def causes(*args: object) -> dict[str, str]:
    matched = sealgate("policy", "match", "--output", "json", *args)
    assert matched.exit_code == 0, matched.output
    return {entry["name"]: entry["cause"] for entry in json.loads(matched.stdout)["policies"]}


def test_each_policy_has_a_reason_why_it_covers_the_image_or_not(policies: Path) -> None:
    image = "registry.example.org/shop/web:1.0"
    assert causes(image, "--policies", policies) == {
        "everything": "Matched",
        "hub": "ImageNotCovered",
        "production": "NamespaceMayBeSelected",
    }
    assert causes(image, "--policies", policies, "--namespace", "lab")["production"] == "NamespaceNotSelected"
    assert causes(image, "--policies", policies, "--namespace", "shop")["production"] == "Matched"
    assert causes(image, "--policies", policies, "--namespace-label", "env=production")["production"] == "Matched"
    assert causes("nginx:1.27", "--policies", policies)["hub"] == "TagNotCovered"
    excluded = causes("registry.example.org/shop/dev", "--policies", policies, "-n", "shop")
    assert excluded["production"] == "ImageExcluded"


def test_tag_beside_a_digest_leaves_tag_policies_undecided(policies: Path) -> None:
    digest = "sha256:" + "4a" * 32
    matched = sealgate("policy", "match", f"nginx:1.27@{digest}", "--policies", policies, "-o", "json")
    (entry,) = [entry for entry in json.loads(matched.stdout)["policies"] if entry["name"] == "hub"]
    assert (entry["matches"], entry["cause"]) == (True, "DependsOnTag")
    assert entry["message"].endswith("covers it, unless the registry says that tag 1.27 names this digest")
    assert causes(f"nginx:v1@{digest}", "--policies", policies)["hub"] == "Matched"
    assert causes(f"nginx@{digest}", "--policies", policies)["hub"] == "Matched"
    assert causes("nginx", "--policies", policies)["hub"] == "TagNotCovered"


def test_the_text_shows_the_covering_policies_first(policies: Path) -> None:
    matched = sealgate("policy", "match", "nginx:v1", "--policies", policies)
    assert matched.exit_code == 0
    assert matched.stdout.startswith("docker.io/library/nginx:v1 in namespace default\n")
    rows = [line.split()[0] for line in matched.stdout.splitlines() if "of" in line]
    assert rows == ["everything", "hub", "production"]
    assert "2 of release-key, qa-key" in matched.stdout


def test_json_lists_the_requirements_of_each_policy(policies: Path) -> None:
    matched = sealgate("policy", "match", "nginx", "--policies", policies, "-o", "json", "-n", "lab")
    document = json.loads(matched.stdout)
    assert (document["image"], document["reference"]) == ("nginx", "docker.io/library/nginx")
    assert document["namespace"] == "lab"
    (entry,) = [entry for entry in document["policies"] if entry["name"] == "production"]
    assert entry == {
        "name": "production",
        "action": "Enforce",
        "matches": False,
        "cause": "NamespaceNotSelected",
        "message": "its namespaceSelector does not select lab",
        "authenticators": ["release-key", "qa-key"],
        "required": 2,
    }


def test_unmatched_image_is_reported(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.yaml",
        authenticator("k", KEY),
        policy("shop", "registry.example.org/shop/*", authenticators=["k"]),
    )
    matched = sealgate("policy", "match", "nginx", "--policies", path)
    assert matched.exit_code == 0
    assert "the image is unmatched" in matched.stdout


@pytest.mark.parametrize(("action", "decides"), [("Audit", False), ("Warn", False), ("Enforce", True)])
def test_a_policy_that_informs_leaves_an_image_unmatched(tmp_path: Path, action: str, decides: bool) -> None:  # noqa: FBT001 - a column of the table above
    path = write(tmp_path / "p.yaml", authenticator("k", KEY), policy("all", "**", authenticators=["k"], action=action))
    matched = sealgate("policy", "match", "nginx", "--policies", path)
    assert matched.exit_code == 0
    assert ("the image is unmatched" in matched.stdout) is not decides


@pytest.mark.parametrize("image", ["", "shop/UPPER", "a b", "x\x1b[31m", "nginx@sha256:abc", "a" * 300])
def test_invalid_reference_is_a_usage_error(policies: Path, image: str) -> None:
    matched = sealgate("policy", "match", image, "--policies", policies)
    assert matched.exit_code == 2
    assert "Error: " in matched.stderr
    assert "\x1b" not in matched.output
    assert matched.stdout == ""


def test_bad_policies_are_listed_on_standard_error(tmp_path: Path) -> None:
    path = write(tmp_path / "p.yaml", policy("shop", "registry.example.org/shop/*", authenticators=["absent"]))
    matched = sealgate("policy", "match", "nginx", "--policies", path)
    assert matched.exit_code == 2
    assert matched.stdout == ""
    assert "there is no Authenticator named absent" in matched.stderr
    assert f"{path}:" in matched.stderr
