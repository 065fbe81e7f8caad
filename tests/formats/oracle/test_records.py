"""Signature records that count, and those that are refused."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.reasons import Reason
from tests.support.environments.oracle import (
    DIGEST,
    KEY,
    OTHER_DIGEST,
    REPOSITORY,
    STRANGER,
    OracleEnvironment,
    trusted,
)
from tests.support.signers.private_keys import fingerprint, new_key, sign
from tests.support.simulators.ocir import KEY_ID, VERSION_ID, compact, message_of

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = message_of(DIGEST, REPOSITORY)
OTHER_KEY_ID = "ocid1.key.oc1.phx.bbqehaq3aadfa.other"
OTHER_VERSION_ID = "ocid1.keyversion.oc1.phx.bbqehaq3aadfa.other"
ALGORITHMS = [f"SHA_{bits}_RSA_PKCS_PSS" for bits in (224, 256, 384, 512)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", ["RSA 2048", "RSA 3072", "RSA 4096"])
def test_the_four_algorithms_verify(environment: OracleEnvironment, algorithm: str, kind: str) -> None:
    key = new_key(kind)
    environment.sign(key, signingAlgorithm=algorithm)
    assert environment.verify(environment.check(trusted(key))).fingerprints == (fingerprint(key),)


@pytest.mark.parametrize("salt", [0, 20, 32, 222])
def test_any_length_of_salt_verifies(environment: OracleEnvironment, salt: int) -> None:
    environment.server.sign(GOOD, KEY, salt_length=salt)
    environment.verify()


def test_message_with_description_and_metadata_verifies(environment: OracleEnvironment) -> None:
    environment.sign(description="Image for UAT testing \u00e4", metadata='{"buildnumber":"8447"}')
    environment.verify()


def test_description_and_metadata_may_be_left_out_of_the_message(environment: OracleEnvironment) -> None:
    environment.server.sign({name: GOOD[name] for name in GOOD if name not in {"description", "metadata"}}, KEY)
    environment.verify()


def test_message_must_meet_the_requirements_of_the_authenticator(environment: OracleEnvironment) -> None:
    environment.sign(description="nightly", metadata='{"buildnumber":"8447","team":"web"}')
    environment.verify(environment.check(description="nightly", metadata={"buildnumber": "8447"}))
    environment.refuses(Reason.ANNOTATION_MISMATCH, environment.check(description="release"))
    environment.refuses(Reason.ANNOTATION_MISMATCH, environment.check(metadata={"buildnumber": "8448"}))
    environment.refuses(Reason.ANNOTATION_MISMATCH, environment.check(metadata={"stage": "uat"}))


@pytest.mark.parametrize("text", ["", "{}", '{"buildnumber":8447}', '{"buildnumber":["8447"]}'])
def test_metadata_that_is_not_text_is_refused(environment: OracleEnvironment, text: str) -> None:
    environment.sign(metadata=text)
    environment.refuses(Reason.ANNOTATION_MISMATCH, environment.check(metadata={"buildnumber": "8447"}))


@pytest.mark.parametrize("text", ["8447", "[]", "{", '{"buildnumber":"8447","buildnumber":"1"}'])
def test_metadata_that_is_not_an_object_is_refused(environment: OracleEnvironment, text: str) -> None:
    environment.sign(metadata=text)
    environment.refuses(Reason.MALFORMED_EVIDENCE, environment.check(metadata={"buildnumber": "8447"}))


def test_several_signatures_and_keys_are_checked(environment: OracleEnvironment) -> None:
    environment.sign(STRANGER, kmsKeyId=OTHER_KEY_ID)
    environment.sign()
    environment.sign()
    assert environment.verify().fingerprints == (fingerprint(KEY),)
    both = environment.check(trusted(), trusted(STRANGER, key_id=OTHER_KEY_ID))
    assert set(environment.verify(both).fingerprints) == {fingerprint(KEY), fingerprint(STRANGER)}


def test_each_public_key_counts_for_its_own_versions(environment: OracleEnvironment) -> None:
    check = environment.check(trusted(KEY, VERSION_ID), trusted(STRANGER, OTHER_VERSION_ID))
    environment.sign(STRANGER)
    environment.refuses(Reason.INVALID_SIGNATURE, check)
    environment.sign(STRANGER, kmsKeyVersionId=OTHER_VERSION_ID)
    assert environment.verify(check).fingerprints == (fingerprint(STRANGER),)


def test_one_algorithm_alone_may_be_accepted(environment: OracleEnvironment) -> None:
    check = environment.check(trusted(algorithm="RSA_PSS_SHA_384"))
    environment.sign()
    environment.refuses(Reason.INVALID_SIGNATURE, check)
    environment.sign(signingAlgorithm="SHA_384_RSA_PKCS_PSS")
    environment.verify(check)


# What must be refused -------------------------------------------------------------------------------------------------


def _message_of_another_image(environment: OracleEnvironment) -> None:
    environment.server.honours_filter = False
    environment.sign(imageDigest=OTHER_DIGEST)


def _message_of_another_repository(environment: OracleEnvironment) -> None:
    environment.server.honours_filter = False
    environment.sign(repositoryName="project01/other")


def _message_of_a_repository_with_its_namespace(environment: OracleEnvironment) -> None:
    environment.server.honours_filter = False
    environment.sign(repositoryName=f"ansh81vru1zp/{REPOSITORY}")


def _message_of_another_region(environment: OracleEnvironment) -> None:
    environment.sign(region="eu-frankfurt-1")


def _algorithm_of_the_record_is_not_the_messages(environment: OracleEnvironment) -> None:
    environment.sign(record={"signingAlgorithm": "SHA_512_RSA_PKCS_PSS"})


def _algorithm_pkcs1(environment: OracleEnvironment) -> None:
    environment.sign(signingAlgorithm="SHA_256_RSA_PKCS1_V1_5")


def _algorithm_ecdsa(environment: OracleEnvironment) -> None:
    environment.sign(signingAlgorithm="ECDSA_SHA_256")


def _algorithm_of_the_policys_own_spelling(environment: OracleEnvironment) -> None:
    environment.sign(signingAlgorithm="RSA_PSS_SHA_256")


def _key_that_is_not_trusted_though_its_public_key_is(environment: OracleEnvironment) -> None:
    environment.sign(kmsKeyId=OTHER_KEY_ID)


def _key_of_the_record_is_not_the_messages(environment: OracleEnvironment) -> None:
    environment.sign(kmsKeyId=OTHER_KEY_ID, record={"kmsKeyId": KEY_ID})


def _version_of_the_record_is_not_the_messages(environment: OracleEnvironment) -> None:
    environment.sign(record={"kmsKeyVersionId": OTHER_VERSION_ID})


def _signed_by_a_stranger(environment: OracleEnvironment) -> None:
    environment.sign(STRANGER)


def _deleted(environment: OracleEnvironment) -> None:
    environment.sign(record={"lifecycleState": "DELETED"})


def _being_deleted(environment: OracleEnvironment) -> None:
    environment.sign(record={"lifecycleState": "DELETING"})


def _of_an_unknown_state(environment: OracleEnvironment) -> None:
    environment.sign(record={"lifecycleState": "available"})


def _message_changed_by_a_byte(environment: OracleEnvironment) -> None:
    record = environment.sign()
    record["message"] = b64encode(compact(GOOD).replace(b"project01", b"project02")).decode()


def _message_with_a_member_twice(environment: OracleEnvironment) -> None:
    raw = compact(GOOD)
    environment.server.sign(raw[:-1] + b',"imageDigest":"' + DIGEST.encode() + b'"}', KEY)


def _message_with_an_unknown_member(environment: OracleEnvironment) -> None:
    environment.sign(notAfter="2020-01-01")


def _message_with_something_after_it(environment: OracleEnvironment) -> None:
    environment.server.sign(compact(GOOD) + b"{}", KEY)


def _message_without_a_region(environment: OracleEnvironment) -> None:
    environment.server.sign({name: GOOD[name] for name in GOOD if name != "region"}, KEY)


def _message_that_is_not_json(environment: OracleEnvironment) -> None:
    environment.server.sign(DIGEST.encode(), KEY)


def _message_with_a_number_for_a_digest(environment: OracleEnvironment) -> None:
    environment.server.honours_filter = False
    environment.sign(imageDigest=5)


def _record(**members: Any) -> Callable[[OracleEnvironment], None]:
    def store(environment: OracleEnvironment) -> None:
        environment.sign(record=members)

    return store


def _record_that_is_text(environment: OracleEnvironment) -> None:
    environment.server.records.append("x")


BROKEN: dict[str, tuple[Callable[[OracleEnvironment], None], Reason]] = {
    "message of another image": (_message_of_another_image, Reason.DIGEST_MISMATCH),
    "message of another repository": (_message_of_another_repository, Reason.REPOSITORY_MISMATCH),
    "message of a repository with its namespace": (
        _message_of_a_repository_with_its_namespace,
        Reason.REPOSITORY_MISMATCH,
    ),
    "message of another region": (_message_of_another_region, Reason.REPOSITORY_MISMATCH),
    "algorithm of the record is not the message's": (
        _algorithm_of_the_record_is_not_the_messages,
        Reason.IDENTITY_MISMATCH,
    ),
    "algorithm PKCS1": (_algorithm_pkcs1, Reason.INVALID_SIGNATURE),
    "algorithm ECDSA": (_algorithm_ecdsa, Reason.INVALID_SIGNATURE),
    "algorithm of the policy's own spelling": (_algorithm_of_the_policys_own_spelling, Reason.INVALID_SIGNATURE),
    "key that is not trusted though its public key is": (
        _key_that_is_not_trusted_though_its_public_key_is,
        Reason.UNKNOWN_KEY,
    ),
    "key of the record is not the message's": (_key_of_the_record_is_not_the_messages, Reason.IDENTITY_MISMATCH),
    "version of the record is not the message's": (
        _version_of_the_record_is_not_the_messages,
        Reason.IDENTITY_MISMATCH,
    ),
    "signed by a stranger": (_signed_by_a_stranger, Reason.INVALID_SIGNATURE),
    "deleted": (_deleted, Reason.REVOKED),
    "being deleted": (_being_deleted, Reason.REVOKED),
    "of an unknown state": (_of_an_unknown_state, Reason.REVOKED),
    "message changed by a byte": (_message_changed_by_a_byte, Reason.NO_SIGNATURE),
    "message with a member twice": (_message_with_a_member_twice, Reason.MALFORMED_EVIDENCE),
    "message with an unknown member": (_message_with_an_unknown_member, Reason.MALFORMED_EVIDENCE),
    "message with something after it": (_message_with_something_after_it, Reason.MALFORMED_EVIDENCE),
    "message without a region": (_message_without_a_region, Reason.MALFORMED_EVIDENCE),
    "message that is not JSON": (_message_that_is_not_json, Reason.MALFORMED_EVIDENCE),
    "message with a number for a digest": (_message_with_a_number_for_a_digest, Reason.MALFORMED_EVIDENCE),
    "record that is text": (_record_that_is_text, Reason.MALFORMED_EVIDENCE),
    "record without message": (_record(message=None), Reason.MALFORMED_EVIDENCE),
    "record with an empty message": (_record(message=""), Reason.MALFORMED_EVIDENCE),
    "record with a message that is not base64": (_record(message="!"), Reason.MALFORMED_EVIDENCE),
    "record with a signature that is not base64": (_record(signature="\n"), Reason.MALFORMED_EVIDENCE),
    "record with a huge message": (
        _record(message=b64encode(bytes((1 << 16) + 1)).decode()),
        Reason.EVIDENCE_TOO_LARGE,
    ),
    "record with a number for a key": (_record(kmsKeyId=5), Reason.MALFORMED_EVIDENCE),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_record_is_refused(environment: OracleEnvironment, defect: str) -> None:
    store, reason = BROKEN[defect]
    store(environment)
    environment.refuses(reason)


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_record_beside_a_good_one_is_only_reported(environment: OracleEnvironment, defect: str) -> None:
    BROKEN[defect][0](environment)
    environment.sign()
    assert environment.verify().fingerprints == (fingerprint(KEY),)


def test_a_version_that_is_not_accepted_is_refused(environment: OracleEnvironment) -> None:
    environment.sign()
    environment.refuses(Reason.UNKNOWN_KEY, environment.check(trusted(KEY, OTHER_VERSION_ID)))


def test_a_signature_by_pkcs1_under_the_name_of_pss_is_refused(environment: OracleEnvironment) -> None:
    record = environment.sign()
    record["signature"] = b64encode(sign(KEY, compact(GOOD), "RSA_PKCS1_SHA_256")).decode()
    environment.refuses(Reason.INVALID_SIGNATURE)


def test_an_image_outside_of_any_namespace_is_refused_unasked(environment: OracleEnvironment) -> None:
    environment.refuses(Reason.REPOSITORY_MISMATCH, image=environment.image("phx.ocir.io/app:1"))
    assert environment.server.requests == []
