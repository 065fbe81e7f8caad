"""Signed messages of real tools through the whole check: those that count, and those that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealgate.reasons import Reason
from tests.support.environments.simple_signing import SimpleSigningEnvironment, simple_check
from tests.support.signers.simple_signing import BEFORE_SPOILT, DATA, keyring, message

EVERY_MESSAGE = sorted(path.stem for path in Path(DATA / "messages").iterdir())
TRUSTED = ("ed25519", "rsa-2048", "signing-subkey", "skopeo")
#: The messages that must verify by those keys under the default rule.
GOOD = {
    "good-ed25519",
    "good-rsa-2048",
    "good-signing-subkey",
    "good-zip",
    "good-zlib",
    "good-bzip2",
    "good-uncompressed",
    "hostile-file-name",
    "notation",
    "payload-good-empty-optional",
    "payload-good-more-optional",
    "payload-good-white-space",
    "payload-good-whole-timestamp",
    "skopeo-tag",
}

#: Signed texts that must be refused, by defect.
WRONG = [
    ("not-json", Reason.MALFORMED_EVIDENCE),
    ("empty", Reason.MALFORMED_EVIDENCE),
    ("list", Reason.MALFORMED_EVIDENCE),
    ("not-utf8", Reason.MALFORMED_EVIDENCE),
    ("trailing-data", Reason.MALFORMED_EVIDENCE),
    ("nan", Reason.MALFORMED_EVIDENCE),
    ("nested-deeply", Reason.MALFORMED_EVIDENCE),
    ("duplicate-critical", Reason.MALFORMED_EVIDENCE),
    ("duplicate-digest", Reason.MALFORMED_EVIDENCE),
    ("duplicate-optional-member", Reason.MALFORMED_EVIDENCE),
    ("extra-top-level-member", Reason.MALFORMED_EVIDENCE),
    ("extra-critical-member", Reason.MALFORMED_EVIDENCE),
    ("extra-image-member", Reason.MALFORMED_EVIDENCE),
    ("extra-identity-member", Reason.MALFORMED_EVIDENCE),
    ("case-of-member", Reason.MALFORMED_EVIDENCE),
    ("missing-critical", Reason.MALFORMED_EVIDENCE),
    ("missing-optional", Reason.MALFORMED_EVIDENCE),
    ("null-optional", Reason.MALFORMED_EVIDENCE),
    ("missing-type", Reason.MALFORMED_EVIDENCE),
    ("missing-image", Reason.MALFORMED_EVIDENCE),
    ("missing-digest", Reason.MALFORMED_EVIDENCE),
    ("missing-identity", Reason.MALFORMED_EVIDENCE),
    ("missing-reference", Reason.MALFORMED_EVIDENCE),
    ("wrong-type", Reason.TYPE_MISMATCH),
    ("type-number", Reason.MALFORMED_EVIDENCE),
    ("wrong-digest", Reason.DIGEST_MISMATCH),
    ("upper-case-digest", Reason.DIGEST_MISMATCH),
    ("digest-number", Reason.MALFORMED_EVIDENCE),
    ("reference-number", Reason.MALFORMED_EVIDENCE),
    ("creator-number", Reason.MALFORMED_EVIDENCE),
    ("timestamp-text", Reason.MALFORMED_EVIDENCE),
    ("timestamp-fraction", Reason.MALFORMED_EVIDENCE),
    ("timestamp-boolean", Reason.MALFORMED_EVIDENCE),
    ("timestamp-beyond-64-bits", Reason.MALFORMED_EVIDENCE),
    ("invalid-reference", Reason.IDENTITY_MISMATCH),
    ("empty-reference", Reason.IDENTITY_MISMATCH),
]


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_exactly_the_valid_messages_count(environment: SimpleSigningEnvironment, name: str) -> None:
    environment.registry.sign(environment.digest, message(name))
    check = simple_check(*TRUSTED)
    if name in GOOD:
        found = environment.verify(check)
        assert [seen.reason for seen in found.signatures] == [Reason.VERIFIED]
        assert found.signatures[0].fingerprint == found.fingerprints[0]
    else:
        error = environment.refusal(check)
        assert error.reason is not Reason.VERIFIED
        assert [seen.reason for seen in error.signatures] == [error.reason]


@pytest.mark.parametrize(("name", "reason"), WRONG)
def test_wrong_signed_text_is_refused_and_names_its_signer(
    environment: SimpleSigningEnvironment, name: str, reason: Reason
) -> None:
    environment.registry.sign(environment.digest, message(f"payload-{name}"))
    error = environment.refusal(simple_check())
    assert error.reason is reason
    assert error.signatures[0].fingerprint == keyring("ed25519").fingerprints[0]
    assert error.message.isprintable()


def test_every_broken_payload_fixture_has_an_expected_reason() -> None:
    broken = {name.removeprefix("payload-") for name in EVERY_MESSAGE if name.startswith("payload-")} - {
        name.removeprefix("payload-") for name in GOOD
    }
    assert {name for name, _ in WRONG} == broken


def test_a_signing_subkey_counts_as_itself(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, message("good-signing-subkey"))
    found = environment.verify(simple_check("signing-subkey"))
    assert found.fingerprints != keyring("signing-subkey").fingerprints
    assert keyring("signing-subkey").fingerprints[0] in found.signatures[0].message


def test_every_key_that_verifies_is_named_once(environment: SimpleSigningEnvironment) -> None:
    for name in ("good-ed25519", "good-zip", "good-ed25519", "good-rsa-2048", "one-byte-changed"):
        environment.registry.sign(environment.digest, message(name))
    found = environment.verify(simple_check("rsa-2048", "ed25519"))
    assert found.fingerprints == keyring("ed25519", "rsa-2048").fingerprints
    assert [seen.reason for seen in found.signatures] == [*[Reason.VERIFIED] * 4, Reason.INVALID_SIGNATURE]


def test_the_clock_that_is_given_decides_about_expiry(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, message("by-expired"))
    assert environment.refusal(simple_check("expired")).reason is Reason.EXPIRED
    with SimpleSigningEnvironment(BEFORE_SPOILT) as before:
        before.registry.sign(before.digest, message("by-expired"))
        assert before.verify(simple_check("expired")).fingerprints == keyring("expired").fingerprints


def test_most_informative_refusal_comes_first(environment: SimpleSigningEnvironment) -> None:
    for name in ("armored", "by-stranger", "one-byte-changed", "skopeo-other-tag"):
        environment.registry.sign(environment.digest, message(name))
    error = environment.refusal(simple_check("ed25519", "skopeo"))
    assert error.reason is Reason.IDENTITY_MISMATCH
    assert "registry.example.org/team/api:1.5 was signed" in error.message
    assert "(and 3 more that do not count)" in error.message
    assert len(error.signatures) == 4


def test_an_image_without_signatures_is_refused_by_name(environment: SimpleSigningEnvironment) -> None:
    error = environment.refusal(simple_check())
    assert error.reason is Reason.NO_SIGNATURE
    assert environment.digest in error.message
    assert error.signatures == ()
