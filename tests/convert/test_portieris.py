"""Policies of Portieris, converted by the command and read by `sealgate policy check`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.convert.test_policy_controller import convert
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parents[1] / "data"
EXAMPLE = DATA / "convert" / "portieris" / "policies.yaml"
KEYRING = next((DATA / "simple_signing" / "keys").glob("*.asc")).read_text()
SIGNED = {"simple": {"requirements": [{"type": "signedBy", "keySecret": "k", "keySecretNamespace": "keys"}]}}
PEM = public_pem(new_key("ECDSA P-256", "portieris"))
TRUST = {"enabled": True, "trustServer": "https://notary.example.org"}
NAMES = ("keys.k", "pub", "team.k", "portieris.shop-pubkey", "portieris.vendor-pubkey", "team.team-pubkey")


def policy(*repositories: Mapping[str, Any], name: str = "p", namespace: str | None = None) -> dict[str, Any]:
    """Return a ClusterImagePolicy, or the ImagePolicy of a namespace."""
    return {
        "apiVersion": "portieris.cloud.ibm.com/v1",
        "kind": "ClusterImagePolicy" if namespace is None else "ImagePolicy",
        "metadata": {"name": name, **({} if namespace is None else {"namespace": namespace})},
        "spec": {"repositories": list(repositories)},
    }


def repository(name: str = "icr.io/shop/*", /, **policy: Any) -> dict[str, Any]:
    return {"name": name, "policy": policy}


def signer(name: str, namespace: str, /, **values: str) -> dict[str, Any]:
    """Return a Secret with a signer of Notary."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


