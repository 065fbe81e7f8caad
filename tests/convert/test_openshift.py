"""Image policies of OpenShift, converted by the command and read by `sealgate policy check`."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.convert.test_policy_controller import convert
from tests.support.builders.cluster_image_policies import PEM
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parents[1] / "data" / "convert" / "openshift" / "policies.yaml"
KEY: dict[str, Any] = {"policyType": "PublicKey", "publicKey": {"keyData": b64encode(PEM.encode()).decode()}}
REPOSITORY = {"matchPolicy": "MatchRepository"}
SHOP = [{"repository": "quay.io/shop"}, {"repository": "quay.io/shop/**"}]
NAMESPACE = "kubernetes.io/metadata.name"


def policy(
    *scopes: str, root: Mapping[str, Any] = KEY, name: str = "p", namespace: str | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a ClusterImagePolicy, or the ImagePolicy of a namespace."""
    return {
        "apiVersion": "config.openshift.io/v1",
        "kind": "ClusterImagePolicy" if namespace is None else "ImagePolicy",
        "metadata": {"name": name, **({} if namespace is None else {"namespace": namespace})},
        "spec": {
            "scopes": list(scopes or ("quay.io/shop",)),
            "policy": {"rootOfTrust": root, "signedIdentity": REPOSITORY},
            **spec,
        },
    }


def test_a_public_key_is_required_for_its_scopes(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, policy("quay.io/shop", "*.example.org"))
    assert specs == {
        ("Authenticator", "quay-io-shop"): {"cosign": {"keys": [{"pem": PEM}], "matchRepository": True}},
        ("VerificationPolicy", "quay-io-shop"): {"images": SHOP, "require": {"authenticators": ["quay-io-shop"]}},
        ("VerificationPolicy", "example-org"): {
            "images": [{"repository": "*.example.org/**"}, {"repository": "*.example.org:*/**"}],
            "require": {"authenticators": ["quay-io-shop"]},
        },
    }
    assert "unmatchedImages: admit" in notes


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"root": {"policyType": "FulcioCAWithRekor", "fulcioCAWithRekor": {}}}, "no key of a CT log"),
        ({"root": {"policyType": "PKI", "pki": {}}}, "PKI has no equivalent"),
        ({"root": {"policyType": "Other"}}, "is not known"),
        ({"root": {**KEY, "more": 1}}, "rootOfTrust.more has no equivalent"),
        ({"root": {**KEY, "publicKey": {**KEY["publicKey"], "rekorKeyData": "eA=="}}}, "publicKey.rekorKeyData"),
        ({"policy": {"rootOfTrust": KEY}}, "not as MatchRepoDigestOrExact does"),
        ({"policy": {"rootOfTrust": KEY, "signedIdentity": {"matchPolicy": "RemapIdentity"}}}, "not as RemapIdentity"),
        ({"policy": {"rootOfTrust": KEY, "signedIdentity": {"matchPolicy": "Other"}}}, "Other is not known"),
        ({"more": 1}, "spec.more has no equivalent"),
    ],
)
def test_a_root_of_trust_without_equivalent_denies_its_images(
    tmp_path: Path, change: Mapping[str, Any], why: str
) -> None:
    specs, notes = convert(tmp_path, policy(**change))
    assert specs == {
        ("VerificationPolicy", "default"): {
            "images": [{"repository": "**"}],
            "excludeImages": SHOP,
            "action": "Exempt",
        }
    }
    assert why in notes
    assert "unmatchedImages: deny" in notes


def test_policies_of_one_scope_must_all_be_met(tmp_path: Path) -> None:
    pki = policy(root={"policyType": "PKI"}, name="q")
    specs, _ = convert(tmp_path, policy(), pki)
    assert [name for kind, name in specs if kind == "VerificationPolicy"] == ["default"]


def test_image_policies_hold_in_their_namespace_outside_the_scopes_of_the_cluster(tmp_path: Path) -> None:
    own = policy("quay.io", "quay.io/shop/web", namespace="team")
    specs, notes = convert(tmp_path, policy(), own)
    everywhere, there = (
        {"namespaceSelector": {"matchExpressions": [{"key": NAMESPACE, "operator": operator, "values": ["team"]}]}}
        for operator in ("NotIn", "In")
    )
    require = {"require": {"authenticators": ["quay-io-shop"]}}
    assert {name: spec for (kind, name), spec in specs.items() if kind == "VerificationPolicy"} == {
        "quay-io-shop": {**everywhere, "images": SHOP, **require},
        "quay-io-shop-2": {**there, "images": SHOP, **require},
        "quay-io": {**there, "images": [{"repository": "quay.io/**"}], "excludeImages": SHOP, **require},
    }
    assert "scope quay.io/shop/web: left out" in notes


@pytest.mark.parametrize("cluster", ["quay.io/shop/web", "*.io"])
def test_a_tag_in_a_namespace_needs_its_policy_and_that_of_the_cluster(tmp_path: Path, cluster: str) -> None:
    pem = public_pem(new_key("ECDSA P-256", "openshift"))
    root = {"policyType": "PublicKey", "publicKey": {"keyData": b64encode(pem.encode()).decode()}}
    specs, notes = convert(tmp_path, policy(cluster), policy("quay.io/shop/web:v1", root=root, namespace="team"))
    tagged = [{"repository": "quay.io/shop/web", "tags": ["v1"]}]
    found = [spec["require"]["authenticators"] for spec in specs.values() if spec.get("images") == tagged]
    keys = [specs["Authenticator", name]["cosign"]["keys"][0]["pem"] for (name,) in found]
    assert keys == [PEM, pem]
    assert "here both must be met" in notes


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (policy(scopes="quay.io"), "spec.scopes"),
        (policy(namespace=""), "its namespace"),
        (policy(name="A"), "needs a name"),
        (policy(f"quay.io/shop@sha256:{'4a' * 32}"), "no selector covers it"),
    ],
)
def test_what_decides_about_the_images_must_have_an_equivalent(
    tmp_path: Path, source: Mapping[str, Any], why: str
) -> None:
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", source))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert why in ran.stderr


def test_the_example_is_converted(tmp_path: Path) -> None:
    specs, notes = convert(tmp_path, *yaml.safe_load_all(EXAMPLE.read_text()))
    assert ("VerificationPolicy", "quay-io-team") in specs
    assert "ClusterImagePolicy keyless: the images of its scopes are denied" in notes
