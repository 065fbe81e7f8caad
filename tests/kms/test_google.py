"""Keys in Google Cloud KMS: enabled versions for signing, read by a service account or by a workload identity."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError

from sealgate.cloud.google import WorkloadIdentity
from sealgate.errors import SigningError, UnauthorizedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.signing_keys import sign_verified
from sealgate.kms.interface import MAX_VERSIONS
from sealgate.kms.platform import TokenFile, platform_identities
from tests.support.clocks import FakeClock
from tests.support.environments.kms import SECRET, KMSEnvironment
from tests.support.simulators.google_kms import AUDIENCE, GoogleKMSSimulator
from tests.support.simulators.http_messages import RecordedRequest, json_answer
from tests.support.simulators.kms_keys import pem_of_key

if TYPE_CHECKING:
    from tests.support.simulators.google_kms import GoogleKey

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "google" / "requests.json").read_text())
MESSAGE = b'{"critical": "an image"}'


def kms(environment: KMSEnvironment) -> GoogleKMSSimulator:
    assert isinstance(environment.kms, GoogleKMSSimulator)
    return environment.kms


def add(environment: KMSEnvironment, algorithm: str = "EC_SIGN_P256_SHA256", *versions: str, **more: str) -> GoogleKey:
    return kms(environment).add(environment.key_id, algorithm, *versions, **more)


def federate(environment: KMSEnvironment) -> None:
    """Put a token of a workload into the Secret, for the simulator's addresses."""
    token = {"audience": AUDIENCE, "subjectToken": kms(environment).subject_token}
    addresses = {"address": environment.kms.url, "stsUrl": f"{environment.kms.url}/v1/token"}
    environment.secrets[SECRET] = {name: value.encode() for name, value in {**token, **addresses}.items()}


@pytest.mark.parametrize(
    ("algorithm", "accepted"),
    [
        ("EC_SIGN_P256_SHA256", "ECDSA_SHA_256"),
        ("EC_SIGN_P384_SHA384", "ECDSA_SHA_384"),
        ("EC_SIGN_ED25519", "ED25519"),
        ("RSA_SIGN_PKCS1_2048_SHA256", "RSA_PKCS1_SHA_256"),
        ("RSA_SIGN_PKCS1_4096_SHA512", "RSA_PKCS1_SHA_512"),
        ("RSA_SIGN_PSS_3072_SHA256", "RSA_PSS_SHA_256"),
    ],
)
def test_key_is_accepted(google: KMSEnvironment, algorithm: str, accepted: str) -> None:
    key = add(google, algorithm)
    status = google.resolve_one(google.entry(accepted))
    assert (status.state, status.algorithm, status.key_version) == ("Accepted", accepted, "1")
    assert status.fingerprint == load_public_key(pem_of_key(key.versions["1"])).fingerprint
    assert status.source == f"kms google {google.key_id} at {google.kms.url}"


@pytest.mark.parametrize(
    ("algorithm", "accepted", "only"),
    [
        ("RSA_SIGN_PSS_2048_SHA256", None, "RSA_PSS_SHA_256"),
        ("RSA_SIGN_PKCS1_4096_SHA512", None, "RSA_PKCS1_SHA_512"),
        ("RSA_SIGN_PKCS1_2048_SHA256", "RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"),
        ("EC_SIGN_ED25519", "ED25519_PH", "ED25519"),
    ],
)
def test_key_that_signs_with_another_algorithm_is_refused_with_the_one_to_write(
    google: KMSEnvironment, algorithm: str, accepted: str | None, only: str
) -> None:
    """Accepted, it would verify nothing, and each image would be denied for its signature."""
    add(google, algorithm)
    status = google.resolve_one(google.entry(accepted))
    assert (status.state, status.reason, status.pem) == ("Refused", "AlgorithmMismatch", None)
    assert f"the key signs with {only} only" in status.message
    assert status.message.endswith(f"set algorithm: {only}")
    assert google.resolve_one(google.entry(only)).state == "Accepted"


def test_every_version_is_accepted_or_the_named_one(google: KMSEnvironment) -> None:
    add(google, "EC_SIGN_P256_SHA256", "1", "2")
    assert [status.key_version for status in google.resolve()] == ["1", "2"]
    assert google.resolve_one(google.entry(keyVersion=2)).key_version == "2"
    assert google.resolve_one(google.entry(keyVersion=3)).reason == "KeyNotFound"