def keyring(name: str) -> dict[str, Any]:
    """Return a Secret with a keyring."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"key": KEYRING}}


def converted(folder: Path, *objects: Mapping[str, Any]) -> tuple[Any, str]:
    """Convert objects, with keyrings in the Secrets that the result names."""
    secrets = [keyring(name) for name in NAMES]
    return convert(folder, *objects, files=(write(folder / "keys.yaml", *secrets),))


def test_requirements_of_simple_signing_are_all_met(tmp_path: Path) -> None:
    other = {"type": "signedBy", "keySecret": "pub"}
    requirements = [*SIGNED["simple"]["requirements"], {"type": "insecureAcceptAnything"}, other]
    simple = {"requirements": requirements, "storeURL": "https://s.example"}
    specs, notes = converted(tmp_path, policy(repository(simple=simple)))
    store = {"lookaside": {"url": "https://s.example"}}
    identity = {"matchPolicy": "MatchRepoDigestOrExact"}
    images = [{"repository": "icr.io/shop/**"}]
    assert specs == {
        ("Authenticator", name): {
            "simpleSigning": {
                "keyring": {"secretRef": {"name": secret, "key": "key"}},
                "store": store,
                "signedIdentity": identity,
            }
        }
        for name, secret in (("p.0.0", "keys.k"), ("p.0.2", "pub"))
    } | {
        ("VerificationPolicy", "p.0"): {"images": images, "require": {"authenticators": ["p.0.0"]}},
        ("VerificationPolicy", "p.0.1"): {"images": images, "require": {"authenticators": ["p.0.2"]}},
    }
    assert "one holds for all namespaces here" in notes
    assert "unmatchedImages: deny" in notes


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"type": "matchExact"}, {"matchPolicy": "MatchExact"}),
        (
            {"type": "matchExactRepository", "dockerRepository": "icr.io/a/b"},
            {"matchPolicy": "ExactRepository", "exactRepository": {"repository": "icr.io/a/b"}},
        ),
        (
            {"type": "matchExactReference", "dockerReference": "icr.io/a/b:1"},
            {"matchPolicy": "ExactReference", "exactReference": {"reference": "icr.io/a/b:1"}},
        ),
        (
            {"type": "remapIdentity", "prefix": "icr.io/shop", "signedPrefix": "example.org/x"},
            {
                "matchPolicy": "RemapIdentity",
                "remapIdentity": {"prefix": "icr.io/shop", "signedPrefix": "example.org/x"},
            },
        ),
    ],
)
def test_signed_identities_are_carried_over(
    tmp_path: Path, identity: Mapping[str, str], expected: Mapping[str, Any]
) -> None:
    requirement = {**SIGNED["simple"]["requirements"][0], "signedIdentity": identity}
    specs, _ = converted(tmp_path, policy(repository(simple={"requirements": [requirement]})))
    spec = specs["Authenticator", "p.0.0"]["simpleSigning"]
    assert spec["signedIdentity"] == expected
    assert spec["store"] == {"openshift": {}}


@pytest.mark.parametrize(("asked", "covered"), [({}, {"images"}), (SIGNED, set())])
def test_a_name_with_one_tag_cannot_require_a_signature(
    tmp_path: Path, asked: Mapping[str, Any], covered: set[str]
) -> None:
    specs, notes = converted(tmp_path, policy(repository("icr.io/shop/web:v1", **asked), repository("icr.io/*")))
    tagged = [{"repository": "icr.io/shop/web", "tags": ["v1"]}]
    assert specs["VerificationPolicy", "p.1"]["excludeImages"] == tagged
    assert covered <= specs.get(("VerificationPolicy", "p.0"), {}).keys()
    assert ("write icr.io/shop/web:v1*" in notes) == bool(asked)


@pytest.mark.parametrize(
    ("name", "noted"),
    [("icr.io/shop/web", True), ("icr.io/shop/web:v1*", True), ("icr.io/shop/web:*", True), ("icr.io/shop/*:*", False)],
)
@pytest.mark.parametrize(
    ("asked", "here"), [(SIGNED, "digests that are signed as it asks are admitted"), ({}, "digests are exempt as well")]
)
def test_digests_that_a_name_does_not_match_there_are_noted(
    tmp_path: Path,
    asked: Mapping[str, Any],
    here: str,
    name: str,
    noted: bool,  # noqa: FBT001
) -> None:
    _, notes = converted(tmp_path, policy(repository(name, **asked)))
    assert (f"{name} matches no digest without a tag there" in notes) == noted
    assert (f"here {here}" in notes) == noted


def test_an_exempt_tag_says_nothing_of_digests(tmp_path: Path) -> None:
    _, notes = converted(tmp_path, policy(repository("icr.io/shop/web:v1")))
    assert "digest" not in notes


def test_signers_of_notary_are_those_of_the_secrets(tmp_path: Path) -> None:
    by_docker = PEM.replace("KEY-----\n", "KEY-----\nrole: alice\n\n", 1)
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in (("name", "bob"), ("publicKey", PEM))}
    secrets = [
        signer("alice-key", "team", name="alice", publicKey=by_docker),
        signer("alice-key", "other", name="mallory", publicKey=PEM),
        {**signer("bob-key", "team"), "data": encoded},
    ]
    trust = {**TRUST, "signerSecrets": [{"name": "alice-key"}, {"name": "bob-key"}]}
    specs, notes = converted(tmp_path, policy(repository(trust=trust), namespace="team"), *secrets)
    common = {"server": "https://notary.example.org", "root": {"keyId": "0" * 64}}
    roles = [{"name": f"targets/{name}", "keys": [{"pem": PEM}]} for name in ("alice", "bob")]
    assert specs["Authenticator", "team.p.0.released"] == {"notary": common}
    assert specs["Authenticator", "team.p.0.signers"] == {"notary": {**common, "roles": roles}}
    required = [spec["require"]["authenticators"] for (kind, _), spec in specs.items() if kind == "VerificationPolicy"]
    assert required == [["team.p.0.released"], ["team.p.0.signers"]]
    assert "replace root.keyId" in notes
    assert "Secret" not in notes


@pytest.mark.parametrize(
    ("name", "server"), [("library/*", "https://notary.docker.io"), ("quay.io/*", "https://quay.io:443")]
)
def test_notary_servers_of_well_known_registries_are_named(tmp_path: Path, name: str, server: str) -> None:
    specs, _ = converted(tmp_path, policy(repository(name, trust={"enabled": True})))
    assert specs["Authenticator", "p.0.released"]["notary"]["server"] == server


def test_image_policies_hide_the_cluster_policies_of_their_namespace(tmp_path: Path) -> None:
    cluster = policy(repository("*"), name="all")
    specs, _ = converted(tmp_path, cluster, policy(repository(**SIGNED), namespace="team"))
    name = {"key": "kubernetes.io/metadata.name", "values": ["team"]}
    images = [{"repository": "icr.io/shop/**"}]
    assert specs["VerificationPolicy", "all.0"] == {
        "action": "Exempt",
        "namespaceSelector": {"matchExpressions": [{**name, "operator": "NotIn"}]},
        "images": [{"repository": "**"}],
    }
    assert specs["VerificationPolicy", "team.p.0"] == {
        "namespaceSelector": {"matchExpressions": [{**name, "operator": "In"}]},
        "images": images,
        "require": {"authenticators": ["team.p.0.0"]},
    }


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"trust": {"enabled": True}}, "write trust.trustServer"),
        ({"trust": {**TRUST, "signerSecrets": [{"name": "bob"}]}}, "convert it together"),
        ({"trust": {**TRUST, "signerSecrets": [{"name": "shared"}]}}, "not the same in all namespaces"),
        ({"trust": {**TRUST, "signerSecrets": [{"name": "empty"}]}}, "has no publicKey"),
        ({"trust": {**TRUST, "signerSecrets": [{"name": "odd"}]}}, "not base64"),
        ({"trust": {**TRUST, "signerSecrets": {}, "more": 1}}, "policy.trust.more has no equivalent"),
        ({"trust": TRUST, **SIGNED}, "both simple and trust"),
        ({"vulnerability": {"ICCRVA": {"enabled": True}}}, "vulnerability reports"),
        ({"va": {"enabled": True}}, "policy.va has no equivalent"),
        ({"simple": {"requirements": [{"type": "reject"}]}}, ""),
        ({"simple": {"requirements": [{"type": "signedBy"}]}}, "with a keySecret"),
        ({"simple": {"requirements": [{"type": "signedBy", "keySecret": "k", "keyPath": "x"}]}}, "keyPath"),
        (
            {"simple": {"requirements": [{"type": "signedBy", "keySecret": "k", "signedIdentity": {"type": "x"}}]}},
            "unknown type x",
        ),
        (
            {
                "simple": {
                    "requirements": [
                        {"type": "signedBy", "keySecret": "k", "signedIdentity": {"type": "matchRepoDigestOrExact"}}
                    ]
                }
            },
            "unknown type matchRepoDigestOrExact",
        ),
        ({"trust": {"enabled": []}}, "must be true or false"),
        ({"simple": {**SIGNED["simple"], "storeURL": "ftp://x"}}, "sealgate does not accept its store"),
    ],
)
def test_a_repository_that_cannot_be_met_here_denies_its_images(
    tmp_path: Path, asked: Mapping[str, Any], why: str
) -> None:
    secrets = [
        signer("shared", "a", name="alice", publicKey=PEM),
        signer("shared", "b", name="bob", publicKey=PEM),
        signer("empty", "a", name="alice"),
        {**signer("odd", "a"), "data": {"name": "?"}},
    ]
    specs, notes = converted(tmp_path, policy(repository("*"), repository(**asked)), *secrets)
    images = {"images": [{"repository": "**"}], "excludeImages": [{"repository": "icr.io/shop/**"}]}
    assert {key: spec for key, spec in specs.items() if key[0] == "VerificationPolicy"} == {
        ("VerificationPolicy", "p.0"): {"action": "Exempt", **images}
    }
    assert why in notes


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (policy(repository("icr.io/*web")), "may also match a tag"),
        (policy(repository("nginx*")), "names of registries"),
        (policy(repository("icr.io/we*:1*")), "may also match a digest"),
        (policy(repository("icr.io/a?")), "characters that neither"),
        (policy(repository("ICR.io/a/b")), "write icr.io"),
        (policy(repository("icr.io/a:b:c")), "not the name of repositories"),
        (policy(repository(":v1")), "not the name of repositories"),
        (policy(repository("icr.io/abc*"), repository("icr.io/abc", **SIGNED)), "depends on"),
        (policy({"name": "*", "more": 1}), "nothing besides"),
        (policy(name="A"), "valid name"),
        (policy(namespace=""), "its namespace"),
        ({**policy(), "spec": None}, "needs spec.repositories"),
    ],
)
def test_what_decides_about_the_images_must_have_an_equivalent(
    tmp_path: Path, source: Mapping[str, Any], why: str
) -> None:
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", source))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert why in ran.stderr


def test_the_example_is_converted(tmp_path: Path) -> None:
    specs, notes = converted(tmp_path, *yaml.safe_load_all(EXAMPLE.read_text()))
    assert [name for kind, name in specs if kind == "VerificationPolicy"] == [
        *("cluster.0", "cluster.1", "cluster.2", "cluster.3", "team.own.0")
    ]
    assert "cluster.3, spec.repositories[3]: Portieris trusts the root that it sees first" in notes
