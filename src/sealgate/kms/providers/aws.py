"""AWS KMS, API 2014-11-01."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING

from sealgate.cloud.aws import (
    ERROR_CODES,
    SESSION_SECONDS,
    AWSCredentials,
    Scope,
    WebIdentity,
    assume_role,
    sign_post,
)
from sealgate.cloud.responses import Call, ask_object, base64_text, member, pem_of, same, text
from sealgate.errors import NotFoundError, UnauthorizedError
from sealgate.keys.algorithms import Algorithm
from sealgate.kms.credentials import SessionKey
from sealgate.kms.interface import KMSKey, SigningService, SigningTask, refused
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.kms_aws import AWSKMS
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.kms.credentials import KMSCredentials

_WHAT = "AWS KMS"
_ENABLED = "Enabled"
_STATES: Mapping[str, tuple[str, str]] = {
    "Disabled": ("Disabled", "is disabled"),
    "PendingDeletion": ("PendingDeletion", "is going to be deleted"),
    "PendingReplicaDeletion": ("PendingDeletion", "is going to be deleted"),
    "PendingImport": ("PendingImport", "still has to be imported"),
}
_KINDS: Mapping[str, str] = {
    "ECC_NIST_P256": "ECDSA P-256",
    "ECC_NIST_P384": "ECDSA P-384",
    "ECC_NIST_P521": "ECDSA P-521",
    "ECC_NIST_EDWARDS25519": "Ed25519",
    "RSA_2048": "RSA 2048",
    "RSA_3072": "RSA 3072",
    "RSA_4096": "RSA 4096",
    "SM2": "SM2",
}


def fetch(source: AWSKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> tuple[KMSKey, ...]:
    """Ask for a key, which has one version; see `sealgate.kms.interface.Fetch`."""
    caller = _Caller(source, secrets, services, clock)
    try:
        details = member(caller.call("DescribeKey"), "KeyMetadata", _WHAT)
    except NotFoundError as error:
        return refused("", "", "KeyNotFound", f"{error.message}: there is no such key; check keyId and region")
    caller.require_same_key(text(details, "Arn", _WHAT))
    state = text(details, "KeyState", _WHAT)
    wrong = _what_is_wrong(details, state)
    if wrong is not None:
        return refused("", state, *wrong)
    answer = caller.call("GetPublicKey")
    caller.require_same_key(text(answer, "KeyId", _WHAT))
    kind = _KINDS[text(details, "KeySpec", _WHAT)]
    return (KMSKey("", state, pem_of(base64_text(answer, "PublicKey", _WHAT)), kind),)


def sign(source: AWSKMS, task: SigningTask, secrets: KMSCredentials, services: Services, clock: Clock) -> bytes:
    """Ask for a signature over a digest; see `sealgate.kms.interface.Sign`."""
    caller = _Caller(source, secrets, services, clock)
    answer = caller.call(
        "Sign", Message=b64encode(task.digest).decode(), MessageType="DIGEST", SigningAlgorithm=task.algorithm
    )
    caller.require_same_key(text(answer, "KeyId", _WHAT))
    return base64_text(answer, "Signature", _WHAT)


#: ECDSA only with the hash of the curve's own length. Ed25519 keys sign whole messages, which is not supported.
SIGNING = SigningService(
    sign,
    {
        "ECDSA P-256": {Algorithm.ECDSA_SHA_256: "ECDSA_SHA_256"},
        "ECDSA P-384": {Algorithm.ECDSA_SHA_384: "ECDSA_SHA_384"},
        "ECDSA P-521": {Algorithm.ECDSA_SHA_512: "ECDSA_SHA_512"},
        "SM2": {Algorithm.SM2: "SM2DSA"},
        "RSA": {
            Algorithm.RSA_PKCS1_SHA_256: "RSASSA_PKCS1_V1_5_SHA_256",
            Algorithm.RSA_PKCS1_SHA_384: "RSASSA_PKCS1_V1_5_SHA_384",
            Algorithm.RSA_PKCS1_SHA_512: "RSASSA_PKCS1_V1_5_SHA_512",
            Algorithm.RSA_PSS_SHA_256: "RSASSA_PSS_SHA_256",
            Algorithm.RSA_PSS_SHA_384: "RSASSA_PSS_SHA_384",
            Algorithm.RSA_PSS_SHA_512: "RSASSA_PSS_SHA_512",
        },
    },
    "the actions kms:DescribeKey, kms:GetPublicKey and kms:Sign on the key",
)


def _what_is_wrong(details: Mapping[str, object], state: str) -> tuple[str, str] | None:
    """Return reason and message of a refusal; None if the key may be used."""
    if state != _ENABLED:
        reason, how = _STATES.get(state, ("NotEnabled", f"is in the state {quote(state, 40)}"))
        return reason, f"the key {how}; enable it in KMS, or take it out of the policy"
    usage = details.get("KeyUsage")
    if usage != "SIGN_VERIFY":
        return "WrongUsage", f"the key is for {quote(usage, 40)}; only keys for SIGN_VERIFY sign images"
    spec = text(details, "KeySpec", _WHAT)
    if spec not in _KINDS:
        return "UnsupportedAlgorithm", f"a key of type {quote(spec, 40)} is not supported; use {', '.join(_KINDS)}"
    return None


class _Caller:
    """Calls of the API about one key."""

    def __init__(self, source: AWSKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> None:
        self._source = source
        self._identities = secrets.identities
        self._given = secrets.of("aws", source.credentials_secret)
        self._services = services
        self._clock = clock

    def call(self, action: str, **members: str) -> Mapping[str, object]:
        source, url = self._source, f"{self._source.url}/"
        body = json.dumps({"KeyId": source.key_id, **members}).encode()
        given = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"TrentService.{action}"}
        scope = Scope(source.region, "kms")
        headers = sign_post(url, given, body, scope, self._credentials(), self._clock.now())
        ca = source.ca.pem if source.ca is not None else None
        try:
            return ask_object(
                self._services, Call("POST", url, headers, body, ca, self._given.source, ERROR_CODES), _WHAT
            )
        except UnauthorizedError:
            self._identities.refused(self._session, self._clock)
            raise

    def require_same_key(self, arn: str) -> None:
        """See that an answer, which names the key by its ARN, is about the key that was asked for."""
        wanted = self._source.key_id
        same(arn if wanted.startswith("arn:") else arn.rpartition("/")[2], wanted, _WHAT)

    def _credentials(self) -> AWSCredentials:
        given = self._given
        if "webIdentityToken" not in given.data:
            return AWSCredentials.from_secret(given.source, given.data)
        identity = WebIdentity.from_members(given.source, given.data)
        open_session = partial(assume_role, identity, self._session.service, given.source, self._services)
        return self._identities.session(self._session, self._clock, lambda: (open_session(), SESSION_SECONDS))

    @property
    def _session(self) -> SessionKey:
        return SessionKey(f"https://sts.{self._source.region}.{self._source.domain}", None, self._given.digest)
