"""Signature records that are made here: they verify, are made once, and leave those of others alone."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.errors import (
    InvalidInputError,
    InvalidKeyError,
    NotFoundError,
    SigningError,
    UnauthorizedError,
    VerificationError,
)
from sealgate.formats.oracle.service import SignatureService
from sealgate.formats.oracle.sign import build_signer
from sealgate.formats.signing import SigningOutcome
from sealgate.reasons import Reason
from tests.support.environments.oracle import DIGEST, KEY, OTHER_DIGEST, REPOSITORY, STRANGER, trusted
from tests.support.signers.private_keys import fingerprint, new_key
from tests.support.signers.signing_keys import LocalSigningKey
from tests.support.simulators.http_messages import json_answer
from tests.support.simulators.ocir import COMPARTMENT, KEY_ID, REGION, VERSION_ID, APIKey, compact, message_of

if TYPE_CHECKING:
    from sealgate.formats.oracle.sign import OracleSigner
    from sealgate.formats.signing import SigningResult
    from tests.support.environments.oracle import OracleEnvironment

IMAGE_ID = "ocid1.containerimage.oc1.phx.0.ansh81vru1zp.aaaaaaaalqzj"
ALGORITHMS = [f"RSA_PSS_SHA_{bits}" for bits in (224, 256, 384, 512)]
METADATA = '{"buildnumber":"8447"}'


@pytest.fixture(autouse=True)
def api_key(environment: OracleEnvironment) -> APIKey:
    """Store the image in the registry, and require signed requests."""
    key = APIKey(new_key("RSA 2048", "an API key"))  # type: ignore[arg-type]  # an RSA key
    environment.server.api_key = key
    environment.secrets = {"oci": key.secret}
    environment.server.images[IMAGE_ID] = (DIGEST, REPOSITORY)
    return key


def signer_of(environment: OracleEnvironment, key: LocalSigningKey | None = None, **text: str) -> OracleSigner:
    service = SignatureService(environment.server.url, None, COMPARTMENT, subtree=False)
    key = key or LocalSigningKey(KEY, "RSA_PSS_SHA_256", VERSION_ID)
    return build_signer(service, "oci", key, KEY_ID, region=REGION, **text)


def sign(environment: OracleEnvironment, signer: OracleSigner | None = None) -> SigningResult:
    return (signer or signer_of(environment)).sign(environment.image(), environment.context())


def verify(environment: OracleEnvironment, *keys: dict[str, Any], **fields: Any) -> tuple[str, ...]:
    check = environment.check(*keys, credentialsSecret={"name": "oci"}, **fields)
    return environment.verify(check).fingerprints


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_record_verifies(environment: OracleEnvironment, algorithm: str) -> None:
    key = LocalSigningKey(KEY, algorithm, VERSION_ID)
    result = sign(environment, signer_of(environment, key, description="Image for UAT", metadata=METADATA))
    assert (result.outcome, result.algorithm, result.key_version) == (SigningOutcome.SIGNED, algorithm, VERSION_ID)
    (record,) = environment.server.records
    assert result.location == f"{environment.server.host}: {record['id']}"
    assert record["imageId"] == IMAGE_ID
    fields = {"description": "Image for UAT", "metadata": {"buildnumber": "8447"}}
    assert verify(environment, trusted(KEY, VERSION_ID), **fields) == (fingerprint(KEY),)


def test_message_is_byte_for_byte_that_of_the_oci_cli(environment: OracleEnvironment) -> None:
    sign(environment, signer_of(environment, description='Für "UAT"', metadata=METADATA))
    (record,) = environment.server.records
    expected = message_of(DIGEST, REPOSITORY, description='Für "UAT"', metadata=METADATA)
    assert b64decode(record["message"]) == compact(expected)


def test_image_is_signed_once(environment: OracleEnvironment) -> None:
    first, key = sign(environment), LocalSigningKey(KEY, "RSA_PSS_SHA_256", VERSION_ID)
    second = sign(environment, signer_of(environment, key))
    assert (second.outcome, second.location) == (SigningOutcome.ALREADY_SIGNED, first.location)
    assert (key.messages, len(environment.server.records)) == ([], 1)


def test_record_of_the_oci_cli_with_the_same_text_counts(environment: OracleEnvironment) -> None:
    environment.sign(description="Image for UAT", metadata=METADATA)
    same = signer_of(environment, description="Image for UAT", metadata=METADATA)
    assert sign(environment, same).outcome is SigningOutcome.ALREADY_SIGNED


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, {"description": "another"}),
        ({}, {"metadata": METADATA}),
        ({}, {"imageDigest": OTHER_DIGEST}),
        ({}, {"kmsKeyVersionId": "ocid1.keyversion.oc1.phx.bbqehaq3aadfa.old"}),
        ({}, {"signingAlgorithm": "SHA_512_RSA_PKCS_PSS"}),
        ({"lifecycleState": "DELETED"}, {}),
        ({"signature": b64encode(b"none").decode()}, {}),
        ({"message": b64encode(b"m" * (1 << 17)).decode()}, {}),
        ({"message": "no base64!"}, {}),
    ],
)
def test_another_signature_is_no_reason_not_to_sign(
    environment: OracleEnvironment, record: dict[str, Any], message: dict[str, Any]
) -> None:
    environment.server.honours_filter = False
    environment.sign(record=record, **message)
    before = json.dumps(environment.server.records)
    assert sign(environment).outcome is SigningOutcome.SIGNED
    assert json.dumps(environment.server.records[:-1]) == before
    assert verify(environment, trusted(KEY, VERSION_ID), description=None) == (fingerprint(KEY),)


def test_new_version_of_a_key_signs_again(environment: OracleEnvironment) -> None:
    sign(environment)
    newer = "ocid1.keyversion.oc1.phx.bbqehaq3aadfa.new"
    result = sign(environment, signer_of(environment, LocalSigningKey(KEY, "RSA_PSS_SHA_256", newer)))
    assert (result.outcome, result.key_version) == (SigningOutcome.SIGNED, newer)


@pytest.mark.parametrize("member", ["message", "signature"])
def test_one_changed_byte_is_refused(environment: OracleEnvironment, member: str) -> None:
    sign(environment)
    (record,) = environment.server.records
    data = bytearray(b64decode(record[member]))
    data[len(data) // 2] ^= 1
    record[member] = b64encode(data).decode()
    check = environment.check(credentialsSecret={"name": "oci"})
    environment.refuses(Reason.INVALID_SIGNATURE, check)


def test_malformed_list_is_an_error_before_anything_is_signed(environment: OracleEnvironment) -> None:
    respond = environment.server.respond
    environment.server.respond = lambda request: (  # type: ignore[method-assign]  # the simulator is the test's own
        json_answer({"items": 7}) if request.path.endswith("/imageSignatures") else respond(request)
    )
    key = LocalSigningKey(KEY, "RSA_PSS_SHA_256", VERSION_ID)
    with pytest.raises(VerificationError, match="the list of signatures"):
        sign(environment, signer_of(environment, key))
    assert key.messages == []


def test_image_that_was_not_pushed_is_not_signed(environment: OracleEnvironment) -> None:
    environment.server.images.clear()
    with pytest.raises(NotFoundError, match=r"has no image sha256:4a4a.* in project01/acme-web-app; push it, or name"):
        sign(environment)
    assert environment.server.records == []


def test_deleted_and_other_images_are_not_taken_for_it(environment: OracleEnvironment) -> None:
    server = environment.server
    server.honours_filter = False
    server.images = {
        "other-digest": (OTHER_DIGEST, REPOSITORY),
        "other-repository": (DIGEST, f"{REPOSITORY}-2"),
        "deleted": (DIGEST, REPOSITORY),
        IMAGE_ID: (DIGEST, REPOSITORY),
    }
    server.image_states["deleted"] = "DELETED"
    sign(environment)
    assert server.records[0]["imageId"] == IMAGE_ID


def test_image_under_two_ocids_is_not_signed(environment: OracleEnvironment) -> None:
    environment.server.images["another"] = (DIGEST, REPOSITORY)
    with pytest.raises(SigningError, match="is there 2 times"):
        sign(environment)


def test_wrong_credentials_name_the_right(environment: OracleEnvironment, api_key: APIKey) -> None:
    respond = environment.server.respond
    environment.server.respond = lambda request: (  # type: ignore[method-assign]  # the simulator is the test's own
        respond(request) if request.method == "GET" else json_answer({"code": "NotAuthorized"}, 403)
    )
    with pytest.raises(
        UnauthorizedError, match="status 403; signing needs a policy that allows to manage repos"
    ) as seen:
        sign(environment)
    assert api_key.secret["privateKey"].decode() not in str(seen.value)


def test_record_that_is_not_listed_afterwards_is_an_error(environment: OracleEnvironment) -> None:
    environment.server.drops = True
    with pytest.raises(VerificationError, match=r"was stored as ocid1\.containersignature.* and does not verify"):
        sign(environment)


def test_key_that_signs_as_another_stores_nothing(environment: OracleEnvironment) -> None:
    class Confused(LocalSigningKey):
        def sign(self, message: bytes, deadline: Any) -> bytes:
            return LocalSigningKey(STRANGER, self.algorithm).sign(message, deadline)

    with pytest.raises(SigningError, match="returned a signature that its public key"):
        sign(environment, signer_of(environment, Confused(KEY, "RSA_PSS_SHA_256", VERSION_ID)))
    assert environment.server.records == []


@pytest.mark.parametrize(
    "key",
    [
        LocalSigningKey(KEY, "RSA_PKCS1_SHA_256", VERSION_ID),
        LocalSigningKey(new_key("ECDSA P-256"), None, VERSION_ID),
        LocalSigningKey(KEY, "RSA_PSS_SHA_256"),
    ],
)
def test_key_that_image_signatures_do_not_have_is_refused(environment: OracleEnvironment, key: LocalSigningKey) -> None:
    with pytest.raises(
        InvalidKeyError, match="made by one version of an RSA key in a vault, with one of RSA_PSS_SHA_224"
    ):
        signer_of(environment, key)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ('{"build number":"8447"}', "without white space"),
        ('{"buildnumber": "8447"}', "without white space"),
        ('{"buildnumber":"8-447"}', "must be alphanumeric"),
        ('{"build\\u0041":"1"}', "without white space and escapes"),
        ('{"büild":"1"}', "must be alphanumeric"),
        ('{"buildnumber":"8447"', "metadata"),
        ('["8447"]', "metadata"),
        ('{"a":"1","a":"2"}', "metadata"),
        ("8447", "metadata"),
    ],
)
def test_metadata_follows_the_rule_of_oracle(environment: OracleEnvironment, metadata: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        signer_of(environment, metadata=metadata)


def test_description_is_bounded(environment: OracleEnvironment) -> None:
    sign(environment, signer_of(environment, description="d" * 1024))
    with pytest.raises(InvalidInputError, match="has 1025 characters; write 1024 at most"):
        signer_of(environment, description="d" * 1025)
