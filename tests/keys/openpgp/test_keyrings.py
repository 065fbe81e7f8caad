"""Loading of keyrings: accepted keys, and defects that make an object invalid."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidKeyError
from sealgate.keys.openpgp.keyring import MAX_CERTIFICATES, MAX_KEYRING_BYTES, load_keyring
from sealgate.keys.openpgp.packets import armored_blocks
from tests.support.examples import examples
from tests.support.signers.simple_signing import Signer, armored_key, keyring, message, packet


def refusal(data: str | bytes) -> str:
    with pytest.raises(InvalidKeyError) as caught:
        load_keyring(data)
    return caught.value.message


def binary(name: str) -> bytes:
    ((_, content),) = armored_blocks(armored_key(name).encode())
    return content


def test_armored_blocks_after_one_another_are_one_keyring() -> None:
    text = "Ops team:\n" + armored_key("ed25519") + "\nSecurity:\n" + armored_key("rsa-2048").replace("\n", "\r\n")
    assert load_keyring(text).fingerprints == keyring("ed25519", "rsa-2048").fingerprints


def test_a_binary_keyring_is_read_as_well() -> None:
    assert (
        load_keyring(binary("ed25519") + binary("rsa-2048")).fingerprints == keyring("ed25519", "rsa-2048").fingerprints
    )


def test_the_same_certificate_twice_counts_once() -> None:
    assert len(load_keyring(armored_key("ed25519") * 3).fingerprints) == 1


def test_fingerprints_are_forty_upper_case_hex_digits() -> None:
    (fingerprint,) = keyring("ed25519").fingerprints
    assert len(fingerprint) == 40
    assert set(fingerprint) <= set("0123456789ABCDEF")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("rsa-1024-too-short", "RSA 1024"),
        ("dsa-1024-too-short", "DSA 1024"),
        ("subkey-rsa-1024-too-short", "RSA 1024"),
        ("ecdsa-secp256k1-unsupported-curve", "ECDSA on another curve"),
        ("ecdsa-brainpool-unsupported-curve", "ECDSA on another curve"),
        ("no-key-that-signs", "no key that signs"),
    ],
)
def test_weak_or_unusable_key_makes_the_keyring_invalid(name: str, what: str) -> None:
    assert what in refusal(armored_key(name))
    assert what in refusal(armored_key("ed25519") + armored_key(name))


@pytest.mark.parametrize("name", ["expired", "subkey-expired", "revoked-as-superseded", "revoked-without-reason"])
def test_expired_or_revoked_key_keeps_the_keyring_valid(name: str) -> None:
    assert len(load_keyring(armored_key(name)).fingerprints) == 1


def test_a_secret_key_is_refused_and_not_repeated() -> None:
    secret = Signer().secret
    text = refusal(secret)
    assert "PUBLIC KEY BLOCK" in text
    mislabelled = secret.replace("PRIVATE KEY BLOCK", "PUBLIC KEY BLOCK")
    assert "secret key" in refusal(mislabelled)
    assert "secret key" in refusal(armored_blocks(secret.encode())[0][1])
    assert secret.splitlines()[5] not in text


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "binary, or armored"),
        (b"hello", "binary, or armored"),
        ("-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n", "binary, or armored"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n", "0 certificates"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", "does not end"),
        (b"\xff" * 10, "cut short"),
        (message("good-ed25519"), "do not belong"),
        (message("good-uncompressed"), "do not belong"),
        (packet(6, b""), "version 4"),
        (packet(6, b"\x03" + bytes(20)), "version 4"),
        (packet(13, b"only a user id"), "begin with a public key"),
        (b" " * (MAX_KEYRING_BYTES + 1), "larger than"),
        (packet(12, b"") * 20_001, "more than"),
    ],
)
def test_data_that_is_not_a_keyring_is_refused(data: str | bytes, what: str) -> None:
    assert what in refusal(data)


def test_a_message_among_the_keys_is_refused() -> None:
    assert "nothing else" in refusal(armored_key("ed25519").encode() + message("armored"))


def test_a_certificate_cut_short_is_refused() -> None:
    assert refusal(binary("ed25519")[:-10])


def test_a_certificate_without_its_self_signature_is_refused() -> None:
    whole = binary("ed25519")
    key_alone = whole[: 2 + whole[1]]
    assert "not a certificate" in refusal(key_alone)


def test_a_certificate_with_a_broken_self_signature_is_refused() -> None:
    broken = bytearray(binary("ed25519"))
    broken[-1] ^= 1
    assert "not a certificate" in refusal(bytes(broken))


def test_too_many_certificates_are_refused() -> None:
    many = "".join(Signer().public for _ in range(MAX_CERTIFICATES + 1))
    assert f"at most {MAX_CERTIFICATES}" in refusal(many)


@pytest.mark.parametrize("text", ["", "DEADBEEF", "0xDEADBEEFDEADBEEF", "z" * 40])
def test_pin_that_is_not_a_full_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(InvalidKeyError, match="40 hex digits"):
        keyring("ed25519").only([text])


def test_a_pin_on_a_key_that_is_not_in_the_keyring_is_refused() -> None:
    with pytest.raises(InvalidKeyError, match="not the primary key"):
        keyring("ed25519").only(keyring("stranger").fingerprints)


def test_a_pin_may_be_written_as_gpg_prints_it() -> None:
    ring = keyring("ed25519", "stranger")
    (wanted, _) = ring.fingerprints
    spaced = " ".join(wanted[at : at + 4] for at in range(0, 40, 4)).lower()
    assert ring.only([spaced]).fingerprints == (wanted,)


@settings(max_examples=examples(150), deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(1, 255))
def test_changed_keyring_byte_is_read_or_raises_invalid_key(at: int, value: int) -> None:
    changed = bytearray(binary("signing-subkey"))
    changed[at % len(changed)] ^= value
    with suppress(InvalidKeyError):
        load_keyring(bytes(changed))
