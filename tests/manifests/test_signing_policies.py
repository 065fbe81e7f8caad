"""Signing policies in files, and as an API server sends them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.errors import PolicyError
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.manifests.policies import load_standalone, object_problems, unusable_keys
from tests.support.builders.objects import authenticator
from tests.support.environments.signing_policies import signing_policy
from tests.support.signers.notation import Authority
from tests.support.signers.private_keys import new_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate

KEY = write_private_key(generate_key(KeyType.ECDSA_P256), None).decode()
OF_QA = {"authenticator": "qa", "credentialsSecret": {"name": "signer"}}
OPENPGP = Path(__file__).parents[1] / "data" / "openpgp_secret_keys" / "ed25519.asc"
SIMPLE: dict[str, Any] = {"cosign": None, "simpleSigning": {"store": {"openshift": {}}}}


def secret(name: str = "release", **members: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": members}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policies.yaml"


def write(file: Path, *objects: Mapping[str, Any]) -> Path:
    file.write_text(yaml.safe_dump_all(objects, sort_keys=False))
    return file


def problems(file: Path, *objects: Mapping[str, Any]) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_standalone([write(file, *objects)])
    assert all(problem.line for problem in caught.value.problems)
    return [f"{problem.field}: {problem.message}" for problem in caught.value.problems]


def test_policy_with_its_secret_is_loaded(file: Path) -> None:
    files = load_standalone([write(file, signing_policy(), secret(**{"key.pem": KEY}))])
    assert [policy.metadata.name for policy in files.signing_policies] == ["release"]
    assert files.policies == ()


def test_missing_secret_and_authenticator_are_named(file: Path) -> None:
    assert problems(file, signing_policy()) == [
        "spec.key.secretRef.name: there is no Secret named release among the files"
    ]
    assert problems(file, signing_policy(key=OF_QA), secret("signer", accessKey="a")) == [
        "spec.key.authenticator: there is no Authenticator named qa"
    ]


def test_missing_key_of_a_secret_is_named(file: Path) -> None:
    (found,) = problems(file, signing_policy(), secret(**{"other.pem": KEY}))
    assert found == "spec.key.secretRef.key: the Secret release has no key key.pem"


@pytest.mark.parametrize(
    ("member", "spec", "why"),
    [
        ("text", {}, "the key key.pem in Secret release"),
        (KEY, {"algorithm": "RSA_PSS_SHA_256"}, "RSA_PSS_SHA_256"),
        (KEY, SIMPLE, "is not an OpenPGP secret key"),
        (OPENPGP.read_text(), {}, "the key key.pem in Secret release"),
    ],
)
def test_private_key_that_does_not_fit_is_a_problem(file: Path, member: str, spec: dict[str, Any], why: str) -> None:
    (found,) = problems(file, signing_policy(**spec), secret(**{"key.pem": member}))
    assert found.startswith("spec.key.secretRef: ")
    assert why in found
    assert "PRIVATE KEY-----\n" not in found


def test_key_that_has_expired_does_not_make_its_file_wrong(file: Path) -> None:
    expired = OPENPGP.with_name("expired.asc").read_text()
    files = load_standalone([write(file, signing_policy(**SIMPLE), secret(**{"key.pem": expired}))])
    (found,) = unusable_keys(files, datetime.now(UTC))
    assert found.field == "spec.key.secretRef"
    assert "expired at" in found.message


def test_patterns_are_checked_at_their_lines(file: Path) -> None:
    images = [{"repository": "registry.example.org/shop/*"}, {"repository": "*/shop/web"}]
    found = problems(
        file, signing_policy(images=images, excludeImages=[{"repository": "{a"}]), secret(**{"key.pem": KEY})
    )
    assert [text.partition(":")[0] for text in found] == [
        "spec.images[1].repository",
        "spec.excludeImages[0].repository",
    ]
    assert "names its registry with a wildcard" in found[0]


def test_exclusions_may_have_wildcards_everywhere(file: Path) -> None:
    policy = signing_policy(excludeImages=[{"repository": "**/test-*"}])
    load_standalone([write(file, policy, secret(**{"key.pem": KEY}))])


def test_authenticator_with_another_key_than_one_in_a_kms_is_a_problem(file: Path) -> None:
    (found,) = problems(
        file,
        signing_policy(key=OF_QA),
        secret("signer", accessKey="a"),
        authenticator("qa", new_key("ECDSA P-256", "qa")),
    )
    assert found.startswith("spec.key.authenticator: ")
    assert "does not have a key in a key management service" in found


def test_object_of_the_api_server_is_checked_alone() -> None:
    assert object_problems(signing_policy()) == ()
    assert object_problems(signing_policy(key=OF_QA)) == ()
    (wildcard,) = object_problems(signing_policy(images=[{"repository": "**"}]))
    assert wildcard.field == "spec.images[0].repository"
    (field,) = object_problems(signing_policy(cosign={"signatureRepository": "not a repository"}))
    assert field.field == "spec.cosign.signatureRepository"


def test_incomplete_certificate_chain_is_refused(file: Path) -> None:
    _, chain = Authority("root").issue()

    def policy(*certificates: Certificate) -> dict[str, Any]:
        pem = "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)
        return signing_policy(cosign=None, notation={"certificateChain": pem})

    assert not object_problems(policy(*chain))
    assert [each.field for each in object_problems(policy(chain[0]))] == ["spec.notation.certificateChain"]
    (problem,) = problems(file, policy(chain[0]), secret(**{"key.pem": KEY}))
    assert "append the certificates of its issuers" in problem
