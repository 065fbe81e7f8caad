"""Attacks on attestations in Grafeas, by a writer of the metadata store, or by the store itself."""

from __future__ import annotations

import gzip
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from tests.support.clocks import FakeClock
from tests.support.environments.attestations import (
    GRAFEAS_KEY,
    PSS,
    GrafeasVerifierEnvironment,
    grafeas_spec,
    requiring,
)
from tests.support.environments.grafeas import key_entry, pgp_entry
from tests.support.signers.private_keys import fingerprint, new_key
from tests.support.signers.simple_signing import Signer, compressed
from tests.support.simulators.grafeas import payload_of
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.policies.decisions import ImageVerdict

STRANGER = new_key("RSA 2048", "grafeas attacker")
SECOND = new_key("RSA 2048", "second")
PGP = Signer()


@pytest.fixture
def environment() -> Iterator[GrafeasVerifierEnvironment]:
    with GrafeasVerifierEnvironment() as environment:
        yield environment


def reason(verdict: ImageVerdict) -> Reason:
    """Return why an image was denied."""
    assert verdict.verdict is Verdict.DENY, verdict.message
    return verdict.policies[0].findings[0].reason


def test_attested_image_is_admitted_by_tag_unlike_in_kritis(
    environment: GrafeasVerifierEnvironment,
) -> None:
    digest = environment.push()
    environment.attest(digest)
    verdict = environment.verdict()
    assert (verdict.verdict, verdict.subject) == (Verdict.ADMIT, digest)


# 3: what was signed is not what runs ----------------------------------------------------------------------------------


def test_attack_03_occurrence_moved_to_another_image_is_refused(environment: GrafeasVerifierEnvironment) -> None:
    attested, target = environment.push("attested"), environment.push()
    environment.attest(attested)["resourceUri"] = f"https://{environment.name()}@{target}"
    assert reason(environment.verdict()) is Reason.DIGEST_MISMATCH


def test_attack_03_occurrence_served_for_every_image_is_refused(environment: GrafeasVerifierEnvironment) -> None:
    environment.server.honours_filter = False
    environment.attest(environment.push("attested"))
    environment.push()
    assert reason(environment.verdict()) is Reason.NO_SIGNATURE


def test_attack_03_attestation_in_another_repository_is_refused(
    environment: GrafeasVerifierEnvironment,
) -> None:
    digest = environment.push()
    environment.attest(digest, payload=payload_of(digest, f"{environment.server.host}/ns/other"))
    assert reason(environment.verdict()) is Reason.REPOSITORY_MISMATCH


def test_attack_03_payload_swapped_under_a_signature_is_refused(
    environment: GrafeasVerifierEnvironment,
) -> None:
    attested, target = environment.push("attested"), environment.push()
    occurrence = environment.attest(attested)
    occurrence["resourceUri"] = f"https://{environment.name()}@{target}"
    occurrence["attestation"]["serializedPayload"] = b64encode(payload_of(target, environment.name())).decode()
    assert reason(environment.verdict()) is Reason.INVALID_SIGNATURE


def test_attack_03_a_moved_tag_is_another_image() -> None:
    clock = FakeClock()
    with GrafeasVerifierEnvironment(clock=clock) as moving:
        moving.attest(moving.push())
        assert moving.verdict().verdict is Verdict.ADMIT
        moving.server.tag("ns/app", "v1", moving.push("other"))
        clock.advance(31)
        assert reason(moving.verdict()) is Reason.NO_SIGNATURE


# 6: other content that the same key signs -----------------------------------------------------------------------------


def test_attack_06_signature_for_another_purpose_is_refused(environment: GrafeasVerifierEnvironment) -> None:
    digest = environment.push()
    environment.attest(digest, payload=payload_of(digest, environment.name(), type="cosign container image signature"))
    assert reason(environment.verdict()) is Reason.TYPE_MISMATCH


