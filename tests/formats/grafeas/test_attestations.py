"""Attestations that count, and those that are refused."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.formats.grafeas.keys import default_id
from sealgate.keys.public_keys import load_public_key
from sealgate.reasons import Reason
from tests.support.environments.grafeas import (
    DIGEST,
    KEY,
    OTHER_DIGEST,
    REPOSITORY,
    STRANGER,
    GrafeasEnvironment,
    key_entry,
    pgp_entry,
    uri,
)
from tests.support.signers.private_keys import fingerprint, new_key, public_pem, sign
from tests.support.signers.simple_signing import Signer
from tests.support.simulators.grafeas import payload_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.signers.private_keys import PrivateKey

GOOD = payload_of(DIGEST, REPOSITORY)
PGP = Signer()

KINDS = [
    ("RSA 2048", "RSA_PSS_SHA_256"),
    ("RSA 2048", "RSA_PKCS1_SHA_256"),
    ("RSA 4096", "RSA_PKCS1_SHA_512"),
    ("RSA 4096", "RSA_PSS_SHA_512"),
    ("ECDSA P-256", "ECDSA_SHA_256"),
    ("ECDSA P-384", "ECDSA_SHA_384"),
    ("ECDSA P-521", "ECDSA_SHA_512"),
]


@pytest.mark.parametrize(("kind", "algorithm"), KINDS)
def test_every_algorithm_of_kritis_and_of_alibaba_kms_verifies(kind: str, algorithm: str) -> None:
    key = new_key(kind)
    with GrafeasEnvironment() as environment:
        environment.attest(key, algorithm=algorithm)
        assert environment.verify(environment.check(key_entry(key, algorithm))).fingerprints == (fingerprint(key),)


@pytest.mark.parametrize("salt", [0, 20, 32, 222])
def test_pss_verifies_with_any_length_of_salt(environment: GrafeasEnvironment, salt: int) -> None:
    key = new_key("RSA 2048")
    signature = sign(key, GOOD, "RSA_PSS_SHA_256", salt)
    entry = {"signature": b64encode(signature).decode(), "publicKeyId": "kms-key"}
    environment.server.store(uri(), environment.server.detached(GOOD, entry))
    environment.verify(environment.check(key_entry(key, "RSA_PSS_SHA_256", "kms-key")))


def test_both_versions_of_the_api_are_read(either: GrafeasEnvironment) -> None:
    either.attest()
    assert either.verify().fingerprints == (fingerprint(KEY),)


def test_both_spellings_of_members_are_read(either: GrafeasEnvironment) -> None:
    either.server.snake_case = True
    either.attest()
    assert either.verify().fingerprints == (fingerprint(KEY),)


def test_a_member_in_both_spellings_is_refused(environment: GrafeasEnvironment) -> None:
    environment.attest(note_name="projects/prod/notes/dev")
    environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_an_openpgp_attestation_verifies(either: GrafeasEnvironment) -> None:
    either.server.attest_pgp(uri(), GOOD, PGP)
    verified = either.verify(either.check(pgp_entry(PGP)))
    assert len(verified.fingerprints) == 1
    assert f"of {PGP.fingerprint}" in verified.signatures[0].message


def test_openpgp_attestation_ends_with_its_key(environment: GrafeasEnvironment) -> None:
    environment.attest()
    assert environment.verify().valid_until is None
    signer = Signer(validity_seconds=86400)
    environment.server.attest_pgp(uri(), GOOD, signer)
    verified = environment.verify(environment.check(key_entry(KEY), pgp_entry(signer)))
    assert len(verified.fingerprints) == 2
    assert verified.valid_until == signer.certificate.expiration


def test_openpgp_key_id_defaults_to_its_fingerprint(either: GrafeasEnvironment) -> None:
    either.server.attest_pgp(uri(), GOOD, PGP)
    either.verify(either.check({"pgp": PGP.public}))


def test_key_id_defaults_to_that_of_kritis(environment: GrafeasEnvironment) -> None:
    name = default_id(load_public_key(public_pem(KEY)))
    assert name.startswith("ni:///sha-256;")
    assert "=" not in name
    environment.attest(key_id=name)
    assert environment.verify(environment.check({"pem": public_pem(KEY)})).fingerprints == (fingerprint(KEY),)


def test_payload_beside_an_openpgp_message_is_ignored(environment: GrafeasEnvironment) -> None:
    attestation = environment.server.attached(PGP.sign(GOOD, armor=True), PGP.fingerprint)
    attestation["serializedPayload"] = b64encode(payload_of(OTHER_DIGEST, REPOSITORY)).decode()
    environment.server.store(uri(), attestation)
    environment.verify(environment.check(pgp_entry(PGP)))


def test_all_signatures_of_an_occurrence_are_checked(environment: GrafeasEnvironment) -> None:
    entries = [
        {"signature": b64encode(sign(key, GOOD)).decode(), "publicKeyId": fingerprint(key)} for key in (STRANGER, KEY)
    ]
    environment.server.store(uri(), environment.server.detached(GOOD, *entries))
    verified = environment.verify()
    assert verified.fingerprints == (fingerprint(KEY),)
    assert [seen.reason for seen in verified.signatures] == [Reason.UNKNOWN_KEY, Reason.VERIFIED]


def test_every_key_that_verifies_is_named_once(environment: GrafeasEnvironment) -> None:
    for key in (KEY, STRANGER, KEY):
        environment.attest(key)
    verified = environment.verify(environment.check(key_entry(KEY), key_entry(STRANGER)))
    assert verified.fingerprints == (fingerprint(KEY), fingerprint(STRANGER))


def test_a_name_of_docker_hub_is_compared_as_references_are(environment: GrafeasEnvironment) -> None:
    name = "docker.io/library/nginx"
    environment.server.attest(uri(DIGEST, name), payload_of(DIGEST, "nginx"), KEY)
    environment.verify(image=environment.image("nginx"))


# What must be refused -------------------------------------------------------------------------------------------------


def _unknown_key_id(environment: GrafeasEnvironment) -> None:
    environment.attest(key_id="another-kms-key")


def _signed_by_a_stranger_under_a_known_key_id(environment: GrafeasEnvironment) -> None:
    environment.attest(STRANGER, key_id=fingerprint(KEY))


def _no_key_id(environment: GrafeasEnvironment) -> None:
    environment.attest(key_id="")


def _occurrence_of_another_image(environment: GrafeasEnvironment) -> None:
    environment.server.honours_filter = False
    environment.attest(uri=uri(OTHER_DIGEST))


def _occurrence_of_another_repository(environment: GrafeasEnvironment) -> None:
    environment.server.honours_filter = False
    environment.attest(uri=uri(repository="demo-registry.example.org/ns/other"))


def _occurrence_of_a_tag(environment: GrafeasEnvironment) -> None:
    environment.server.honours_filter = False
    environment.attest(uri=f"https://{REPOSITORY}:1.4")


def _moved_to_another_digest(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=payload_of(OTHER_DIGEST, REPOSITORY))


def _moved_to_another_repository(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=payload_of(DIGEST, "demo-registry.example.org/ns/other"))


def _made_for_a_tag(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=payload_of(DIGEST, f"{REPOSITORY}:1.4"))


def _made_for_no_repository(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=payload_of(DIGEST, ""))


def _under_another_note(environment: GrafeasEnvironment) -> None:
    environment.server.honours_filter = False
    environment.attest(noteName="projects/prod/notes/dev")


def _of_another_kind(environment: GrafeasEnvironment) -> None:
    environment.server.honours_filter = False
    environment.attest(kind="BUILD")


def _signed_as_something_else(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=payload_of(DIGEST, REPOSITORY, type="Google cloud binauthz container signature"))


def _only_jwts(environment: GrafeasEnvironment) -> None:
    environment.server.store(uri(), {"jwts": [{"compactJwt": "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"}]})


def _no_signatures(environment: GrafeasEnvironment) -> None:
    environment.server.store(uri(), environment.server.detached(GOOD))


def _payload_changed_by_a_byte(environment: GrafeasEnvironment) -> None:
    entry = {"signature": b64encode(sign(KEY, GOOD)).decode(), "publicKeyId": fingerprint(KEY)}
    environment.server.store(uri(), environment.server.detached(GOOD + b" ", entry))


def _payload_with_a_member_twice(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=GOOD[:-1] + b',"critical":' + json.dumps(json.loads(GOOD)["critical"]).encode() + b"}")


def _payload_with_something_after_it(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=GOOD + b"{}")


def _payload_with_an_unknown_critical_member(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=payload_of(DIGEST, REPOSITORY, expires="2020-01-01"))


def _payload_that_is_not_json(environment: GrafeasEnvironment) -> None:
    environment.attest(payload=b"\xff\xfe")


def _signature_that_is_not_base64(environment: GrafeasEnvironment) -> None:
    entry = {"signature": "!" * 8, "publicKeyId": fingerprint(KEY)}
    environment.server.store(uri(), environment.server.detached(GOOD, entry))


def _signatures_that_are_no_list(environment: GrafeasEnvironment) -> None:
    environment.server.store(uri(), {"serializedPayload": "", "signatures": {"0": {}}})


def _signature_that_is_a_number(environment: GrafeasEnvironment) -> None:
    environment.server.store(
        uri(), environment.server.detached(GOOD, {"signature": 5, "publicKeyId": fingerprint(KEY)})
    )


def _occurrence_that_is_text(environment: GrafeasEnvironment) -> None:
    environment.server.occurrences.append("projects/prod/occurrences/1")


BROKEN: dict[str, tuple[Callable[[GrafeasEnvironment], None], Reason]] = {
    "unknown key id": (_unknown_key_id, Reason.UNKNOWN_KEY),
    "signed by a stranger under a known key id": (
        _signed_by_a_stranger_under_a_known_key_id,
        Reason.INVALID_SIGNATURE,
    ),
    "no key id": (_no_key_id, Reason.UNKNOWN_KEY),
    "occurrence of another image": (_occurrence_of_another_image, Reason.NO_SIGNATURE),
    "occurrence of another repository": (_occurrence_of_another_repository, Reason.NO_SIGNATURE),
    "occurrence of a tag": (_occurrence_of_a_tag, Reason.NO_SIGNATURE),
    "moved to another digest": (_moved_to_another_digest, Reason.DIGEST_MISMATCH),
    "moved to another repository": (_moved_to_another_repository, Reason.REPOSITORY_MISMATCH),
    "made for a tag": (_made_for_a_tag, Reason.REPOSITORY_MISMATCH),
    "made for no repository": (_made_for_no_repository, Reason.REPOSITORY_MISMATCH),
    "under another note": (_under_another_note, Reason.NO_SIGNATURE),
    "of another kind": (_of_another_kind, Reason.NO_SIGNATURE),
    "signed as something else": (_signed_as_something_else, Reason.TYPE_MISMATCH),
    "only JWTs": (_only_jwts, Reason.TYPE_MISMATCH),
    "no signatures": (_no_signatures, Reason.TYPE_MISMATCH),
    "payload changed by a byte": (_payload_changed_by_a_byte, Reason.INVALID_SIGNATURE),
    "payload with a member twice": (_payload_with_a_member_twice, Reason.MALFORMED_EVIDENCE),
    "payload with something after it": (_payload_with_something_after_it, Reason.MALFORMED_EVIDENCE),
    "payload with an unknown critical member": (_payload_with_an_unknown_critical_member, Reason.MALFORMED_EVIDENCE),
    "payload that is not JSON": (_payload_that_is_not_json, Reason.MALFORMED_EVIDENCE),
    "signature that is not base64": (_signature_that_is_not_base64, Reason.MALFORMED_EVIDENCE),
    "signatures that are no list": (_signatures_that_are_no_list, Reason.MALFORMED_EVIDENCE),
    "signature that is a number": (_signature_that_is_a_number, Reason.MALFORMED_EVIDENCE),
    "occurrence that is text": (_occurrence_that_is_text, Reason.MALFORMED_EVIDENCE),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_attestation_is_refused(environment: GrafeasEnvironment, defect: str) -> None:
    store, reason = BROKEN[defect]
    store(environment)
    environment.refuses(reason)


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_attestation_beside_a_good_one_is_only_reported(environment: GrafeasEnvironment, defect: str) -> None:
    BROKEN[defect][0](environment)
    environment.attest()
    assert environment.verify().fingerprints == (fingerprint(KEY),)


@pytest.mark.parametrize(
    "neighbour",
    ["text", None, [], {"signature": 5}, {"signature": "!", "publicKeyId": fingerprint(KEY)}, {"publicKeyId": [5]}],
)
def test_malformed_signature_is_reported_and_others_still_count(either: GrafeasEnvironment, neighbour: Any) -> None:
    good = {"signature": b64encode(sign(KEY, GOOD)).decode(), "publicKeyId": fingerprint(KEY)}
    either.server.store(uri(), either.server.detached(GOOD, neighbour, good))
    verified = either.verify()
    assert verified.fingerprints == (fingerprint(KEY),)
    (bad, _) = verified.signatures
    assert bad.source.endswith(", signature 1")
    assert bad.reason in {Reason.MALFORMED_EVIDENCE, Reason.UNKNOWN_KEY}


@pytest.mark.parametrize(
    ("accepted", "used"),
    [
        ("RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"),
        ("RSA_PKCS1_SHA_256", "RSA_PSS_SHA_256"),
        ("RSA_PSS_SHA_256", "RSA_PSS_SHA_512"),
        (None, "RSA_PKCS1_SHA_512"),
    ],
)
def test_algorithm_other_than_the_authenticators_is_refused(
    environment: GrafeasEnvironment, accepted: str | None, used: str
) -> None:
    key = new_key("RSA 2048")
    environment.attest(key, algorithm=used)
    environment.refuses(Reason.INVALID_SIGNATURE, environment.check(key_entry(key, accepted)))


# A key id that is right for a key of another type ---------------------------------------------------------------------


def test_openpgp_message_with_the_id_of_another_key_type_is_refused(either: GrafeasEnvironment) -> None:
    message = PGP.sign(GOOD, armor=True)
    either.server.store(uri(), either.server.attached(message, fingerprint(KEY)))
    error = either.refuses(Reason.INVALID_SIGNATURE)
    if either.server.version == "v1beta1":  # only this API marks a signature as OpenPGP
        assert "is not an OpenPGP key" in error.message


def test_a_plain_signature_under_the_id_of_an_openpgp_key_is_refused(either: GrafeasEnvironment) -> None:
    either.attest(key_id=PGP.fingerprint)
    either.refuses(Reason.MALFORMED_EVIDENCE, either.check(pgp_entry(PGP)))


def test_an_armored_detached_openpgp_signature_is_refused(either: GrafeasEnvironment) -> None:
    armored = b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
    either.server.store(uri(), either.server.attached(armored, PGP.fingerprint))
    either.refuses(Reason.MALFORMED_EVIDENCE, either.check(pgp_entry(PGP)))


def test_armored_detached_openpgp_signature_is_refused(
    either: GrafeasEnvironment,
) -> None:
    attestation = either.server.attached(PGP.sign_detached(GOOD), PGP.fingerprint)
    attestation["serializedPayload"] = b64encode(GOOD).decode()
    either.server.store(uri(), attestation)
    either.refuses(Reason.MALFORMED_EVIDENCE, either.check(pgp_entry(PGP)))


def test_armored_message_with_another_block_type_is_refused(either: GrafeasEnvironment) -> None:
    message = PGP.sign(GOOD, armor=True).replace(b"PGP MESSAGE", b"PGP SIGNATURE")
    either.server.store(uri(), either.server.attached(message, PGP.fingerprint))
    either.refuses(Reason.MALFORMED_EVIDENCE, either.check(pgp_entry(PGP)))


def test_a_binary_openpgp_message_is_refused(environment: GrafeasEnvironment) -> None:
    environment.server.store(uri(), environment.server.attached(PGP.sign(GOOD), PGP.fingerprint))
    environment.refuses(Reason.MALFORMED_EVIDENCE, environment.check(pgp_entry(PGP)))


def test_openpgp_message_by_another_key_than_its_id_is_refused(either: GrafeasEnvironment) -> None:
    message = Signer().sign(GOOD, armor=True)
    either.server.store(uri(), either.server.attached(message, PGP.fingerprint))
    either.refuses(Reason.UNKNOWN_KEY, either.check(pgp_entry(PGP)))


def test_an_openpgp_message_about_another_image_is_refused(either: GrafeasEnvironment) -> None:
    either.server.attest_pgp(uri(), payload_of(OTHER_DIGEST, REPOSITORY), PGP)
    either.refuses(Reason.DIGEST_MISMATCH, either.check(pgp_entry(PGP)))


V1BETA1: dict[str, tuple[dict[str, Any], Reason]] = {
    "no attestation": ({}, Reason.TYPE_MISMATCH),
    "two attestations": (
        {"pgpSignedAttestation": {}, "genericSignedAttestation": {}},
        Reason.TYPE_MISMATCH,
    ),
    "content of another type": (
        {"pgpSignedAttestation": {"contentType": "IN_TOTO", "signature": "x", "pgpKeyId": "x"}},
        Reason.TYPE_MISMATCH,
    ),
    "attestation that is text": ({"pgpSignedAttestation": "x"}, Reason.MALFORMED_EVIDENCE),
}


def test_occurrence_of_another_image_does_not_count(either: GrafeasEnvironment) -> None:
    either.server.honours_filter = False
    either.attest(uri=uri(OTHER_DIGEST))
    either.refuses(Reason.NO_SIGNATURE)


def test_two_good_attestations_in_one_are_refused() -> None:
    with GrafeasEnvironment("v1beta1") as environment:
        entry = {"signature": b64encode(sign(KEY, GOOD)).decode(), "publicKeyId": fingerprint(KEY)}
        attached = environment.server.attached(PGP.sign(GOOD, armor=True), PGP.fingerprint)
        environment.server.store(uri(), {**attached, **environment.server.detached(GOOD, entry)})
        environment.refuses(Reason.TYPE_MISMATCH, environment.check(key_entry(KEY), pgp_entry(PGP)))


@pytest.mark.parametrize("defect", V1BETA1)
def test_a_broken_attestation_of_the_older_api_is_refused(defect: str) -> None:
    attestation, reason = V1BETA1[defect]
    with GrafeasEnvironment("v1beta1") as environment:
        environment.server.store(uri(), attestation)
        environment.refuses(reason)


def test_a_signature_or_payload_that_is_too_large_is_refused(environment: GrafeasEnvironment) -> None:
    huge = b64encode(bytes((1 << 20) + 1)).decode()
    environment.server.store(
        uri(), environment.server.detached(GOOD, {"signature": huge, "publicKeyId": fingerprint(KEY)})
    )
    environment.refuses(Reason.EVIDENCE_TOO_LARGE)


def test_two_keys_may_share_an_id_during_a_rotation(environment: GrafeasEnvironment) -> None:
    keys: list[PrivateKey] = [KEY, STRANGER]
    check = environment.check(*(key_entry(key, key_id="kms-key") for key in keys), key_entry(KEY, key_id="kms-key"))
    for key in keys:
        environment.attest(key, key_id="kms-key")
    assert len(environment.verify(check).fingerprints) == 2
