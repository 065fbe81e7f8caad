"""Alibaba Cloud KMS, API 2016-01-20."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from sealgate.cloud.alibaba import AlibabaCredentials, RPCCall, sign_call
from sealgate.cloud.responses import Call, ask_object, base64_text, member, objects, same, text, word
from sealgate.errors import NotFoundError
from sealgate.keys.algorithms import Algorithm
from sealgate.kms.interface import MAX_VERSIONS, KMSKey, SigningService, SigningTask, refused
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.kms import AlibabaKMS
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.service_secrets import ServiceSecrets

_WHAT = "Alibaba Cloud KMS"
_VERSION = "2016-01-20"
_ENABLED = "Enabled"
_STATES: Mapping[str, str] = {
    "Disabled": "is disabled",
    "PendingDeletion": "is going to be deleted",
    "PendingImport": "still has to be imported",
}
_KINDS: Mapping[str, str] = {
    "RSA_2048": "RSA 2048",
    "RSA_3072": "RSA 3072",
    "RSA_4096": "RSA 4096",
    "EC_P256": "ECDSA P-256",
    "EC_SM2": "SM2",
}


def fetch(source: AlibabaKMS, secrets: ServiceSecrets, services: Services, clock: Clock) -> tuple[KMSKey, ...]:
    """Ask for a key, in the one version that the source names or in all of them; see `interface.Fetch`."""
    caller = _Caller(source, secrets, services, clock)
    only = source.key_version_id or ""
    try:
        details = member(caller.call("DescribeKey"), "KeyMetadata", _WHAT)
    except NotFoundError as error:
        return refused(only, "", "KeyNotFound", f"{error.message}: there is no such key; check keyId and region")
    same(text(details, "KeyId", _WHAT), _bare(source.key_id), _WHAT)
    state = text(details, "KeyState", _WHAT)
    wrong = _what_is_wrong(details, state)
    if wrong is not None:
        return refused(only, state, *wrong)
    kind = _KINDS[text(details, "KeySpec", _WHAT)]
    versions = (only,) if only else caller.versions()
    return tuple(caller.key(version, state, kind) for version in versions[:MAX_VERSIONS])


def sign(source: AlibabaKMS, task: SigningTask, secrets: ServiceSecrets, services: Services, clock: Clock) -> bytes:
    """Ask for a signature over a digest, which is all that the service signs; see `sealgate.kms.interface.Sign`."""
    answer = _Caller(source, secrets, services, clock).call(
        "AsymmetricSign",
        KeyVersionId=task.version,
        Algorithm=task.algorithm,
        Digest=b64encode(task.digest).decode(),
    )
    same(text(answer, "KeyId", _WHAT), _bare(source.key_id), _WHAT)
    same(text(answer, "KeyVersionId", _WHAT), task.version, _WHAT)
    return base64_text(answer, "Value", _WHAT)


SIGNING = SigningService(
    sign,
    {
        "ECDSA P-256": {Algorithm.ECDSA_SHA_256: "ECDSA_SHA_256"},
        "SM2": {Algorithm.SM2: "SM2DSA"},
        "RSA": {
            Algorithm.RSA_PKCS1_SHA_256: "RSA_PKCS1_SHA_256",
            Algorithm.RSA_PSS_SHA_256: "RSA_PSS_SHA_256",
        },
    },
    "the actions kms:DescribeKey, kms:GetPublicKey and kms:AsymmetricSign on the key (and kms:ListKeyVersions where no "
    "version is named)",
)


def _bare(key_id: str) -> str:
    """Return the id in an ARN; an id as it is."""
    return key_id.rpartition("/")[2]


def _what_is_wrong(details: Mapping[str, object], state: str) -> tuple[str, str] | None:
    """Return reason and message of a refusal; None if the key may be used."""
    if state != _ENABLED:
        known = state in _STATES
        how = _STATES[state] if known else f"is in the state {quote(state, 40)}"
        return state if known else "NotEnabled", f"the key {how}; enable it in KMS, or take it out of the policy"
    usage = details.get("KeyUsage")
    if usage != "SIGN/VERIFY":
        return "WrongUsage", f"the key is for {quote(usage, 40)}; only keys for SIGN/VERIFY sign images"
    spec = text(details, "KeySpec", _WHAT)
    if spec not in _KINDS:
        return "UnsupportedAlgorithm", f"a key of type {quote(spec, 40)} is not supported; use {', '.join(_KINDS)}"
    return None


class _Caller:
    """Calls of the API about one key."""

    def __init__(self, source: AlibabaKMS, secrets: ServiceSecrets, services: Services, clock: Clock) -> None:
        name = source.credentials_secret.name
        self._source = source
        self._credentials = AlibabaCredentials.from_secret(name, secrets.read(name))
        self._services = services
        self._clock = clock

    def call(self, action: str, **parameters: str) -> Mapping[str, object]:
        source = self._source
        call = RPCCall(source.url, action, _VERSION, {"KeyId": source.key_id, **parameters})
        headers = sign_call(call, self._credentials, self._clock.now())
        ca = source.ca.pem if source.ca is not None else None
        request = Call("POST", call.url, headers, None, ca, source.credentials_secret.name)
        return ask_object(self._services, request, _WHAT)

    def versions(self) -> tuple[str, ...]:
        """Return every version: an asymmetric key has no primary one, so all of them count."""
        page = member(self.call("ListKeyVersions", PageSize=str(MAX_VERSIONS)), "KeyVersions", _WHAT)
        found = objects(page.get("KeyVersion"), _WHAT)
        return tuple(word(text(version, "KeyVersionId", _WHAT), _WHAT) for version in found)

    def key(self, version: str, state: str, kind: str) -> KMSKey:
        try:
            answer = self.call("GetPublicKey", KeyVersionId=version)
        except NotFoundError as error:
            msg = f"{error.message}: the key has no version {quote(version, 128)}; check keyVersionId"
            return KMSKey(version, state, reason="VersionNotFound", message=msg)
        same(text(answer, "KeyId", _WHAT), _bare(self._source.key_id), _WHAT)
        same(text(answer, "KeyVersionId", _WHAT), version, _WHAT)
        return KMSKey(version, state, text(answer, "PublicKey", _WHAT), kind)
