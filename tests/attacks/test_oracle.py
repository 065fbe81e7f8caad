"""Attacks on Oracle's signature records, by a writer of records, or by the service itself."""

from __future__ import annotations

import gzip
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from tests.support.clocks import FakeClock
from tests.support.environments.attestations import ORACLE_KEY, OracleVerifierEnvironment, oracle_spec, requiring
from tests.support.environments.oracle import trusted
from tests.support.signers.private_keys import new_key, sign
from tests.support.simulators.ocir import KEY_ID, VERSION_ID, APIKey, compact, message_of
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.policies.decisions import ImageVerdict

STRANGER = new_key("RSA 2048", "oracle attacker")
SECOND = new_key("RSA 2048", "oracle second")
OTHER_KEY_ID = "ocid1.key.oc1.phx.bbqehaq3aadfa.other"
OTHER_VERSION_ID = "ocid1.keyversion.oc1.phx.bbqehaq3aadfa.other"
LIST = "imageSignatures"


@pytest.fixture
def environment() -> Iterator[OracleVerifierEnvironment]:
    with OracleVerifierEnvironment() as environment:
        yield environment


def reason(verdict: ImageVerdict) -> Reason:
    """Return why an image was denied."""
    assert verdict.verdict is Verdict.DENY, verdict.message
    return verdict.policies[0].findings[0].reason


def test_a_signed_image_is_admitted(environment: OracleVerifierEnvironment) -> None:
    digest = environment.push()
    environment.sign(digest)
    verdict = environment.verdict()
    assert (verdict.verdict, verdict.subject) == (Verdict.ADMIT, digest)


# 3: what was signed is not what runs ----------------------------------------------------------------------------------


def test_attack_03_record_with_another_images_message_is_refused(
    environment: OracleVerifierEnvironment,
) -> None:
    """Oracle's own `get-verify` accepts it: it never parses the message."""
    signed = environment.push("signed")
    environment.push()
    environment.server.honours_filter = False
    environment.sign(signed)
    assert reason(environment.verdict()) is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize(
    ("member", "value", "why"),
    [
        ("repositoryName", "project01/other", Reason.REPOSITORY_MISMATCH),
        ("repositoryName", "project01/ACME-web-app", Reason.REPOSITORY_MISMATCH),
        ("region", "eu-frankfurt-1", Reason.REPOSITORY_MISMATCH),
        ("imageDigest", "sha256:" + "4A" * 32, Reason.DIGEST_MISMATCH),
    ],
)
def test_attack_03_a_message_about_something_else_is_refused(
    environment: OracleVerifierEnvironment, member: str, value: str, why: Reason
) -> None:
    environment.server.honours_filter = False
    message: Any = {member: value}
    environment.sign(environment.push(), **message)
    assert reason(environment.verdict()) is why


def test_attack_03_message_swapped_under_a_signature_is_refused(
    environment: OracleVerifierEnvironment,
) -> None:
    target = environment.push()
    record = environment.sign(environment.push("signed"))
    message = message_of(target, "project01/acme-web-app")
    record["message"] = b64encode(compact(message)).decode()
    assert reason(environment.verdict()) is Reason.INVALID_SIGNATURE


# 8: one signer dressed up as several ----------------------------------------------------------------------------------


def test_attack_08_one_public_key_under_two_key_ids_is_one_signer(environment: OracleVerifierEnvironment) -> None:
    digest = environment.push()
    environment.sign(digest)
    environment.sign(digest, kmsKeyId=OTHER_KEY_ID)
    policies = requiring(
        oracle_spec(environment.server), oracle_spec(environment.server, trusted(ORACLE_KEY, key_id=OTHER_KEY_ID))
    )
    verdict = environment.verdict(policies)
    assert (verdict.verdict, verdict.policies[0].satisfied) == (Verdict.DENY, 1)


def test_attack_08_one_key_with_two_algorithms_is_one_signer(
    environment: OracleVerifierEnvironment,
) -> None:
    digest = environment.push()
    environment.sign(digest)
    environment.sign(digest, signingAlgorithm="SHA_512_RSA_PKCS_PSS")
    policies = requiring(
        oracle_spec(environment.server, trusted(ORACLE_KEY, algorithm="RSA_PSS_SHA_256")),
        oracle_spec(environment.server, trusted(ORACLE_KEY, algorithm="RSA_PSS_SHA_512")),
    )
    assert environment.verdict(policies).verdict is Verdict.DENY


def test_attack_08_two_keys_are_two_signers(environment: OracleVerifierEnvironment) -> None:
    digest = environment.push()
    environment.sign(digest)
    environment.sign(digest, SECOND, kmsKeyId=OTHER_KEY_ID)
    policies = requiring(
        oracle_spec(environment.server), oracle_spec(environment.server, trusted(SECOND, key_id=OTHER_KEY_ID))
    )
    assert environment.verdict(policies).verdict is Verdict.ADMIT


