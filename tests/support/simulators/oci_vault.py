"""An Oracle Cloud vault: keys, key versions, sign and verify, with every request's HTTP signature checked."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sealgate.clocks import SystemClock
from tests.support.signers.private_keys import new_key
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer
from tests.support.simulators.kms_keys import pem_of_key, sign_digest
from tests.support.simulators.ocir import APIKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.clocks import Clock
    from tests.support.simulators.kms_keys import KMSPrivateKey

SHAPES: dict[str, dict[str, Any]] = {
    "RSA 2048": {"algorithm": "RSA", "length": 256},
    "RSA 3072": {"algorithm": "RSA", "length": 384},
    "ECDSA P-256": {"algorithm": "ECDSA", "length": 32, "curveId": "NIST_P256"},
    "AES": {"algorithm": "AES", "length": 32},
}
_HASHES = {
    "SHA_224_RSA_PKCS_PSS": hashes.SHA224(),
    "SHA_256_RSA_PKCS_PSS": hashes.SHA256(),
    "SHA_384_RSA_PKCS_PSS": hashes.SHA384(),
    "SHA_512_RSA_PKCS_PSS": hashes.SHA512(),
}
_KEY = re.compile(r"/20180608/keys/([^/]+)")
_VERSIONS = re.compile(r"/20180608/keys/([^/]+)/keyVersions")
_VERSION = re.compile(r"/20180608/keys/([^/]+)/keyVersions/([^/]+)")
_SKEW = timedelta(minutes=5)
#: The most bytes of a message that the vault hashes itself.
MAX_RAW_BYTES = 4096


@dataclass
class VaultKey:
    """One key; tests may change its fields.

    Attributes:
        versions: private keys by version OCID.
        states: of versions that are not ENABLED.
    """

    kind: str
    state: str = "ENABLED"
    versions: dict[str, KMSPrivateKey] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)


class OCIVaultSimulator(HTTPSimulator):
    """The vault, management and crypto endpoint in one; see `HTTPSimulator` for faults, TLS and requests.

    Attributes:
        keys: the keys, by OCID.
        api_key: of the one user it knows; change it at will.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        self.keys: dict[str, VaultKey] = {}
        private = new_key("RSA 2048", "an API key")
        assert isinstance(private, rsa.RSAPrivateKey)
        self.api_key = APIKey(private)
        self._clock = clock or SystemClock()
        super().__init__(**more)

    def add(self, key_id: str, kind: str, *versions: str, **members: Any) -> VaultKey:
        """Store a new key with these versions."""
        key = VaultKey(kind, **members)
        for version in versions:
            key.versions[version] = new_key("ECDSA P-256" if kind == "AES" else kind, version)
        self.keys[key_id] = key
        return key

    @property
    def secret(self) -> Mapping[str, bytes]:
        """The content of a Secret with the right credentials."""
        return self.api_key.secret

    def respond(self, request: RecordedRequest) -> Answer:
        if not self._signed(request):
            return _error(401, "NotAuthenticated")
        if request.path == "/20180608/sign" and request.method == "POST":
            return self._sign(json.loads(request.body))
        if request.path == "/20180608/verify" and request.method == "POST":
            return self._verify(json.loads(request.body))
        for pattern, answer in ((_KEY, self._key), (_VERSIONS, self._list), (_VERSION, self._version)):
            match = pattern.fullmatch(request.path)
            if match is not None:
                key = self.keys.get(match[1])
                return answer(key, *match.groups()) if key is not None else _error(404, "NotAuthorizedOrNotFound")
        return _error(404, "NotAuthorizedOrNotFound")

    def _key(self, key: VaultKey, key_id: str) -> Answer:
        current = list(key.versions)[-1] if key.versions else ""
        return json_answer(
            {
                "id": key_id,
                "lifecycleState": key.state,
                "keyShape": SHAPES[key.kind],
                "currentKeyVersion": current,
                "displayName": "release",
            }
        )

    def _list(self, key: VaultKey, key_id: str) -> Answer:
        return json_answer([self._summary(key, key_id, version) for version in reversed(key.versions)])

    def _version(self, key: VaultKey, key_id: str, version: str) -> Answer:
        if version not in key.versions:
            return _error(404, "NotAuthorizedOrNotFound")
        public = None if key.kind == "AES" else pem_of_key(key.versions[version])
        return json_answer({**self._summary(key, key_id, version), "publicKey": public})

    @staticmethod
    def _summary(key: VaultKey, key_id: str, version: str) -> dict[str, Any]:
        return {"id": version, "keyId": key_id, "lifecycleState": key.states.get(version, "ENABLED")}

    def _sign(self, asked: dict[str, Any]) -> Answer:
        key = self.keys[asked["keyId"]]
        version = asked["keyVersionId"]
        if key.state != "ENABLED" or key.states.get(version, "ENABLED") != "ENABLED":
            return _error(409, "IncorrectState")
        name = re.fullmatch(r"SHA_(\d+)_(?:RSA_PKCS_PSS|RSA_PKCS1_V1_5)|ECDSA_SHA_(\d+)", asked["signingAlgorithm"])
        assert name
        message = b64decode(asked["message"])
        raw = asked["messageType"] == "RAW"
        if raw and len(message) > MAX_RAW_BYTES:
            return _error(400, "InvalidParameter")
        digest = hashlib.new(f"sha{name[1] or name[2]}", message).digest() if raw else message
        signature = sign_digest(key.versions[version], digest, pss="PSS" in asked["signingAlgorithm"])
        return json_answer(
            {"keyId": asked["keyId"], "keyVersionId": version, "signature": b64encode(signature).decode()}
        )

    def _verify(self, asked: dict[str, Any]) -> Answer:
        """Verify a PSS signature over a whole message, which is all that image signatures need."""
        key = self.keys[asked["keyId"]]
        private = key.versions[asked["keyVersionId"]]
        assert isinstance(private, rsa.RSAPrivateKey)
        algorithm = _HASHES[asked["signingAlgorithm"]]
        pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
        try:
            private.public_key().verify(b64decode(asked["signature"]), b64decode(asked["message"]), pss, algorithm)
        except InvalidSignature:
            return json_answer({"isSignatureValid": False})
        return json_answer({"isSignatureValid": True})

    def _signed(self, request: RecordedRequest) -> bool:
        sent = request.headers.get("date")
        on_time = sent is not None and abs(self._clock.now() - parsedate_to_datetime(sent)) <= _SKEW
        return on_time and self.api_key.signed(request)


def _error(status: int, code: str) -> Answer:
    return json_answer({"code": code, "message": "said in words"}, status)