# 8: one signer dressed up as several ----------------------------------------------------------------------------------


def test_attack_08_one_key_under_two_ids_and_notes_is_one_signer(environment: GrafeasVerifierEnvironment) -> None:
    digest = environment.push()
    environment.attest(digest, key_id="one")
    environment.attest(digest, key_id="two", noteName="projects/prod/notes/security")
    policies = requiring(
        grafeas_spec(environment.server, key_entry(GRAFEAS_KEY, PSS, "one")),
        grafeas_spec(environment.server, key_entry(GRAFEAS_KEY, PSS, "two"), note="projects/prod/notes/security"),
    )
    verdict = environment.verdict(policies)
    assert (verdict.verdict, verdict.policies[0].satisfied) == (Verdict.DENY, 1)


def test_attack_08_one_key_with_two_algorithms_is_one_signer(environment: GrafeasVerifierEnvironment) -> None:
    digest = environment.push()
    environment.attest(digest)
    environment.attest(digest, algorithm="RSA_PKCS1_SHA_256")
    policies = requiring(
        grafeas_spec(environment.server, key_entry(GRAFEAS_KEY, PSS)),
        grafeas_spec(environment.server, key_entry(GRAFEAS_KEY, "RSA_PKCS1_SHA_256")),
    )
    assert environment.verdict(policies).verdict is Verdict.DENY


def test_attack_08_two_keys_are_two_signers(environment: GrafeasVerifierEnvironment) -> None:
    digest = environment.push()
    environment.attest(digest)
    environment.attest(digest, SECOND)
    policies = requiring(grafeas_spec(environment.server), grafeas_spec(environment.server, key_entry(SECOND, PSS)))
    assert environment.verdict(policies).verdict is Verdict.ADMIT


# 10: algorithms and types of keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize("used", ["RSA_PKCS1_SHA_256", "RSA_PSS_SHA_512", "RSA_PSS_SHA_1", "RSA_PKCS1_SHA_1"])
def test_attack_10_another_algorithm_than_the_keys_is_refused(
    environment: GrafeasVerifierEnvironment, used: str
) -> None:
    environment.attest(environment.push(), algorithm=used)
    assert reason(environment.verdict()) is Reason.INVALID_SIGNATURE


def test_attack_10_a_key_id_does_not_make_a_key_accepted(environment: GrafeasVerifierEnvironment) -> None:
    environment.attest(environment.push(), STRANGER, key_id=fingerprint(GRAFEAS_KEY))
    assert reason(environment.verdict()) is Reason.INVALID_SIGNATURE


def test_attack_10_openpgp_message_under_pkix_key_id_is_refused(
    environment: GrafeasVerifierEnvironment,
) -> None:
    digest = environment.push()
    message = PGP.sign(payload_of(digest, environment.name()), armor=True)
    environment.server.store(
        f"https://{environment.name()}@{digest}", environment.server.attached(message, fingerprint(GRAFEAS_KEY))
    )
    assert reason(environment.verdict()) is Reason.INVALID_SIGNATURE


# 12: text that looks like an OpenPGP message --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "around",
    [
        "{message}{message}",
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{payload}\n{message}",
        "{other}{message}",
    ],
)
def test_attack_12_a_message_with_something_beside_it_is_refused(
    environment: GrafeasVerifierEnvironment, around: str
) -> None:
    digest = environment.push()
    payload = payload_of(digest, environment.name())
    parts = {
        "message": PGP.sign(payload, armor=True).decode(),
        "other": Signer().sign(payload, armor=True).decode(),
        "payload": payload.decode(),
    }
    attached = environment.server.attached(around.format(**parts).encode(), PGP.fingerprint)
    environment.server.store(f"https://{environment.name()}@{digest}", attached)
    policies = requiring(grafeas_spec(environment.server, pgp_entry(PGP)))
    assert reason(environment.verdict(policies)) is Reason.MALFORMED_EVIDENCE


