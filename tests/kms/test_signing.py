"""Keys in KMSs sign: what they return verifies here and with openssl, and what cannot sign says why before it does."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import RateLimitedError, SigningError, UnauthorizedError, UnavailableError, VerificationError
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.signing_keys import sign_verified
from tests.support.environments.kms import ORACLE_KEY
from tests.support.real_tools.openssl import openssl_verifies
from tests.support.signers.private_keys import new_key
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.aws_kms import AWSKMSSimulator
from tests.support.simulators.azure_key_vault import AzureKeyVaultSimulator
from tests.support.simulators.google_kms import GoogleKMSSimulator
from tests.support.simulators.http_messages import Answer, encode, json_answer
from tests.support.simulators.huawei_dew import DEWSimulator
from tests.support.simulators.oci_vault import OCIVaultSimulator
from tests.support.simulators.vault_transit import VaultSimulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.environments.kms import KMSEnvironment

MESSAGE = b'{"critical": "an image"}'
VERSION = "ocid1.keyversion.oc1.phx.vault.v1"
RSA_HUAWEI = [f"RSA_{padding}_SHA_{bits}" for padding in ("PSS", "PKCS1") for bits in (256, 384, 512)]
RSA_ORACLE = [f"RSA_{padding}_SHA_{bits}" for padding in ("PSS", "PKCS1") for bits in (224, 256, 384, 512)]
#: Members of responses with a signature, or with the ID of the key.
SIGNATURES, KEY_IDS = ("signature", "Value", "Signature", "value"), ("key_id", "KeyId", "keyId", "kid")
ECDSA = ["ECDSA_SHA_256", "ECDSA_SHA_384", "ECDSA_SHA_512"]


def add(environment: KMSEnvironment, spec: str, *versions: str, **members: str) -> None:
    kms = environment.kms
    if isinstance(kms, DEWSimulator | AWSKMSSimulator):
        kms.add(environment.key_id, spec, **members)
    elif isinstance(kms, VaultSimulator | GoogleKMSSimulator | AzureKeyVaultSimulator):
        kms.add(environment.key_id, spec, *versions, **members)
    elif isinstance(kms, AlibabaKMSSimulator):
        kms.add(environment.key_id, spec, *(versions or ("version-1",)), **members)
    else:
        kms.add(environment.key_id, spec, *(versions or (VERSION,)), **members)


def require_signature(environment: KMSEnvironment, algorithm: str | None, folder: Path) -> None:
    key = environment.signing_key(algorithm)
    signature = sign_verified(key, MESSAGE, environment.deadline())
    (status,) = environment.resolve(environment.entry(algorithm))
    assert status.pem is not None
    assert key.public == load_public_key(status.pem, algorithm)
    assert openssl_verifies(folder, status.pem, key.public.algorithm, signature, MESSAGE)
    with pytest.raises(VerificationError):
        key.public.verify(signature, MESSAGE + b" ")


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [("EC_P256", None), ("EC_P384", None), ("SM2", None), *(("RSA_2048", name) for name in RSA_HUAWEI)],
)
def test_huawei_key_signs(huawei: KMSEnvironment, tmp_path: Path, spec: str, algorithm: str | None) -> None:
    add(huawei, spec)
    require_signature(huawei, algorithm, tmp_path)
    assert huawei.signing_key(algorithm).name == "huawei:cn-north-4/0a1b2c3d4e5f/b1c2-d3"


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [("EC_P256", None), ("EC_SM2", None), ("RSA_2048", "RSA_PSS_SHA_256"), ("RSA_3072", "RSA_PKCS1_SHA_256")],
)
def test_alibaba_key_signs(alibaba: KMSEnvironment, tmp_path: Path, spec: str, algorithm: str | None) -> None:
    add(alibaba, spec)
    require_signature(alibaba, algorithm, tmp_path)
    key = alibaba.signing_key(algorithm)
    assert (key.name, key.public.version) == ("alibaba:cn-north-4/key-hzz630494463/version-1", "version-1")


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [*(("RSA 2048", name) for name in RSA_ORACLE), *(("ECDSA P-256", name) for name in ECDSA)],
)
def test_oracle_key_signs(oracle: KMSEnvironment, tmp_path: Path, kind: str, algorithm: str) -> None:
    add(oracle, kind)
    require_signature(oracle, algorithm, tmp_path)
    key = oracle.signing_key(algorithm)
    assert (key.name, key.public.version) == (f"oracle:{ORACLE_KEY}/{VERSION}", VERSION)


def test_sm2_key_signs_with_the_distinguishing_id_that_it_is_given(huawei: KMSEnvironment) -> None:
    add(huawei, "SM2")
    key = huawei.signing_keys().open(huawei.entry("SM2", "release@example.org"), huawei.deadline())
    signature = sign_verified(key, MESSAGE, huawei.deadline())
    with pytest.raises(VerificationError):
        huawei.signing_key("SM2").public.verify(signature, MESSAGE)


@pytest.mark.parametrize(("size", "kind"), [(4096, "RAW"), (4097, "DIGEST")])
def test_vault_is_sent_the_digest_of_a_long_message(oracle: KMSEnvironment, size: int, kind: str) -> None:
    add(oracle, "RSA 2048")
    message = b"m" * size
    sign_verified(oracle.signing_key("RSA_PSS_SHA_512"), message, oracle.deadline())
    asked = json.loads(oracle.kms.requests[-1].body)
    assert asked["messageType"] == kind
    assert len(b64decode(asked["message"])) == (size if kind == "RAW" else 64)


@pytest.mark.parametrize(
    "endpoint", ["https://v-management.kms.us-phoenix-1.oraclecloud.com", "https://v-management.kms.eu-paris-1.oci.x"]
)
def test_vault_signs_at_its_crypto_endpoint(oracle: KMSEnvironment, endpoint: str) -> None:
    add(oracle, "RSA 2048")
    here, there = oracle.signing_key(), oracle.entry(endpoint=endpoint).kms
    assert there is not None
    elsewhere = type(here)(here.public, here.name, here.algorithm, there, here.keys)
    with pytest.raises(UnavailableError):
        elsewhere.sign(MESSAGE, oracle.deadline())
    assert oracle.names.asked[-1:] == [endpoint.removeprefix("https://").replace("-management", "-crypto")]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"state": "3"}, "huawei:cn-north-4/0a1b2c3d4e5f/b1c2-d3 cannot sign: the key is disabled; enable it in DEW"),
        ({"state": "4"}, "is going to be deleted"),
        ({"usage": "ENCRYPT_DECRYPT"}, "the key is for ENCRYPT_DECRYPT; only keys for SIGN_VERIFY sign images"),
        ({"spec": "AES_256"}, "AES_256 is not supported"),
    ],
)
def test_huawei_key_that_must_not_sign_is_refused(
    huawei: KMSEnvironment, members: dict[str, str], message: str
) -> None:
    add(huawei, **{"spec": "EC_P256", **members})
    with pytest.raises(SigningError, match=message):
        huawei.signing_key()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"state": "Disabled"}, "alibaba:cn-north-4/key-hzz630494463 cannot sign: the key is disabled"),
        ({"usage": "ENCRYPT/DECRYPT"}, "only keys for SIGN/VERIFY sign images"),
    ],
)
def test_alibaba_key_that_must_not_sign_is_refused(
    alibaba: KMSEnvironment, members: dict[str, str], message: str
) -> None:
    add(alibaba, "EC_P256", **members)
    with pytest.raises(SigningError, match=message):
        alibaba.signing_key()


def test_oracle_key_that_must_not_sign_is_refused(oracle: KMSEnvironment) -> None:
    add(oracle, "AES")
    with pytest.raises(SigningError, match="a key of type AES and this size is not supported"):
        oracle.signing_key()
    add(oracle, "RSA 2048", state="DISABLED")
    with pytest.raises(SigningError, match="the key is in the state DISABLED"):
        oracle.signing_key()
    add(oracle, "RSA 2048")
    assert isinstance(oracle.kms, OCIVaultSimulator)
    oracle.kms.keys[ORACLE_KEY].states[VERSION] = "PENDING_DELETION"
    with pytest.raises(SigningError, match="the version is in the state PENDING_DELETION"):
        oracle.signing_key()


def test_missing_key_is_refused(any_kms: KMSEnvironment) -> None:
    any_kms.kms.keys.clear()
    with pytest.raises(SigningError, match=r"cannot sign: .*no such key"):
        any_kms.signing_key()


@pytest.mark.parametrize(
    ("spec", "algorithm", "message"),
    [
        ("EC_P384", "ECDSA_SHA_256", "this ECDSA P-384 key and ECDSA_SHA_256; it can have ECDSA_SHA_384"),
        ("RSA_2048", "RSA_PSS_SHA_224", "this RSA 2048 key and RSA_PSS_SHA_224; it can have RSA_PKCS1_SHA_256"),
        ("EC_P256", "RSA_PSS_SHA_256", "algorithm RSA_PSS_SHA_256 does not fit this ECDSA P-256 key"),
    ],
)
def test_algorithm_must_be_one_of_the_service(huawei: KMSEnvironment, spec: str, algorithm: str, message: str) -> None:
    add(huawei, spec)
    with pytest.raises(SigningError, match=message):
        huawei.signing_key(algorithm)
    assert not any(request.path.endswith("/sign") for request in huawei.kms.requests)


def test_one_of_several_versions_has_to_be_named(alibaba: KMSEnvironment) -> None:
    add(alibaba, "EC_SM2", "version-1", "version-2")
    with pytest.raises(SigningError, match=r"has several versions; name .* after a slash: version-1, version-2"):
        alibaba.signing_key()
    key = alibaba.signing_key(keyVersionId="version-2")
    sign_verified(key, MESSAGE, alibaba.deadline())
    assert dict(alibaba.kms.requests[-1].query)["KeyVersionId"] == key.public.version == "version-2"


@pytest.mark.parametrize("denied", ["DescribeKey", "GetPublicKey", "AsymmetricSign"])
def test_alibaba_names_the_rights_that_signing_needs(alibaba: KMSEnvironment, denied: str) -> None:
    add(alibaba, "EC_P256")
    assert isinstance(alibaba.kms, AlibabaKMSSimulator)
    alibaba.kms.denied.add(denied)
    rights = r"^alibaba:cn-north-4/key-hzz630494463.* 403 .*kms:DescribeKey, kms:GetPublicKey and kms:AsymmetricSign"
    with pytest.raises(UnauthorizedError, match=rights):
        sign_verified(alibaba.signing_key(), MESSAGE, alibaba.deadline())


def test_signature_of_another_key_is_not_returned(any_kms: KMSEnvironment) -> None:
    key = any_kms.signing_key()
    other = new_key("ECDSA P-256", "another key of the KMS")
    kms = any_kms.kms
    if isinstance(kms, DEWSimulator | AWSKMSSimulator):
        kms.keys[any_kms.key_id].private = other
    else:
        versions = kms.keys[any_kms.key_id].versions
        versions[key.public.version] = other
    with pytest.raises(SigningError, match=r"returned a signature that its public key .* nothing was stored"):
        sign_verified(key, MESSAGE, any_kms.deadline())


@pytest.mark.parametrize(
    "change",
    [
        {**dict.fromkeys(SIGNATURES, "no base64!"), "data": {"signature": "vault:v1:no base64!"}},
        {**dict.fromkeys(SIGNATURES, ""), "data": {"signature": ""}},
        {"signature": 7, "Value": None, "Signature": [], "value": 7, "data": {"signature": 7}},
        {**dict.fromkeys(KEY_IDS, "another"), "name": "another", "data": {"signature": "vault:v2:AAAA"}},
        {
            **dict.fromkeys(("KeyVersionId", "keyVersionId", "name", "kid"), "another"),
            "key_id": None,
            "Signature": None,
            "data": 7,
        },
    ],
)
def test_malformed_response_is_unavailable(any_kms: KMSEnvironment, change: dict[str, Any]) -> None:
    key = any_kms.signing_key()
    respond = any_kms.kms.respond
    any_kms.kms.respond = lambda request: json_answer(  # type: ignore[method-assign]  # the simulator is the test's own
        json.loads(respond(request).body) | change
    )
    with pytest.raises(UnavailableError, match="unexpected response"):
        key.sign(MESSAGE, any_kms.deadline())


def test_response_that_is_too_large_is_unavailable(any_kms: KMSEnvironment) -> None:
    key = any_kms.signing_key()
    any_kms.kms.respond = lambda request: Answer(  # type: ignore[method-assign]  # as above
        200, {}, encode({"path": request.path, "padding": "y" * (1 << 20)})
    )
    with pytest.raises(UnavailableError, match="unexpected response"):
        key.sign(MESSAGE, any_kms.deadline())


def test_key_that_was_disabled_meanwhile_signs_nothing(any_kms: KMSEnvironment) -> None:
    key = any_kms.signing_key()
    any_kms.kms.keys[any_kms.key_id].state = "Disabled"
    with pytest.raises(UnavailableError, match=rf"^{any_kms.provider}:.*answers 4\d\d"):
        key.sign(MESSAGE, any_kms.deadline())


def test_requests_are_charged_to_the_budget_of_the_service(any_kms: KMSEnvironment) -> None:
    keys = any_kms.signing_keys()
    key = keys.open(any_kms.entry(), any_kms.deadline())
    while keys.budgets.reserve(any_kms.kms.host, any_kms.deadline()) == 0:
        pass  # the burst
    before = len(any_kms.kms.requests)
    with pytest.raises(RateLimitedError):
        key.sign(MESSAGE, Deadline.after(any_kms.clock, 0.01))
    assert len(any_kms.kms.requests) == before


def test_secrets_are_in_no_representation(any_kms: KMSEnvironment) -> None:
    shown = repr(any_kms.signing_key())
    hidden = [
        value.decode(errors="replace")
        for name, value in any_kms.kms.secret.items()
        if name not in {"address", "authority"}
    ]
    assert not any(value in shown for value in hidden)
