"""Accepted keys verify only their own signatures with their own algorithm."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.public_keys import allowed_algorithms, load_public_key
from sealgate.reasons import Reason
from tests.support.builders.key_encodings import compressed_p256, explicit_p256, pem_of, rsa_pem
from tests.support.examples import examples
from tests.support.signers.private_keys import fingerprint, new_key, public_pem, sign

if TYPE_CHECKING:
    from tests.support.signers.private_keys import PrivateKey

ECDSA = {Algorithm.ECDSA_SHA_256, Algorithm.ECDSA_SHA_384, Algorithm.ECDSA_SHA_512}
RSA = {Algorithm(f"RSA_{padding}_SHA_{bits}") for padding in ("PKCS1", "PSS") for bits in (224, 256, 384, 512)}
DEFAULTS = {
    "ECDSA P-256": Algorithm.ECDSA_SHA_256,
    "ECDSA P-384": Algorithm.ECDSA_SHA_384,
    "ECDSA P-521": Algorithm.ECDSA_SHA_512,
    "RSA 2048": Algorithm.RSA_PKCS1_SHA_256,
    "RSA 3072": Algorithm.RSA_PKCS1_SHA_256,
    "Ed25519": Algorithm.ED25519,
}
PAIRS = [
    *((kind, algorithm) for kind in ("ECDSA P-256", "ECDSA P-384", "ECDSA P-521") for algorithm in sorted(ECDSA)),
    *(("RSA 2048", algorithm) for algorithm in sorted(RSA)),
    ("Ed25519", Algorithm.ED25519),
]


@pytest.mark.parametrize(("kind", "algorithm"), PAIRS)
def test_key_verifies_its_signature_with_its_algorithm(kind: str, algorithm: Algorithm) -> None:
    key = new_key(kind)
    load_public_key(public_pem(key), algorithm).verify(sign(key, b"message", algorithm), b"message")


@pytest.mark.parametrize(("kind", "algorithm"), PAIRS)
def test_other_message_signature_or_key_is_refused(kind: str, algorithm: Algorithm) -> None:
    key, public = new_key(kind), load_public_key(public_pem(new_key(kind)), algorithm)
    signature = sign(key, b"message", algorithm)
    wrong = [
        (signature, b"messagf"),
        (signature + b"\0", b"message"),
        (signature[:-1], b"message"),
        (b"", b"message"),
        (sign(new_key(kind, "other"), b"message", algorithm), b"message"),
    ]
    for bad, message in wrong:
        with pytest.raises(VerificationError) as caught:
            public.verify(bad, message)
        assert caught.value.reason is Reason.INVALID_SIGNATURE


@pytest.mark.parametrize(("kind", "algorithm"), PAIRS)
def test_a_key_refuses_its_own_signature_with_any_other_algorithm(kind: str, algorithm: Algorithm) -> None:
    key, public = new_key(kind), load_public_key(public_pem(new_key(kind)), algorithm)
    for other in {a for k, a in PAIRS if k == kind} - {algorithm}:
        with pytest.raises(VerificationError):
            public.verify(sign(key, b"message", other), b"message")


@pytest.mark.parametrize(("kind", "algorithm"), DEFAULTS.items())
def test_the_key_type_fixes_the_default_algorithm(kind: str, algorithm: Algorithm) -> None:
    public = load_public_key(public_pem(new_key(kind)))
    assert (public.kind, public.algorithm) == (kind, algorithm)
    assert public.fingerprint == fingerprint(new_key(kind))
    assert allowed_algorithms(public_pem(new_key(kind)))[0] is algorithm


@pytest.mark.parametrize(
    ("kind", "algorithms"),
    [
        ("ECDSA P-256", ECDSA),
        ("ECDSA P-384", ECDSA),
        ("ECDSA P-521", ECDSA),
        ("RSA 2048", RSA),
        ("Ed25519", {Algorithm.ED25519, Algorithm.ED25519_PH}),
    ],
)
def test_only_algorithms_of_the_key_type_are_accepted(kind: str, algorithms: set[Algorithm]) -> None:
    pem = public_pem(new_key(kind))
    assert set(allowed_algorithms(pem)) == algorithms
    for algorithm in set(Algorithm) - algorithms:
        with pytest.raises(InvalidKeyError, match=f"{algorithm} does not fit this {re.escape(kind)} key; it can have"):
            load_public_key(pem, algorithm)


@pytest.mark.parametrize("name", ["", "RSA_PKCS1_SHA_1", "RSA_PKCS1_MD5", "sm2", "ECDSA_SHA_1", "\x1b[31m"])
def test_unknown_algorithm_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidKeyError, match="RSA_PSS_SHA_512") as caught:
        load_public_key(public_pem(new_key("RSA 2048")), name)
    assert caught.value.message.isprintable()


def test_high_and_low_s_both_verify() -> None:
    key = new_key("ECDSA P-256")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = decode_dss_signature(sign(key, b"message"))
    public = load_public_key(public_pem(key))
    public.verify(encode_dss_signature(r, s), b"message")
    public.verify(encode_dss_signature(r, order - s), b"message")


@pytest.mark.parametrize("salt_length", [0, 1, 20, 32, 64, 222])
def test_pss_takes_any_length_of_salt(salt_length: int) -> None:
    key = new_key("RSA 2048")
    signature = sign(key, b"message", "RSA_PSS_SHA_256", salt_length)
    load_public_key(public_pem(key), "RSA_PSS_SHA_256").verify(signature, b"message")


def test_keys_that_are_the_same_are_equal_however_they_are_written() -> None:
    pem = public_pem(new_key("RSA 2048"))
    windows = pem.replace("\n", "\r\n").encode()
    assert load_public_key(pem) == load_public_key(windows)
    assert hash(load_public_key(pem)) == hash(load_public_key(windows))
    assert load_public_key(pem) != load_public_key(pem, "RSA_PSS_SHA_256")
    assert "_check" not in repr(load_public_key(pem))


def test_a_compressed_point_has_the_fingerprint_of_the_plain_one() -> None:
    key = new_key("ECDSA P-256")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    assert load_public_key(compressed_p256(point)).fingerprint == fingerprint(key)


def test_explicit_curve_parameters_are_refused() -> None:
    key = new_key("ECDSA P-256")
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    explicit = explicit_p256(point)
    der = base64.b64decode("".join(explicit.splitlines()[1:-1]))
    # The library parses it as the plain key.
    assert load_der_public_key(der) == key.public_key()
    for read in (load_public_key, allowed_algorithms):
        with pytest.raises(InvalidKeyError, match=r"RFC 5480, 2\.1\.1.*named_curve"):
            read(explicit)


@pytest.mark.parametrize("kind", ["ECDSA P-224", "ECDSA secp256k1"])
def test_other_curves_are_refused(kind: str) -> None:
    with pytest.raises(InvalidKeyError, match="P-256, P-384 or P-521"):
        load_public_key(public_pem(new_key(kind)))


@pytest.mark.parametrize("bits", [1024, 2040])
def test_short_rsa_keys_are_refused(bits: int) -> None:
    with pytest.raises(InvalidKeyError, match=f"{bits} bits is refused; make one of 2048 to 16384"):
        load_public_key(public_pem(new_key(f"RSA {bits}")))


@pytest.mark.parametrize(("n", "e"), [(2**16384 + 1, 65537), (2**16400 + 1, 3)], ids=["16385", "16401"])
def test_enormous_rsa_keys_are_refused(n: int, e: int) -> None:
    with pytest.raises(InvalidKeyError):
        load_public_key(rsa_pem(n, e))


@pytest.mark.parametrize(
    ("n", "e"),
    [
        (2**2047 + 1, 1),
        (2**2047 + 1, 2),
        (2**2047 + 1, 65536),
        (2**2047 + 1, 2**32 + 1),
        (2**2047, 65537),
        (2**2047 + 1, 0),
    ],
    ids=["e 1", "e 2", "e even", "e large", "n even", "e 0"],
)
def test_rsa_numbers_that_no_key_has_are_refused(n: int, e: int) -> None:
    with pytest.raises(InvalidKeyError):
        load_public_key(rsa_pem(n, e))


def test_the_smallest_exponent_that_keys_have_is_accepted() -> None:
    key = rsa.generate_private_key(3, 2048)
    load_public_key(public_pem(key)).verify(sign(key, b"message"), b"message")


@pytest.mark.parametrize(
    "key",
    [
        dsa.generate_private_key(1024).public_key(),  # noqa: S505 - to show that it is refused
        ed448.Ed448PrivateKey.generate().public_key(),
        x25519.X25519PrivateKey.generate().public_key(),
    ],
    ids=["DSA", "Ed448", "X25519"],
)
def test_other_kinds_of_keys_are_refused(key: dsa.DSAPublicKey) -> None:
    with pytest.raises(InvalidKeyError, match="not supported; use an ECDSA key"):
        load_public_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_a_point_off_its_curve_is_refused() -> None:
    der = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + b"\1" * 64
    with pytest.raises(InvalidKeyError, match="not on its curve"):
        load_public_key(pem_of(der))


@pytest.mark.parametrize(
    "raw",
    [bytes(32), b"\1" + bytes(31), b"\xff" * 32, b"\2" + bytes(31), (2**255 - 20).to_bytes(32, "little")],
    ids=["order 4", "order 1", "too large", "not on the curve", "order 2"],
)
def test_weak_or_invalid_ed25519_point_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidKeyError, match="Ed25519 key cannot be one"):
        load_public_key(pem_of(bytes.fromhex("302a300506032b6570032100") + raw))


@settings(max_examples=examples(60), deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_pem_bytes_raise_invalid_key(der: bytes) -> None:
    with pytest.raises(InvalidKeyError):
        load_public_key(pem_of(der))


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from(sorted(DEFAULTS)), st.integers(0, 10_000), st.integers(1, 255))
@example("ECDSA P-256", 26, 2)
@example("ECDSA P-256", 26, 3)
def test_any_changed_key_byte_is_read_or_raises_invalid_key(kind: str, position: int, change: int) -> None:
    der = bytearray(base64.b64decode("".join(public_pem(new_key(kind)).splitlines()[1:-1])))
    der[position % len(der)] ^= change
    try:
        loaded = load_public_key(pem_of(bytes(der)))
    except InvalidKeyError:
        return
    # A key that still loads is another key with another fingerprint, or the same key in its one other encoding.
    same = loaded.fingerprint == fingerprint(new_key(kind))
    assert same == (bytes(der) == in_hybrid_form(new_key(kind)))


def in_hybrid_form(key: PrivateKey) -> bytes | None:
    """Return an ECDSA key with both coordinates, and which of two the second is in the byte before them."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    public = key.public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der.removesuffix(point) + bytes((6 + point[-1] % 2,)) + point[1:]


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from(sorted(DEFAULTS)), st.binary(max_size=300))
def test_no_bytes_are_a_signature(kind: str, signature: bytes) -> None:
    with pytest.raises(VerificationError):
        load_public_key(public_pem(new_key(kind))).verify(signature, b"message")


def test_the_fingerprint_is_the_hash_of_the_der_that_openssl_writes() -> None:
    pem = public_pem(new_key("ECDSA P-256"))
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    assert load_public_key(pem).fingerprint == f"sha256:{hashlib.sha256(der).hexdigest()}"


def test_a_key_can_be_given_another_algorithm_that_fits_it() -> None:
    key = new_key("RSA 2048")
    loaded = load_public_key(public_pem(key)).with_algorithm("RSA_PSS_SHA_384")
    assert loaded == load_public_key(public_pem(key), "RSA_PSS_SHA_384")
    loaded.verify(sign(key, b"message", "RSA_PSS_SHA_384"), b"message")
    with pytest.raises(VerificationError):
        loaded.verify(sign(key, b"message", "RSA_PKCS1_SHA_256"), b"message")


@pytest.mark.parametrize("kind", ["RSA 2048", "ECDSA P-256", "Ed25519"])
def test_a_key_cannot_be_given_an_algorithm_that_does_not_fit_it(kind: str) -> None:
    with pytest.raises(InvalidKeyError, match="does not fit"):
        load_public_key(public_pem(new_key(kind))).with_algorithm("SM2")