def test_newest_enabled_versions_of_a_key_that_is_rotated_for_years_are_read(google: KMSEnvironment) -> None:
    """Destroyed versions stay in the list for ever; without paging, none that signs today would be read."""
    key = add(google, "EC_SIGN_P256_SHA256")
    key.versions = {str(version): key.versions["1"] for version in range(1, 451)}
    key.destroyed = {str(version) for version in range(20, 441)}
    found = {int(status.key_version or 0): status.state for status in google.resolve()}
    assert len(found) == MAX_VERSIONS
    accepted = [version for version, state in found.items() if state == "Accepted"]
    assert accepted == [*range(1, 20), *range(441, 451)]
    key.destroyed = set()
    assert [status.key_version for status in google.resolve()] == [str(version) for version in range(387, 451)]


@pytest.mark.parametrize(
    ("algorithm", "state", "reason"),
    [
        ("EC_SIGN_P256_SHA256", "DISABLED", "Disabled"),
        ("EC_SIGN_P256_SHA256", "DESTROY_SCHEDULED", "PendingDeletion"),
        ("EC_SIGN_P256_SHA256", "DESTROYED", "Deleted"),
        ("EC_SIGN_P256_SHA256", "PENDING_IMPORT", "PendingImport"),
        ("EC_SIGN_P256_SHA256", "IMPORT_FAILED", "NotEnabled"),
        ("EC_SIGN_SECP256K1_SHA256", "ENABLED", "UnsupportedAlgorithm"),
        ("RSA_DECRYPT_OAEP_2048_SHA256", "ENABLED", "UnsupportedAlgorithm"),
        ("RSA_SIGN_RAW_PKCS1_2048", "ENABLED", "UnsupportedAlgorithm"),
        ("GOOGLE_SYMMETRIC_ENCRYPTION", "ENABLED", "UnsupportedAlgorithm"),
    ],
)
def test_other_versions_are_refused_with_a_reason(
    google: KMSEnvironment, algorithm: str, state: str, reason: str
) -> None:
    add(google, algorithm, state=state)
    status = google.resolve_one()
    assert (status.state, status.reason, status.pem) == ("Refused", reason, None)


@pytest.mark.parametrize("name", ["projects/other/x/cryptoKeyVersions/1", "KEY/cryptoKeyVersions/../1", "KEY", 7])
def test_version_of_another_name_is_unavailable(google: KMSEnvironment, name: object) -> None:
    said = name.replace("KEY", google.key_id) if isinstance(name, str) else name
    version = {"name": said, "state": "ENABLED", "algorithm": "EC_SIGN_P256_SHA256"}
    google.kms.respond = lambda _: json_answer({"cryptoKeyVersions": [version]})  # type: ignore[assignment,method-assign]
    with pytest.raises(UnavailableError, match="unexpected response from Google Cloud KMS"):
        google.resolve()


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        ("EC_SIGN_P256_SHA256", None),
        ("EC_SIGN_P384_SHA384", None),
        ("RSA_SIGN_PKCS1_2048_SHA256", None),
        ("RSA_SIGN_PSS_2048_SHA256", "RSA_PSS_SHA_256"),
    ],
)
def test_key_signs(google: KMSEnvironment, algorithm: str, name: str | None) -> None:
    add(google, algorithm)
    sign_verified(google.signing_key(name), MESSAGE, google.deadline())


def test_key_does_not_sign_with_the_padding_of_the_policy(google: KMSEnvironment) -> None:
    add(google, "RSA_SIGN_PSS_2048_SHA256")
    with pytest.raises(SigningError, match="cannot sign: the key signs with RSA_PSS_SHA_256 only"):
        google.signing_key()


def test_workload_identity_reads_and_signs_with_one_exchange(google: KMSEnvironment) -> None:
    add(google)
    federate(google)
    assert google.resolve_one().state == "Accepted"
    sign_verified(google.signing_key(), MESSAGE, google.deadline())
    assert len(kms(google).sessions) == 1
    google.clock.advance(45 * 60)
    google.resolve()
    assert len(kms(google).sessions) == 2
    google.clock.advance(300)
    kms(google).sessions.clear()
    with pytest.raises(UnauthorizedError, match="Google Cloud KMS answers 401"):
        google.resolve()
    assert google.resolve_one().state == "Accepted"


