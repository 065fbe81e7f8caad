"""Alibaba Cloud KMS: DescribeKey, ListKeyVersions, GetPublicKey and AsymmetricSign, with every request's signature
checked from the description of ACS3-HMAC-SHA256, and every nonce taken once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
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

KINDS = {"EC_P256": "ECDSA P-256", "EC_SM2": "SM2", "RSA_2048": "RSA 2048", "RSA_3072": "RSA 3072"}
#: The signing algorithms of each kind of key.
SIGNS = {
    "EC_P256": ("ECDSA_SHA_256",),
    "EC_SM2": ("SM2DSA",),
    "RSA": ("RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"),
}
_AUTHORIZATION = re.compile(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})")
_SKEW = timedelta(minutes=15)


@dataclass
class AlibabaKey:
    """One key; tests may change its fields.

    Attributes:
        versions: private keys by version id.
    """

    spec: str
    usage: str = "SIGN/VERIFY"
    state: str = "Enabled"
    versions: dict[str, KMSPrivateKey] = field(default_factory=dict)


class AlibabaKMSSimulator(HTTPSimulator):
    """The service; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        keys: the keys, by ID.
        access_key_id: access key ID of its only user.
        access_key_secret: access key secret of that user.
        security_token: expected in every request, when it is not empty.
        denied: actions that the user has no right to.
    """

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        self.keys: dict[str, AlibabaKey] = {}
        self.denied: set[str] = set()
        self.access_key_id, self.access_key_secret, self.security_token = "LTAIEXAMPLE", "aks-very-secret", ""
        self.clock = clock or SystemClock()
        self._nonces: set[str] = set()
        super().__init__(**more)

    def add(self, key_id: str, spec: str, *versions: str, **members: Any) -> AlibabaKey:
        """Store a new key with these versions; each has its own key pair unless keys of its kind are cached."""
        key = AlibabaKey(spec, **members)
        for version in versions:
            key.versions[version] = new_kms_key(KINDS.get(spec, "ECDSA P-256"))
        self.keys[key_id] = key
        return key

    @property
    def secret(self) -> dict[str, bytes]:
        """The content of a Secret with the right credentials."""
        members = {
            "accessKeyId": self.access_key_id,
            "accessKeySecret": self.access_key_secret,
            "securityToken": self.security_token,
        }
        return {name: value.encode() for name, value in members.items() if value}

    def respond(self, request: RecordedRequest) -> Answer:
        if request.path != "/" or request.headers.get("x-acs-version") != "2016-01-20":
            return _error(400, "InvalidVersion")
        refusal = self.refusal(request)
        if refusal:
            return _error(400 if refusal == "SignatureNonceUsed" else 403, refusal)
        if request.headers["x-acs-action"] in self.denied:
            return _error(403, "Forbidden.NoPermission")
        asked = dict(request.query)
        key_id = asked["KeyId"].rpartition("/")[2]
        key = self.keys.get(key_id)
        if key is None:
            return _error(404, "Forbidden.KeyNotFound")
        actions = {
            "DescribeKey": self._describe,
            "ListKeyVersions": self._list,
            "GetPublicKey": self._public,
            "AsymmetricSign": self._sign,
        }
        return actions[request.headers["x-acs-action"]](key_id, asked, key)

    def _describe(self, key_id: str, _: dict[str, str], key: AlibabaKey) -> Answer:
        data = {"KeyId": key_id, "KeyState": key.state, "KeySpec": key.spec, "KeyUsage": key.usage}
        return json_answer({"KeyMetadata": {**data, "Origin": "Aliyun_KMS"}, "RequestId": "r"})

    def _list(self, key_id: str, asked: dict[str, str], key: AlibabaKey) -> Answer:
        found = [{"KeyId": key_id, "KeyVersionId": version} for version in key.versions]
        page = found[: int(asked.get("PageSize", "10"))]
        return json_answer({"KeyVersions": {"KeyVersion": page}, "PageNumber": 1, "TotalCount": len(found)})

    def _public(self, key_id: str, asked: dict[str, str], key: AlibabaKey) -> Answer:
        version = asked.get("KeyVersionId", "")
        if version not in key.versions:
            return _error(404, "Forbidden.KeyVersionNotFound")
        return json_answer({"KeyId": key_id, "KeyVersionId": version, "PublicKey": pem_of_key(key.versions[version])})

    def _sign(self, key_id: str, asked: dict[str, str], key: AlibabaKey) -> Answer:
        if key.state != "Enabled" or key.usage != "SIGN/VERIFY":
            return _error(409, "Rejected.Disabled")
        if not any(asked["Algorithm"] in names for kind, names in SIGNS.items() if key.spec.startswith(kind)):
            return _error(400, "InvalidParameter")
        version = asked["KeyVersionId"]
        signature = sign_digest(key.versions[version], b64decode(asked["Digest"]), pss="PSS" in asked["Algorithm"])
        return json_answer({"KeyId": key_id, "KeyVersionId": version, "Value": b64encode(signature).decode()})

    def refusal(self, request: RecordedRequest) -> str:
        """Return the code of what is wrong with the signature; empty if it is right."""
        headers = request.headers
        given = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        token = headers.get("x-acs-security-token", "")
        if given is None or given[1] != self.access_key_id or token != self.security_token:
            return "InvalidAccessKeyId.NotFound"
        when = datetime.fromisoformat(headers["x-acs-date"]).astimezone(UTC)
        if abs(self.clock.now() - when) > _SKEW:
            return "InvalidTimeStamp.Expired"
        names = given[2].split(";")
        needed = {"host"} | {name for name in headers if name.startswith("x-acs-")}
        content = hashlib.sha256(request.body).hexdigest()
        if not needed <= set(names) or names != sorted(names) or headers["x-acs-content-sha256"] != content:
            return "IncompleteSignature"
        query = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(request.query))
        # A test that leads a fixed address here says which one it was.
        sent = {**headers, "host": headers.get("x-test-host", headers["host"])}
        lines = "".join(f"{name}:{sent[name].strip()}\n" for name in names)
        canonical = f"{request.method}\n{request.path}\n{query}\n{lines}\n{given[2]}\n{content}"
        text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        if hmac.new(self.access_key_secret.encode(), text.encode(), hashlib.sha256).hexdigest() != given[3]:
            return "SignatureDoesNotMatch"
        nonce = headers["x-acs-signature-nonce"]
        with self.lock:
            if nonce in self._nonces:
                return "SignatureNonceUsed"
            self._nonces.add(nonce)
        return ""


def _error(status: int, code: str) -> Answer:
    return json_answer({"Code": code, "Message": "said in words"}, status)
