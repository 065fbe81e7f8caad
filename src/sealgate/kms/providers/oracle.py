"""Oracle Cloud Vault, API 20180608: keys at a vault's management endpoint, signatures at its crypto endpoint."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

from sealgate.cloud.oracle import OCICredentials, sign_request
from sealgate.cloud.responses import Call, ask, ask_object, base64_text, member, objects, same, text, word
from sealgate.errors import NotFoundError
from sealgate.keys.algorithms import Algorithm
from sealgate.kms.interface import MAX_VERSIONS, KMSKey, SigningService, SigningTask, refused
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.kms import OracleKMS
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.service_secrets import ServiceSecrets

_WHAT = "Oracle Vault"
_ENABLED = "ENABLED"
_REASONS: Mapping[str, str] = {
    "DISABLED": "Disabled",
    "DISABLING": "Disabled",
    "PENDING_DELETION": "PendingDeletion",
    "SCHEDULING_DELETION": "PendingDeletion",
    "DELETING": "Deleted",
    "DELETED": "Deleted",
}
#: The most bytes of a message that the vault hashes itself; of a longer one it is sent the digest.
MAX_RAW_BYTES = 4096
_BITS_A_BYTE = 8
_RSA_BYTES = frozenset({256, 384, 512})
_CURVES: Mapping[object, str] = {
    "NIST_P256": "ECDSA P-256",
    "NIST_P384": "ECDSA P-384",
    "NIST_P521": "ECDSA P-521",
}


def fetch(source: OracleKMS, secrets: ServiceSecrets, services: Services, clock: Clock) -> tuple[KMSKey, ...]:
    """Ask for a key, in the versions that the source names or in all of them; see `interface.Fetch`."""
    caller = _Caller(source, secrets, services, clock)
    try:
        details = caller.get("")
    except NotFoundError as error:
        why = "there is no such key, or the credentials may not see it; check keyId and endpoint"
        return refused("", "", "KeyNotFound", f"{error.message}: {why}")
    same(text(details, "id", _WHAT), source.key_id, _WHAT)
    state = text(details, "lifecycleState", _WHAT)
    if state != _ENABLED:
        return refused("", state, *_not_enabled("key", state))
    shape = member(details, "keyShape", _WHAT)
    kind = _kind(shape)
    if not kind:
        found = quote(shape.get("algorithm"), 40)
        msg = f"a key of type {found} and this size is not supported; use RSA, or ECDSA on a NIST curve"
        return refused("", state, "UnsupportedAlgorithm", msg)
    versions = source.key_version_ids or caller.versions()
    return tuple(caller.key(version, kind) for version in versions)


def sign(source: OracleKMS, task: SigningTask, secrets: ServiceSecrets, services: Services, clock: Clock) -> bytes:
    """Ask the crypto endpoint for a signature over a message, or the digest of a long one; see `interface.Sign`."""
    raw = len(task.message) <= MAX_RAW_BYTES
    answer = _Caller(source, secrets, services, clock).post(
        "/20180608/sign",
        message=b64encode(task.message if raw else task.digest).decode(),
        keyId=source.key_id,
        keyVersionId=task.version,
        signingAlgorithm=task.algorithm,
        messageType="RAW" if raw else "DIGEST",
    )
    same(text(answer, "keyId", _WHAT), source.key_id, _WHAT)
    same(text(answer, "keyVersionId", _WHAT), task.version, _WHAT)
    return base64_text(answer, "signature", _WHAT)


SIGNING = SigningService(
    sign,
    {
        "ECDSA": {name: name.value for name in Algorithm if name.startswith("ECDSA_")},
        "RSA": {
            **{
                name: f"{name[-len('SHA_256') :]}_RSA_PKCS1_V1_5" for name in Algorithm if name.startswith("RSA_PKCS1_")
            },
            **{name: f"{name[-len('SHA_256') :]}_RSA_PKCS_PSS" for name in Algorithm if name.startswith("RSA_PSS_")},
        },
    },
    "a policy that allows to read and use keys in the vault's compartment",
)


def _crypto_endpoint(management: str) -> str:
    """Return the crypto endpoint of the vault that has a management endpoint.

    The two differ in the first label of the host. An address without that label, such as a gateway's, serves both.
    """
    return management.replace("-management.kms.", "-crypto.kms.", 1).rstrip("/")


def _not_enabled(what: str, state: str) -> tuple[str, str]:
    """Return reason and message."""
    msg = f"the {what} is in the state {quote(state, 40)}; enable it in the vault, or take it out of the policy"
    return _REASONS.get(state, "NotEnabled"), msg


def _kind(shape: Mapping[str, object]) -> str:
    """Return what a key is, in the words of `PublicKey.kind`; empty if it cannot sign images."""
    algorithm, length = shape.get("algorithm"), shape.get("length")
    if algorithm == "RSA" and isinstance(length, int) and length in _RSA_BYTES:
        return f"RSA {_BITS_A_BYTE * length}"
    return _CURVES.get(text(shape, "curveId", _WHAT), "") if algorithm == "ECDSA" else ""


class _Caller:
    """Calls of the API about one key."""

    def __init__(self, source: OracleKMS, secrets: ServiceSecrets, services: Services, clock: Clock) -> None:
        name = source.credentials_secret.name
        self._source = source
        self._credentials = OCICredentials.from_secret(name, secrets.read(name))
        self._services = services
        self._clock = clock

    def get(self, below: str) -> Mapping[str, object]:
        return ask_object(self._services, self._call(below), _WHAT)

    def versions(self) -> tuple[str, ...]:
        """Return every version, so that a rotation does not spoil what was signed before it."""
        found = objects(ask(self._services, self._call(f"/keyVersions?limit={MAX_VERSIONS}"), _WHAT), _WHAT)
        return tuple(word(text(version, "id", _WHAT), _WHAT) for version in found[:MAX_VERSIONS])

    def key(self, version: str, kind: str) -> KMSKey:
        try:
            answer = self.get(f"/keyVersions/{version}")
        except NotFoundError as error:
            msg = f"{error.message}: the key has no version {quote(version, 255)}; check keyVersionIds"
            return KMSKey(version, "", reason="VersionNotFound", message=msg)
        same(text(answer, "id", _WHAT), version, _WHAT)
        same(text(answer, "keyId", _WHAT), self._source.key_id, _WHAT)
        state = text(answer, "lifecycleState", _WHAT)
        if state != _ENABLED:
            reason, msg = _not_enabled("version", state)
            return KMSKey(version, state, reason=reason, message=msg)
        return KMSKey(version, state, text(answer, "publicKey", _WHAT), kind)

    def post(self, path: str, **members: str) -> Mapping[str, object]:
        url, body = f"{_crypto_endpoint(self._source.endpoint)}{path}", json.dumps(members).encode()
        return ask_object(self._services, self._signed("POST", url, body), _WHAT)

    def _call(self, below: str) -> Call:
        url = f"{self._source.endpoint.rstrip('/')}/20180608/keys/{self._source.key_id}{below}"
        return self._signed("GET", url)

    def _signed(self, method: str, url: str, body: bytes | None = None) -> Call:
        source = self._source
        headers = sign_request(method, url, {"accept": "application/json"}, body, self._credentials, self._clock.now())
        ca = source.ca.pem if source.ca is not None else None
        return Call(method, url, headers, body, ca, source.credentials_secret.name)
