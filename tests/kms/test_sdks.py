"""The simulators accept the requests of the official SDKs, so their checks equal those of the services.

Each SDK runs in a process of its own, with its own dependencies (`.ci/vendor-tools.txt`). It asks for a key and has a
digest signed; the code under test asks the same simulator for the same key, verifies that signature, and has the same
message signed by the same request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from typing import Any

import pytest

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.budgets import Budgets
from sealgate.clocks import Deadline, SystemClock
from sealgate.http.services import ServiceClient
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.signing_keys import sign_verified
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kms.signing import KMSSigningKey, KMSSigningKeys
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.environments.registry_clients import settings_for
from tests.support.real_tools.required import TOOLS
from tests.support.signers.sm2 import SM2PrivateKey, sm3
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.huawei_dew import PROJECT, DEWSimulator

pytestmark = pytest.mark.real

SDKS = TOOLS.parent / "vendors"
MESSAGE = b"message"

HUAWEI = """
import json, sys
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkkms.v2 import KmsClient, ListKeyDetailRequest, OperateKeyRequestBody, ShowPublicKeyRequest
from huaweicloudsdkkms.v2 import SignRequest, SignRequestBody

given = json.load(sys.stdin)
credentials = BasicCredentials(given["ak"], given["sk"], given["project"])
client = KmsClient.new_builder().with_credentials(credentials).with_endpoint(given["endpoint"]).build()
body = OperateKeyRequestBody(key_id=given["key"])
details = client.list_key_detail(ListKeyDetailRequest(body=body)).key_info
public = client.show_public_key(ShowPublicKeyRequest(body=body)).public_key
signing = SignRequestBody(
    key_id=given["key"], message=given["digest"], signing_algorithm=given["algorithm"], message_type="DIGEST"
)
signature = client.sign(SignRequest(body=signing)).signature
print(json.dumps({"state": details.key_state, "public": public, "signature": signature}))
"""

ALIBABA = """
import json, sys
from alibabacloud_kms20160120.client import Client
from alibabacloud_kms20160120.models import AsymmetricSignRequest, DescribeKeyRequest, GetPublicKeyRequest
from alibabacloud_kms20160120.models import ListKeyVersionsRequest
from alibabacloud_tea_openapi.utils_models import Config

given = json.load(sys.stdin)
client = Client(Config(
    access_key_id=given["ak"], access_key_secret=given["sk"], endpoint=given["endpoint"], protocol="http",
    connect_timeout=60_000, read_timeout=60_000
))
metadata = client.describe_key(DescribeKeyRequest(key_id=given["key"])).body.key_metadata
versions = client.list_key_versions(ListKeyVersionsRequest(key_id=given["key"])).body.key_versions.key_version
version = versions[0].key_version_id
public = client.get_public_key(GetPublicKeyRequest(key_id=given["key"], key_version_id=version)).body.public_key
signing = AsymmetricSignRequest(
    key_id=given["key"], key_version_id=version, algorithm=given["algorithm"], digest=given["digest"]
)
signature = client.asymmetric_sign(signing).body.value
print(json.dumps({"state": metadata.key_state, "public": public, "signature": signature}))
"""


def run_sdk(script: str, **given: str) -> dict[str, Any]:
    python = SDKS / "bin" / "python"
    if not python.is_file():
        message = f"{SDKS} has no SDKs (see .ci/vendor-tools.txt), so this test proves nothing here"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    done = subprocess.run(
        [python, "-c", script],
        input=json.dumps(given),
        env={"NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def sign(simulator: DEWSimulator | AlibabaKMSSimulator, entry: dict[str, Any]) -> KMSSigningKey:
    """Have the code under test sign `MESSAGE`; return the key."""
    clock = SystemClock()
    source = {**entry, "credentialsSecret": {"name": "cloud"}, "endpoint": simulator.url, "region": "r"}
    provider = "huawei" if isinstance(simulator, DEWSimulator) else "alibaba"
    with ServiceClient(settings_for(simulator), clock=clock) as client:
        secrets, deadline = MappingServiceSecrets({"cloud": simulator.secret}), Deadline.after(clock, 20)
        keys = KMSSigningKeys(client, secrets, clock, Budgets(REQUESTS_PER_MINUTE, BURST, clock))
        key = keys.open(KeyEntry.model_validate({"kms": {provider: source}}), deadline)
        sign_verified(key, MESSAGE, deadline)
    return key


def signing_requests(simulator: DEWSimulator | AlibabaKMSSimulator) -> list[Any]:
    """Return what the requests for signatures say, in the order in which they came."""
    if isinstance(simulator, DEWSimulator):
        return [json.loads(request.body) for request in simulator.requests if request.path.endswith("/sign")]
    asked = [request for request in simulator.requests if request.headers["x-acs-action"] == "AsymmetricSign"]
    return [sorted(request.query) for request in asked]


def require_agreement(
    simulator: DEWSimulator | AlibabaKMSSimulator, entry: dict[str, Any], answer: dict[str, Any]
) -> None:
    """Require that the SDK and the code under test name the same key, and ask for signatures in the same words."""
    key = sign(simulator, entry).public
    assert key == load_public_key(answer["public"])
    key.verify(base64.b64decode(answer["signature"]), MESSAGE)
    of_the_sdk, ours = signing_requests(simulator)
    assert ours == of_the_sdk


def digest_for(key: object) -> str:
    """Return what a KMS is given to sign: of an SM2 key the hash over Z and the message."""
    digest = hashlib.sha256(MESSAGE).digest()
    if isinstance(key, SM2PrivateKey):
        digest = sm3(key.z() + MESSAGE)
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [("EC_P256", "ECDSA_SHA_256"), ("SM2", "SM2DSA_SM3"), ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256")],
)
def test_huawei_sdk_and_sealgate_agree_about_a_key(spec: str, algorithm: str) -> None:
    with DEWSimulator() as dew:
        key = dew.add("b1c2", spec)
        answer = run_sdk(
            HUAWEI,
            ak=dew.access_key,
            sk=dew.secret_key,
            project=PROJECT,
            endpoint=dew.url,
            key="b1c2",
            algorithm=algorithm,
            digest=digest_for(key.private),
        )
        assert answer["state"] == "2"
        require_agreement(dew, {"projectId": PROJECT, "keyId": "b1c2"}, answer)


@pytest.mark.parametrize(
    ("spec", "algorithm"), [("EC_P256", "ECDSA_SHA_256"), ("EC_SM2", "SM2DSA"), ("RSA_2048", "RSA_PKCS1_SHA_256")]
)
def test_alibaba_sdk_and_sealgate_agree_about_a_key(spec: str, algorithm: str) -> None:
    with AlibabaKMSSimulator() as kms:
        key = kms.add("key-1", spec, "version-1")
        answer = run_sdk(
            ALIBABA,
            ak=kms.access_key_id,
            sk=kms.access_key_secret,
            endpoint=kms.host,
            key="key-1",
            algorithm=algorithm,
            digest=digest_for(key.versions["version-1"]),
        )
        assert answer["state"] == "Enabled"
        require_agreement(kms, {"keyId": "key-1"}, answer)


def test_the_simulators_refuse_an_sdk_with_another_secret() -> None:
    with DEWSimulator() as dew:
        dew.add("b1c2", "EC_P256")
        given = {"ak": dew.access_key, "sk": "another", "project": PROJECT, "endpoint": dew.url, "key": "b1c2"}
        with pytest.raises(AssertionError, match=r"APIGW\.0301"):
            run_sdk(HUAWEI, **given)
