"""Keys in AWS KMS: only enabled ones for SIGN_VERIFY, read with an access key or with the role of a ServiceAccount."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.cloud.aws import AWSCredentials, Scope, WebIdentity, sign_post
from sealgate.errors import UnauthorizedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.signing_keys import sign_verified
from sealgate.kms.platform import platform_identities
from tests.support.clocks import FakeClock
from tests.support.environments.kms import AWS_KEY, KMSEnvironment
from tests.support.simulators.aws_kms import ACCOUNT, REGION, ROLE, AWSKMSSimulator
from tests.support.simulators.http_messages import RecordedRequest
from tests.support.simulators.kms_keys import pem_of_key

if TYPE_CHECKING:
    from tests.support.simulators.aws_kms import AWSKey

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "aws" / "requests.json").read_text())
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{AWS_KEY}"
MESSAGE = b'{"critical": "an image"}'


def kms(environment: KMSEnvironment) -> AWSKMSSimulator:
    assert isinstance(environment.kms, AWSKMSSimulator)
    return environment.kms


def add(environment: KMSEnvironment, spec: str = "ECC_NIST_P256", **members: str) -> AWSKey:
    return kms(environment).add(environment.key_id, spec, **members)


def assume_role(environment: KMSEnvironment, folder: Path) -> None:
    """Give the process the role of a ServiceAccount, as EKS does."""
    (folder / "token").write_text(f"{kms(environment).web_identity_token}\n")
    environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token")}
    environment.identities = platform_identities(environ | {"AWS_ENDPOINT_URL_STS": environment.kms.url})


def logins(environment: KMSEnvironment) -> int:
    return sum("x-amz-target" not in request.headers for request in environment.kms.requests)


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("ECC_NIST_P256", "ECDSA_SHA_256"),
        ("ECC_NIST_P384", "ECDSA_SHA_384"),
        ("ECC_NIST_P521", "ECDSA_SHA_512"),
        ("ECC_NIST_EDWARDS25519", "ED25519"),
        ("RSA_2048", "RSA_PKCS1_SHA_256"),
        ("SM2", "SM2"),
    ],
)
@pytest.mark.parametrize("key_id", [AWS_KEY, ARN])
def test_an_enabled_signing_key_is_accepted(aws: KMSEnvironment, spec: str, algorithm: str, key_id: str) -> None:
    key = add(aws, spec)
    status = aws.resolve_one(aws.entry(keyId=key_id))
    assert (status.state, status.algorithm, status.message) == ("Accepted", algorithm, "")
    assert status.fingerprint == load_public_key(pem_of_key(key.private)).fingerprint
    assert status.source == f"kms aws eu-central-1/{key_id} at {aws.kms.url}"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"state": "Disabled"}, "Disabled"),
        ({"state": "PendingDeletion"}, "PendingDeletion"),
        ({"state": "PendingReplicaDeletion"}, "PendingDeletion"),
        ({"state": "PendingImport"}, "PendingImport"),
        ({"state": "Unavailable"}, "NotEnabled"),
        ({"usage": "ENCRYPT_DECRYPT"}, "WrongUsage"),
        ({"usage": "KEY_AGREEMENT"}, "WrongUsage"),
        ({"spec": "SYMMETRIC_DEFAULT"}, "UnsupportedAlgorithm"),
        ({"spec": "ECC_SECG_P256K1"}, "UnsupportedAlgorithm"),
        ({"spec": "ML_DSA_65"}, "UnsupportedAlgorithm"),
        ({"spec": "RSA_2048", "arn": ARN}, "InvalidKey"),
    ],
)
def test_other_keys_are_refused_with_a_reason(aws: KMSEnvironment, members: dict[str, str], reason: str) -> None:
    key = add(aws, **members)
    if reason == "InvalidKey":  # not what the service says that it is
        key.spec = "RSA_3072"
    status = aws.resolve_one()
    assert (status.state, status.reason, status.pem) == ("Refused", reason, None)


def test_missing_key_is_refused(aws: KMSEnvironment) -> None:
    status = aws.resolve_one()
    assert (status.reason, status.state) == ("KeyNotFound", "Refused")
    assert "AWS KMS answers 400 NotFoundException: there is no such key; check keyId and region" in status.message


def test_key_of_another_name_is_unavailable(aws: KMSEnvironment) -> None:
    add(aws, arn=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other")
    with pytest.raises(UnavailableError, match=f"it is about other, not {AWS_KEY}"):
        aws.resolve()
    with pytest.raises(UnavailableError, match=f"it is about .*key/other, not {ARN}"):
        aws.resolve(aws.entry(keyId=ARN))


def test_another_access_key_or_an_old_request_is_refused(aws: KMSEnvironment) -> None:
    add(aws)
    kms(aws).secret_access_key = "another"
    with pytest.raises(UnauthorizedError, match="400 InvalidSignatureException; check the credentials in Secret cloud"):
        aws.resolve()


@pytest.mark.parametrize("algorithm", [f"RSA_{name}_SHA_{bits}" for name in ("PKCS1", "PSS") for bits in (256, 512)])
def test_rsa_key_signs(aws: KMSEnvironment, algorithm: str) -> None:
    add(aws, "RSA_2048")
    sign_verified(aws.signing_key(algorithm), MESSAGE, aws.deadline())


@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P521", "SM2"])
def test_elliptic_curve_key_signs(aws: KMSEnvironment, spec: str) -> None:
    add(aws, spec)
    key = aws.signing_key()
    sign_verified(key, MESSAGE, aws.deadline())
    assert key.name == f"aws:eu-central-1/{AWS_KEY}"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "kms.eu-central-1.amazonaws.com"),
        ("cn-north-1", "kms.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "kms.eusc-de-east-1.amazonaws.eu"),
        ("us-gov-west-1", "kms.us-gov-west-1.amazonaws.com"),
    ],
)
def test_default_endpoint_is_that_of_the_region(aws: KMSEnvironment, region: str, host: str) -> None:
    with pytest.raises(UnavailableError):
        aws.resolve(aws.entry(region=region, endpoint=None))
    assert aws.names.asked == [host]


# The role of a ServiceAccount -----------------------------------------------------------------------------------------


def test_role_of_the_service_account_reads_and_signs(aws: KMSEnvironment, tmp_path: Path) -> None:
    add(aws)
    assume_role(aws, tmp_path)
    entry = aws.entry(credentialsSecret=None)
    assert aws.resolve_one(entry).state == "Accepted"
    sign_verified(aws.signing_keys().open(entry, aws.deadline()), MESSAGE, aws.deadline())
    assert logins(aws) == 1


def test_session_is_opened_anew_before_it_ends_and_when_it_is_refused(aws: KMSEnvironment, tmp_path: Path) -> None:
    add(aws)
    assume_role(aws, tmp_path)
    entry = aws.entry(credentialsSecret=None)
    aws.resolve(entry)
    aws.clock.advance(45 * 60)
    aws.resolve(entry)
    assert logins(aws) == 2
    aws.clock.advance(300)
    kms(aws).sessions.clear()
    with pytest.raises(UnauthorizedError, match="check the credentials in the IAM role of the ServiceAccount"):
        aws.resolve(entry)
    assert aws.resolve_one(entry).state == "Accepted"


def test_token_that_sts_refuses_is_reported(aws: KMSEnvironment, tmp_path: Path) -> None:
    add(aws)
    assume_role(aws, tmp_path)
    (tmp_path / "token").write_text("another")
    with pytest.raises(UnauthorizedError, match="AWS STS answers 400 InvalidIdentityToken; check the credentials in"):
        aws.resolve(aws.entry(credentialsSecret=None))


def test_sts_of_the_region_is_the_default(aws: KMSEnvironment, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    environ = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    aws.identities = platform_identities(environ)
    with pytest.raises(UnavailableError):
        aws.resolve(aws.entry(credentialsSecret=None, region="cn-north-1"))
    assert aws.names.asked == ["sts.cn-north-1.amazonaws.com.cn"]


def test_process_without_an_identity_says_what_to_do(aws: KMSEnvironment) -> None:
    with pytest.raises(UnavailableError, match=r"no identity of its platform for aws; give .* in credentialsSecret"):
        aws.resolve(aws.entry(credentialsSecret=None))


# The vendor's SDK -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", RECORDED["requests"], ids=["describe", "public", "sign", "session", "sts", "ecr"])
def test_requests_of_the_sdk_are_those_of_sealgate(recorded: dict[str, Any]) -> None:
    headers, body = recorded["headers"], recorded["body"].encode()
    with AWSKMSSimulator() as simulator:
        if "x-amz-target" not in headers:
            identity = WebIdentity(ROLE, simulator.web_identity_token)
            assert identity.request_body() == body
            return
        token = headers.get("x-amz-security-token")
        credentials = AWSCredentials(simulator.access_key_id, simulator.secret_access_key, token)
        at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        given = {name: headers[name] for name in ("content-type", "x-amz-target")}
        service = "ecr" if "ContainerRegistry" in headers["x-amz-target"] else "kms"
        ours = sign_post(f"http://{headers['host']}/", given, body, Scope(REGION, service), credentials, at)
        assert ours == {name: value for name, value in headers.items() if name != "content-length"}


def test_simulator_accepts_the_requests_of_the_sdk() -> None:
    (describe, public, sign, *_) = RECORDED["requests"]
    at = datetime.strptime(describe["headers"]["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with AWSKMSSimulator(clock=FakeClock(at)) as simulator:
        key = simulator.add(AWS_KEY, "ECC_NIST_P256")
        answers = [
            simulator.respond(RecordedRequest("POST", "/", (), each["headers"], each["body"].encode(), 1))
            for each in (describe, public, sign)
        ]
        assert [answer.status for answer in answers] == [200, 200, 200]
        signature = b64decode(json.loads(answers[2].body)["Signature"])
        load_public_key(pem_of_key(key.private)).verify(signature, MESSAGE)
        forged = RecordedRequest(
            "POST", "/", (), sign["headers"], sign["body"].replace("SHA_256", "SHA_384").encode(), 1
        )
        assert simulator.respond(forged).status == 400