# 10: algorithms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SHA_256_RSA_PKCS1_V1_5", "ECDSA_SHA_256", "SHA_1_RSA_PKCS_PSS", "", "none"])
def test_attack_10_unsupported_signature_algorithm_is_refused(
    environment: OracleVerifierEnvironment, name: str
) -> None:
    record = environment.sign(environment.push(), signingAlgorithm="SHA_256_RSA_PKCS_PSS")
    record["signingAlgorithm"] = name
    assert reason(environment.verdict()) is Reason.INVALID_SIGNATURE


def test_attack_10_record_cannot_contradict_the_signed_algorithm(
    environment: OracleVerifierEnvironment,
) -> None:
    digest = environment.push()
    message = compact(message_of(digest, "project01/acme-web-app"))
    record = environment.sign(digest, signingAlgorithm="SHA_512_RSA_PKCS_PSS")
    record["message"] = b64encode(message).decode()
    record["signature"] = b64encode(sign(ORACLE_KEY, message, "RSA_PSS_SHA_512")).decode()
    assert reason(environment.verdict()) is Reason.IDENTITY_MISMATCH


@pytest.mark.parametrize("used", ["RSA_PKCS1_SHA_256", "RSA_PSS_SHA_512"])
def test_attack_10_signature_of_another_algorithm_is_refused(environment: OracleVerifierEnvironment, used: str) -> None:
    digest = environment.push()
    record = environment.sign(digest)
    message = compact(message_of(digest, "project01/acme-web-app"))
    record["signature"] = b64encode(sign(ORACLE_KEY, message, used)).decode()
    assert reason(environment.verdict()) is Reason.INVALID_SIGNATURE


# 16: what was taken back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["DELETED", "DELETING", "FAILED", ""])
def test_attack_16_a_signature_that_is_not_available_is_refused(
    environment: OracleVerifierEnvironment, state: str
) -> None:
    environment.sign(environment.push())["lifecycleState"] = state
    assert reason(environment.verdict()) is Reason.REVOKED


def test_attack_16_deleted_signature_expires_with_the_cache() -> None:
    clock = FakeClock()
    with OracleVerifierEnvironment(clock=clock) as environment:
        record = environment.sign(environment.push())
        assert environment.verdict().verdict is Verdict.ADMIT
        record["lifecycleState"] = "DELETED"
        clock.advance(601)
        assert reason(environment.verdict()) is Reason.REVOKED


def test_attack_16_key_version_that_is_not_accepted_is_refused(environment: OracleVerifierEnvironment) -> None:
    environment.sign(environment.push())
    policies = requiring(oracle_spec(environment.server, trusted(ORACLE_KEY, OTHER_VERSION_ID)))
    assert reason(environment.verdict(policies)) is Reason.UNKNOWN_KEY


def test_attack_16_old_version_cannot_pass_for_the_accepted_one(environment: OracleVerifierEnvironment) -> None:
    policies = requiring(oracle_spec(environment.server, trusted(SECOND, VERSION_ID)))
    environment.sign(environment.push())
    assert reason(environment.verdict(policies)) is Reason.INVALID_SIGNATURE


def test_attack_16_untrusted_key_id_of_a_trusted_key_is_refused(
    environment: OracleVerifierEnvironment,
) -> None:
    environment.sign(environment.push(), kmsKeyId=OTHER_KEY_ID)
    assert reason(environment.verdict()) is Reason.UNKNOWN_KEY


# 17: errors never admit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 418, 429, 500, 503])
def test_attack_17_no_status_of_the_service_admits(environment: OracleVerifierEnvironment, status: int) -> None:
    environment.push()
    environment.server.faults.status(LIST, status)
    assert environment.verdict(seconds=2.0).verdict in {Verdict.DENY, Verdict.UNAVAILABLE}


# 32, 33: floods and bombs ---------------------------------------------------------------------------------------------


def test_attack_32_an_endless_page_is_cut_off(environment: OracleVerifierEnvironment) -> None:
    environment.push()
    environment.server.faults.endless(LIST, chunk=b" " * 65536)
    assert reason(environment.verdict()) is Reason.EVIDENCE_TOO_LARGE


def test_attack_32_flood_of_candidates_is_refused_after_128(environment: OracleVerifierEnvironment) -> None:
    record = environment.sign(environment.push(), STRANGER)
    environment.server.records.extend([record] * 500)
    assert reason(environment.verdict()) is Reason.EVIDENCE_TOO_LARGE
    assert len(environment.server.requests) < 10


def test_attack_33_a_compressed_page_is_not_unpacked(environment: OracleVerifierEnvironment) -> None:
    environment.push()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    environment.server.faults.answer(LIST, 200, headers, gzip.compress(b'{"items":[' + b" " * (1 << 24) + b"]}"))
    assert environment.verdict().verdict is Verdict.UNAVAILABLE