def test_token_of_another_workload_is_refused(google: KMSEnvironment) -> None:
    federate(google)
    google.secrets[SECRET]["subjectToken"] = b"another"
    with pytest.raises(UnavailableError, match="Google STS answers 400"):
        google.resolve()


def test_token_of_the_service_account_is_for_the_public_address(google: KMSEnvironment, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("header.payload.signature")
    google.identities = platform_identities({}, google=TokenFile(AUDIENCE, tmp_path / "token"))
    with pytest.raises(UnavailableError):
        google.resolve(google.entry(credentialsSecret=None, endpoint=None))
    assert google.names.asked == ["sts.googleapis.com"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"hunter2", b'{"type": "authorized_user", "client_email": "a", "private_key_id": "b"}']
)
def test_key_of_a_service_account_that_does_not_parse_is_not_repeated(google: KMSEnvironment, content: bytes) -> None:
    google.secrets[SECRET]["key.json"] = content
    with pytest.raises(UnavailableError, match=r"Secret cloud: .*key\.json") as caught:
        google.resolve()
    assert "hunter2" not in caught.value.message


def test_another_service_account_is_refused(google: KMSEnvironment) -> None:
    add(google)
    account = json.loads(google.secrets[SECRET]["key.json"])
    google.secrets[SECRET]["key.json"] = json.dumps({**account, "client_email": "other@x"}).encode()
    with pytest.raises(UnauthorizedError, match="Google Cloud KMS answers 401"):
        google.resolve()


@pytest.mark.parametrize(
    "key",
    ["projects/p/locations/l/keyRings/r/cryptoKeys/..", "projects/p/../x", "k", "projects/p/locations/l/keyRings/r"],
)
def test_invalid_name_is_refused(google: KMSEnvironment, key: str) -> None:
    with pytest.raises(ValidationError, match="key"):
        google.entry(key=key)


# The vendor's SDKs ----------------------------------------------------------------------------------------------------


def test_simulator_accepts_the_requests_of_the_sdk() -> None:
    *requests, exchange = RECORDED["requests"]
    claims = requests[0]["headers"]["authorization"].split(".")[1]
    at = json.loads(urlsafe_b64decode(f"{claims}=="))["iat"]
    with GoogleKMSSimulator(clock=FakeClock(datetime.fromtimestamp(at, UTC))) as simulator:
        account = load_pem_public_key(RECORDED["public"].encode())
        assert isinstance(account, rsa.RSAPublicKey)
        simulator.account = account
        key = simulator.add(
            "projects/shop-1/locations/global/keyRings/release/cryptoKeys/images", "EC_SIGN_P256_SHA256"
        )
        for each in (*requests, exchange):
            path, _, query = each["path"].partition("?")
            request = RecordedRequest(
                each["method"], path, tuple(parse_qsl(query)), each["headers"], each["body"].encode(), 1
            )
            answer = simulator.respond(request)
            assert answer.status == 200, each["path"]
            if path.endswith("asymmetricSign"):
                signature = b64decode(json.loads(answer.body)["signature"])
                load_public_key(pem_of_key(key.versions["1"])).verify(signature, MESSAGE)


def test_requests_of_sealgate_are_those_of_the_sdk(google: KMSEnvironment) -> None:
    add(google)
    key = google.signing_key()
    google.kms.requests.clear()
    google.resolve(google.entry(keyVersion=1))
    key.sign(MESSAGE, google.deadline())
    *recorded, exchange = RECORDED["requests"]
    ours = [
        (request.method, request.path, request.body and json.loads(request.body)) for request in google.kms.requests
    ]
    of_the_sdk = [
        (each["method"], each["path"].partition("?")[0], each["body"].encode() and json.loads(each["body"]))
        for each in recorded[1:]
    ]
    assert ours == of_the_sdk
    assert (
        WorkloadIdentity(AUDIENCE, kms(google).subject_token).request_body("https://www.googleapis.com/auth/cloudkms")
        == exchange["body"].encode()
    )
