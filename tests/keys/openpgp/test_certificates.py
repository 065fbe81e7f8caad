"""Statements of a certificate about its keys, and when they are accepted."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.openpgp.certificates import Certificate, LibraryError, library_errors, read_certificates
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.openpgp.packets import read_packets, read_self_signature, read_signature
from sealgate.keys.openpgp.signatures import read_key
from sealgate.reasons import Reason
from tests.support.signers.simple_signing import BEFORE_SPOILT, DATA, Signer, keyring, keyring_packets, message, packet

NOW = datetime(2025, 1, 1, tzinfo=UTC)
EDDSA, ECDSA, RSA, DSA = 22, 19, 1, 17


def number(value: int) -> bytes:
    return value.bit_length().to_bytes(2, "big") + value.to_bytes((value.bit_length() + 7) // 8, "big")


def key_body(algorithm: int, material: bytes, version: int = 4) -> bytes:
    return bytes([version]) + bytes(4) + bytes([algorithm]) + material


def curve(oid: str, point: bytes) -> bytes:
    return bytes([len(oid) // 2]) + bytes.fromhex(oid) + number(int.from_bytes(point, "big"))


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (key_body(RSA, number(2**2047 + 1) + number(65537), version=6), "not of version 4"),
        (key_body(RSA, number(2**2047 - 1) + number(65537)), "is RSA 2047"),
        (key_body(RSA, number(2**2047 + 1)), "malformed"),
        (key_body(RSA, number(2**2047 + 1) + number(65537) + b"\0"), "malformed"),
        (key_body(RSA, number(2**2047 + 1) + number(2)), "malformed"),
        (key_body(DSA, number(2**2047 + 1) + number(3) + number(5) + number(7)), "malformed"),
        (key_body(ECDSA, curve("2a8648ce3d030107", b"\x04" + bytes(64))), "malformed"),
        (key_body(ECDSA, curve("2b8104000a", b"\x04" + bytes(64))), "ECDSA on another curve"),
        (key_body(ECDSA, b""), "malformed"),
        (key_body(EDDSA, curve("2b6571", b"\x40" + bytes(57))), "EdDSA on another curve"),
        (key_body(EDDSA, curve("2b06010401da470f01", b"\x40" + bytes(31))), "malformed"),
        (key_body(20, b"\0"), "is of algorithm 20"),
        (b"\x04", "malformed"),
    ],
)
def test_a_key_of_an_unaccepted_or_broken_kind_is_refused_by_name(body: bytes, what: str) -> None:
    with pytest.raises(InvalidKeyError, match=what):
        read_key(body)


@pytest.mark.parametrize("kind", [0x20, 0x28])
def test_a_revocation_too_old_to_be_read_still_revokes(kind: int) -> None:
    packets = keyring_packets("signing-subkey")
    revocation = packet(2, b"\x03\x05" + bytes([kind]) + bytes(20))
    for at in (1, len(packets)):
        spoilt = load_keyring(b"".join([*packets[:at], revocation, *packets[at:]]))
        with pytest.raises(VerificationError) as caught:
            spoilt.verify(message("good-signing-subkey"), NOW)
        assert caught.value.reason is Reason.REVOKED


def test_unreadable_signature_of_another_kind_is_ignored() -> None:
    stray = packet(2, b"\x03\x05\x10" + bytes(20))
    ring = load_keyring(b"".join([*keyring_packets("signing-subkey"), stray]))
    assert ring.verify(message("good-signing-subkey"), NOW).primary_fingerprint == ring.fingerprints[0]


def test_misplaced_revocation_still_revokes() -> None:
    packets = keyring_packets("subkey-revoked-as-retired")
    at = next(index for index, found in enumerate(packets) if read_packets(found)[0].body[1] == 0x28)
    elsewhere = [packets[0], packets[at], *packets[1:at], *packets[at + 1 :]]
    with pytest.raises(VerificationError) as caught:
        load_keyring(b"".join(elsewhere)).verify(message("by-subkey-revoked-as-retired"), NOW)
    assert caught.value.reason is Reason.REVOKED


def test_revocation_by_a_foreign_key_is_ignored() -> None:
    revocation = next(
        found
        for found in keyring_packets("subkey-revoked-as-retired")
        if found[0] & 0x3F == 2 and read_packets(found)[0].body[1] == 0x28
    )
    ring = load_keyring(b"".join([*keyring_packets("signing-subkey"), revocation]))
    assert ring.verify(message("good-signing-subkey"), NOW).primary_fingerprint == ring.fingerprints[0]


def test_a_subkey_that_did_not_agree_to_be_bound_is_not_used() -> None:
    packets = keyring_packets("signing-subkey")
    for embedded in (b"", b"\x03" + bytes(20), embedded_in(packets[-1])[:-1] + b"\0"):
        bare = b"".join([*packets[:-1], without_embedded(packets[-1], embedded)])
        ring_error = "no key that signs"
        with pytest.raises(InvalidKeyError, match=ring_error):
            load_keyring(bare)


def embedded_in(binding: bytes) -> bytes:
    return read_signature(read_packets(binding)[0].body).embedded[0]


def without_embedded(binding: bytes, replacement: bytes) -> bytes:
    """The binding with another counter-signature in its unhashed part, which no signature covers."""
    (found,) = read_packets(binding)
    end = 6 + int.from_bytes(found.body[4:6], "big")
    size = int.from_bytes(found.body[end : end + 2], "big")
    unhashed = bytes([255]) + (len(replacement) + 1).to_bytes(4, "big") + b"\x20" + replacement
    return packet(2, found.body[:end] + len(unhashed).to_bytes(2, "big") + unhashed + found.body[end + 2 + size :])


def test_a_key_of_another_version_is_refused() -> None:
    import pysequoia

    secret = pysequoia.Tsk.generate(user_id="six", profile=pysequoia.Profile.RFC9580)
    with pytest.raises(InvalidKeyError, match="not of version 4"):
        load_keyring(str(secret.extract_certificate()))


def test_a_signature_of_another_algorithm_than_the_key_is_refused() -> None:
    signer = Signer()
    (certificate,) = read_certificates(read_packets(bytes(signer.certificate), 100))
    signature = read_signature(read_packets(signer.sign(b"x"))[2].body)
    key = certificate.keys[1].key
    key.check(signature, b"x")
    with pytest.raises(VerificationError, match="another algorithm"):
        key.check(replace(signature, algorithm=RSA), b"x")
    with pytest.raises(VerificationError, match="not by key"):
        key.check(replace(signature, numbers=number(2**300) + number(1)), b"x")
    with pytest.raises(VerificationError, match="cut short"):
        key.check(replace(signature, numbers=number(1)), b"x")


@pytest.mark.parametrize("body", [b"\x04", b"\x04\0\x16\x08\0\0", b"\x04\0\x16\x08\0\x01\0\0\0\0\0"])
def test_a_signature_packet_cut_short_is_refused(body: bytes) -> None:
    with pytest.raises(VerificationError):
        read_signature(body)


@pytest.mark.parametrize(
    "subpackets",
    [
        b"",
        b"\x05\x02\0\0\0\1\x05\x02\0\0\0\2",
        b"\x04\x02\0\0\1",
        b"\x05\x02\0\0\0\1\x05\x03\0\0\0\1\x05\x03\0\0\0\2",
    ],
    ids=["no time", "two times", "short time", "two expiries"],
)
def test_a_signature_whose_times_are_ambiguous_is_refused(subpackets: bytes) -> None:
    with pytest.raises(VerificationError, match=r"ambiguous|when it was made"):
        read_signature(b"\x04\0\x16\x08" + len(subpackets).to_bytes(2, "big") + subpackets + bytes(4))


@pytest.mark.parametrize("kind", [3, 9])
def test_time_of_another_size_is_ambiguous(kind: int) -> None:
    subpackets = b"\x05\x02\0\0\0\1" + bytes([22, kind]) + b"\xff" * 21
    signature = read_self_signature(b"\x04\0\x16\x08" + len(subpackets).to_bytes(2, "big") + subpackets + bytes(4))
    assert signature.ambiguous
    assert signature.expires is None
    assert kind not in signature.hashed


def test_subpackets_with_two_octet_lengths_are_read() -> None:
    long = bytes([192, 8]) + b"\x1a" + bytes(199)
    subpackets = b"\x05\x02\0\0\0\1" + long
    signature = read_signature(b"\x04\0\x16\x08" + len(subpackets).to_bytes(2, "big") + subpackets + bytes(4))
    assert len(signature.hashed[0x1A]) == 199
    assert signature.expires is None


class FaultyCert:
    """The library's certificate on the day its rules have left it behind."""

    @property
    def expiration(self) -> None:
        raise RuntimeError("Policy rejected asymmetric algorithm\n\nStack backtrace:\n 0: long")

    @property
    def is_revoked(self) -> bool:
        return False