@pytest.mark.parametrize(
    "page",
    [
        b'{"items":' * 3000 + b"1" + b"}" * 3000,
        b'{"items":' + b"[" * 100_000,
        b'{"items":[],"items":[]}',
        b'{"items":[],"remainingItemsCount":' + b"9" * 100_000 + b"}",
        b'{"items":[],"n":Infinity}',
        b'{"items":"\xff"}',
    ],
)
def test_attack_33_ambiguous_page_is_refused(environment: OracleVerifierEnvironment, page: bytes) -> None:
    environment.push()
    environment.server.faults.body(LIST, page)
    assert reason(environment.verdict()) is Reason.MALFORMED_EVIDENCE


def test_attack_33_deeply_nested_signed_message_is_refused(environment: OracleVerifierEnvironment) -> None:
    environment.push()
    environment.server.sign(b'{"description":' * 4000, ORACLE_KEY)
    environment.server.honours_filter = False
    assert reason(environment.verdict()) is Reason.MALFORMED_EVIDENCE


# 34: a service that takes its time ------------------------------------------------------------------------------------


def test_attack_34_unresponsive_service_ends_at_the_deadline(
    environment: OracleVerifierEnvironment,
) -> None:
    environment.push()
    environment.server.faults.hang(LIST)
    verdict = environment.verdict(seconds=1.0)
    assert verdict.verdict is Verdict.UNAVAILABLE
    assert verdict.reason is Reason.DEADLINE_EXCEEDED


# 37, 38: where requests and credentials go ----------------------------------------------------------------------------


def test_attack_37_a_service_at_a_metadata_address_is_never_asked(environment: OracleVerifierEnvironment) -> None:
    environment.push()
    policies = requiring(oracle_spec(environment.server, endpoint="https://169.254.169.254"))
    verdict = environment.verdict(policies)
    assert verdict.verdict is Verdict.UNAVAILABLE
    assert verdict.policies[0].findings[0].reason is Reason.ADDRESS_FORBIDDEN


def test_attack_38_redirect_takes_no_signed_request_elsewhere(environment: OracleVerifierEnvironment) -> None:
    environment.sign(environment.push())
    key = APIKey()
    policies = requiring(
        oracle_spec(environment.server, credentialsSecret={"name": "oci"}), secrets={"oci": key.secret}
    )
    with RegistrySimulator() as thief:
        environment.server.faults.redirect(LIST, f"{thief.url}/20160918/container/imageSignatures")
        assert environment.verdict(policies).verdict is Verdict.UNAVAILABLE
        assert thief.requests == []


# 39: names as paths ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"region": "us-phoenix-1.evil.com/"},
        {"region": "../x"},
        {"region": "us-phoenix-1\n"},
        {"compartmentId": "ocid1.compartment.oc1..a&compartmentIdInSubtree=true"},
        {"compartmentId": "ocid1.compartment.oc1/../x"},
    ],
)
def test_attack_39_no_name_leads_to_another_place(
    environment: OracleVerifierEnvironment, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        requiring(oracle_spec(environment.server, **fields))


def test_attack_39_a_page_token_stays_a_page_token(environment: OracleVerifierEnvironment) -> None:
    environment.push()
    environment.server.faults.answer(
        "limit=100$", 200, {"opc-next-page": "../x?a=b&imageDigest=#"}, b'{"items":[]}', times=1
    )
    environment.server.faults.answer(LIST, 200, {}, b'{"items":[]}')
    assert reason(environment.verdict()) is Reason.NO_SIGNATURE
    assert dict(environment.server.requests[-1].query)["page"] == "../x?a=b&imageDigest=#"


# 40: foreign text and secrets -----------------------------------------------------------------------------------------


def test_attack_40_ids_of_the_service_reach_messages_escaped(environment: OracleVerifierEnvironment) -> None:
    record = environment.sign(environment.push(), STRANGER)
    record["id"] = "evil\nlevel=info \u202e"
    environment.server.records.append({**record, "kmsKeyId": KEY_ID + "\x1b[31m\n"})
    verdict = environment.verdict()
    seen = verdict.policies[0].findings[0].signatures
    text = " ".join([verdict.message, *(f"{found.source} {found.message}" for found in seen)])
    assert text.isascii()
    assert text.isprintable()


def test_attack_40_no_private_key_is_in_a_message(environment: OracleVerifierEnvironment) -> None:
    environment.push()
    secret = dict(APIKey().secret)
    secret["privateKey"] = secret["privateKey"][:-40]
    spec = oracle_spec(environment.server, credentialsSecret={"name": "oci"})
    verdict = environment.verdict(requiring(spec, secrets={"oci": secret}))
    assert verdict.verdict is Verdict.UNAVAILABLE
    assert "PRIVATE KEY" not in repr(verdict)
    assert secret["privateKey"][60:100].decode() not in repr(verdict)