# 16: what was taken back ----------------------------------------------------------------------------------------------


def test_attack_16_deleted_attestation_expires_with_the_cache() -> None:
    clock = FakeClock()
    with GrafeasVerifierEnvironment(clock=clock) as environment:
        environment.attest(environment.push())
        assert environment.verdict().verdict is Verdict.ADMIT
        environment.server.occurrences.clear()
        clock.advance(601)
        assert reason(environment.verdict()) is Reason.NO_SIGNATURE


def test_attack_16_removed_key_stops_counting_at_once(
    environment: GrafeasVerifierEnvironment,
) -> None:
    environment.attest(environment.push())
    assert environment.verdict().verdict is Verdict.ADMIT
    assert (
        reason(environment.verdict(requiring(grafeas_spec(environment.server, key_entry(SECOND, PSS)))))
        is Reason.UNKNOWN_KEY
    )


# 17: errors never admit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 418, 429, 500, 503])
def test_attack_17_no_status_of_the_server_admits(environment: GrafeasVerifierEnvironment, status: int) -> None:
    environment.push()
    environment.server.faults.status("occurrences", status)
    assert environment.verdict(seconds=2.0).verdict in {Verdict.DENY, Verdict.UNAVAILABLE}


# 32, 33: floods and bombs ---------------------------------------------------------------------------------------------


def test_attack_32_an_endless_page_is_cut_off(environment: GrafeasVerifierEnvironment) -> None:
    environment.push()
    environment.server.faults.endless("occurrences", chunk=b" " * 65536)
    assert reason(environment.verdict()) is Reason.EVIDENCE_TOO_LARGE


def test_attack_32_flood_of_signatures_is_refused_after_128(
    environment: GrafeasVerifierEnvironment,
) -> None:
    digest = environment.push()
    occurrence = environment.attest(digest, STRANGER)
    occurrence["attestation"]["signatures"] *= 5000
    assert reason(environment.verdict()) is Reason.EVIDENCE_TOO_LARGE


def test_attack_33_a_compressed_page_is_not_unpacked(environment: GrafeasVerifierEnvironment) -> None:
    environment.push()
    bomb = gzip.compress(b'{"occurrences":[' + b" " * (1 << 24) + b"]}")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    environment.server.faults.answer("occurrences", 200, headers, bomb)
    assert environment.verdict().verdict is Verdict.UNAVAILABLE


@pytest.mark.parametrize(
    "page",
    [
        b'{"occurrences":' * 3000 + b"1" + b"}" * 3000,
        b'{"occurrences":' + b"[" * 100_000,
        b'{"occurrences":[],"occurrences":[]}',
        b'{"occurrences":[],"nextPageToken":' + b"9" * 100_000 + b"}",
        b'{"occurrences":[],"n":NaN}',
        b'{"occurrences":"\xff"}',
    ],
)
def test_attack_33_ambiguous_page_is_refused(environment: GrafeasVerifierEnvironment, page: bytes) -> None:
    environment.push()
    environment.server.faults.body("occurrences", page)
    assert reason(environment.verdict()) is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("layers", [1, 40])
def test_attack_33_an_openpgp_bomb_is_refused(environment: GrafeasVerifierEnvironment, layers: int) -> None:
    digest = environment.push()
    bomb = bytes(32 << 20)
    for _ in range(layers):
        bomb = compressed(bomb)
    armored = b"-----BEGIN PGP MESSAGE-----\n\n" + b64encode(bomb) + b"\n-----END PGP MESSAGE-----\n"
    attached = environment.server.attached(armored, PGP.fingerprint)
    environment.server.store(f"https://{environment.name()}@{digest}", attached)
    refused = reason(environment.verdict(requiring(grafeas_spec(environment.server, pgp_entry(PGP)))))
    assert refused in {Reason.EVIDENCE_TOO_LARGE, Reason.MALFORMED_EVIDENCE}


