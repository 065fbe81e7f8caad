"""HashiCorp Vault and OpenBao: keys in the transit engine, HTTP API v1.

A Vault token works for everyone who has it, and the author of a key entry chooses the address. So each token is bound
to one address: that of its Secret, or that of the settings of this process, and it is sent to no other.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from sealgate.cloud.responses import Call, ask_object, member, pem_of, same, text, unexpected, whole_number
from sealgate.errors import NotFoundError, UnauthorizedError
from sealgate.keys.algorithms import Algorithm
from sealgate.kms.credentials import SessionKey, require_address
from sealgate.kms.interface import MAX_VERSIONS, KMSKey, SigningService, SigningTask, refused
from sealgate.messages import quote
from sealgate.service_secrets import text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.kms_vault import VaultKMS, VaultKubernetesAuth
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.kms.credentials import KMSCredentials

_WHAT = "Vault"
_KINDS: Mapping[str, str] = {
    "ecdsa-p256": "ECDSA P-256",
    "ecdsa-p384": "ECDSA P-384",
    "ecdsa-p521": "ECDSA P-521",
    "ed25519": "Ed25519",
    "rsa-2048": "RSA 2048",
    "rsa-3072": "RSA 3072",
    "rsa-4096": "RSA 4096",
}
# What precedes the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, 4).
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
_ED25519_BYTES = 32
#: Seconds for which a token without an end is used before the next login.
_NO_END_SECONDS = 3600
#: As the entries have it: at most a million.
_NUMBER = re.compile(r"[1-9][0-9]{0,6}")
_HASHES = {"224": "sha2-224", "256": "sha2-256", "384": "sha2-384", "512": "sha2-512"}


def fetch(source: VaultKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> tuple[KMSKey, ...]:
    """Ask for a key, in the one version that the source names or in all that it has; see `interface.Fetch`."""
    caller = _Caller(source, secrets, services, clock)
    only = "" if source.key_version is None else str(source.key_version)
    try:
        details = member(caller.call("GET", "keys"), "data", _WHAT)
    except NotFoundError as error:
        why = "there is no such key; check mount, key and namespace"
        return refused(only, "", "KeyNotFound", f"{error.message}: {why}")
    same(text(details, "name", _WHAT), source.key, _WHAT)
    wrong = _what_is_wrong(details)
    if wrong is not None:
        return refused(only, "", *wrong)
    kind = _KINDS[text(details, "type", _WHAT)]
    found = {_number(version): value for version, value in member(details, "keys", _WHAT).items()}
    least = details.get("min_decryption_version")
    if not isinstance(least, int):
        raise unexpected(_WHAT, "min_decryption_version is missing or not a number")
    versions = sorted(found, reverse=True)[:MAX_VERSIONS] if source.key_version is None else (source.key_version,)
    return tuple(_version(version, found.get(version), least, kind) for version in versions)


def sign(source: VaultKMS, task: SigningTask, secrets: KMSCredentials, services: Services, clock: Clock) -> bytes:
    """Ask for a signature over a digest; see `sealgate.kms.interface.Sign`."""
    padding, _, bits = task.algorithm.partition("/")
    members: dict[str, object] = {
        "input": b64encode(task.digest).decode(),
        "prehashed": True,
        "hash_algorithm": _HASHES[bits],
        "key_version": int(task.version),
    }
    if padding == "ecdsa":
        members["marshaling_algorithm"] = "asn1"
    else:
        members["signature_algorithm"] = padding
    if padding == "pss":
        members["salt_length"] = "hash"
    answer = member(_Caller(source, secrets, services, clock).call("POST", "sign", members), "data", _WHAT)
    scheme, version, encoded = [*text(answer, "signature", _WHAT).split(":", 2), "", ""][:3]
    same(f"{scheme}:{version}", f"vault:v{task.version}", _WHAT)
    try:
        return b64decode(encoded, validate=True)
    except ValueError as error:
        raise unexpected(_WHAT, "signature is not base64") from error


SIGNING = SigningService(
    sign,
    {
        "ECDSA": {
            Algorithm.ECDSA_SHA_256: "ecdsa/256",
            Algorithm.ECDSA_SHA_384: "ecdsa/384",
            Algorithm.ECDSA_SHA_512: "ecdsa/512",
        },
        "RSA": {
            **{name: f"pkcs1v15/{name[-3:]}" for name in Algorithm if name.startswith("RSA_PKCS1_")},
            **{name: f"pss/{name[-3:]}" for name in Algorithm if name.startswith("RSA_PSS_")},
        },
    },
    "a policy with `read` on MOUNT/keys/KEY and `update` on MOUNT/sign/KEY",
)


def _what_is_wrong(details: Mapping[str, object]) -> tuple[str, str] | None:
    """Return reason and message of a refusal; None if the key may be used."""
    if details.get("soft_deleted") is True:
        return "Deleted", "the key is deleted; restore it in Vault, or take it out of the policy"
    kind = text(details, "type", _WHAT)
    if kind not in _KINDS:
        return "UnsupportedAlgorithm", f"a key of type {quote(kind, 40)} is not supported; use {', '.join(_KINDS)}"
    if details.get("derived") is not False:
        return "WrongUsage", "the key derives another key for each context; create one without derivation"
    return None


def _number(version: str) -> int:
    if _NUMBER.fullmatch(version) is None:
        raise unexpected(_WHAT, f"{quote(version, 40)} is not a version")
    return int(version)


def _version(version: int, found: object, least: int, kind: str) -> KMSKey:
    name = str(version)
    if version < least:
        msg = f"version {name} is archived (min_decryption_version is {least}); raise keyVersion, or lower that"
        return KMSKey(name, "archived", reason="Disabled", message=msg)
    if found is None:
        return KMSKey(name, "", reason="VersionNotFound", message=f"the key has no version {name}; check keyVersion")
    key = member({name: found}, name, _WHAT)
    public = text(key, "public_key", _WHAT)
    return KMSKey(name, "available", _ed25519(public) if kind == "Ed25519" else public, kind)


def _ed25519(public: str) -> str:
    """Return an Ed25519 key in PEM; Vault has the bare 32 bytes in base64."""
    try:
        raw = b64decode(public, validate=True)
    except ValueError as error:
        raise unexpected(_WHAT, "public_key is not base64") from error
    if len(raw) != _ED25519_BYTES:
        raise unexpected(_WHAT, f"public_key has not {_ED25519_BYTES} bytes")
    return pem_of(_ED25519_SPKI + raw)


class _Caller:
    """Calls of the API about one key."""

    def __init__(self, source: VaultKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> None:
        self._source = source
        self._url = source.endpoint.rstrip("/")
        self._ca = source.ca.pem if source.ca is not None else None
        self._identities = secrets.identities
        self._given = secrets.of("vault", source.credentials_secret)
        self._services = services
        self._clock = clock
        require_address(self._given, self._url, source.ca)

    def call(self, method: str, action: str, members: Mapping[str, object] | None = None) -> Mapping[str, object]:
        source = self._source
        if source.kubernetes is None:
            return self._ask(method, f"{source.mount}/{action}/{source.key}", members, self._member("token"))
        auth, jwt = source.kubernetes, self._member("jwt")
        login = f"{self._url}/v1/{source.namespace or ''}/auth/{auth.mount}/{auth.role}"
        session = SessionKey(login, self._ca, self._given.digest)
        path = f"{source.mount}/{action}/{source.key}"
        token = self._token(session, auth, jwt)
        try:
            return self._ask(method, path, members, token)
        except UnauthorizedError:
            self._identities.refused(session, self._clock)
            # The token may have been revoked, or used up, since it was cached. If it is the same still, it is new, and
            # the key is one that it may not use.
            another = self._token(session, auth, jwt)
            if another == token:
                raise
            return self._ask(method, path, members, another)

    def _token(self, session: SessionKey, auth: VaultKubernetesAuth, jwt: str) -> str:
        """Return the cached token of a login, or log in. Tokens are not renewed: a login is one request too."""
        return self._identities.session(session, self._clock, lambda: self._log_in(auth, jwt))

    def _member(self, name: str) -> str:
        return text_member(self._given.source, self._given.data, name)

    def _log_in(self, auth: VaultKubernetesAuth, jwt: str) -> tuple[str, float]:
        answer = member(self._ask("POST", f"auth/{auth.mount}/login", {"role": auth.role, "jwt": jwt}), "auth", _WHAT)
        seconds = whole_number(answer, "lease_duration", _WHAT)
        found = {"client_token": text(answer, "client_token", _WHAT).encode()}
        return text_member("the response of Vault", found, "client_token"), seconds or _NO_END_SECONDS

    def _ask(
        self, method: str, path: str, members: Mapping[str, object] | None, token: str | None = None
    ) -> Mapping[str, object]:
        # Vault refuses requests without this header where it is configured so, against forgery by browsers.
        headers = {"x-vault-request": "true"}
        if token is not None:
            headers["x-vault-token"] = token
        if self._source.namespace is not None:
            headers["x-vault-namespace"] = self._source.namespace
        body = None
        if members is not None:
            headers["content-type"] = "application/json"
            body = json.dumps(members).encode()
        call = Call(method, f"{self._url}/v1/{path}", headers, body, self._ca, self._given.source)
        return ask_object(self._services, call, _WHAT)
