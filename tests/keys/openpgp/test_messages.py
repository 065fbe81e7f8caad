"""Messages signed by OpenPGP keys: those that verify, and those that are refused."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import VerificationError
from sealgate.keys.openpgp.keyring import Keyring, load_keyring
from sealgate.keys.openpgp.packets import MAX_MESSAGE_BYTES, Packet, read_packets, read_signed_message
from sealgate.reasons import Reason
from tests.support.examples import examples
from tests.support.signers.simple_signing import (
    AFTER_SPOILT,
    BEFORE_SPOILT,
    REFERENCE,
    Signer,
    compressed,
    keyring,
    keyring_packets,
    message,
    packet,
)

NOW = datetime(2025, 1, 1, tzinfo=UTC)
TRUSTED = ("ed25519", "rsa-2048", "signing-subkey")


def refusal(ring: Keyring, data: bytes, now: datetime = NOW) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        ring.verify(data, now)
    return caught.value


def accept(ring: Keyring, data: bytes, now: datetime = NOW) -> None:
    assert ring.verify(data, now).signing_fingerprint in {state.fingerprint for state in ring.states(now)}


@pytest.mark.parametrize(
    "name", ["rsa-2048", "rsa-3072", "dsa-2048", "ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"]
)
def test_a_message_by_a_key_of_each_kind_is_verified(name: str) -> None:
    ring = keyring(name)
    verified = ring.verify(message(f"good-{name}"), NOW)
    assert REFERENCE.encode() in verified.payload
    assert verified.signing_fingerprint == verified.primary_fingerprint == ring.fingerprints[0]


def test_subkey_signature_names_the_subkey_and_its_primary_key() -> None:
    ring = keyring("signing-subkey")
    verified = ring.verify(message("good-signing-subkey"), NOW)
    assert verified.primary_fingerprint == ring.fingerprints[0]
    assert verified.signing_fingerprint != verified.primary_fingerprint
    assert verified.signing_fingerprint in {state.fingerprint for state in ring.states(NOW)}


@pytest.mark.parametrize("name", ["zip", "zlib", "bzip2", "uncompressed"])
def test_message_with_any_known_compression_is_verified(name: str) -> None:
    assert REFERENCE.encode() in keyring("ed25519").verify(message(f"good-{name}"), NOW).payload


def test_non_critical_notation_is_ignored() -> None:
    accept(keyring("ed25519"), message("notation"))


def test_a_message_by_skopeo_is_verified() -> None:
    assert REFERENCE.encode() in keyring("skopeo").verify(message("skopeo-tag"), NOW).payload


def test_the_right_certificate_is_found_among_several() -> None:
    ring = keyring(*TRUSTED)
    for name, fingerprint in zip(TRUSTED, ring.fingerprints, strict=True):
        assert ring.verify(message(f"good-{name}"), NOW).primary_fingerprint == fingerprint


def test_a_signature_made_by_the_library_itself_is_verified() -> None:
    signer = Signer()
    verified = load_keyring(signer.public).verify(signer.sign(b"hello"), datetime.now(UTC))
    assert verified.payload == b"hello"
    assert verified.primary_fingerprint == signer.fingerprint


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("armored", Reason.MALFORMED_EVIDENCE),
        ("cleartext", Reason.MALFORMED_EVIDENCE),
        ("detached", Reason.MALFORMED_EVIDENCE),
        ("armored-detached", Reason.MALFORMED_EVIDENCE),
        ("two-signatures", Reason.MALFORMED_EVIDENCE),
        ("no-signature", Reason.MALFORMED_EVIDENCE),
        ("text-mode", Reason.MALFORMED_EVIDENCE),
        ("encrypted", Reason.MALFORMED_EVIDENCE),
        ("cut-short", Reason.MALFORMED_EVIDENCE),
        ("followed-by-bytes", Reason.MALFORMED_EVIDENCE),
        ("followed-by-another", Reason.MALFORMED_EVIDENCE),
        ("empty", Reason.MALFORMED_EVIDENCE),
        ("one-byte-changed", Reason.INVALID_SIGNATURE),
        ("sha1-digest", Reason.INVALID_SIGNATURE),
        ("ripemd160-digest", Reason.INVALID_SIGNATURE),
        ("critical-notation", Reason.INVALID_SIGNATURE),
        ("older-than-its-key", Reason.INVALID_SIGNATURE),
        ("expired-signature", Reason.EXPIRED),
        ("by-stranger", Reason.UNKNOWN_KEY),
        ("by-rsa-1024-too-short", Reason.UNKNOWN_KEY),
    ],
)
def test_a_message_that_is_not_one_good_binary_signature_is_refused(name: str, reason: Reason) -> None:
    assert refusal(keyring(*TRUSTED), message(name)).reason is reason


@pytest.mark.parametrize("form", [b"t", b"u", b"l", b"1"])
def test_message_with_text_content_is_refused(form: bytes) -> None:
    """The signature does not cover the type of the content, so it can be changed without the key."""
    one_pass, literal, signature = read_packets(message("good-uncompressed"))
    renamed = bytes(Packet(literal.tag, form + literal.body[1:]))
    whole = bytes(one_pass) + bytes(literal) + bytes(signature)
    assert keyring("ed25519").verify(whole, NOW).payload
    changed = bytes(one_pass) + renamed + bytes(signature)
    assert refusal(keyring("ed25519"), changed).reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("why", ["without-reason", "as-compromised", "as-superseded", "as-retired"])
@pytest.mark.parametrize("which", ["revoked", "subkey-revoked"])
def test_revoked_key_is_never_used_for_any_revocation_reason(which: str, why: str) -> None:
    error = refusal(keyring(f"{which}-{why}"), message(f"by-{which}-{why}"))
    assert error.reason is Reason.REVOKED
    assert "revoked" in error.message


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("expired", "by-expired"),
        ("subkey-expired", "by-subkey-expired"),
        ("primary-expired", "by-subkey-of-primary-expired"),
    ],
)
def test_an_expired_key_is_used_until_it_expires_and_not_after(key: str, data: str) -> None:
    ring = keyring(key)
    accept(ring, message(data), BEFORE_SPOILT)
    assert ring.verify(message(data), BEFORE_SPOILT).valid_until == datetime(2024, 7, 1, tzinfo=UTC)
    error = refusal(ring, message(data), AFTER_SPOILT)
    assert error.reason is Reason.EXPIRED
    assert "expired at 2024-07-01 00:00" in error.message


@pytest.mark.parametrize("which", ["expired", "subkey-expired"])
def test_extended_key_verifies_its_earlier_signatures(which: str) -> None:
    ring = keyring(f"{which}-then-extended")
    accept(ring, message(f"by-{which}"), AFTER_SPOILT)


@pytest.mark.parametrize("which", ["expired", "subkey-expired"])
def test_extended_key_does_not_verify_a_changed_message(which: str) -> None:
    """The library refuses these in any case, so its verdict is not about the signature itself."""
    one_pass, literal, signature = read_packets(read_signed_message(message(f"by-{which}")).data)
    forged = bytes(Packet(literal.tag, literal.body.replace(b":1.4", b":1.5")))
    error = refusal(keyring(f"{which}-then-extended"), bytes(one_pass) + forged + bytes(signature), AFTER_SPOILT)
    assert error.reason is Reason.INVALID_SIGNATURE
    assert "is not by key" in error.message


def test_unknown_critical_subpacket_is_refused_on_an_extended_key() -> None:
    error = refusal(keyring("expired-then-extended"), message("by-expired-critical-notation"), AFTER_SPOILT)
    assert error.reason is Reason.INVALID_SIGNATURE


@pytest.mark.parametrize("which", ["expired", "subkey-expired"])
def test_an_old_and_a_new_export_of_one_key_count_as_one_certificate(which: str) -> None:
    ring = keyring(which, f"{which}-then-extended")
    assert len(ring.fingerprints) == 1
    accept(ring, message(f"by-{which}"), AFTER_SPOILT)


def test_extension_not_signed_by_the_primary_key_is_ignored() -> None:
    extended = keyring_packets("subkey-expired-then-extended")
    forged = bytearray(extended[-1])
    forged[-1] ^= 1
    ring = load_keyring(b"".join([*keyring_packets("subkey-expired"), bytes(forged)]))
    accept(ring, message("by-subkey-expired"), BEFORE_SPOILT)
    assert refusal(ring, message("by-subkey-expired"), AFTER_SPOILT).reason is Reason.EXPIRED


def test_a_subkey_that_the_primary_key_did_not_bind_is_not_used() -> None:
    packets = keyring_packets("subkey-expired-then-extended")
    forged = bytearray(packets[-1])
    forged[-1] ^= 1
    ring = load_keyring(b"".join([*keyring_packets("ed25519"), *packets[-2:-1], bytes(forged)]))
    error = refusal(ring, message("by-subkey-expired"))
    assert error.reason is Reason.INVALID_SIGNATURE
    assert "may not sign" in error.message


def test_a_signature_that_expires_is_good_until_then() -> None:
    # The library judges by the machine's clock, so "until then" can only be seen as the reason that changes.
    ring = keyring("ed25519")
    assert refusal(ring, message("expired-signature"), AFTER_SPOILT).reason is Reason.EXPIRED
    assert refusal(ring, message("expired-signature"), BEFORE_SPOILT).reason is Reason.INVALID_SIGNATURE


def test_a_signature_from_the_future_is_refused() -> None:
    error = refusal(keyring("ed25519"), message("good-ed25519"), datetime(2024, 5, 1, tzinfo=UTC))
    assert "from the future" in error.message


def test_a_signers_clock_may_be_a_little_ahead() -> None:
    accept(keyring("ed25519"), message("good-ed25519"), datetime(2024, 5, 31, 23, 58, tzinfo=UTC))


def test_a_key_from_the_future_is_refused() -> None:
    error = refusal(keyring("ed25519"), message("good-ed25519"), datetime(2023, 5, 1, tzinfo=UTC))
    assert error.reason is Reason.INVALID_SIGNATURE


def test_hostile_file_name_in_the_message_is_ignored() -> None:
    verified = keyring("ed25519").verify(message("hostile-file-name"), NOW)
    assert verified.payload == keyring("ed25519").verify(message("good-ed25519"), NOW).payload


def test_only_pinned_certificates_count() -> None:
    ring = keyring(*TRUSTED)
    pinned = ring.only([ring.fingerprints[1].lower()])
    accept(pinned, message("good-rsa-2048"), NOW)
    assert refusal(pinned, message("good-ed25519")).reason is Reason.UNKNOWN_KEY


def test_refusal_names_the_unknown_key() -> None:
    error = refusal(keyring("ed25519"), message("by-stranger"))
    assert keyring("stranger").fingerprints[0] in error.message


def test_an_armored_message_is_verified_where_a_format_stores_it_so() -> None:
    ring = keyring("ed25519")
    assert REFERENCE.encode() in ring.verify_armored(message("armored"), NOW).payload


@pytest.mark.parametrize("name", ["cleartext", "armored-detached", "good-ed25519", "empty"])
def test_only_a_single_armored_message_is_verified(name: str) -> None:
    with pytest.raises(VerificationError) as caught:
        keyring("ed25519").verify_armored(message(name), NOW)
    assert caught.value.reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + text,
        lambda text: text.replace(b"-----END PGP MESSAGE-----", b""),
        lambda text: text.replace(b"\n\n", b"\n"),
        lambda text: text.replace(b"\n\n", b"\n\n*"),
        lambda text: b" " * (2 * MAX_MESSAGE_BYTES) + text,
    ],
    ids=["twice", "no-end", "no-blank-line", "not-base64", "too-large"],
)
def test_broken_armor_is_refused(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(VerificationError):
        keyring("ed25519").verify_armored(spoil(message("armored")), NOW)


def test_a_message_larger_than_the_limit_is_refused_unread() -> None:
    assert refusal(keyring("ed25519"), b"\xa3" * (MAX_MESSAGE_BYTES + 1)).reason is Reason.EVIDENCE_TOO_LARGE


@pytest.mark.parametrize("algorithm", [1, 2, 3])
def test_decompression_bomb_stays_within_the_memory_limit(algorithm: int) -> None:
    ring = keyring("ed25519")
    bomb = compressed(packet(11, b"b\0\0\0\0\0" + bytes(100 << 20)), algorithm)
    assert len(bomb) < MAX_MESSAGE_BYTES
    gc.collect()
    tracemalloc.start()
    try:
        assert refusal(ring, bomb).reason is Reason.EVIDENCE_TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 8 * MAX_MESSAGE_BYTES
    finally:
        tracemalloc.stop()


def test_a_thousand_packets_are_refused_at_the_fourth() -> None:
    assert "more than 3 packets" in refusal(keyring("ed25519"), packet(2, b"") * 1000).message


def test_compression_inside_compression_is_refused() -> None:
    inner = message("good-uncompressed")
    accept(keyring("ed25519"), compressed(inner), NOW)
    assert refusal(keyring("ed25519"), compressed(compressed(inner))).reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("algorithm", [0, 1, 2, 3])
def test_trailing_data_after_compression_is_refused(algorithm: int) -> None:
    good = compressed(message("good-uncompressed"), algorithm)
    accept(keyring("ed25519"), good, NOW)
    body = good[6:]
    assert refusal(keyring("ed25519"), packet(8, body + b"\0")).reason is Reason.MALFORMED_EVIDENCE
    assert refusal(keyring("ed25519"), packet(8, body[:-1])).reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("body", [b"", b"\x04abc", b"\x01\xff\xff", b"\x02\xff\xff", b"\x03\xff\xff"])
def test_invalid_compression_is_refused(body: bytes) -> None:
    assert refusal(keyring("ed25519"), packet(8, body)).reason is Reason.MALFORMED_EVIDENCE


def test_message_with_partial_lengths_is_read() -> None:
    once, literal, signature = read_packets(message("good-uncompressed"))
    parts = b"\xcb\xe7" + literal.body[:128] + b"\xe7" + literal.body[128:256] + bytes([len(literal.body) - 256])
    data = bytes(once) + parts + literal.body[256:] + bytes(signature)
    accept(keyring("ed25519"), data)


def test_only_binary_document_signatures_are_accepted() -> None:
    once, literal, signature = read_packets(message("good-uncompressed"))
    text = signature.body[:1] + b"\x01" + signature.body[2:]
    error = refusal(keyring("ed25519"), bytes(once) + bytes(literal) + packet(2, text))
    assert "binary document" in error.message


@settings(max_examples=examples(150), deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(1, 255))
def test_changed_byte_never_verifies_as_another_payload(at: int, value: int) -> None:
    good = message("good-uncompressed")
    expected = keyring("ed25519").verify(good, NOW)
    changed = bytearray(good)
    changed[at % len(good)] ^= value
    try:
        found = keyring("ed25519").verify(bytes(changed), NOW)
    except VerificationError:
        return
    # Data outside the signature (such as the file name) may differ; the signed data may not.
    assert found == expected


@settings(max_examples=examples(150), deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_with_a_reason(data: bytes) -> None:
    error = refusal(keyring("ed25519"), b"\x90" + data)
    assert error.reason in {Reason.MALFORMED_EVIDENCE, Reason.UNKNOWN_KEY, Reason.INVALID_SIGNATURE}


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_signature_packets_are_refused_with_a_reason(body: bytes, version: bool) -> None:  # noqa: FBT001 - drawn
    data = packet(4, b"\x03" + bytes(12)) + packet(11, b"b\0\0\0\0\0{}") + packet(2, b"\x04\0" * version + body)
    error = refusal(keyring("ed25519"), data)
    assert error.reason in {Reason.MALFORMED_EVIDENCE, Reason.UNKNOWN_KEY, Reason.INVALID_SIGNATURE}


def test_messages_of_errors_hold_no_stack_trace() -> None:
    for name in ("one-byte-changed", "sha1-digest", "by-stranger", "cut-short", "encrypted"):
        text = refusal(keyring(*TRUSTED), message(name)).message
        assert len(text) < 400
        assert "\n" not in text


def test_states_name_expired_and_revoked_keys() -> None:
    ring = keyring("ed25519", "expired", "subkey-revoked-as-retired", "subkey-expired")
    states = {state.kind + " " + state.message: state for state in ring.states(AFTER_SPOILT)}
    assert [state.reason for state in states.values()] == [
        Reason.VERIFIED,
        Reason.EXPIRED,
        Reason.REVOKED,
        Reason.EXPIRED,
    ]
    ends = [state.expires for state in ring.states(BEFORE_SPOILT)]
    spoilt = datetime(2024, 7, 1, tzinfo=UTC)
    assert ends == [None, spoilt, None, spoilt]


def test_a_primary_key_that_only_certifies_is_not_among_the_states() -> None:
    ring = keyring("signing-subkey")
    assert [state.primary_fingerprint for state in ring.states(NOW)] == [ring.fingerprints[0]]
    assert ring.states(NOW)[0].fingerprint != ring.fingerprints[0]


def test_a_key_verifies_the_same_from_many_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    ring, data = keyring(*TRUSTED), message("good-signing-subkey")
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: ring.verify(data, NOW), range(64)))
    assert len(found) == 1