# 34: a server that takes its time -------------------------------------------------------------------------------------


def test_attack_34_unresponsive_server_ends_at_the_deadline(
    environment: GrafeasVerifierEnvironment,
) -> None:
    environment.push()
    environment.server.faults.hang("occurrences")
    verdict = environment.verdict(seconds=1.0)
    assert verdict.verdict is Verdict.UNAVAILABLE
    assert verdict.reason is Reason.DEADLINE_EXCEEDED


# 37, 38: where requests and credentials go ----------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["https://169.254.169.254", "https://[fe80::1]", "https://[fd00:ec2::254]"])
def test_attack_37_a_server_at_a_metadata_address_is_never_asked(
    environment: GrafeasVerifierEnvironment, server: str
) -> None:
    environment.push()
    verdict = environment.verdict(
        requiring({"grafeas": {**grafeas_spec(environment.server)["grafeas"], "server": server}})
    )
    assert verdict.verdict is Verdict.UNAVAILABLE
    assert verdict.policies[0].findings[0].reason is Reason.ADDRESS_FORBIDDEN


def test_attack_38_a_redirect_takes_no_token_to_another_host(environment: GrafeasVerifierEnvironment) -> None:
    environment.attest(environment.push())
    policies = requiring(
        grafeas_spec(environment.server, credentialsSecret={"name": "grafeas"}),
        secrets={"grafeas": {"token": b"s3cret"}},
    )
    with RegistrySimulator() as thief:
        environment.server.faults.redirect("occurrences", f"{thief.url}/v1/occurrences")
        assert environment.verdict(policies).verdict is Verdict.UNAVAILABLE
        assert thief.requests == []


# 39: names as paths ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"note": "projects/../notes/x"},
        {"note": "projects/a/notes/.."},
        {"note": "projects/a/notes/b/../../../secrets"},
        {"note": "projects/a/notes/b?filter="},
        {"note": "projects/a/notes/b%2f.."},
        {"note": "projects/a/notes/b\n"},
        {"project": "projects/a/../b"},
        {"project": "../secrets"},
    ],
)
def test_attack_39_no_name_leads_to_another_path(
    environment: GrafeasVerifierEnvironment, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        requiring(grafeas_spec(environment.server, **fields))


def test_attack_39_a_page_token_stays_a_page_token(environment: GrafeasVerifierEnvironment) -> None:
    environment.push()
    environment.server.faults.body("occurrences", b'{"nextPageToken":"../../x?a=b&filter=#"}', times=1)
    environment.server.faults.answer("occurrences", 200, {}, b"{}")
    assert reason(environment.verdict()) is Reason.NO_SIGNATURE
    last = environment.server.requests[-1]
    assert last.path.endswith("/occurrences")
    assert dict(last.query)["pageToken"] == "../../x?a=b&filter=#"


# 40: foreign text -----------------------------------------------------------------------------------------------------


def test_attack_40_names_and_ids_of_the_store_are_escaped(environment: GrafeasVerifierEnvironment) -> None:
    environment.attest(environment.push(), key_id="x\nlevel=info \x1b[31m", name="evil\n\u202e")
    verdict = environment.verdict()
    text = " ".join([verdict.message, *(seen.source for seen in verdict.policies[0].findings[0].signatures)])
    assert text.isascii()
    assert text.isprintable()


def test_attack_40_no_token_is_in_a_message(environment: GrafeasVerifierEnvironment) -> None:
    environment.push()
    spec = grafeas_spec(environment.server, credentialsSecret={"name": "grafeas"})
    for token in (b"s3cret", b"s3cret with blanks", b"s3cret\x00"):
        environment.server.token = "other"
        verdict = environment.verdict(requiring(spec, secrets={"grafeas": {"token": token}}))
        assert verdict.verdict is Verdict.UNAVAILABLE
        assert "s3cret" not in repr(verdict)
