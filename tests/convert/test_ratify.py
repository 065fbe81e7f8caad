"""Executors of Ratify, converted by the command and read by `sealgate policy check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts
from sealgate.errors import PolicyError
from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.convert.test_policy_controller import ISSUER, WORKFLOW, convert
from tests.convert.verdicts import admits, index_of
from tests.support.builders.cluster_image_policies import PEM
from tests.support.examples import examples
from tests.support.signers.notation import Authority

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parents[1] / "data" / "convert" / "ratify" / "executors.yaml"
CA = Authority("notation").pem
KEY = {"keys": {"inline": {"keys": PEM}}, "ignoreTLog": True, "ignoreObserverTimestamps": True}
SIGNED = {"keys": [{"pem": PEM, "algorithm": "ECDSA_SHA_256"}]}
NOTATION = {"certificates": [{"type": "ca", "inline": CA}]}


def cosign(policy: Mapping[str, Any] = KEY, name: str = "a") -> dict[str, Any]:
    return {"name": name, "type": "cosign", "parameters": {"trustPolicies": [policy]}}


def notation(parameters: Mapping[str, Any] = NOTATION, name: str = "n") -> dict[str, Any]:
    return {"name": name, "type": "notation", "parameters": parameters}


def executor(
    *verifiers: Mapping[str, Any],
    scopes: tuple[str, ...] = ("ghcr.io",),
    threshold: int = 0,
    name: str = "shop",
    **spec: Any,
) -> dict[str, Any]:
    """Return an Executor with a rule for each of its verifiers."""
    rules = [{"verifierName": one["name"]} for one in verifiers]
    policy = {"rules": rules, **({"threshold": threshold} if threshold else {})}
    return {
        "apiVersion": "config.ratify.sh/v2alpha1",
        "kind": "Executor",
        "metadata": {"name": name},
        "spec": {
            "scopes": list(scopes),
            "verifiers": list(verifiers),
            "stores": [{"type": "registry-store"}],
            "policyEnforcer": {"type": "threshold-policy", "parameters": {"policy": policy}},
            **spec,
        },
    }


def test_scopes_become_policies_and_the_narrowest_applies(tmp_path: Path) -> None:
    source = executor(cosign(), scopes=("*.example.org", "a.example.org", "a.example.org/shop/web"))
    specs, notes = convert(tmp_path, source)
    require = {"require": {"authenticators": ["shop.a"]}}
    deeper, registry, web = "*.*.example.org/**", "a.example.org/**", "a.example.org/shop/web"
    assert specs == {
        ("Authenticator", "shop.a"): {"cosign": SIGNED},
        ("VerificationPolicy", "shop.0"): {
            "images": [{"repository": "*.example.org/**"}],
            "excludeImages": [{"repository": name} for name in (deeper, registry, web)],
            **require,
        },
        ("VerificationPolicy", "shop.1"): {
            "images": [{"repository": registry}],
            "excludeImages": [{"repository": web}],
            **require,
        },
        ("VerificationPolicy", "shop.2"): {"images": [{"repository": web}], **require},
    }
    assert "unmatchedImages: deny" in notes


@pytest.mark.parametrize(
    ("verifier", "expected"),
    [
        (
            cosign({"keys": {"inline": PEM}}),
            {"cosign": {**SIGNED, "requireTransparencyLog": True, "trustedRoot": {"source": "PublicGood"}}},
        ),
        (
            cosign({"certificateOIDCIssuer": ISSUER, "certificateIdentity": WORKFLOW, "scopes": ["ghcr.io"]}),
            {
                "cosign": {
                    "keyless": {"identities": [{"issuer": ISSUER, "subject": WORKFLOW}]},
                    "trustedRoot": {"source": "PublicGood"},
                }
            },
        ),
        (
            notation(
                {
                    "certificates": [{"inline": {"certs": CA}}, {"type": "tsa", "inline": CA}],
                    "trustedIdentities": ["x509.subject: C=US, ST=WA, O=shop"],
                },
                name="a",
            ),
            {
                "notation": {
                    "trustStores": {"ca": [{"pem": CA}], "tsa": [{"pem": CA}]},
                    "trustedIdentities": ["x509.subject: C=US, ST=WA, O=shop"],
                }
            },
        ),
    ],
)
def test_what_a_verifier_accepts_is_carried_over(
    tmp_path: Path, verifier: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    specs, _ = convert(tmp_path, executor(verifier))
    assert specs["Authenticator", "shop.a"] == expected


@pytest.mark.parametrize(("threshold", "count"), [(0, {}), (2, {}), (1, {"count": 1})])
def test_the_threshold_is_carried_over(tmp_path: Path, threshold: int, count: Mapping[str, int]) -> None:
    specs, _ = convert(tmp_path, executor(cosign(), notation(), threshold=threshold))
    assert specs["VerificationPolicy", "shop.0"]["require"] == {"authenticators": ["shop.a", "shop.n"], **count}


def test_a_verifier_without_equivalent_is_left_out_where_others_are_enough(tmp_path: Path) -> None:
    other = {"name": "b", "type": "sbom"}
    specs, notes = convert(tmp_path, executor(cosign(), other, threshold=1))
    assert specs["VerificationPolicy", "shop.0"]["require"] == {"authenticators": ["shop.a"]}
    assert "verifiers of the type sbom have no equivalent" in notes


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (executor(cosign(), {"name": "b", "type": "sbom"}), "the type sbom"),
        (executor(cosign({"ignoreTLog": True, "certificateIdentity": "a"})), "while their certificate is valid"),
        (executor(cosign({})), "accepts anyone"),
        (executor(cosign({**KEY, "ignoreObserverTimestamps": False})), "a timestamp that keys must have"),
        (executor(cosign({**KEY, "scopes": ["quay.io"]})), "must be those of the Executor"),
        (executor(cosign({"keys": {"azurekeyvault": {"vaultURL": "x"}}})), "keys.azurekeyvault has no equivalent"),
        (executor({**cosign(), "parameters": {"trustPolicies": [KEY, KEY]}}), "several trustPolicies"),
        (executor(notation({**NOTATION, "scopes": ["ghcr.io/a"]})), "write an Executor for each"),
        (executor(notation({"certificates": [{"files": ["x"]}]})), "certificates.files has no equivalent"),
        (executor(notation({"certificates": [{"inline": CA}, {"inline": CA}]})), "each at most once"),
        (executor(cosign(), policyEnforcer=None), "must be a threshold-policy"),
        (executor(cosign(), threshold=2), "a threshold that can be met"),
        (executor(cosign(), more=1), "spec.more has no equivalent"),
    ],
)
def test_an_executor_that_cannot_be_met_here_denies_its_images(
    tmp_path: Path, source: Mapping[str, Any], why: str
) -> None:
    every = executor(cosign(name="b"), scopes=("ghcr.io/shop/web",), name="web")
    specs, notes = convert(tmp_path, source, every)
    assert [name for kind, name in specs if kind == "VerificationPolicy"] == ["web.0"]
    assert why in notes
    assert "its images are denied" in notes


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (executor(cosign(), scopes=("ghcr.io/*",)), "not a scope of Ratify"),
        (executor(cosign(), scopes=("ghcr.io", "ghcr.io")), "depends on the image"),
        (executor(cosign(), scopes=("index.docker.io",)), "write docker.io"),
        (executor(cosign(), scopes=()), "spec.scopes"),
    ],
)
def test_what_decides_about_the_images_must_have_an_equivalent(
    tmp_path: Path, source: Mapping[str, Any], why: str
) -> None:
    ran = sealgate("policy", "convert", write(tmp_path / "source.yaml", source))
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert why in ran.stderr


def test_an_executor_does_not_hold_where_a_namespace_has_its_own(tmp_path: Path) -> None:
    own = {**executor(notation()), "kind": "NamespacedExecutor", "metadata": {"name": "own", "namespace": "team"}}
    specs, notes = convert(tmp_path, executor(cosign()), own)
    expression = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["team"]}
    assert [spec for (kind, _), spec in specs.items() if kind == "VerificationPolicy"] == [
        {
            "namespaceSelector": {"matchExpressions": [expression]},
            "images": [{"repository": "ghcr.io/**"}],
            "require": {"authenticators": ["shop.a"]},
        }
    ]
    assert "namespace team: all of its images are denied" in notes


def test_the_example_is_converted(tmp_path: Path) -> None:
    specs, _ = convert(tmp_path, yaml.safe_load(EXAMPLE.read_text()))
    assert [name for kind, name in specs if kind == "VerificationPolicy"] == ["shop.0", "shop.1", "shop.2"]


SCOPES = ["ghcr.io", "ghcr.io/shop/web", "*.example.org", "*.b.example.org", "b.example.org", "docker.io/library/nginx"]
IMAGES = ["ghcr.io/shop/web:1", "ghcr.io/shop/a:1", "a.example.org/a:1", "a.b.example.org/a:1", "b.example.org/a:1"]
IMAGES += ["example.org/a:1", "b.example.org:5000/a:1", "docker.io/library/nginx:1"]


def chosen(sources: list[Any], image: str) -> Any:
    """Return the Executor that Ratify chooses: `internal/executor/executor.go` of notaryproject/ratify."""
    name = image.rpartition(":")[0]
    registry = name.partition("/")[0]
    for scope in (name, registry, f"*.{registry.partition('.')[2]}"):
        for source in sources:
            if scope in source["spec"]["scopes"]:
                return source
    return None


@settings(max_examples=examples(300), deadline=None)
@given(
    scopes=st.lists(st.sampled_from(SCOPES), min_size=1, max_size=5, unique=True),
    split=st.integers(min_value=0, max_value=5),
    threshold=st.sampled_from([0, 1, 2]),
    image=st.sampled_from(IMAGES),
    signed=st.sets(st.sampled_from("abc")),
)
def test_converted_executors_admit_no_more(
    scopes: list[str], split: int, threshold: int, image: str, signed: set[str]
) -> None:
    first = executor(cosign(), cosign(name="b"), scopes=tuple(scopes[:split]), threshold=threshold, name="one")
    second = executor(cosign(name="c"), scopes=tuple(scopes[split:]), name="two")
    sources = [one for one in (first, second) if one["spec"]["scopes"]]
    try:
        conversion = convert_texts([("e.yaml", "".join(f"---\n{json.dumps(one)}\n" for one in sources))])
    except PolicyError:
        return
    verified = {f"{name}.{key}" for name in ("one", "two") for key in signed}
    if admits(index_of(conversion), image, verified):
        found = chosen(sources, image)
        asked = {"a", "b"} if found is first else {"c"}
        needed = (threshold or 2) if found is first else 1
        assert found is not None
        assert len(signed & asked) >= needed