def test_certificate_rejected_by_the_library_is_not_used() -> None:
    (good,) = read_certificates(read_packets(bytes(Signer().certificate), 100))
    aged = Certificate(FaultyCert(), good.fingerprint, good.keys)  # type: ignore[arg-type]  # the library's, on another day
    with pytest.raises(VerificationError, match=r"no longer accepted: Policy rejected asymmetric algorithm$"):
        aged.require_current(good.keys[1], datetime.now(UTC))


def test_a_panic_of_the_library_is_an_error_like_any_other() -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
    with pytest.raises(LibraryError), library_errors():
        raise panic


def test_foreign_exceptions_pass_through() -> None:
    with contextlib.suppress(KeyboardInterrupt), library_errors():
        raise KeyboardInterrupt


def test_a_keyring_that_was_extended_needs_no_library_of_the_past() -> None:
    ring = keyring("subkey-expired-then-extended")
    assert ring.verify(message("by-subkey-expired"), NOW).primary_fingerprint == ring.fingerprints[0]


def test_certificate_bound_only_by_sha1_is_refused_with_a_reason() -> None:
    with pytest.raises(InvalidKeyError, match="SHA-1"):
        keyring("self-signed-with-sha1")


@pytest.mark.parametrize("now", [BEFORE_SPOILT, NOW], ids=["said ahead of time", "said before"])
def test_a_subkey_that_may_no_longer_sign_is_not_used(now: datetime) -> None:
    ring = load_keyring((DATA / "keys" / "subkey-may-no-longer-sign.pgp").read_bytes())
    with pytest.raises(VerificationError, match="may not sign"):
        ring.verify(message("by-subkey-that-may-no-longer-sign"), now)


def test_endorsement_with_an_unknown_hash_does_not_count() -> None:
    (certificate,) = read_certificates(read_packets(b"".join(keyring_packets("ed25519")), 100))
    endorsement = certificate.keys[0].endorsements[0].fields
    assert not certificate.keys[0].key.endorses(replace(endorsement, hash_algorithm=99), b"")


def test_trust_packets_of_an_internal_keyring_are_passed_over() -> None:
    packets = keyring_packets("ed25519")
    ring = load_keyring(b"".join([packets[0], packet(12, b"x"), *packets[1:], packet(12, b"x")]))
    assert ring.fingerprints == keyring("ed25519").fingerprints


def test_a_key_made_by_a_clock_a_little_ahead_is_used() -> None:
    signer = Signer()
    data = signer.sign(b"x")
    ring = load_keyring(signer.public)
    assert ring.verify(data, datetime.now(UTC) - timedelta(minutes=4)).payload == b"x"
    with pytest.raises(VerificationError, match="from the future"):
        ring.verify(data, datetime.now(UTC) - timedelta(minutes=10))
