"""Images in Huawei SWR: signed by DEW's algorithms, the signature under the `.sig` tag in base64 of its DER.

The three lines of the table in SWR's document, each with what must not pass for it. The images these policies cover
are chosen with the examples of the same document.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.reasons import Reason
from sealgate.references import parse_reference
from sealgate.verification.settings import VerifierSettings
from tests.support.builders.objects import policy_model
from tests.support.environments.cosign import REPOSITORY, CosignEnvironment
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import fingerprint, new_key, public_pem, sign
from tests.support.signers.sm2 import SM2PrivateKey, sm3
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

SM2 = SM2PrivateKey.generate()
P256, P384 = new_key("ECDSA P-256"), new_key("ECDSA P-384")
UNUSED = P256  # `Classic` wants a key even where the signature is given


@pytest.fixture
def environment() -> Iterator[CosignEnvironment]:
    with CosignEnvironment() as environment:
        yield environment


def payload_of(environment: CosignEnvironment) -> bytes:
    return encode(Classic(environment.digest, UNUSED).document())


def push_sm2(environment: CosignEnvironment, signature: bytes, annotation: str | None = None) -> None:
    signed = Classic(
        environment.digest, UNUSED, payload=payload_of(environment), signature=signature, annotation=annotation
    )
    push_classic(environment.registry, REPOSITORY, signed)


def sm2_entry(**members: Any) -> dict[str, Any]:
    return {"pem": SM2.public_pem, "algorithm": "SM2", **members}


# ECC: EC_P256 with ECDSA_SHA_256, EC_P384 with ECDSA_SHA_384 ----------------------------------------------------------


@pytest.mark.parametrize(("key", "algorithm"), [(P256, "ECDSA_SHA_256"), (P384, "ECDSA_SHA_384")])
def test_ecc_keys_verify_with_the_hash_of_the_table(environment: CosignEnvironment, key: Any, algorithm: str) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, key, algorithm=algorithm))
    entry = {"pem": public_pem(key), "algorithm": algorithm}
    assert environment.verify(entry).fingerprints == (fingerprint(key),)
    assert environment.verify(key).fingerprints == (fingerprint(key),)  # it is the default of its kind


def test_p384_over_sha_256_is_refused_if_sha_384_is_required(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, P384, algorithm="ECDSA_SHA_256"))
    entry = {"pem": public_pem(P384), "algorithm": "ECDSA_SHA_384"}
    environment.refused(Reason.INVALID_SIGNATURE, entry)


# SM2 ------------------------------------------------------------------------------------------------------------------


def test_sm2_verifies_with_the_usual_id(environment: CosignEnvironment) -> None:
    push_sm2(environment, SM2.sign(payload_of(environment)))
    (found,) = environment.verify({"pem": SM2.public_pem}).fingerprints
    assert environment.verify(sm2_entry()).fingerprints == (found,)


def test_sm2_verifies_with_the_id_of_the_policy(environment: CosignEnvironment) -> None:
    push_sm2(environment, SM2.sign(payload_of(environment), b"release@example.org"))
    environment.verify(sm2_entry(distinguishingId="release@example.org"))
    environment.refused(Reason.INVALID_SIGNATURE, sm2_entry())


def test_key_with_two_ids_is_accepted_with_either_as_one_signer(environment: CosignEnvironment) -> None:
    push_sm2(environment, SM2.sign(payload_of(environment), b"release@example.org"))
    verified = environment.verify(sm2_entry(), sm2_entry(distinguishingId="release@example.org"))
    assert len(verified.fingerprints) == 1


def test_sm2_without_z_is_refused(environment: CosignEnvironment) -> None:
    push_sm2(environment, SM2.sign_digest(sm3(payload_of(environment))))
    environment.refused(Reason.INVALID_SIGNATURE, sm2_entry())


def test_sm2_in_raw_numbers_is_refused(environment: CosignEnvironment) -> None:
    r, s = decode_dss_signature(SM2.sign(payload_of(environment)))
    push_sm2(environment, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    environment.refused(Reason.INVALID_SIGNATURE, sm2_entry())


def test_the_hex_of_an_sm2_signature_is_refused(environment: CosignEnvironment) -> None:
    signature = SM2.sign(payload_of(environment))
    push_sm2(environment, signature, annotation=base64.b64encode(signature.hex().encode()).decode())
    environment.refused(Reason.INVALID_SIGNATURE, sm2_entry())


def test_an_ecdsa_signature_does_not_pass_for_sm2(environment: CosignEnvironment) -> None:
    push_sm2(environment, sign(P256, payload_of(environment)))
    environment.refused(Reason.INVALID_SIGNATURE, sm2_entry())


def test_an_sm2_signature_of_another_image_is_refused(environment: CosignEnvironment) -> None:
    other = encode(Classic("sha256:" + "0" * 64, UNUSED).document())
    signed = Classic(environment.digest, UNUSED, payload=other, signature=SM2.sign(other))
    push_classic(environment.registry, REPOSITORY, signed)
    environment.refused(Reason.DIGEST_MISMATCH, sm2_entry())


# Application scope ----------------------------------------------------------------------------------------------------


def covers(image: str, repository: str, *tags: str) -> bool:
    selector: dict[str, Any] = {"repository": repository, **({"tags": list(tags)} if tags else {})}
    return bool(
        PolicyIndex([policy_model("rule", images=[selector])]).match(parse_reference(image), Namespace("default"))
    )


@pytest.mark.parametrize(
    ("image", "repository", "covered"),
    [
        ("swr.example.com/library/nginx-web", "swr.example.com/library/nginx-*", True),
        ("swr.example.com/library/nginx", "swr.example.com/library/nginx-*", False),
        ("swr.example.com/library/nginx-web/x", "swr.example.com/library/nginx-*", False),
        ("swr.example.com/library/repo1", "swr.example.com/library/{repo1, repo2}", True),
        ("swr.example.com/library/repo2", "swr.example.com/library/{repo1, repo2}", True),
        ("swr.example.com/library/repo3", "swr.example.com/library/{repo1, repo2}", False),
        ("swr.example.com/library/web", "swr.example.com/*/web", True),
        ("swr.example.com/library/team/web", "swr.example.com/*/web", False),
        ("swr.example.com/library/team/web", "swr.example.com/**/web", True),
        ("swr.example.com/library/team/web", "swr.example.com/library/**", True),
        ("swr.example.com/library/repo1", "swr.example.com/library/repo?", True),
        ("swr.example.com/library/repo10", "swr.example.com/library/repo?", False),
        ("swr.example.com/library/a/b", "swr.example.com/library/a?b", False),
    ],
)
def test_image_patterns_of_the_document_match_as_it_describes(image: str, repository: str, covered: bool) -> None:  # noqa: FBT001 - a column of the table
    assert covers(f"{image}:1.0", repository) is covered


@pytest.mark.parametrize(
    ("tag", "pattern", "covered"),
    [
        ("nginx-1.27", "nginx-*", True),
        ("1.27-nginx", "nginx-*", False),
        ("v1", "v?", True),
        ("v10", "v?", False),
        ("dev", "{dev, qa}", True),
        ("prod", "{dev, qa}", False),
        ("anything", "**", True),
    ],
)
def test_tag_patterns_of_the_document_match_as_it_describes(tag: str, pattern: str, covered: bool) -> None:  # noqa: FBT001 - a column of the table
    assert covers(f"swr.example.com/library/web:{tag}", "swr.example.com/library/*", pattern) is covered


def test_300_tags_a_minute_are_the_default_budget() -> None:
    assert VerifierSettings().verifications_per_minute == 300
