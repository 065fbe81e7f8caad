"""Ed25519ph verifies the example of RFC 8032 and is distinct from plain Ed25519."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import VerificationError
from sealgate.keys.ed25519ph import Ed25519phKey
from sealgate.keys.public_keys import load_public_key
from tests.support.examples import examples
from tests.support.signers.private_keys import public_pem

# RFC 8032, section 7.3.
PRIVATE = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
)
SIGNATURE = bytes.fromhex(
    "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
    "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
)
MESSAGE = b"abc"
ORDER = 2**252 + 27742317777372353535851937790883648493
KEY = load_public_key(public_pem(PRIVATE), "ED25519_PH")


def test_the_example_of_the_rfc_verifies() -> None:
    KEY.verify(SIGNATURE, MESSAGE)


def test_it_is_not_the_plain_algorithm_and_the_plain_one_is_not_it() -> None:
    with pytest.raises(VerificationError):
        load_public_key(public_pem(PRIVATE)).verify(SIGNATURE, MESSAGE)
    with pytest.raises(VerificationError):
        KEY.verify(PRIVATE.sign(MESSAGE), MESSAGE)
    with pytest.raises(VerificationError):
        KEY.verify(PRIVATE.sign(hashlib.sha512(MESSAGE).digest()), MESSAGE)


def test_the_second_spelling_of_a_signature_is_refused() -> None:
    scalar = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    with pytest.raises(VerificationError):
        KEY.verify(SIGNATURE[:32] + scalar.to_bytes(32, "little"), MESSAGE)


@pytest.mark.parametrize("size", [0, 31, 32, 63, 65])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(VerificationError):
        KEY.verify((SIGNATURE + b"\0")[:size], MESSAGE)


@settings(max_examples=examples(50), deadline=None)
@given(st.integers(0, 511), st.binary(max_size=10))
def test_a_changed_bit_or_message_is_refused(bit: int, message: bytes) -> None:
    changed = (int.from_bytes(SIGNATURE, "little") ^ 1 << bit).to_bytes(64, "little")
    with pytest.raises(VerificationError):
        KEY.verify(changed, MESSAGE)
    with pytest.raises(VerificationError):
        KEY.verify(SIGNATURE, MESSAGE + message + b"d")


@settings(max_examples=examples(50), deadline=None)
@given(st.binary(min_size=31, max_size=33), st.binary(min_size=64, max_size=64))
def test_no_random_key_accepts_a_random_signature(raw: bytes, signature: bytes) -> None:
    try:
        key = Ed25519phKey(raw)
    except ValueError:
        return
    with pytest.raises(InvalidSignature):
        key.verify(signature, MESSAGE)
