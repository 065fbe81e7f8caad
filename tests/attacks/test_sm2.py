"""Attacks on SM2: keys and signatures that are only well-formed, and ids that another party chose."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.public_keys import load_public_key
from sealgate.reasons import Reason
from tests.support.builders.key_encodings import pem_of
from tests.support.environments.cosign import REPOSITORY, CosignEnvironment, cosign_check
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.signers.sm2 import N, SM2PrivateKey, sm3, spki
from tests.support.simulators.http_messages import encode

KEY = SM2PrivateKey.generate()
MESSAGE = b"message"


def refused(signature: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        load_public_key(KEY.public_pem).verify(signature, MESSAGE)
    assert caught.value.reason is Reason.INVALID_SIGNATURE


def test_attack_10_numbers_out_of_range_never_verify() -> None:
    r, s = decode_dss_signature(KEY.sign(MESSAGE))
    for forged in ((0, s), (r, 0), (0, 0), (N, s), (r, N), (r + N, s), (r, s + N), (r, N - r), (r, N - s), (1, N - 1)):
        refused(encode_dss_signature(*forged))


def test_attack_10_signature_without_the_signer_hash_is_refused() -> None:
    refused(KEY.sign_digest(sm3(MESSAGE)))
    refused(KEY.sign(MESSAGE, b""))


def test_attack_10_points_off_the_curve_are_no_keys() -> None:
    x, y = KEY.point
    for off in (spki(x, y ^ 1), spki(y, x), spki(0, 0)):
        with pytest.raises(InvalidKeyError, match="not on the curve"):
            load_public_key(pem_of(off))


def test_attack_10_sm2_and_ecdsa_keys_are_never_interchanged() -> None:
    for pem, algorithm in ((KEY.public_pem, "ECDSA_SHA_256"), (public_pem(new_key("ECDSA P-256")), "SM2")):
        with pytest.raises(InvalidKeyError, match="does not fit"):
            load_public_key(pem, algorithm)


def test_attack_27_findings_for_one_id_are_never_used_for_another() -> None:
    usual = cosign_check({"pem": KEY.public_pem, "algorithm": "SM2"})
    other = cosign_check({"pem": KEY.public_pem, "algorithm": "SM2", "distinguishingId": "other"})
    assert usual.content != other.content
    named = cosign_check({"pem": KEY.public_pem, "algorithm": "SM2", "distinguishingId": "1234567812345678"})
    assert named.content == usual.content


def test_attack_10_the_payload_does_not_choose_the_id() -> None:
    with CosignEnvironment() as environment:
        document = Classic(environment.digest, new_key("ECDSA P-256")).document()
        payload = encode({**document, "optional": {"distinguishingId": "mine", "algorithm": "SM2"}})
        signed = Classic(
            environment.digest, new_key("ECDSA P-256"), payload=payload, signature=KEY.sign(payload, b"mine")
        )
        push_classic(environment.registry, REPOSITORY, signed)
        environment.refused(Reason.INVALID_SIGNATURE, {"pem": KEY.public_pem})
