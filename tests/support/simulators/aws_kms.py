"""AWS KMS and STS: DescribeKey, GetPublicKey, Sign and AssumeRoleWithWebIdentity, with every signature checked.

The check is written from the description of Signature Version 4, apart from the code that signs; the requests of the
official SDK pass it as well (`tests/kms/test_recorded_requests.py`).
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
from urllib.parse import parse_qsl

from sealgate.clocks import SystemClock
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer, RecordedRequest, json_answer
from tests.support.simulators.kms_keys import new_kms_key, pem_of_key, sign_digest

if TYPE_CHECKING:
    from sealgate.clocks import Clock
    from tests.support.simulators.kms_keys import KMSPrivateKey

REGION, ACCOUNT = "eu-central-1", "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sealgate"
KINDS = {
    "ECC_NIST_P256": "ECDSA P-256",
    "ECC_NIST_P384": "ECDSA P-384",
    "ECC_NIST_P521": "ECDSA P-521",
    "ECC_NIST_EDWARDS25519": "Ed25519",
    "RSA_2048": "RSA 2048",
    "RSA_3072": "RSA 3072",
    "SM2": "SM2",
}
_RSA = tuple(f"RSASSA_{padding}_SHA_{bits}" for padding in ("PSS", "PKCS1_V1_5") for bits in (256, 384, 512))
#: The signing algorithms of each kind of key.
SIGNS = {
    "ECC_NIST_P256": ("ECDSA_SHA_256",),
    "ECC_NIST_P384": ("ECDSA_SHA_384",),
    "ECC_NIST_P521": ("ECDSA_SHA_512",),
    "SM2": ("SM2DSA",),
    "RSA_2048": _RSA,
    "RSA_3072": _RSA,
}
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8}/([-a-z0-9]+)/([a-z]+)/aws4_request), "
    r"SignedHeaders=([-a-z0-9;]+), Signature=([0-9a-f]{64})"
)
_SKEW = timedelta(minutes=5)
_BAD_REQUEST = 400


@dataclass
class AWSKey:
    """One key; tests may change its fields."""

    private: KMSPrivateKey
    spec: str
    usage: str = "SIGN_VERIFY"
    state: str = "Enabled"
    arn: str = ""


class AWSKMSSimulator(HTTPSimulator):
    """Both services at one address; see `HTTPSimulator` for faults, TLS and recorded requests.

    Attributes:
        keys: the keys, by ID.
        access_key_id: access key of its user.
        secret_access_key: secret key of that user.
        web_identity_token: the token that may assume `ROLE`.
        sessions: secret key and session token of each temporary access key, by its ID.
        denied: actions that are refused.
    """

    #: The service that requests are signed for.
    service = "kms"

    def __init__(self, *, clock: Clock | None = None, **more: Any) -> None:
        self.keys: dict[str, AWSKey] = {}
        self.access_key_id, self.secret_access_key = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
        self.web_identity_token = "header.payload.signature"  # noqa: S105 - of the simulator
        self.sessions: dict[str, tuple[str, str]] = {}
        self.denied: set[str] = set()
        self.clock = clock or SystemClock()
        super().__init__(**more)

    def add(self, key_id: str, spec: str, **members: Any) -> AWSKey:
        """Store a new key."""
        key = AWSKey(new_kms_key(KINDS.get(spec, "ECDSA P-256")), spec, **members)
        key.arn = key.arn or f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key_id}"
        self.keys[key_id] = key
        return key

    @property
    def secret(self) -> dict[str, bytes]:
        """The content of a Secret with the right credentials."""
        return {"accessKeyId": self.access_key_id.encode(), "secretAccessKey": self.secret_access_key.encode()}

    def respond(self, request: RecordedRequest) -> Answer:
        target = request.headers.get("x-amz-target", "")
        if not target:
            return self.assume_role(request)
        if request.method != "POST" or request.path != "/":
            return _error(404, "UnknownOperationException")
        if not self.signed(request):
            return _error(_BAD_REQUEST, "InvalidSignatureException")
        action = target.removeprefix("TrentService.")
        if action in self.denied:
            return _error(_BAD_REQUEST, "AccessDeniedException")
        asked = json.loads(request.body)
        key = self.keys.get(asked["KeyId"].rpartition("/")[2])
        if key is None:
            return _error(_BAD_REQUEST, "NotFoundException")
        return {"DescribeKey": self._describe, "GetPublicKey": self._public, "Sign": self._sign}[action](asked, key)

    def _describe(self, _: dict[str, Any], key: AWSKey) -> Answer:
        described = {"Arn": key.arn, "KeyId": key.arn.rpartition("/")[2], "KeyState": key.state}
        return json_answer({"KeyMetadata": {**described, "KeySpec": key.spec, "KeyUsage": key.usage}})

    def _public(self, _: dict[str, Any], key: AWSKey) -> Answer:
        if key.state != "Enabled":
            return _error(_BAD_REQUEST, "DisabledException")
        der = b64decode("".join(pem_of_key(key.private).splitlines()[1:-1]))
        return json_answer({"KeyId": key.arn, "PublicKey": b64encode(der).decode(), "KeySpec": key.spec})

    def _sign(self, asked: dict[str, Any], key: AWSKey) -> Answer:
        if key.state != "Enabled":
            return _error(_BAD_REQUEST, "DisabledException")
        if key.usage != "SIGN_VERIFY" or asked["SigningAlgorithm"] not in SIGNS[key.spec]:
            return _error(_BAD_REQUEST, "InvalidKeyUsageException")
        if asked["MessageType"] != "DIGEST":
            return _error(_BAD_REQUEST, "ValidationException")
        signature = sign_digest(key.private, b64decode(asked["Message"]), pss="PSS" in asked["SigningAlgorithm"])
        return json_answer({"KeyId": key.arn, "Signature": b64encode(signature).decode()})

    def assume_role(self, request: RecordedRequest) -> Answer:
        """Answer as STS."""
        asked = dict(parse_qsl(request.body.decode()))
        wanted = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": ROLE}
        if asked | wanted != asked or not asked["RoleSessionName"]:
            return _sts_error(403, "AccessDenied")
        if not self.trusts(asked["WebIdentityToken"]):
            return _sts_error(_BAD_REQUEST, "InvalidIdentityToken")
        if request.headers.get("accept") != "application/json":
            return Answer(200, {"Content-Type": "text/xml"}, b"<AssumeRoleWithWebIdentityResponse/>")
        name = f"ASIA{len(self.sessions)}"
        self.sessions[name] = (f"secret-of-{name}", f"token/of+{name}==")
        secret, token = self.sessions[name]
        end = (self.clock.now() + timedelta(seconds=int(asked["DurationSeconds"]))).timestamp()
        found = {"AccessKeyId": name, "SecretAccessKey": secret, "SessionToken": token, "Expiration": end}
        result = {"AssumeRoleWithWebIdentityResult": {"Credentials": found}}
        return json_answer({"AssumeRoleWithWebIdentityResponse": result})

    def trusts(self, token: str) -> bool:
        """Return whether `ROLE` may be assumed with a token."""
        return token == self.web_identity_token

    def signed(self, request: RecordedRequest) -> bool:
        """Return whether a request has a good signature of a known access key."""
        given = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        date = request.headers.get("x-amz-date", "")
        if given is None or not given[2].startswith(date[:8]) or (given[3], given[4]) != (REGION, self.service):
            return False
        if abs(self.clock.now() - datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)) > _SKEW:
            return False
        secret, token = self.sessions.get(given[1], (self.secret_access_key, ""))
        if given[1] not in {*self.sessions, self.access_key_id}:
            return False
        if request.headers.get("x-amz-security-token", "") != token:
            return False
        names = given[5].split(";")
        needed = {"host", "x-amz-date", "x-amz-target"} | ({"x-amz-security-token"} if token else set())
        if not needed <= set(names) or names != sorted(names):
            return False
        # A test that leads a fixed address here says which one it was.
        sent = {**request.headers, "host": request.headers.get("x-test-host", request.headers["host"])}
        headers = "".join(f"{name}:{' '.join(sent[name].split())}\n" for name in names)
        canonical = f"POST\n/\n\n{headers}\n{given[5]}\n{hashlib.sha256(request.body).hexdigest()}"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = b"AWS4" + secret.encode()
        for part in given[2].split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        text = f"AWS4-HMAC-SHA256\n{date}\n{given[2]}\n{hashed}"
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == given[6]


def _error(status: int, code: str) -> Answer:
    return json_answer({"__type": f"com.amazonaws.kms#{code}", "message": "said in words"}, status)


def _sts_error(status: int, code: str) -> Answer:
    return json_answer({"Error": {"Code": code, "Message": "said in words", "Type": "Sender"}}, status)
