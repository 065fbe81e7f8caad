"""Keys in Alibaba Cloud KMS: only enabled ones for SIGN/VERIFY, in one version or all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import UnauthorizedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from tests.support.environments.kms import SECRET
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.kms_keys import pem_of_key

if TYPE_CHECKING:
    from tests.support.environments.kms import KMSEnvironment
    from tests.support.simulators.alibaba_kms import AlibabaKey


def add(environment: KMSEnvironment, spec: str = "EC_P256", *versions: str, **members: str) -> AlibabaKey:
    assert isinstance(environment.kms, AlibabaKMSSimulator)
    return environment.kms.add(environment.key_id, spec, *(versions or ("version-1",)), **members)


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("EC_P256", "ECDSA_SHA_256"),
        ("EC_SM2", "SM2"),
        ("RSA_2048", "RSA_PKCS1_SHA_256"),
        ("RSA_3072", "RSA_PKCS1_SHA_256"),
    ],
)
def test_an_enabled_signing_key_is_accepted(alibaba: KMSEnvironment, spec: str, algorithm: str) -> None:
    key = add(alibaba, spec)
    status = alibaba.resolve_one()
    fingerprint = load_public_key(pem_of_key(key.versions["version-1"])).fingerprint
    assert (status.state, status.algorithm, status.fingerprint) == ("Accepted", algorithm, fingerprint)
    assert status.source == f"kms alibaba cn-north-4/key-hzz630494463 at {alibaba.kms.url}"
    assert status.key_version == "version-1"


def test_rsa_key_has_the_padding_of_the_policy(alibaba: KMSEnvironment) -> None:
    add(alibaba, "RSA_2048")
    assert alibaba.resolve_one(alibaba.entry("RSA_PSS_SHA_256")).algorithm == "RSA_PSS_SHA_256"


def test_a_new_version_is_accepted_beside_the_old_ones(alibaba: KMSEnvironment) -> None:
    key = add(alibaba, "EC_SM2", "version-1")
    assert [status.key_version for status in alibaba.resolve()] == ["version-1"]
    key.versions["version-2"] = add(alibaba, "EC_SM2", "new").versions["new"]
    assert isinstance(alibaba.kms, AlibabaKMSSimulator)
    alibaba.kms.keys[alibaba.key_id] = key
    found = alibaba.resolve()
    assert [status.key_version for status in found] == ["version-1", "version-2"]
    assert len({status.fingerprint for status in found}) == 2


def test_only_the_version_that_is_named_is_accepted(alibaba: KMSEnvironment) -> None:
    add(alibaba, "EC_SM2", "version-1", "version-2")
    assert alibaba.resolve_one(alibaba.entry(keyVersionId="version-2")).key_version == "version-2"
    missing = alibaba.resolve_one(alibaba.entry(keyVersionId="version-3"))
    assert (missing.state, missing.reason, missing.key_version) == ("Refused", "VersionNotFound", "version-3")


def test_a_key_of_another_account_is_named_by_its_arn(alibaba: KMSEnvironment) -> None:
    add(alibaba)
    arn = f"acs:kms:cn-hangzhou:1540355698840000:key/{alibaba.key_id}"
    assert alibaba.resolve_one(alibaba.entry(keyId=arn)).state == "Accepted"


@pytest.mark.parametrize(
    ("members", "reason", "message"),
    [
        ({"state": "Disabled"}, "Disabled", "the key is disabled; enable it in KMS"),
        ({"state": "PendingDeletion"}, "PendingDeletion", "is going to be deleted"),
        ({"state": "PendingImport"}, "PendingImport", "still has to be imported"),
        ({"state": "Odd"}, "NotEnabled", "in the state Odd"),
        ({"usage": "ENCRYPT/DECRYPT"}, "WrongUsage", "is for ENCRYPT/DECRYPT"),
        ({"spec": "Aliyun_AES_256"}, "UnsupportedAlgorithm", "Aliyun_AES_256 is not supported"),
        ({"spec": "EC_P256K"}, "UnsupportedAlgorithm", "EC_P256K is not supported"),
    ],
)
def test_every_other_key_is_refused_with_the_reason(
    alibaba: KMSEnvironment, members: dict[str, str], reason: str, message: str
) -> None:
    add(alibaba, **{"spec": "EC_P256", **members})
    status = alibaba.resolve_one()
    assert (status.state, status.reason, status.pem) == ("Refused", reason, None)
    assert message in status.message


def test_deleted_key_and_key_without_versions_are_refused(alibaba: KMSEnvironment) -> None:
    assert alibaba.resolve_one().reason == "KeyNotFound"
    add(alibaba).versions.clear()
    assert alibaba.resolve_one().reason == "KeyNotFound"


def test_temporary_credentials_bring_their_token(alibaba: KMSEnvironment) -> None:
    add(alibaba)
    assert isinstance(alibaba.kms, AlibabaKMSSimulator)
    alibaba.kms.security_token = "a-token"
    with pytest.raises(UnauthorizedError, match=r"403 InvalidAccessKeyId\.NotFound; check the credentials in Secret"):
        alibaba.resolve()
    alibaba.secrets[SECRET] = alibaba.kms.secret
    assert alibaba.resolve_one().state == "Accepted"


def test_no_request_is_sent_twice(alibaba: KMSEnvironment) -> None:
    add(alibaba)
    for _ in range(3):
        alibaba.resolve()
    nonces = [request.headers["x-acs-signature-nonce"] for request in alibaba.kms.requests]
    assert len(set(nonces)) == len(nonces) == 9


@pytest.mark.parametrize(
    ("action", "document"),
    [
        ("DescribeKey", {"KeyMetadata": {"KeyId": "key-other", "KeyState": "Enabled"}}),
        ("DescribeKey", {"KeyMetadata": []}),
        ("DescribeKey", []),
        ("ListKeyVersions", {"KeyVersions": {"KeyVersion": "version-1"}}),
        ("ListKeyVersions", {"KeyVersions": {"KeyVersion": [{"KeyVersionId": 7}]}}),
        ("ListKeyVersions", {"KeyVersions": {"KeyVersion": [{"KeyVersionId": "v" * 300}]}}),
        ("GetPublicKey", {"KeyId": "key-hzz630494463", "KeyVersionId": "version-2", "PublicKey": "x"}),
        ("GetPublicKey", {"KeyId": "key-other", "KeyVersionId": "version-1", "PublicKey": "x"}),
    ],
)
def test_invalid_responses_are_unavailable(alibaba: KMSEnvironment, action: str, document: object) -> None:
    add(alibaba)
    respond = alibaba.kms.respond
    senseless = Answer(200, {}, encode(document))
    alibaba.kms.respond = lambda request: (  # type: ignore[method-assign]  # the simulator is the test's own
        senseless if request.headers["x-acs-action"] == action else respond(request)
    )
    with pytest.raises(UnavailableError, match="unexpected response"):
        alibaba.resolve()


def test_default_endpoint_is_that_of_the_region(alibaba: KMSEnvironment) -> None:
    with pytest.raises(UnavailableError, match=r"kms\.cn-nowhere-9\.aliyuncs\.com"):
        alibaba.resolve(alibaba.entry(region="cn-nowhere-9", endpoint=None))
    assert alibaba.names.asked == ["kms.cn-nowhere-9.aliyuncs.com"]
