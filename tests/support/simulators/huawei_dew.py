"""Huawei DEW: describe-key, get-publickey and sign, over HTTP, with the signature of every request checked.

The check is written from the description of SDK-HMAC-SHA256, apart from the code that signs; the official SDK's
requests pass it as well (`tests/kms/test_sdks.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sealgate.clocks import SystemClock
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer
from tests.support.simulators.kms_keys import new_kms_key, pem_of_key, sign_digest

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from tests.support.simulators.kms_keys import KMSPrivateKey

PROJECT = "0a1b2c3d4e5f"
KINDS = {
    "EC_P256": "ECDSA P-256",
    "EC_P384": "ECDSA P-384",
    "SM2": "SM2",
    "RSA_2048": "RSA 2048",
    "RSA_3072": "RSA 3072",
}
#: The signing algorithms of each kind of key.
SIGNS = {
    "EC_P256": ("ECDSA_SHA_256",),
    "EC_P384": ("ECDSA_SHA_384",),
    "SM2": ("SM2DSA_SM3",),
    "RSA": tuple(f"RSASSA_{padding}_SHA_{bits}" for padding in ("PSS", "PKCS1_V1_5") for bits in (256, 384, 512)),
}
_PATH = re.compile(r"/v1\.0/([^/]+)/kms/([a-z-]+)/?")
_AUTHORIZATION = re.compile(r"SDK-HMAC-SHA256 Access=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})")
_SKEW = timedelta(minutes=15)


@dataclass
class DEWKey:
    """One key; tests may change its fields."""

    private: KMSPrivateKey
    spec: str
    usage: str = "SIGN_VERIFY"
    state: str = "2"
    public: str | None = None


class DEWSimulator(HTTPSimulator):
    """The service; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        keys: the keys, by ID.
        access_key: access key of its only user.
        secret_key: secret key of that user.
        security_token: expected in every request, when it is not empty.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        self.keys: dict[str, DEWKey] = {}
        self.access_key, self.secret_key, self.security_token = "AKEXAMPLE", "sk-very-secret", ""
        self.clock = clock or SystemClock()
        super().__init__(**more)

    def add(self, key_id: str, spec: str, **members: Any) -> DEWKey:
        """Store a new key."""
        key = DEWKey(new_kms_key(KINDS.get(spec, "ECDSA P-256")), spec, **members)
        self.keys[key_id] = key
        return key

    @property
    def secret(self) -> dict[str, bytes]:
        """The content of a Secret with the right credentials."""
        members = {"accessKey": self.access_key, "secretKey": self.secret_key, "securityToken": self.security_token}
        return {name: value.encode() for name, value in members.items() if value}

    def respond(self, request: RecordedRequest) -> Answer:
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return _error(404, "APIGW.0101", "the API does not exist")
        if not self.signed(request):
            return _error(401, "APIGW.0301", f"verify aksk signature fail, headers {dict(request.headers)}")
        if match[1] != PROJECT:
            return _error(403, "KMS.0209", "no permission")
        asked = json.loads(request.body)
        key = self.keys.get(asked["key_id"])
        if key is None:
            return _error(404, "KMS.0222", "key does not exist")
        actions = {"describe-key": self._describe, "get-publickey": self._public, "sign": self._sign}
        return actions[match[2]](asked, key)

    def _describe(self, asked: dict[str, Any], key: DEWKey) -> Answer:
        info = {"key_id": asked["key_id"], "key_state": key.state, "key_spec": key.spec, "key_usage": key.usage}
        return json_answer({"key_info": {**info, "domain_id": "d", "key_alias": "a", "default_key_flag": "0"}})

    def _public(self, asked: dict[str, Any], key: DEWKey) -> Answer:
        if key.state != "2":
            return _error(400, "KMS.0211", "the key is not enabled")
        return json_answer({"key_id": asked["key_id"], "public_key": key.public or pem_of_key(key.private)})

    def _sign(self, asked: dict[str, Any], key: DEWKey) -> Answer:
        if key.state != "2" or key.usage != "SIGN_VERIFY" or asked["message_type"] != "DIGEST":
            return _error(400, "KMS.0309", "the key cannot sign that")
        if not any(asked["signing_algorithm"] in names for kind, names in SIGNS.items() if key.spec.startswith(kind)):
            return _error(400, "KMS.0309", "the key does not have that algorithm")
        pss = "PSS" in asked["signing_algorithm"]
        signature = sign_digest(key.private, b64decode(asked["message"]), pss=pss)
        return json_answer({"key_id": asked["key_id"], "signature": b64encode(signature).decode()})

    def signed(self, request: RecordedRequest) -> bool:
        """Return whether a request has a good signature of the access key."""
        given = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        date = request.headers.get("x-sdk-date", "")
        if given is None or given[1] != self.access_key:
            return False
        when = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(self.clock.now() - when) > _SKEW:
            return False
        if self.security_token and request.headers.get("x-security-token") != self.security_token:
            return False
        names = given[2].split(";")
        needed = {"host", "x-sdk-date"} | ({"x-security-token"} if self.security_token else set())
        if not needed <= set(names) or names != sorted(names):
            return False
        path = quote(request.path, safe="/~")
        query = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(request.query))
        # A test that leads a fixed address here says which one it was.
        sent = {**request.headers, "host": request.headers.get("x-test-host", request.headers["host"])}
        headers = "".join(f"{name}:{sent[name].strip()}\n" for name in names)
        body = hashlib.sha256(request.body).hexdigest()
        canonical = f"POST\n{path}{'' if path.endswith('/') else '/'}\n{query}\n{headers}\n{given[2]}\n{body}"
        text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return hmac.new(self.secret_key.encode(), text.encode(), hashlib.sha256).hexdigest() == given[3]


def _error(status: int, code: str, message: str) -> Answer:
    return json_answer({"error": {"error_code": code, "error_msg": message}}, status)
