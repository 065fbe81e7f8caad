"""Attacks on algorithms: a key used with another one than it is bound to, and numbers no signature has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.public_keys import PublicKey, load_public_key
from sealgate.reasons import Reason
from tests.support.builders.key_encodings import explicit_p256, rsa_pem
from tests.support.environments.cosign import REPOSITORY, CosignEnvironment
from tests.support.signers.cosign import Classic, push_classic
from tests.support.signers.private_keys import new_key, public_pem, sign

if TYPE_CHECKING:
    from tests.support.signers.private_keys import PrivateKey

ORDERS = {
    "ECDSA P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ECDSA P-384": int(
        "39402006196394479212279040100143613805079739270465446667946905279627659399113263569398956308152294913554433653942643"
    ),
    "ECDSA P-521": int(
        "68647976601306097149819007990813932172694353001433054093944634591855431833976553942450577463332171975329639963713633"
        "21113864768612440380340372808892707005449"
    ),
}
MESSAGE = b"message"


def refuses(key: PublicKey, signature: bytes, message: bytes = MESSAGE) -> None:
    with pytest.raises(VerificationError) as caught:
        key.verify(signature, message)
    assert caught.value.reason is Reason.INVALID_SIGNATURE


def public(key: PrivateKey, algorithm: str | None = None) -> PublicKey:
    return load_public_key(public_pem(key), algorithm)


# 10: the key is bound to its algorithm -------------------------------------------------------------------------------


def test_attack_10_pss_and_pkcs1_are_never_taken_for_one_another() -> None:
    key = new_key("RSA 2048")
    for digest in ("SHA_224", "SHA_256", "SHA_384", "SHA_512"):
        refuses(public(key, f"RSA_PKCS1_{digest}"), sign(key, MESSAGE, f"RSA_PSS_{digest}"))
        refuses(public(key, f"RSA_PSS_{digest}"), sign(key, MESSAGE, f"RSA_PKCS1_{digest}"))


def test_attack_10_a_mask_with_another_hash_is_refused() -> None:
    key = new_key("RSA 2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    for mask in (hashes.SHA1(), hashes.SHA512()):  # noqa: S303 - to show that it is refused
        signature = key.sign(MESSAGE, padding.PSS(padding.MGF1(mask), 32), hashes.SHA256())
        refuses(public(key, "RSA_PSS_SHA_256"), signature)


@pytest.mark.parametrize("kind", ["ECDSA P-256", "RSA 2048"])
def test_attack_10_sha_1_is_refused(kind: str) -> None:
    key = new_key(kind)
    family = "ECDSA" if kind.startswith("ECDSA") else "RSA_PKCS1"
    signature = sign(key, MESSAGE, f"{family}_SHA_1")
    for algorithm in Algorithm:
        if algorithm.startswith(family):
            refuses(public(key, algorithm), signature)
    with pytest.raises(InvalidKeyError, match="SHA_1 does not fit"):
        public(key, f"{family}_SHA_1")
    with pytest.raises(ValidationError):
        KeyEntry.model_validate({"pem": public_pem(key), "algorithm": f"{family}_SHA_1"})


def test_attack_10_the_hash_of_the_policy_is_the_only_one_tried() -> None:
    key = new_key("ECDSA P-384")
    with CosignEnvironment() as environment:
        push_classic(environment.registry, REPOSITORY, Classic(environment.digest, key, "ECDSA_SHA_256"))
        environment.refused(Reason.INVALID_SIGNATURE, key)
        environment.refused(Reason.INVALID_SIGNATURE, {"pem": public_pem(key), "algorithm": "ECDSA_SHA_512"})
        environment.verify({"pem": public_pem(key), "algorithm": "ECDSA_SHA_256"})


@pytest.mark.parametrize("name", ["alg", "algorithm", "dev.sigstore.cosign/algorithm", "signatureAlgorithm"])
def test_attack_10_algorithm_stated_by_a_signature_is_ignored(name: str) -> None:
    key = new_key("RSA 2048")
    with CosignEnvironment() as environment:
        beside = {name: "RSA_PSS_SHA_256"}
        push_classic(
            environment.registry, REPOSITORY, Classic(environment.digest, key, "RSA_PSS_SHA_256", annotations=beside)
        )
        environment.refused(Reason.INVALID_SIGNATURE, key)


@pytest.mark.parametrize("bits", [512, 1024, 2047])
def test_attack_10_short_rsa_key_is_refused_before_verification(bits: int) -> None:
    # No library makes such short ones any more; the numbers alone are a public key.
    modulus = (1 << (bits - 1)) | 1
    with pytest.raises(InvalidKeyError):
        load_public_key(rsa_pem(modulus, 65537))


def test_attack_10_rsa_signature_of_another_size_is_refused() -> None:
    key = new_key("RSA 2048")
    assert isinstance(key, rsa.RSAPrivateKey)
    signature = sign(key, MESSAGE)
    modulus = key.public_key().public_numbers().n
    number = int.from_bytes(signature, "big")
    refuses(public(key), b"\0" + signature)
    refuses(public(key), signature + b"\0")
    refuses(public(key), signature[1:])
    for other in (0, 1, modulus - 1, modulus):
        refuses(public(key), other.to_bytes(256, "big"))
    if number + modulus < 1 << 2048:
        refuses(public(key), (number + modulus).to_bytes(256, "big"))


@pytest.mark.parametrize("kind", ORDERS)
def test_attack_10_r_and_s_outside_their_range_are_refused(kind: str) -> None:
    key, order = new_key(kind), ORDERS[kind]
    r, s = decode_dss_signature(sign(key, MESSAGE))
    public(key).verify(encode_dss_signature(r, s), MESSAGE)
    for bad_r in (0, order, r + order, order + 1, 2**600):
        refuses(public(key), encode_dss_signature(bad_r, s))
    for bad_s in (0, order, s + order, order + 1, 2**600):
        refuses(public(key), encode_dss_signature(r, bad_s))
    refuses(public(key), encode_dss_signature(0, 0))
    refuses(public(key), encode_dss_signature(1, 1))


@pytest.mark.parametrize("kind", ORDERS)
def test_attack_10_only_der_ecdsa_signatures_are_accepted(kind: str) -> None:
    key = new_key(kind)
    signature = sign(key, MESSAGE)
    body = signature[2:] if signature[1] < 0x80 else signature[3:]
    r, s = decode_dss_signature(signature)
    size = (ORDERS[kind].bit_length() + 7) // 8
    negative = b"\x02\x01\xff" + body[2 + body[1] :]
    spellings = {
        "trailing byte": signature + b"\0",
        "long form of the length": b"\x30\x82" + len(body).to_bytes(2, "big") + body,
        "indefinite length": b"\x30\x80" + body + b"\0\0",
        "trailing byte inside": b"\x30" + length(len(body) + 1) + body + b"\0",
        "padded integer": b"\x30" + length(len(body) + 1) + b"\x02" + bytes((body[1] + 1,)) + b"\0" + body[2:],
        "negative integer": b"\x30" + length(len(negative)) + negative,
        "raw r and s": r.to_bytes(size, "big") + s.to_bytes(size, "big"),
        "another tag": b"\x31" + signature[1:],
    }
    for spelling in spellings.values():
        refuses(public(key), spelling)


def test_attack_10_key_refuses_signatures_of_other_types() -> None:
    kinds = ["ECDSA P-256", "ECDSA P-384", "ECDSA P-521", "RSA 2048", "Ed25519"]
    for kind in kinds:
        for other in kinds:
            if other != kind:
                refuses(public(new_key(kind)), sign(new_key(other), MESSAGE))


def test_attack_10_ed25519_signature_with_large_scalar_fails() -> None:
    key = new_key("Ed25519")
    order = 2**252 + 27742317777372353535851937790883648493
    signature = sign(key, MESSAGE)
    scalar = int.from_bytes(signature[32:], "little") + order
    refuses(public(key), signature[:32] + scalar.to_bytes(32, "little"))


def test_attack_10_key_with_explicit_curve_is_refused_first() -> None:
    point = new_key("ECDSA P-256").public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    with pytest.raises(InvalidKeyError, match="RFC 5480"):
        load_public_key(explicit_p256(point))


def test_attack_10_p256_point_labelled_secp256k1_is_refused() -> None:
    # The bytes of a P-256 key with the name of secp256k1 in front of them.
    key = new_key("ECDSA P-256")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    pem = public_pem(key)
    with pytest.raises(InvalidKeyError):
        load_public_key(pem.replace("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE"))


def length(size: int) -> bytes:
    return bytes((size,)) if size < 0x80 else bytes((0x81, size))
