"""Keys in Huawei DEW: only enabled ones for SIGN_VERIFY, of kinds that are supported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.errors import UnauthorizedError, UnavailableError
from sealgate.keys.public_keys import load_public_key
from tests.support.builders.key_encodings import explicit_p256
from tests.support.environments.kms import SECRET
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.simulators.http_messages import encode
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.support.simulators.kms_keys import pem_of_key

if TYPE_CHECKING:
    from tests.support.environments.kms import KMSEnvironment
    from tests.support.simulators.huawei_dew import DEWKey


def dew(environment: KMSEnvironment) -> DEWSimulator:
    assert isinstance(environment.kms, DEWSimulator)
    return environment.kms


def add(environment: KMSEnvironment, spec: str = "EC_P256", **members: str) -> DEWKey:
    return dew(environment).add(environment.key_id, spec, **members)


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("EC_P256", "ECDSA_SHA_256"),
        ("EC_P384", "ECDSA_SHA_384"),
        ("SM2", "SM2"),
        ("RSA_2048", "RSA_PKCS1_SHA_256"),
        ("RSA_3072", "RSA_PKCS1_SHA_256"),
    ],
)
def test_an_enabled_signing_key_is_accepted(huawei: KMSEnvironment, spec: str, algorithm: str) -> None:
    key = add(huawei, spec)
    status = huawei.resolve_one()
    loaded = load_public_key(pem_of_key(key.private))
    assert (status.state, status.algorithm, status.fingerprint) == ("Accepted", algorithm, loaded.fingerprint)
    assert status.source == f"kms huawei cn-north-4/0a1b2c3d4e5f/b1c2-d3 at {huawei.kms.url}"
    assert status.pem is not None
    assert load_public_key(status.pem) == loaded
    assert (status.key_version, status.reason, status.message) == (None, "", "")


@pytest.mark.parametrize(
    ("members", "reason", "message"),
    [
        ({"state": "1"}, "PendingActivation", "not activated yet"),
        ({"state": "3"}, "Disabled", "the key is disabled; enable it in DEW"),
        ({"state": "4"}, "PendingDeletion", "is going to be deleted"),
        ({"state": "5"}, "PendingImport", "still has to be imported"),
        ({"state": "9\n"}, "NotEnabled", r"in the state 9\\n"),
        ({"usage": "ENCRYPT_DECRYPT"}, "WrongUsage", "is for ENCRYPT_DECRYPT; only keys for SIGN_VERIFY"),
        ({"spec": "AES_256"}, "UnsupportedAlgorithm", "a key of type AES_256 is not supported"),
        ({"spec": "ML_DSA_44"}, "UnsupportedAlgorithm", "ML_DSA_44"),
    ],
)
def test_every_other_key_is_refused_with_the_reason(
    huawei: KMSEnvironment, members: dict[str, str], reason: str, message: str
) -> None:
    add(huawei, **members)
    status = huawei.resolve_one()
    assert (status.state, status.reason, status.pem, status.valid_until) == ("Refused", reason, None, None)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(status.message)
    assert [request.path.rpartition("/")[2] for request in huawei.kms.requests] == ["describe-key"]


def test_deleted_key_is_refused(huawei: KMSEnvironment) -> None:
    status = huawei.resolve_one()
    assert (status.state, status.reason) == ("Refused", "KeyNotFound")
    assert "Huawei DEW answers 404 KMS.0222" in status.message


def test_a_key_that_does_not_fit_its_algorithm_is_refused(huawei: KMSEnvironment) -> None:
    add(huawei, "SM2")
    status = huawei.resolve_one(huawei.entry(algorithm="ECDSA_SHA_256"))
    assert (status.state, status.reason) == ("Refused", "InvalidKey")
    assert "ECDSA_SHA_256 does not fit this SM2 key" in status.message


@pytest.mark.parametrize("public", [public_pem(new_key("ECDSA P-384")), "MFkw", "-----BEGIN PUBLIC KEY-----\nAA==\n"])
def test_key_that_differs_from_its_description_is_refused(huawei: KMSEnvironment, public: str) -> None:
    add(huawei).public = public
    assert huawei.resolve_one().reason == "InvalidKey"


def test_key_with_explicit_curve_parameters_is_refused(huawei: KMSEnvironment) -> None:
    point = new_key("ECDSA P-256").public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    add(huawei).public = explicit_p256(point)
    status = huawei.resolve_one()
    assert (status.state, status.reason) == ("Refused", "InvalidKey")
    assert "RFC 5480" in status.message


def test_an_id_of_a_signer_is_taken_with_sm2(huawei: KMSEnvironment) -> None:
    add(huawei, "SM2")
    assert huawei.resolve_one(huawei.entry("SM2", "release@example.org")).state == "Accepted"


def test_temporary_credentials_bring_their_token(huawei: KMSEnvironment) -> None:
    add(huawei)
    dew(huawei).security_token = "a-token"
    with pytest.raises(UnauthorizedError):
        huawei.resolve()
    huawei.secrets[SECRET] = dict(huawei.kms.secret)
    assert huawei.resolve_one().state == "Accepted"


def test_response_about_another_key_is_unavailable(huawei: KMSEnvironment) -> None:
    add(huawei)
    info = {"key_id": "other", "key_state": "2", "key_spec": "EC_P256", "key_usage": "SIGN_VERIFY"}
    huawei.kms.faults.body("describe-key", encode({"key_info": info}))
    with pytest.raises(UnavailableError, match=r"unexpected response from .*: it is about other, not b1c2-d3"):
        huawei.resolve()


def test_public_key_of_another_key_is_unavailable(huawei: KMSEnvironment) -> None:
    add(huawei)
    other = {"key_id": "other", "public_key": public_pem(new_key("ECDSA P-256", "other"))}
    huawei.kms.faults.body("get-publickey", encode(other))
    with pytest.raises(UnavailableError, match=r"unexpected response from .*: it is about other, not b1c2-d3"):
        huawei.resolve()


def test_default_endpoint_is_that_of_the_region(huawei: KMSEnvironment) -> None:
    with pytest.raises(UnavailableError, match=r"kms\.cn-nowhere-9\.myhuaweicloud\.com"):
        huawei.resolve(huawei.entry(region="cn-nowhere-9", endpoint=None))
    assert huawei.names.asked == ["kms.cn-nowhere-9.myhuaweicloud.com"]
