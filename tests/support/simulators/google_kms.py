"""Google Cloud KMS and STS: versions, public keys, signatures and token exchange, with every bearer checked.

The check is written from the description of self-signed JWTs, apart from the code that signs; the requests of the
official SDKs pass it as well (`tests/kms/test_google.py`).
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealgate.clocks import SystemClock
from tests.support.signers.private_keys import new_key
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer
from tests.support.simulators.kms_keys import new_kms_key, pem_of_key, sign_digest

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from tests.support.simulators.kms_keys import KMSPrivateKey

AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s"
EMAIL, KEY_ID = "sealgate@shop-1.iam.gserviceaccount.com", "0a1b"
KINDS = {
    "EC_SIGN_P256_SHA256": "ECDSA P-256",
    "EC_SIGN_P384_SHA384": "ECDSA P-384",
    "EC_SIGN_ED25519": "Ed25519",
    "RSA_SIGN_PKCS1_2048_SHA256": "RSA 2048",
    "RSA_SIGN_PKCS1_4096_SHA512": "RSA 4096",
    "RSA_SIGN_PSS_2048_SHA256": "RSA 2048",
    "RSA_SIGN_PSS_3072_SHA256": "RSA 3072",
}
_KEY = re.compile(
    r"/v1/(projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)/cryptoKeyVersions(/[^/:]+)?(.*)"
)
_MAX_SECONDS = 3600


@dataclass
class GoogleKey:
    """One key; tests may change its fields.

    Attributes:
        state: of all versions.
        destroyed: the versions that are destroyed.
        versions: private keys by version.
    """

    algorithm: str
    state: str = "ENABLED"
    destroyed: set[str] = field(default_factory=set)
    versions: dict[str, KMSPrivateKey] = field(default_factory=dict)


class GoogleKMSSimulator(HTTPSimulator):
    """Both services at one address; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        keys: the keys, by name.
        account: public key of the service account, in whose name bearers are accepted.
        subject_token: the token of a workload that is exchanged.
        sessions: access tokens that were given for it.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        self.keys: dict[str, GoogleKey] = {}
        private = new_key("RSA 2048", "a service account")
        assert isinstance(private, rsa.RSAPrivateKey)
        self._private, self.account = private, private.public_key()
        self.subject_token = "header.payload.signature"  # noqa: S105 - of the simulator
        self.sessions: list[str] = []
        self._clock = clock or SystemClock()
        super().__init__(**more)

    def add(self, name: str, algorithm: str, *versions: str, **members: Any) -> GoogleKey:
        """Store a new key with these versions; one by default."""
        key = GoogleKey(algorithm, **members)
        for version in versions or ("1",):
            key.versions[version] = new_kms_key(KINDS.get(algorithm, "ECDSA P-256"), f"{name} {version}")
        self.keys[name] = key
        return key

    @property
    def secret(self) -> dict[str, bytes]:
        """The content of a Secret with the right credentials."""
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {"type": "service_account", "client_email": EMAIL, "private_key_id": KEY_ID, "private_key": pem}
        return {"key.json": json.dumps(account).encode(), "address": self.url.encode()}

    def respond(self, request: RecordedRequest) -> Answer:
        if request.path == "/v1/token":
            return self._exchange(request)
        if not self._authorized(request.headers.get("authorization", "").removeprefix("Bearer ")):
            return _error(401)
        match = _KEY.fullmatch(request.path)
        key = None if match is None else self.keys.get(match[1])
        if match is None or key is None or (match[2] and match[2][1:] not in key.versions):
            return _error(404)
        if not match[2]:
            return _list(match[1], key, dict(request.query))
        return self._of_version(match[1], key, match[2][1:], match[3], request)

    def _of_version(self, name: str, key: GoogleKey, version: str, action: str, request: RecordedRequest) -> Answer:
        described = _version(name, key, version)
        if (action, request.method) == ("", "GET"):
            return json_answer(described)
        if key.state != "ENABLED":
            return _error(400)
        if (action, request.method) == ("/publicKey", "GET"):
            return json_answer({**described, "pem": pem_of_key(key.versions[version])})
        ((kind, digest),) = json.loads(request.body)["digest"].items()
        if (action, request.method) != (":asymmetricSign", "POST") or not key.algorithm.endswith(kind.upper()):
            return _error(400)
        signature = sign_digest(key.versions[version], b64decode(digest), pss="_PSS_" in key.algorithm)
        return json_answer({"name": described["name"], "signature": b64encode(signature).decode()})

    def _exchange(self, request: RecordedRequest) -> Answer:
        asked = dict(parse_qsl(request.body.decode()))
        kinds = "urn:ietf:params:oauth:token-type:"
        wanted = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": AUDIENCE,
            "scope": "https://www.googleapis.com/auth/cloudkms",
            "requested_token_type": f"{kinds}access_token",
            "subject_token": self.subject_token,
            "subject_token_type": f"{kinds}jwt",
        }
        if asked != wanted:
            return json_answer({"error": "invalid_grant", "error_description": "said in words"}, 400)
        self.sessions.append(f"ya29.{len(self.sessions)}")
        return json_answer({"access_token": self.sessions[-1], "expires_in": 3600, "token_type": "Bearer"})

    def _authorized(self, bearer: str) -> bool:
        if bearer in self.sessions:
            return True
        signed, _, signature = bearer.rpartition(".")
        try:
            self.account.verify(_decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        header, claims = (json.loads(_decode(part)) for part in signed.split("."))
        now = self._clock.now().timestamp()
        on_time = claims["iat"] <= now + 60 and now < claims["exp"] <= claims["iat"] + _MAX_SECONDS
        wanted = {"iss": EMAIL, "sub": EMAIL, "aud": "https://cloudkms.googleapis.com/"}
        known = bool(claims | wanted == claims)
        return known and header == {"typ": "JWT", "alg": "RS256", "kid": KEY_ID} and on_time


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _list(name: str, key: GoogleKey, query: dict[str, str]) -> Answer:
    start, size = int(query.get("pageToken") or 0), int(query["pageSize"])
    versions = list(key.versions)
    page: dict[str, Any] = {"cryptoKeyVersions": [_version(name, key, each) for each in versions[start : start + size]]}
    if len(versions) > start + size:
        page["nextPageToken"] = str(start + size)
    return json_answer(page)


def _version(name: str, key: GoogleKey, version: str) -> dict[str, Any]:
    state = "DESTROYED" if version in key.destroyed else key.state
    return {"name": f"{name}/cryptoKeyVersions/{version}", "state": state, "algorithm": key.algorithm}


def _error(status: int) -> Answer:
    return json_answer({"error": {"code": status, "message": "said in words", "status": "SAID"}}, status)
