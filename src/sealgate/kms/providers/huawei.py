"""Huawei Cloud: keys in Data Encryption Workshop (DEW), KMS API v1.0."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

from sealgate.cloud.huawei import HuaweiCredentials, sign_request
from sealgate.cloud.responses import Call, ask_object, base64_text, member, same, text
from sealgate.errors import NotFoundError
from sealgate.keys.algorithms import Algorithm
from sealgate.kms.interface import KMSKey, SigningService, SigningTask, refused
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.kms import HuaweiKMS
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.kms.credentials import KMSCredentials

_WHAT = "Huawei DEW"
_ENABLED = "2"
_STATES: Mapping[str, tuple[str, str]] = {
    "1": ("PendingActivation", "is not activated yet"),
    "3": ("Disabled", "is disabled"),
    "4": ("PendingDeletion", "is going to be deleted"),
    "5": ("PendingImport", "still has to be imported"),
}
_KINDS: Mapping[str, str] = {
    "EC_P256": "ECDSA P-256",
    "EC_P384": "ECDSA P-384",
    "SM2": "SM2",
    "RSA_2048": "RSA 2048",
    "RSA_3072": "RSA 3072",
    "RSA_4096": "RSA 4096",
}


def fetch(source: HuaweiKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> tuple[KMSKey, ...]:
    """Ask for a key, which has one version; see `sealgate.kms.interface.Fetch`."""
    caller = _Caller(source, secrets, services, clock)
    try:
        details = member(caller.call("describe-key"), "key_info", _WHAT)
    except NotFoundError as error:
        return refused(
            "", "", "KeyNotFound", f"{error.message}: the project has no such key; check keyId and projectId"
        )
    same(text(details, "key_id", _WHAT), source.key_id, _WHAT)
    state = text(details, "key_state", _WHAT)
    wrong = _what_is_wrong(details, state)
    if wrong is not None:
        return refused("", state, *wrong)
    answer = caller.call("get-publickey")
    same(text(answer, "key_id", _WHAT), source.key_id, _WHAT)
    kind = _KINDS[text(details, "key_spec", _WHAT)]
    return (KMSKey("", state, text(answer, "public_key", _WHAT), kind),)


def sign(source: HuaweiKMS, task: SigningTask, secrets: KMSCredentials, services: Services, clock: Clock) -> bytes:
    """Ask for a signature over a digest, which is all that SM2 keys sign; see `sealgate.kms.interface.Sign`."""
    answer = _Caller(source, secrets, services, clock).call(
        "sign",
        message=b64encode(task.digest).decode(),
        signing_algorithm=task.algorithm,
        message_type="DIGEST",
    )
    same(text(answer, "key_id", _WHAT), source.key_id, _WHAT)
    return base64_text(answer, "signature", _WHAT)


#: ECDSA only with the hash of the curve's own length (SWR, "Signing an Image", table 1).
SIGNING = SigningService(
    sign,
    {
        "ECDSA P-256": {Algorithm.ECDSA_SHA_256: "ECDSA_SHA_256"},
        "ECDSA P-384": {Algorithm.ECDSA_SHA_384: "ECDSA_SHA_384"},
        "SM2": {Algorithm.SM2: "SM2DSA_SM3"},
        "RSA": {
            Algorithm.RSA_PKCS1_SHA_256: "RSASSA_PKCS1_V1_5_SHA_256",
            Algorithm.RSA_PKCS1_SHA_384: "RSASSA_PKCS1_V1_5_SHA_384",
            Algorithm.RSA_PKCS1_SHA_512: "RSASSA_PKCS1_V1_5_SHA_512",
            Algorithm.RSA_PSS_SHA_256: "RSASSA_PSS_SHA_256",
            Algorithm.RSA_PSS_SHA_384: "RSASSA_PSS_SHA_384",
            Algorithm.RSA_PSS_SHA_512: "RSASSA_PSS_SHA_512",
        },
    },
    "permission to read the key and its public key, and to sign with it",
)


def _what_is_wrong(details: Mapping[str, object], state: str) -> tuple[str, str] | None:
    """Return reason and message of a refusal; None if the key may be used."""
    if state != _ENABLED:
        reason, how = _STATES.get(state, ("NotEnabled", f"is in the state {quote(state, 40)}"))
        return reason, f"the key {how}; enable it in DEW, or take it out of the policy"
    usage = details.get("key_usage")
    if usage != "SIGN_VERIFY":
        return "WrongUsage", f"the key is for {quote(usage, 40)}; only keys for SIGN_VERIFY sign images"
    spec = text(details, "key_spec", _WHAT)
    if spec not in _KINDS:
        return "UnsupportedAlgorithm", f"a key of type {quote(spec, 40)} is not supported; use {', '.join(_KINDS)}"
    return None


class _Caller:
    """Calls of the API about one key."""

    def __init__(self, source: HuaweiKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> None:
        self._source = source
        self._given = given = secrets.of("huawei", source.credentials_secret)
        self._credentials = HuaweiCredentials.from_secret(given.source, given.data)
        self._services = services
        self._clock = clock

    def call(self, action: str, **members: str) -> Mapping[str, object]:
        source = self._source
        url = f"{source.url}/v1.0/{source.project_id}/kms/{action}"
        body = json.dumps({"key_id": source.key_id, **members}).encode()
        given = {"content-type": "application/json", "x-project-id": source.project_id}
        headers = sign_request("POST", url, given, body, self._credentials, self._clock.now())
        ca = source.ca.pem if source.ca is not None else None
        return ask_object(self._services, Call("POST", url, headers, body, ca, self._given.source), _WHAT)
