"""SM2 with SM3: known answers, openssl in both directions, and invalid keys and signatures."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.public_keys import PublicKey, allowed_algorithms, load_public_key
from sealgate.reasons import Reason
from tests.support.builders.key_encodings import pem_of
from tests.support.examples import examples
from tests.support.real_tools.required import require_tool
from tests.support.signers.private_keys import new_key, public_pem, sign
from tests.support.signers.sm2 import B, G, N, P, SM2PrivateKey, multiply, sm3, spki

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parent.parent / "data" / "sm2"
KEY = SM2PrivateKey.generate()
MESSAGE = b"message"
X_WHERE_Y_IS_1 = 0x9C17043EFFE1A805A74A9A5E70B9D659705D3242094A566DC016F49311178D1F
COMPRESSED_PREFIX = bytes.fromhex("3039301306072a8648ce3d020106082a811ccf5501822d032200")

# GB/T 32918.5, annex A.
STANDARD_KEY = spki(
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
)
STANDARD_SIGNATURE = encode_dss_signature(
    0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3,
    0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA,
)


def loaded(key: SM2PrivateKey = KEY, distinguishing_id: str | None = None) -> PublicKey:
    return load_public_key(key.public_pem, None, distinguishing_id)


def refuses(key: PublicKey, signature: bytes, message: bytes = MESSAGE) -> None:
    with pytest.raises(VerificationError, match="not made by the SM2 key") as caught:
        key.verify(signature, message)
    assert caught.value.reason is Reason.INVALID_SIGNATURE


def test_only_the_signature_of_the_standard_verifies() -> None:
    key = load_public_key(pem_of(STANDARD_KEY))
    key.verify(STANDARD_SIGNATURE, b"message digest")
    refuses(key, STANDARD_SIGNATURE, b"message digest.")
    refuses(loaded(), STANDARD_SIGNATURE, b"message digest")


def test_sm2_key_has_the_attributes_of_a_public_key() -> None:
    key = loaded()
    assert (key.kind, key.algorithm, key.distinguishing_id) == ("SM2", Algorithm.SM2, "1234567812345678")
    assert allowed_algorithms(KEY.public_pem) == (Algorithm.SM2,)
    assert load_public_key(KEY.public_pem, "SM2") == key


def test_signature_with_the_configured_distinguishing_id_verifies() -> None:
    loaded().verify(KEY.sign(MESSAGE), MESSAGE)
    loaded(distinguishing_id="release@example.org").verify(KEY.sign(MESSAGE, b"release@example.org"), MESSAGE)
    loaded(distinguishing_id="\u7b7e").verify(KEY.sign(MESSAGE, "\u7b7e".encode()), MESSAGE)


def test_keys_with_different_ids_are_kept_apart() -> None:
    usual, other = loaded(), loaded(distinguishing_id="other")
    assert usual.fingerprint == other.fingerprint
    assert usual != other
    assert usual.content != other.content


@pytest.mark.parametrize("scalar", [1, 2, 3, N - 2])
def test_extreme_keys_verify_like_others(scalar: int) -> None:
    key = SM2PrivateKey(scalar)
    loaded(key).verify(key.sign(MESSAGE), MESSAGE)
    refuses(loaded(key), key.sign(b"another"))


@pytest.mark.parametrize(
    ("what", "forge"),
    [
        ("r is 0", lambda _r, s: (0, s)),
        ("s is 0", lambda r, _s: (r, 0)),
        ("r is n", lambda _r, s: (N, s)),
        ("s is n", lambda r, _s: (r, N)),
        ("r plus n", lambda r, s: (r + N, s)),
        ("s plus n", lambda r, s: (r, s + N)),
        ("r plus s is n", lambda r, _s: (r, N - r)),
        ("n minus s", lambda r, s: (r, N - s)),
        ("swapped", lambda r, s: (s, r)),
    ],
)
def test_numbers_that_no_signature_has_are_refused(what: str, forge: Callable[[int, int], tuple[int, int]]) -> None:
    del what
    refuses(loaded(), encode_dss_signature(*forge(*decode_dss_signature(KEY.sign(MESSAGE)))))


@pytest.mark.parametrize("spoil", [lambda s: s + b"\0", lambda s: s[:-1], lambda _s: b"", lambda s: s[2:]])
def test_signature_that_is_not_der_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    refuses(loaded(), spoil(KEY.sign(MESSAGE)))


def test_raw_numbers_are_refused() -> None:
    r, s = decode_dss_signature(KEY.sign(MESSAGE))
    refuses(loaded(), r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_another_id_is_refused_and_never_tried() -> None:
    for distinguishing_id in (b"", b"other", b"123456781234567"):
        refuses(loaded(), KEY.sign(MESSAGE, distinguishing_id))
    refuses(loaded(distinguishing_id="other"), KEY.sign(MESSAGE))


def test_a_signature_over_the_bare_hash_is_refused() -> None:
    refuses(loaded(), KEY.sign_digest(sm3(MESSAGE)))


def test_point_at_infinity_is_refused() -> None:
    # s * G + t * P is infinity where s is -t * d; then there is no x to compare with.
    t = 5
    s = -t * KEY.scalar % N
    refuses(loaded(), encode_dss_signature((t - s) % N, s))


@pytest.mark.parametrize(
    ("what", "der"),
    [
        ("off the curve", spki(G[0], G[1] ^ 1)),
        # Both points are on the curve, so only their spelling is wrong: two spellings would be two fingerprints.
        ("x is p, for 0", spki(P, pow(B, (P + 1) // 4, P))),
        ("y is p + 1, for 1", spki(X_WHERE_Y_IS_1, P + 1)),
        ("zero", spki(0, 0)),
        ("trailing bytes", KEY.public_der + b"\0"),
        ("too short", KEY.public_der[:-1]),
        (
            "a point of P-256",
            KEY.public_der[:27] + load_public_key(public_pem(new_key("ECDSA P-256"))).fingerprint.encode()[:64],
        ),
        ("compressed", COMPRESSED_PREFIX + b"\x02" + KEY.public_der[27:59]),
    ],
)
def test_invalid_sm2_key_is_refused(what: str, der: bytes) -> None:
    del what
    with pytest.raises(InvalidKeyError, match="the SM2 key cannot be used"):
        load_public_key(pem_of(der))


def test_points_with_refused_other_encodings_are_keys() -> None:
    for point in ((0, pow(B, (P + 1) // 4, P)), (X_WHERE_Y_IS_1, 1)):
        assert load_public_key(pem_of(spki(*point))).kind == "SM2"


def test_a_p256_key_labelled_sm2_and_the_other_way_round_are_refused() -> None:
    p256 = new_key("ECDSA P-256")
    assert isinstance(p256, ec.EllipticCurvePrivateKey)
    numbers = p256.public_key().public_numbers()
    with pytest.raises(InvalidKeyError, match="not on the curve"):
        load_public_key(pem_of(spki(numbers.x, numbers.y)))
    labelled = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + KEY.public_der[26:]
    with pytest.raises(InvalidKeyError, match="not on its curve"):
        load_public_key(pem_of(labelled))


def test_sm2_and_other_algorithms_do_not_mix() -> None:
    with pytest.raises(InvalidKeyError, match="ECDSA_SHA_256 does not fit this SM2 key; it can have SM2"):
        load_public_key(KEY.public_pem, "ECDSA_SHA_256")
    with pytest.raises(InvalidKeyError, match="SM2 does not fit this ECDSA P-256 key"):
        load_public_key(public_pem(new_key("ECDSA P-256")), "SM2")
    refuses(loaded(), sign(new_key("ECDSA P-256"), MESSAGE))


@pytest.mark.parametrize("distinguishing_id", ["", "x" * 129, "\u7b7e" * 43])
def test_an_id_has_1_to_128_bytes(distinguishing_id: str) -> None:
    with pytest.raises(InvalidKeyError, match="1 to 128 bytes"):
        load_public_key(KEY.public_pem, "SM2", distinguishing_id)


def test_no_other_key_has_an_id() -> None:
    with pytest.raises(InvalidKeyError, match="only SM2 keys have a distinguishing id"):
        load_public_key(public_pem(new_key("ECDSA P-256")), None, "1234567812345678")


def test_openssl_signature_verifies_only_with_its_id() -> None:
    pem, message = (DATA / "key.pub").read_text(), (DATA / "message.txt").read_bytes()
    usual, other, empty = (DATA.joinpath(f"{name}.sig").read_bytes() for name in ("usual-id", "other-id", "empty-id"))
    load_public_key(pem).verify(usual, message)
    load_public_key(pem, "SM2", "release@example.org").verify(other, message)
    for signature in (other, empty):
        refuses(load_public_key(pem), signature, message)


@settings(max_examples=examples(40), deadline=None)
@given(signature=st.binary(max_size=80))
def test_no_bytes_break_the_verifier(signature: bytes) -> None:
    refuses(loaded(), signature)


@settings(max_examples=examples(60), deadline=None)
@given(at=st.integers(0, 90), value=st.integers(0, 255))
def test_a_key_with_any_byte_changed_is_refused_or_another_key(at: int, value: int) -> None:
    der = bytearray(KEY.public_der)
    der[at] ^= value or 1
    with pytest.raises(InvalidKeyError):
        load_public_key(pem_of(bytes(der)))


@pytest.mark.real
def test_openssl_and_sealgate_accept_each_others_sm2_signatures(tmp_path: Path) -> None:
    openssl = require_tool("openssl")

    def run(*arguments: str) -> str:
        return subprocess.run([openssl, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    distid = ("-sigopt", "distid:1234567812345678")
    stranger = loaded()
    for number in range(examples(100)):
        message = f"message {number}".encode()
        (tmp_path / "message").write_bytes(message)
        run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", "key")
        public = load_public_key(run("pkey", "-in", "key", "-pubout"))
        run("dgst", "-sm3", "-sign", "key", *distid, "-out", "signature", "message")
        signature = (tmp_path / "signature").read_bytes()
        public.verify(signature, message)
        refuses(public, signature, message + b".")
        refuses(stranger, signature, message)

        own = SM2PrivateKey.generate()
        (tmp_path / "public").write_text(own.public_pem)
        (tmp_path / "signature").write_bytes(own.sign(message))
        run("dgst", "-sm3", "-verify", "public", *distid, "-signature", "signature", "message")


def test_the_test_signer_agrees_with_the_standard() -> None:
    standard = SM2PrivateKey(0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8)
    assert standard.public_der == STANDARD_KEY
    assert standard.z().hex() == "b2e14c5c79c6df5b85f4fe7ed8db7a262b9da7e07ccb0ea9f4747b8ccda8a4f3"
    assert multiply(N, G) is None


def test_an_sm2_key_has_no_other_algorithm() -> None:
    assert loaded().with_algorithm("SM2") == loaded()
    with pytest.raises(InvalidKeyError, match="does not fit this SM2 key"):
        loaded().with_algorithm("ECDSA_SHA_256")
