"""Vault: the transit engine and the Kubernetes auth method, as recorded from Vault's own code (tests/data/vault)."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer
from tests.support.simulators.kms_keys import new_kms_key, pem_of_key, sign_digest

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from tests.support.simulators.kms_keys import KMSPrivateKey

ROLE = "sealgate"
KINDS = {
    "ecdsa-p256": "ECDSA P-256",
    "ecdsa-p384": "ECDSA P-384",
    "ecdsa-p521": "ECDSA P-521",
    "ed25519": "Ed25519",
    "rsa-2048": "RSA 2048",
    "rsa-3072": "RSA 3072",
}
_HASH_BYTES = {"sha2-224": 28, "sha2-256": 32, "sha2-384": 48, "sha2-512": 64}
_PATH = re.compile(r"/v1/((?:[^/]+/)*?)(keys|sign)/([^/]+)")
_LOGIN = re.compile(r"/v1/auth/((?:[^/]+/)*?[^/]+)/login")


@dataclass
class TransitKey:
    """One key; tests may change its fields.

    Attributes:
        versions: private keys by version.
        least: the oldest version that is not archived.
    """

    kind: str
    versions: dict[str, KMSPrivateKey] = field(default_factory=dict)
    least: int = 1
    derived: bool = False
    soft_deleted: bool = False
    state: str = ""


class VaultSimulator(HTTPSimulator):
    """Vault; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        keys: the keys, by name.
        mount: where the transit engine is.
        namespace: namespace of both; empty for none.
        token: a token that may read keys and sign.
        jwt: the token of a ServiceAccount with which `ROLE` logs in.
        auth: where the auth method is.
        lease_seconds: lifetime of the tokens of logins.
        logins: the tokens of logins, in order.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        del clock
        self.keys: dict[str, TransitKey] = {}
        self.mount, self.namespace, self.auth = "transit", "", "kubernetes"
        self.token, self.jwt = "hvs.static-token", "header.payload.signature"
        self.lease_seconds = 3600
        self.logins: list[str] = []
        super().__init__(**more)

    def add(self, name: str, kind: str, *versions: str, **members: Any) -> TransitKey:
        """Store a new key with these versions; one by default."""
        key = TransitKey(kind, **members)
        for version in versions or ("1",):
            key.versions[version] = new_kms_key(KINDS.get(kind, "ECDSA P-256"), f"{name} {version}")
        self.keys[name] = key
        return key

    @property
    def secret(self) -> dict[str, bytes]:
        """The content of a Secret with the right credentials."""
        return {"address": self.url.encode(), "token": self.token.encode()}

    def respond(self, request: RecordedRequest) -> Answer:  # noqa: PLR0911 - as many ways to refuse
        if request.headers.get("x-vault-request") != "true":
            return _error(412)
        if request.headers.get("x-vault-namespace", "") != self.namespace:
            return _error(404)
        login = _LOGIN.fullmatch(request.path)
        if login is not None:
            return self._log_in(login[1], json.loads(request.body))
        if request.headers.get("x-vault-token") not in {self.token, *self.logins}:
            return _error(403, "permission denied")
        match = _PATH.fullmatch(request.path)
        if match is None or match[1] != f"{self.mount}/":
            return _error(404)
        key = self.keys.get(match[3])
        if (match[2], request.method) == ("keys", "GET"):
            return self._read(match[3], key)
        if (match[2], request.method) == ("sign", "POST"):
            return self._sign(key, json.loads(request.body))
        return _error(405)

    def _log_in(self, auth: str, asked: dict[str, Any]) -> Answer:
        if auth != self.auth or asked != {"role": ROLE, "jwt": self.jwt}:
            return _error(403, "permission denied")
        self.logins.append(f"hvs.login-{len(self.logins)}")
        given = {"client_token": self.logins[-1], "lease_duration": self.lease_seconds, "renewable": True}
        return json_answer({"data": None, "auth": {**given, "policies": ["default", "sealgate"]}})

    def _read(self, name: str, key: TransitKey | None) -> Answer:
        if key is None:
            return _error(404)
        versions = {
            version: {"creation_time": "2026-11-01T08:00:00Z", "name": key.kind, "public_key": _public(private)}
            for version, private in key.versions.items()
            if int(version) >= key.least
        }
        latest = max(map(int, key.versions), default=0)
        members = {"type": key.kind, "latest_version": latest, "min_decryption_version": key.least, "keys": versions}
        flags = {"derived": key.derived, "soft_deleted": key.soft_deleted, "supports_signing": True}
        return json_answer({"data": {**members, **flags, "name": name, "min_encryption_version": 0}, "auth": None})

    def _sign(self, key: TransitKey | None, asked: dict[str, Any]) -> Answer:
        if key is None or key.state:
            return _error(400, "signing key not found")
        digest, version = b64decode(asked["input"]), str(asked["key_version"])
        if not asked["prehashed"] or len(digest) != _HASH_BYTES[asked["hash_algorithm"]]:
            return _error(400, "invalid input")
        if int(version) < key.least or version not in key.versions:
            return _error(400, "cannot sign: version is too old")
        rsa = key.kind.startswith("rsa-")
        if rsa != ("signature_algorithm" in asked) or rsa == ("marshaling_algorithm" in asked):
            return _error(400, "unsupported")
        pss = asked.get("signature_algorithm") == "pss"
        if pss and asked["salt_length"] != "hash":
            return _error(400, "unsupported")
        signature = b64encode(sign_digest(key.versions[version], digest, pss=pss)).decode()
        return json_answer({"data": {"signature": f"vault:v{version}:{signature}", "key_version": int(version)}})


def _public(key: KMSPrivateKey) -> str:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    return pem_of_key(key)


def _error(status: int, *errors: str) -> Answer:
    return json_answer({"errors": list(errors)}, status)
