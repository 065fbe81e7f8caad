"""Attacks on the number of signers: one key presented as several, and no key at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from sealgate.api.v1alpha1.cosign import CosignSpec
from sealgate.errors import InvalidKeyError
from sealgate.formats.build import build_check
from sealgate.keys.resolvers import FileKeys
from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from tests.support.builders.key_encodings import compressed_p256
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.environments.cosign import CosignEnvironment, cosign_check
from tests.support.environments.verifier import KEY, REPOSITORY, STRANGER, VerifierEnvironment, policy_set
from tests.support.signers.cosign import BundleOf, Classic, push_bundle, push_classic, push_referrer, signature_tag
from tests.support.signers.private_keys import fingerprint, new_key, public_pem, sign
from tests.support.simulators.http_messages import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def environment() -> Iterator[CosignEnvironment]:
    with CosignEnvironment() as made:
        yield made


# 8: signers are counted by distinct key ------------------------------------------------------------------------------


def test_attack_08_one_key_with_many_signatures_is_one_key(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, *[Classic(environment.digest, KEY)] * 5)
    push_referrer(environment.registry, REPOSITORY, Classic(environment.digest, KEY), Classic(environment.digest, KEY))
    bundle = BundleOf(environment.digest, KEY)
    bundle.signatures = [bundle.signature(KEY) for _ in range(3)]
    push_bundle(environment.registry, REPOSITORY, bundle)
    found = environment.verify(KEY, STRANGER)
    assert found.fingerprints == (fingerprint(KEY),)
    assert len(found.signatures) == 10


def test_attack_08_two_forms_of_an_ecdsa_signature_are_one_key(environment: CosignEnvironment) -> None:
    r, s = decode_dss_signature(sign(KEY, encode(Classic(environment.digest, KEY).document())))
    forms = [encode_dss_signature(r, s), encode_dss_signature(r, ORDER - s)]
    push_classic(
        environment.registry, REPOSITORY, *(Classic(environment.digest, KEY, signature=form) for form in forms)
    )
    assert environment.verify(KEY).fingerprints == (fingerprint(KEY),)


def test_attack_08_one_key_in_two_spellings_is_one_key(environment: CosignEnvironment) -> None:
    assert isinstance(KEY, ec.EllipticCurvePrivateKey)
    point = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY), Classic(environment.digest, KEY))
    found = environment.verify(KEY, {"pem": compressed_p256(point)}, {"pem": public_pem(KEY).replace("\n", "\r\n")})
    assert found.fingerprints == (fingerprint(KEY),)


def test_attack_08_one_rsa_key_under_two_algorithms_is_one_key(environment: CosignEnvironment) -> None:
    key = new_key("RSA 2048")
    algorithms = ("RSA_PKCS1_SHA_256", "RSA_PSS_SHA_256")
    push_classic(environment.registry, REPOSITORY, *(Classic(environment.digest, key, name) for name in algorithms))
    entries = [{"pem": public_pem(key), "algorithm": name} for name in algorithms]
    assert environment.verify(*entries).fingerprints == (fingerprint(key),)


def test_attack_08_authenticators_with_one_key_are_one_signer() -> None:
    both = [authenticator_model("one", KEY), authenticator_model("two", KEY)]
    needs_two = policy_set(both, [policy_model("production", authenticators=["one", "two"])])
    with VerifierEnvironment() as environment:
        digest = environment.push_signed()
        push_classic(environment.registry, REPOSITORY, Classic(digest, KEY), Classic(digest, KEY))
        push_bundle(environment.registry, REPOSITORY, BundleOf(digest, KEY))
        (verdict,) = environment.verify(environment.image(), policies=needs_two)
    assert verdict.verdict is Verdict.DENY
    assert verdict.policies[0].satisfied == 1


def test_attack_08_authenticators_with_two_keys_are_two_signers() -> None:
    both = [authenticator_model("one", KEY, STRANGER), authenticator_model("two", KEY)]
    needs_two = policy_set(both, [policy_model("production", authenticators=["one", "two"])])
    with VerifierEnvironment() as environment:
        digest = environment.registry.push_image(REPOSITORY, "v1")
        # KEY alone would do for either; that STRANGER signed too is found although KEY verified first.
        push_classic(environment.registry, REPOSITORY, Classic(digest, KEY))
        push_bundle(environment.registry, REPOSITORY, BundleOf(digest, STRANGER))
        (verdict,) = environment.verify(environment.image(), policies=needs_two)
    assert verdict.verdict is Verdict.ADMIT


# 9: an empty requirement proves nothing -------------------------------------------------------------------------------


def test_attack_09_an_empty_list_of_keys_is_refused_by_the_model() -> None:
    with pytest.raises(ValidationError, match="neither keys nor keyless"):
        authenticator_model("release", spec={"cosign": {"keys": []}})


def test_attack_09_empty_list_of_keys_is_refused_by_the_check(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    right = authenticator_model("release", KEY)
    assert right.spec.cosign is not None
    keyless = right.spec.cosign.model_copy(update={"keys": ()})
    slipped = right.model_copy(update={"spec": right.spec.model_copy(update={"cosign": keyless})})
    with pytest.raises(InvalidKeyError, match="without a key no signature can count"):
        build_check(slipped, FileKeys({}))


def test_attack_09_a_resolver_that_returns_no_keys_admits_nothing() -> None:
    class NoKeys:
        """A key source that has lost its keys."""

        def public_keys(self, entry: Any) -> tuple[()]:
            del entry
            return ()

        def secret(self, reference: Any) -> bytes:
            raise AssertionError(reference)

        trusted_root = secret

    with pytest.raises(InvalidKeyError, match="without a key no signature can count"):
        build_check(authenticator_model("release", KEY), NoKeys())


def test_attack_09_authenticator_without_usable_keys_denies() -> None:
    spec = CosignSpec.model_validate({"keys": [{"secretRef": {"name": "gone", "key": "cosign.pub"}}]})
    right = authenticator_model("release", KEY)
    waiting = right.model_copy(update={"spec": right.spec.model_copy(update={"cosign": spec})})
    with VerifierEnvironment() as environment:
        environment.push_signed()
        (verdict,) = environment.verify(
            environment.image(), policies=policy_set([waiting], [policy_model("production")])
        )
    assert verdict.verdict is not Verdict.ADMIT
    assert verdict.reason is Reason.AUTHENTICATOR_NOT_READY


@pytest.mark.parametrize("signature", [b"", b"\0", b"\x30\0", b"\x30\x06\x02\x01\0\x02\x01\0"])
def test_attack_09_an_empty_signature_is_not_one(environment: CosignEnvironment, signature: bytes) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY, signature=signature))
    environment.refused(Reason.INVALID_SIGNATURE, KEY)


def test_attack_09_empty_annotation_is_not_met_by_a_missing_one(environment: CosignEnvironment) -> None:
    push_classic(environment.registry, REPOSITORY, Classic(environment.digest, KEY))
    environment.refused(Reason.ANNOTATION_MISMATCH, KEY, annotations={"env": ""})


def test_attack_09_a_tag_without_signatures_is_no_signature(environment: CosignEnvironment) -> None:
    environment.registry.push_image(REPOSITORY, signature_tag(environment.digest))
    with pytest.raises(Exception, match="not an image signature"):
        environment.ask(cosign_check(KEY))
